#!/usr/bin/env python3
"""Systems that other people made, without a change: memtest86+, Debian's installer, Debian's i386 kernels, a multiboot
game. scripts/get-guests fetches them; what is not there is skipped.
"""
import hashlib
import os
import re
import time
import unittest

import harness

SERIAL = ("-display", "none", "-serial", "stdio")
MONITOR = ("-monitor", "unix:monitor,server=on,wait=off")


def foreign(name):
    path = os.path.join(harness.GUEST, "foreign", name)
    if not os.path.exists(path):
        raise unittest.SkipTest(f"no foreign/{name}: run scripts/get-guests")
    return path


def archive(entries):
    """An initramfs: cpio's "newc" format. entries: path, mode, content."""
    out = b""
    for number, (path, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
        name = path.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 5, 1, len(name), 0)
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + name
        out += bytes(-len(out) % 4) + data
        out += bytes(-len(out) % 4)
    return out


def busybox_initramfs(run="export PS1='vitrine:/# '; exec setsid cttyhack sh"):
    """A shell on the serial port, of i386 programs; or what is to run in its place."""
    with open(foreign("busybox-i386"), "rb") as f:
        busybox = f.read()
    init = f"""#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
{run}
""".encode()
    folders = [(name, 0o040755, b"") for name in ("bin", "dev", "proc", "sys")]
    links = [(f"bin/{name}", 0o120777, b"busybox")
             for name in "sh mount setsid cttyhack uname cat poweroff grep stty dmesg seq md5sum head".split()]
    return archive([*folders, ("bin/busybox", 0o100755, busybox), *links, ("init", 0o100755, init)])


class Case(harness.Case):
    def screen(self):
        return self.m.command("info screen")

    def await_screen(self, pattern, cpu_seconds, doing=lambda: None):
        """Until the text on the screen has it. The limit is on CPU time: other people's load does not count."""
        while True:
            text = self.screen()
            match = re.search(pattern, text)
            if match:
                return match
            self.assertIsNone(self.v.process.poll(), f"ended; last on the screen:\n{text}")
            self.assertLess(self.v.cpu_seconds(), cpu_seconds * harness.SLOW,
                            f"{pattern!r} did not come; on the screen:\n{text}")
            doing()
            time.sleep(0.3)


class Memtest(Case):
    """memtest86+ 6: all tests once, without an error found. Its bit fade test waits for minutes of the guest's time;
    at 64 ns an instruction these are few instructions."""

    def passes(self, image):
        self.v = self.start("-m", "24", "-display", "none", "-icount", "shift=6", *MONITOR, "-kernel", foreign(image),
                            tty=False)
        self.m = self.monitor()
        self.await_screen(r"Memtest86\+ v6", 60)
        self.await_screen(r"Memory  :\s+24MB", 10)
        tests = set()

        def note():
            text = self.screen()
            self.assertNotRegex(text, r"Errors: *[1-9]")
            tests.update(re.findall(r"Test #(\d+)", text))
        self.await_screen(r"Pass:\s+1\s+Errors: 0", 300, note)
        # The screen is looked at now and then: the short ones go by unseen, on a busy host some others as well.
        self.assertGreater(len(tests & {"3", "4", "5", "6", "7", "8", "9", "10"}), 4, tests)
        self.assertRegex(self.screen(), r"#####\s+##\s+#####\s+#####")              # "PASS"

    def test_x64(self):
        self.passes("memtest86+x64.bin")

    def test_ia32(self):
        self.passes("memtest86+ia32.bin")


class Installer(Case):
    """Debian's installer, on the serial port, up to where it asks for the language, and one dialog further."""

    def test_dialogs(self):
        self.v = self.start("-m", "1024", *SERIAL, "-kernel", foreign("installer-linux"), "-initrd",
                            foreign("installer-initrd.gz"), "-append", "console=ttyS0", size=(25, 80))
        self.v.expect(r"Select a language", 5 * harness.LIMIT)
        self.v.expect(r"English")
        self.v.wait_for_quiet()
        self.v.send("\r")
        self.v.expect(r"Select your location")
        self.v.expect(r"United States")


