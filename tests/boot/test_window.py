#!/usr/bin/env python3
"""The window, on an X server without a screen: what it shows is what the guest's screen holds, keys and mouse reach
the guest, and it behaves as a window does. Needs Xvfb, xdotool and a window manager (cwm)."""
import os
import re
import select
import signal
import struct
import subprocess
import time

import harness

SCREEN = (1600, 1200)
LEAKY = {"LSAN_OPTIONS": "detect_leaks=0"}      # SDL and what is below it give not everything back
TITLE = "Vitrine (window-test)"
GRAB = " - Press Ctrl-Alt-G to release grab"
# What a window manager is needed for: full screen, and to ask a window to close.
CWMRC = "unbind-key all\nunbind-mouse all\nborderwidth 0\nbind-key 4-x window-delete\n"

SERIAL = """
put:                            # the byte in AL, to COM1 in hexadecimal and a blank
        mov $2, %cx
        rol $4, %al
1:      push %ax
        and $15, %al
        cmp $10, %al
        sbb $0x69, %al
        das
        call send
        pop %ax
        rol $4, %al
        loop 1b
        mov $32, %al
send:   mov %al, %ah
        mov $0x3fd, %dx
2:      in %dx, %al
        test $0x20, %al
        jz 2b
        mov $0x3f8, %dx
        mov %ah, %al
        out %al, %dx
        ret
"""
# Tells each byte that comes from the mouse.
MOUSE = """
        cli
        xor %ax, %ax
        mov %ax, %ss
        mov $0x7c00, %sp
        mov $0xa8, %al
        out %al, $0x64
        mov $0xd4, %al
        out %al, $0x64
        call ready
        mov $0xf4, %al          # report
        out %al, $0x60
next:   in $0x64, %al
        and $0x21, %al
        jz next
        cmp $0x21, %al
        in $0x60, %al
        jne next
        call put
        jmp next
ready:  in $0x64, %al
        test $2, %al
        jnz ready
        ret
""" + SERIAL
# Text to be told from other text, then nothing more.
STILL = """
        mov $0xb800, %ax
        mov %ax, %es
        xor %di, %di
        mov $2000, %cx
        mov $0x1e21, %ax
1:      stosw
        inc %al
        loop 1b
        mov $'!', %al
        mov $0x3f8, %dx
        out %al, %dx
        sti
2:      hlt
        jmp 2b
"""
# Mode 13h with all colours in stripes.
GRAPHICS = """
        mov $0x13, %ax
        int $0x10
        mov $0xa000, %ax
        mov %ax, %es
        xor %di, %di
        mov $64000, %cx
1:      mov %di, %ax
        stosb
        loop 1b
        mov $'!', %al
        mov $0x3f8, %dx
        out %al, %dx
        sti
2:      hlt
        jmp 2b
"""

# Sixty times a second the screen goes up by a line, and there is a new one below.
SCROLL = """
        cli
        xor %ax, %ax
        mov %ax, %ds
        movw $tick, 0x20
        mov %cs, 0x22
        mov $0x34, %al
        out %al, $0x43
        mov $(19886 & 255), %al
        out %al, $0x40
        mov $(19886 >> 8), %al
        out %al, $0x40
        mov $0xb800, %ax
        mov %ax, %ds
        mov %ax, %es
        cld
        mov $'!', %al
        mov $0x3f8, %dx
        out %al, %dx
        sti
1:      hlt
        xor %di, %di
        mov $160, %si
        mov $1920, %cx
        rep movsw
        mov $80, %cx
        mov %bx, %ax
2:      stosw
        inc %ax
        loop 2b
        add $0x111, %bx
        jmp 1b
tick:   push %ax
        mov $0x20, %al
        out %al, $0x20
        pop %ax
        iret
"""


