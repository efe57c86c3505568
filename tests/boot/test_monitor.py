#!/usr/bin/env python3
"""The monitor on a socket, beside the default guest at its shell: every command, and what it did to the guest."""
import os
import re
import struct
import time
import zlib

import harness
from harness import PROMPT


def png_pixels(data):
    """Width, height and the RGB bytes of a plain 8-bit PNG; checks every chunk's sum on the way."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, packed = 8, b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + length]
        assert zlib.crc32(kind + body) == struct.unpack(">I", data[at + 8 + length:at + 12 + length])[0]
        if kind == b"IHDR":
            width, height, depth, colour, method, filtering, interlace = struct.unpack(">IIBBBBB", body)
            assert (depth, colour, method, filtering, interlace) == (8, 2, 0, 0, 0)
        elif kind == b"IDAT":
            packed += body
        at += 12 + length
    assert kind == b"IEND"
    raw, line, rows = zlib.decompress(packed), bytes(width * 3), []
    for y in range(height):
        how, row = raw[y * (width * 3 + 1)], bytearray(raw[y * (width * 3 + 1) + 1:(y + 1) * (width * 3 + 1)])
        for x in range(len(row)):
            left, up = row[x - 3] if x >= 3 else 0, line[x]
            corner = line[x - 3] if x >= 3 else 0
            if how == 1:
                add = left
            elif how == 2:
                add = up
            elif how == 3:
                add = (left + up) // 2
            elif how == 4:
                p = left + up - corner
                add = min((abs(p - left), 0, left), (abs(p - up), 1, up), (abs(p - corner), 2, corner))[2]
            else:
                add = 0
            row[x] = (row[x] + add) & 255
        rows.append(bytes(row))
        line = row
    return width, height, b"".join(rows)


def ppm_pixels(data):
    match = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", data)
    return int(match.group(1)), int(match.group(2)), data[match.end():]


def lit_rows(picture, cell=16):
    """For each row of characters, how many of its pixels are not black."""
    width, height, pixels = picture
    rows = []
    for top in range(0, height - cell + 1, cell):
        part = pixels[top * width * 3:(top + cell) * width * 3]
        rows.append(sum(any(part[i:i + 3]) for i in range(0, len(part), 3)))
    return rows


class AtTheShell(harness.Case):
    """One guest for all of it, as its boot is what takes time."""

    def setUp(self):
        super().setUp()
        self.v = self.start("-m", "256", "-nographic", "-monitor", "unix:monitor,server=on,wait=off", "-name",
                            "looked-at", "-uuid", "01234567-89ab-cdef-0123-456789abcdef", "-drive",
                            f"file={harness.guest('default.img')},format=raw,snapshot=on", "-d", "guest_errors", "-D",
                            "log")
        self.v.shell()
        self.m = self.monitor()

    def test_everything(self):
        for part in (self.information, self.memory, self.stopping, self.pictures, self.keys, self.mistakes,
                     self.power_button):
            with self.subTest(part.__name__):
                part()

    def information(self):
        m = self.m
        self.assertEqual("VM status: running\n", m.command("info status"))
        self.assertEqual("looked-at\n", m.command("info name"))
        self.assertEqual("01234567-89ab-cdef-0123-456789abcdef\n", m.command("info uuid"))
        self.assertRegex(m.command("info version"), r"^Vitrine \d+\.\d+")
        self.assertRegex(m.command("info registers"), r"(?s)RAX=\w{16} RBX=.*RIP=\w{16} RFL=.*CR3=.*EFER=0000000000000d01")
        self.assertRegex(m.command("info cpus"), r"\* CPU #0: pc=0x\w{16} ?(\(halted\))? thread_id=\d+")
        # a page that a program touched for the first time, or the last system call's missing one
        fault = m.command("info fault")
        self.assertRegex(fault, r"(?s)fault \d+ of CPU 0:\n#\w\w .*vector \d+\) at 00\w\w:\w{16}, instruction \d+\n"
                         r".*  what  .*  rule +SDM .*  where +64-bit mode, 64-bit code, CPL [03], paging [45]-level\n")
        self.assertIn("#PF", m.command("info fault -l"))
        walk = next(f for f in m.command("info fault 64").split("\nfault ") if "#PF" in f)
        self.assertRegex(walk, r"(?s)page walk +[45]-level paging, CR3 = \w+\n +PML[45]E\[\d+\] +at \w+: \w{16}")
        self.assertRegex(m.command("info block"), r"(?s)default\.img \(raw.*snapshot\).*Attached to: +ide\.0 unit 0")
        self.assertRegex(m.command("info chardev"), "serial0: filename=stdio\n")
        pci = m.command("info pci")
        for device in ("8086:1237", "8086:7000", "8086:7010", "8086:7113", "1234:1111"):
            self.assertIn(device, pci)
        self.assertRegex(pci, r"BAR0: 32 bit memory, prefetchable, at 0x\w+ \[")
        pic = m.command("info pic")
        self.assertRegex(pic, r"pic0: irr=\w\w imr=\w\w isr=00")
        self.assertRegex(pic, r"pin  4 0x\w{16} dest 0x01 logical  vec +\d+ edge  fixed\n")
        self.assertRegex(m.command("info lapic"), r"(?s)LVTERR +0x000000fe.*SPIV +0x000001ff APIC enabled")
        tree = m.command("info mtree")
        for line in (r"0000000000000000-000000000009ffff.*ram", r"00000000fec00000-.*ioapic", r"00000000fee00000-.*apic",
                     r"(?m)^ *03f8-03ff: uart", r"(?m)^ *01f0-01f0: ide0"):
            self.assertRegex(tree, line)
        self.assertRegex(m.command("info ioports"), r"0cf8-0cf8|0cf8-0cfb")
        self.assertRegex(m.command("info qtree"), r"(?s)dev: .*lapic.*dev: .*ide.*PCI 01\.1 \[8086:7010\]")
        self.assertRegex(m.command("info device cmos_rtc"), r"(?m)^ *\w+.* [0-9a-fx]+$")
        # The kernel: its text in the upper half, not for users; pages of both kinds in the long list.
        self.assertRegex(m.command("info mem"), r"ffffffff[89ab]\w{7}-ffffffff[89ab]\w{7} \w{16} -r-\n")
        tlb = m.command("info tlb", 120)
        self.assertRegex(tlb, r"ffffffff[89ab]\w{7}: \w{16} -GP.A")
        self.assertGreater(tlb.count("\n"), 500)
        self.assertRegex(m.command("info stats"), r"instructions \d{9,}")
        self.assertRegex(m.command("info"), r"info registers .*\n")
        self.assertRegex(m.command("help"), r"system_powerdown")
        self.assertRegex(m.command("help xp"), r"^xp /FMT ADDRESS")

    def memory(self):
        m = self.m
        text = m.command("xp /16xb 0xffff0")            # the reset vector: a far jump, then the date
        self.assertRegex(text, r"^0*ffff0: 0xea 0x5b 0xe0 0x00 0xf0")
        self.assertRegex(m.command("xp/1ih 0xffff0"), r"0x0*ffff0: +ea 5b e0 00 f0 +ljmp")
        self.assertEqual("", m.command("syntax intel"))
        self.assertRegex(m.command("xp/1ih 0xffff0"), r"ea 5b e0 00 f0 +ljmp +0xf000:0xe05b")
        self.assertRegex(m.command("x/4i $rip"), r"(?m)^0x[0-9a-f]{16}: ")
        self.assertEqual("00000000000ffff5: '0' '1' '/' '0' '1' '/' '2' '6'\n", m.command("xp/8c 0xffff5"))
        self.assertIn("Cannot access memory", m.command("x/1xg 0x123456789000"))
        self.assertEqual("0x2a\n", m.command("p 6 * (3+4)"))
        self.assertEqual("-1\n", m.command("p/d 0-1"))
        m.command("pmemsave 0xf0000 0x10000 bios.bin")
        saved = self.read("bios.bin")
        self.assertEqual(65536, len(saved))
        self.assertIn(b"Vitrine BIOS", saved)
        m.command("memsave $rip 16 here.bin")
        self.assertEqual(16, len(self.read("here.bin")))
        self.assertRegex(m.command("sum 0xf0000 0x10000"), r"^\d{5}\n$")
        m.command("o /b 0x70 0x0a")
        self.assertRegex(m.command("i /b 0x71"), r"portb\[0x0071\] = 0x[0-9a-f]6\n")

    def stopping(self):
        v, m = self.v, self.m
        m.stop()
        self.assertEqual("VM status: paused\n", m.command("info status"))
        before = m.command("info registers")
        v.send("echo while-paus'ed'\n")
        time.sleep(0.5)
        self.assertEqual(before, m.command("info registers"))
        v.wait_for_quiet()
        self.assertNotIn(b"while-paused", v.seen)
        m.command("cont")
        v.expect("while-paused")
        v.expect(PROMPT)
        # Time stood still meanwhile: the kernel has nothing to say about clocks.
        self.assertNotRegex(v.command("dmesg | tail -3"), "(?i)clocksource|stall|hung")
        self.assertRegex(m.command("log"), r"(?m)^\* guest_errors")
        self.assertEqual("", m.command("log int"))
        v.command("true")           # typed: the serial port interrupts
        self.assertEqual("", m.command("log none"))
        self.assertRegex(self.read("log").decode(), r"interrupt [0-9a-f]{2} cpl=")

    def screen(self, name):
        answer = self.m.command(f"screendump {name}")
        self.assertEqual("", answer)
        data = self.read(name)
        return png_pixels(data) if name.endswith(".png") else ppm_pixels(data)

    def pictures(self):
        """80 by 25 characters of 9 or 8 by 16; text over most of it; both formats the same picture."""
        self.v.send("echo -ne '\\033[2J\\033[H\\033[?25l' >/dev/tty1; for i in 1 2 3 4 5; do echo XXXXXXXXXX; done >/dev/tty1\n")
        self.v.expect(PROMPT)
        time.sleep(0.3)
        png, ppm = self.screen("screen.png"), self.screen("screen.ppm")
        self.assertEqual(png, ppm)
        self.assertIn(png[:2], ((720, 400), (640, 400)))
        rows = lit_rows(png)
        self.assertEqual(25, len(rows))
        self.assertEqual(1, len(set(rows[:5])), rows)
        self.assertGreater(rows[0], 10 * 20)
        self.assertEqual([0] * 20, rows[5:], rows)
        self.assertEqual("XXXXXXXXXX\n" * 5 + "\n" * 20, self.m.command("info screen"))
        width = png[0]
        for y in range(5 * 16):             # nothing to the right of the ten letters
            self.assertEqual(0, sum(png[2][(y * width + 10 * 9) * 3:(y + 1) * width * 3]))

    def keys(self):
        """Typed at the keyboard, read by the shell on tty1, seen from the other one and on the screen."""
        v, m = self.v, self.m
        m.type("echo Typed on a keyboard >/tmp/typed\n")
        deadline = time.monotonic() + harness.LIMIT * harness.SLOW
        while v.command("cat /tmp/typed 2>/dev/null") != "Typed on a keyboard\n":
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.2)
        rows = lit_rows(self.screen("typed.png"))
        self.assertGreater(sum(map(bool, rows[5:])), 0, rows)
        # Chords: Alt-F2 goes to another console, Alt-F1 back.
        v.command("echo elsewhere >/dev/tty2")
        self.assertEqual("", m.command("sendkey alt-f2"))
        self.wait_for_console(v, "tty2")
        self.assertEqual("", m.command("sendkey alt-f1"))
        self.wait_for_console(v, "tty1")

    def wait_for_console(self, v, name):
        deadline = time.monotonic() + harness.LIMIT * harness.SLOW
        while v.command("cat /sys/class/tty/tty0/active") != name + "\n":
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.2)

    def mistakes(self):
        for line, said in (("nonsense", "unknown command: 'nonsense'"),
                           ("screndump x.png", "did you mean 'screendump'?"),
                           ("info registrs", "did you mean 'info registers'?"),
                           ("sendkey retrun", "unknown key: 'retrun'"),
                           ("sendkey", "which keys?"),
                           ("screendump", "which file?"),
                           ("screendump /nowhere/x.png", "/nowhere/x.png: No such file or directory"),
                           ("x/4y 0", "invalid char in format: 'y'"),
                           ("xp", "which address?"),
                           ("p $nothing", "unknown register $nothing"),
                           ("p 1/0", "zero"),
                           ("stop it", "extraneous characters"),
                           ("memsave 0x123456789000 16 f", "no memory at"),
                           ("info device toaster", "there is no device toaster"),
                           ("log everything", "unknown log item \"everything\"")):
            answer = self.m.command(line)
            self.assertIn(said, answer)
            self.assertEqual(1, answer.count("\n"), answer)
        self.assertFalse(os.path.exists(self.path("x.png")))

    def power_button(self):
        """The guest's own acpid hears of it and has init power the machine off."""
        self.v.command("dmesg -n 7")
        self.assertEqual("", self.m.command("system_powerdown"))
        self.v.expect("Power down")
        self.ends(self.v)

    def test_reset_and_leaving(self):
        """A monitor that is left and come back to; a reset; quit."""
        self.m.send("info sta")         # left in the middle of a word
        self.m.close()
        m = self.monitor()
        self.assertEqual("VM status: running\n", m.command("info status"))
        self.assertEqual("", m.command("system_reset"))
        self.v.expect("GNU GRUB")
        # Edited like a line of a shell: a word taken back, the cursor moved, the line before called up again.
        m.send("nonsense\x17info versionn\x7f\r")
        m.expect(r"Vitrine \d")
        m.expect(m.PROMPT)
        m.send("\x1b[A\r")
        m.expect(r"Vitrine \d")
        m.expect(m.PROMPT)
        m.send("info vers\t\r")
        m.expect(r"Vitrine \d")
        m.expect(m.PROMPT)
        m.send("quit\n")
        self.ends(self.v)
        self.assertFalse(os.path.exists(self.path("monitor")), "the socket is left")


if __name__ == "__main__":
    harness.main()