class I386Shell(Case):
    """Debian's kernels for 32-bit PCs, with and without PAE: what is done at their shell."""

    def works(self, flavour):
        """At the shell of one of them."""
        v = self.v
        v.expect(harness.PROMPT, 4 * harness.LIMIT)
        v.send("stty -echo; stty cols 999\n")
        v.expect(harness.PROMPT)
        v.send("uname -rm\n")
        v.expect(rf"\d+-{flavour} i686\r?\n")
        v.expect(harness.PROMPT)
        v.send("seq 10000 | md5sum\n")
        v.expect(r"[0-9a-f]{32}")
        numbers = "".join(f"{i}\n" for i in range(1, 10001)).encode()
        self.assertEqual(hashlib.md5(numbers).hexdigest(), v.seen[:v.at][-32:].decode())
        v.expect(harness.PROMPT)
        v.send("grep -c -w pae /proc/cpuinfo\n")
        v.expect(r"1\r?\n")
        v.expect(harness.PROMPT)
        v.send("dmesg | grep -E 'BUG:|WARNING:|Oops|Call Trace|panic - '; echo END\n")
        v.expect(r"END")
        self.assertEqual("", harness.plain(v.before).strip())
        v.send("poweroff -f\n")
        self.ends(v)


class I386(I386Shell):
    """Loaded by -kernel."""

    def kernel(self, flavour, memory, *args):
        initrd = self.write("initrd.img", busybox_initramfs())
        self.v = self.start("-m", memory, *SERIAL, "-kernel", foreign(f"vmlinuz-{flavour}"), "-initrd", initrd,
                            "-append", "console=ttyS0", *args)
        self.works(flavour)

    def test_686(self):
        self.kernel("686", "256")

    def test_686_pae(self):
        self.kernel("686-pae", "5G")

    def test_pentium3(self):
        """A CPU of the kernel's time: no long mode, no NX, no SSE2."""
        self.kernel("686", "256", "-cpu", "pentium3")


class I386Grub(I386Shell):
    """The same from a disk."""

    def grub(self, flavour):
        """From the default disk with kernel and initramfs exchanged."""
        debugfs = harness.need("debugfs")
        initrd = self.write("initrd.img", busybox_initramfs())
        disk = self.copy_of("default.img")
        commands = "".join(f"rm /boot/{name}\nwrite {source} /boot/{name}\n"
                           for name, source in (("vmlinuz", foreign(f"vmlinuz-{flavour}")), ("initrd.img", initrd)))
        harness.host(debugfs, "-w", "-f", "-", f"{disk}?offset={harness.MiB}", input=commands.encode())
        self.v = self.start("-m", "256", *SERIAL, disk)
        self.v.expect(r"GNU GRUB")
        self.works(flavour)

    def test_686(self):
        self.grub("686")

    def test_686_pae(self):
        self.grub("686-pae")


class Invaders(Case):
    """A game that is its own system: a multiboot kernel that asks the keyboard controller and writes to the screen."""

    def ship(self):
        """The column of the ship's top in the last rows of the screen."""
        rows = self.screen().split("\n")
        for row in reversed(rows):
            if "_" in row:
                return row.index("_")
        return None

    def test_played(self):
        self.v = self.start("-m", "16", "-display", "none", *MONITOR, "-kernel", foreign("invaders"), tty=False)
        self.m = self.monitor()
        self.await_screen(r"-\*-", 60)
        self.await_screen(r"/ \\", 60)
        start = self.ship()
        for key, further in (("left", lambda now, was: now < was), ("right", lambda now, was: now > was)):
            was = self.ship()
            for _ in range(20):
                self.m.command(f"sendkey {key}")
                time.sleep(0.2)
                now = self.ship()
                if now is not None and further(now, was):
                    break
            else:
                self.fail(f"{key} does not move the ship from {was}:\n{self.screen()}")
        self.assertIsNotNone(start)
        self.shoot()

    def shoot(self):
        """Shots fly, and there are fewer invaders then. They are drawn one by one: only the largest number counts."""
        self.assertNotIn("|", self.screen())
        flew, left = False, 40
        for _ in range(60):
            self.m.command("sendkey spc 50")
            seen = []
            for _ in range(12):
                time.sleep(0.05)
                text = self.screen()
                seen.append(text.count("-*-"))
                flew = flew or "|" in text
            left = max(seen)
            if flew and left < 38:
                return
        self.fail(f"shots {'flew' if flew else 'did not fly'}, {left} invaders are left:\n{self.screen()}")