class Desktop:
    """Xvfb, whose screen is a file that can be read, with a window manager."""

    def __init__(self, directory):
        xvfb, cwm = harness.need("Xvfb"), harness.need("cwm")
        harness.need("xdotool")
        self.frame = os.path.join(directory, "Xvfb_screen0")
        read, write = os.pipe()
        self.processes = [subprocess.Popen(
            [xvfb, "-screen", "0", "%dx%dx24" % SCREEN, "-fbdir", directory, "-displayfd", str(write), "-noreset", "-nocursor", "-nolisten",
             "tcp"], pass_fds=[write], stderr=subprocess.DEVNULL)]
        os.close(write)
        if not select.select([read], [], [], 30 * harness.SLOW)[0]:
            raise AssertionError("Xvfb does not start")
        with os.fdopen(read) as said:       # the number, and then in another write the end of the line
            self.name = ":" + said.readline().strip()
        self.environment = {"DISPLAY": self.name, "WAYLAND_DISPLAY": "", "SDL_VIDEODRIVER": "x11",
                            "SDL_AUDIODRIVER": "dummy", **LEAKY}
        rc = os.path.join(directory, "cwmrc")
        with open(rc, "w") as f:
            f.write(CWMRC)
        self.processes.append(subprocess.Popen([cwm, "-c", rc], env={**os.environ, **self.environment}))

    def close(self):
        for process in reversed(self.processes):
            process.kill()
            process.wait()

    def xdotool(self, *words):
        done = subprocess.run(["xdotool", *map(str, words)], env={**os.environ, **self.environment}, text=True,
                              capture_output=True, timeout=30 * harness.SLOW)
        return done.stdout

    def picture(self, x, y, width, height):
        """Rows of pixels of a part of the screen, 3 bytes each. The file is in the format of xwd."""
        with open(self.frame, "rb") as f:
            data = f.read()
        header = struct.unpack(">25I", data[:100])
        bits, stride = header[11], header[12]
        assert bits == 32 and header[7] == 0, "an Xvfb of another kind"
        start = header[0] + 12 * header[19]
        rows = []
        for row in range(y, y + height):
            at = start + row * stride + 4 * x
            line = data[at:at + 4 * width]
            rgb = bytearray(3 * width)
            rgb[0::3], rgb[1::3], rgb[2::3] = line[2::4], line[1::4], line[0::4]
            rows.append(bytes(rgb))
        return rows


def ppm(data):
    head = re.match(rb"P6\n(\d+) (\d+)\n255\n", data)
    width, height = map(int, head.groups())
    pixels = data[head.end():]
    return [pixels[y * width * 3:(y + 1) * width * 3] for y in range(height)]


def enlarged(rows, times):
    return [b"".join(row[i:i + 3] * times for i in range(0, len(row), 3)) for row in rows for _ in range(times)]


class Window(harness.Case):
    def setUp(self):
        super().setUp()
        self.desktop = Desktop(self.directory)
        self.addCleanup(self.desktop.close)

    def open(self, *args, tty=False):
        v = self.start("-display", "sdl", "-name", "window-test", "-serial", "stdio", "-monitor",
                       "unix:monitor,server=on,wait=off", *args, tty=tty, env=self.desktop.environment)
        self.until(lambda: os.path.exists(self.path("monitor")) or v.process.poll() is not None, "the monitor")
        said = "".join(v.messages())
        if "built without SDL" in said or "SDL 2 is missing" in said:
            self.skipTest(said)
        self.mon = self.monitor()
        self.until(lambda: self.desktop.xdotool("search", "--onlyvisible", "--name", "Vitrine"), "a window")
        self.window = self.desktop.xdotool("search", "--onlyvisible", "--name", "Vitrine").split()[0]
        self.desktop.xdotool("windowfocus", "--sync", self.window)
        return v

    def until(self, condition, what, seconds=20):
        end = time.monotonic() + seconds * harness.SLOW
        while not condition():
            if time.monotonic() > end:
                self.fail(f"{what} did not come")
            time.sleep(0.05)

    def title(self):
        return self.desktop.xdotool("getwindowname", self.window).rstrip("\n")

    def until_title(self, title):
        try:
            self.until(lambda: self.title() == title, title)
        except AssertionError:
            self.assertEqual(title, self.title())

    def place(self):
        out = dict(line.split("=") for line in self.desktop.xdotool("getwindowgeometry", "--shell",
                                                                     self.window).split())
        return tuple(int(out[key]) for key in ("X", "Y", "WIDTH", "HEIGHT"))

    def until_size(self, *size):
        try:
            self.until(lambda: self.place()[2:] == size, f"size {size}")
        except AssertionError:
            self.assertEqual(size, self.place()[2:])

    def keys(self, *keys):
        self.desktop.xdotool("key", "--delay", "40", *keys)

    def screen(self):
        """What the monitor says the guest shows."""
        answer = self.mon.command("screendump screen.ppm")
        self.assertEqual("", answer)
        return ppm(self.read("screen.ppm"))

    def compare(self, times=1):
        """The window shows the guest's screen, enlarged so often, in the middle, and black around it."""
        self.mon.command("stop")            # or the cursor would blink
        want = enlarged(self.screen(), times)
        width, height = len(want[0]) // 3, len(want)

        def same():
            x, y, w, h = self.place()
            left, top = (w - width) // 2, (h - height) // 2
            rows = self.desktop.picture(x, y, w, h)
            black = bytes(3 * w)
            around = rows[:top] + rows[top + height:]
            return ([row[3 * left:3 * (left + width)] for row in rows[top:top + height]] == want
                    and all(row == black for row in around))

        self.until(same, "the guest's screen in the window", 10)
        self.mon.command("cont")

    def test_a_guest_at_its_screen(self):
        """The boot menu, then the shell on tty1, typed at in the window."""
        v = self.open("-m", "256", "-drive", f"file={harness.guest('default.img')},format=raw,snapshot=on")
        v.expect("GNU GRUB")
        self.compare()
        v.expect(harness.PROMPT, 120)
        self.compare()
        self.desktop.xdotool("type", "--delay", "60", "echo Typed-at-the-window_42 >/dev/ttyS0")
        self.keys("Return")
        v.expect("Typed-at-the-window_42")
        self.compare()
        # A whole screen of lines going by, and what is there in the end is right.
        self.desktop.xdotool("type", "--delay", "60", "seq 3000; echo all-of-them >/dev/ttyS0")
        self.keys("Return")
        v.expect("all-of-them")
        self.compare()
        self.desktop.xdotool("type", "--delay", "60", "poweroff -f")
        self.keys("Return")
        self.ends(v)

    def test_sizes(self):
        v = self.open(self.boot_sector(STILL))
        v.expect("!")
        self.until_size(720, 400)
        self.compare()
        self.desktop.xdotool("windowmove", self.window, 0, 0)
        self.keys("ctrl+alt+equal")
        self.until_size(1440, 800)
        self.compare(2)
        self.keys("ctrl+alt+minus")
        self.until_size(720, 400)
        self.desktop.xdotool("windowsize", self.window, 1500, 1000)     # as by hand: room is left over
        self.until_size(1500, 1000)
        self.compare(2)
        self.keys("ctrl+alt+0")
        self.until_size(720, 400)
        self.keys("ctrl+alt+f")
        self.until_size(*SCREEN)
        self.until_title(TITLE + GRAB)
        self.compare(2)
        self.keys("ctrl+alt+f")
        self.until_size(720, 400)
        self.until_title(TITLE)
        self.compare()

    def test_a_mode_of_another_size(self):
        v = self.open(self.boot_sector(GRAPHICS))
        v.expect("!")
        self.until_size(640, 400)
        self.compare()

    def test_mouse_and_grab(self):
        v = self.open(self.boot_sector(MOUSE))
        v.expect("FA ")
        move = ("mousemove_relative", "--", 3, -2)
        x, y, width, height = self.place()
        self.desktop.xdotool("mousemove", x + width // 2, y + height // 2)
        self.desktop.xdotool(*move)                     # nobody's: there is no grab
        self.desktop.xdotool("click", 1)                # takes the mouse
        self.until_title(TITLE + GRAB)
        time.sleep(0.3)
        self.desktop.xdotool(*move)
        v.expect("08 03 02 ")
        self.assertEqual(b"FA 08 03 02 ", v.seen)       # and nothing from before
        self.desktop.xdotool("mousedown", 3)
        v.expect("0A 00 00 ")
        self.desktop.xdotool("mouseup", 3)
        v.expect("08 00 00 ")
        self.keys("ctrl+alt+g")
        self.until_title(TITLE)
        before = len(v.seen)
        self.desktop.xdotool(*move)
        time.sleep(0.3)
        self.mon.command("mouse_move 5 7")              # by the monitor it still comes
        v.expect("28 05 F9 ")
        self.assertEqual(b"28 05 F9 ", v.seen[before:])

    def test_title_and_closing(self):
        v = self.open(self.boot_sector(STILL))
        v.expect("!")
        self.until_title(TITLE)
        self.mon.command("stop")
        self.until_title(TITLE + " [Paused]")
        self.keys("ctrl+alt+g")                         # a paused machine's window is no dead one
        self.until_title(TITLE + " [Paused]" + GRAB)
        self.keys("ctrl+alt+g")
        self.mon.command("cont")
        self.until_title(TITLE)
        self.keys("super+x")
        self.ends(v)

    def test_the_desktop_goes_away(self):
        """Whether the guest draws then or not: as if the window were closed, with a line."""
        for n, source in enumerate((STILL, SCROLL, SCROLL)):
            if n:
                self.desktop.close()
                self.desktop = Desktop(self.directory)
                self.addCleanup(self.desktop.close)
            v = self.open("-pidfile", "pid", self.boot_sector(source), tty=True)
            v.expect("!")
            self.assertTrue(os.path.exists(self.path("pid")))
            self.assertNotEqual(v.attributes_before, v.attributes())
            self.desktop.processes[0].kill()
            self.ends(v, messages=["vitrine: the desktop is gone, and the window with it"])
            self.assertFalse(os.path.exists(self.path("pid")) or os.path.exists(self.path("monitor")))

    def test_a_window_that_does_not_close(self):
        """Without its desktop the machine goes on."""
        v = self.open("-display", "sdl,window-close=off", self.boot_sector(STILL))
        v.expect("!")
        self.desktop.processes[0].kill()
        self.until(v.messages, "the line")
        self.assertIn("VM status: running", self.mon.command("info status"))
        self.mon.send("quit\n")
        self.ends(v, messages=["vitrine: the desktop is gone, and the window with it"])

    def test_idle(self):
        """A guest that halts, its cursor blinking: nothing spins, which would take all of a processor."""
        v = self.open(self.boot_sector(STILL))
        v.expect("!")
        time.sleep(1)
        before, start = v.cpu_seconds(), time.monotonic()
        time.sleep(5)
        self.assertLess(v.cpu_seconds() - before, (time.monotonic() - start) / 2)

    def test_scrolling(self):
        """A new screen sixty times a second: whenever the guest is stopped, the window shows where it was."""
        v = self.open(self.boot_sector(SCROLL))
        v.expect("!")
        shown = []
        for _ in range(5):
            time.sleep(0.3)
            self.compare()
            shown.append(self.screen())
        self.assertTrue(all(a != b for a, b in zip(shown, shown[1:])), "it does not scroll")
        v.signal(signal.SIGTERM)
        self.ends(v, messages=["vitrine: terminating on signal 15"])


class Headless(harness.Case):
    def loaded(self, v):
        with open(f"/proc/{v.process.pid}/maps") as f:
            return "SDL" in f.read()

    def test_sdl_is_not_loaded(self):
        """Not with -display none, not with -nographic, even on a desktop."""
        for args in (["-display", "none", "-serial", "stdio"], ["-nographic"]):
            v = self.start(*args, self.boot_sector(STILL), tty=False, env={"DISPLAY": ":99"})
            v.expect("!")
            self.assertFalse(self.loaded(v))
            v.signal(signal.SIGTERM)
            v.wait()

    def test_without_a_desktop(self):
        """Not asked for: the serial port is in the terminal, and a word says so. Asked for: refused."""
        nowhere = {"DISPLAY": "", "WAYLAND_DISPLAY": "", "SDL_VIDEODRIVER": ""}
        v = self.start(self.boot_sector(STILL), env=nowhere)
        v.expect("!")
        self.assertEqual(1, len(v.messages()))
        self.assertRegex(v.messages()[0], "warning: no window, the guest's serial port is its screen: .*(DISPLAY|SDL)")
        v.send("\x01x")
        v.wait()
        v = self.start("-display", "sdl", self.boot_sector(STILL), env=nowhere)
        self.assertEqual(1, v.wait())
        self.assertEqual(1, len(v.messages()))
        self.assertRegex(v.messages()[0], "^vitrine: -display sdl: .*(DISPLAY|SDL)")

    def test_a_desktop_that_does_not_answer(self):
        v = self.start("-display", "sdl", self.boot_sector(STILL),
                       env={"DISPLAY": ":12345", "WAYLAND_DISPLAY": "", "SDL_VIDEODRIVER": "", **LEAKY})
        self.assertEqual(1, v.wait())
        self.assertEqual(1, len(v.messages()), v.messages())
        self.assertRegex(v.messages()[0], "^vitrine: -display sdl: ")


if __name__ == "__main__":
    harness.main()