class Multiboot(Case):
    """Kernels with modules, and one that is a Linux image to its loader."""

    def xen(self, kernel, arguments):
        v = self.start("-m", "512", *SERIAL, "-kernel", foreign("xen"), "-append", "console=com1 com1=115200",
                       "-initrd", f"{kernel} console=hvc0 {arguments},{harness.guest('initrd.img')}")
        v.expect(r"Xen version 4\.", 2 * harness.LIMIT)
        v.expect(r"Command line: console=com1 com1=115200")
        v.expect(r"Platform timer is 100\.000MHz HPET")
        v.expect(r"Dom0 kernel: 64-bit, PAE, lsb")
        v.expect(r"mapping kernel into physical memory\s+about to get started", 2 * harness.LIMIT)
        return v

    def test_xen(self):
        """Up to where its first guest runs: a Linux kernel as a module, with an initramfs as another."""
        self.xen(harness.guest("vmlinuz"), "")

    def test_xen_with_linux(self):
        """That guest, in ring 3 of another's making, up to its shell; its power-off is Xen's."""
        v = self.xen(foreign("installer-linux"), 'vitrine.run="cat /sys/hypervisor/type"')
        v.expect(r"GUEST-UP", 4 * harness.LIMIT)
        v.expect(r"xen\r*\nGUEST-RUN-STATUS 0")
        self.ends(v)

    def test_gnumach(self):
        """GNU Mach, without the servers it would start."""
        v = self.start("-m", "64", *SERIAL, "-kernel", foreign("gnumach"), "-append", "console=com0")
        v.expect(r"GNU Mach 1\.")
        v.expect(r"100000:0+3f[0-9a-f]+, available")        # the memory map
        v.expect(r"Probing PCI hardware")

    def test_ipxe(self):
        """A loader that finds no network to load from, and gives up in favour of the firmware."""
        self.v = self.start("-m", "32", "-display", "none", *MONITOR, "-kernel", foreign("ipxe.lkrn"), tty=False)
        self.m = self.monitor()
        self.await_screen(r"iPXE \S+ -- Open Source Network Boot Firmware", 30)
        self.await_screen(r"No more network devices", 30)


class Uefi(Case):
    """EDK II's firmware for QEMU's PC, as -bios."""

    def test_shell(self):
        v = self.start("-m", "256", *SERIAL, "-bios", foreign("OVMF.fd"))
        v.expect(r"UEFI Interactive Shell v2", 2 * harness.LIMIT)
        v.expect(r"Shell>", 2 * harness.LIMIT)
        v.send("memmap\r")
        v.expect(r"LoaderCode")
        v.expect(r"Total Memory: +25\d MB")
        v.expect(r"Shell>")
        v.send("reset -s\r")
        self.ends(v)

    def test_kernel(self):
        """It takes -kernel's parts through fw_cfg by itself, and starts the kernel as a UEFI program."""
        v = self.start("-m", "512", *SERIAL, "-bios", foreign("OVMF.fd"), "-kernel", harness.guest("vmlinuz"),
                       "-initrd", harness.guest("initrd.img"), "-append",
                       'console=ttyS0 quiet vitrine.run="ls /sys/firmware/efi"')
        v.expect(r"fw_vendor(.|\n)*GUEST-RUN-STATUS 0", 4 * harness.LIMIT)
        self.ends(v)


if __name__ == "__main__":
    harness.main()
