#!/usr/bin/env python3
"""Golden pictures: programs of screens.py draw, the monitor takes a picture, its pixels have the hash that is written
in screens.txt. The same programs, drawn by SeaBIOS' VGA BIOS with our fonts in it, make the same pictures.

A picture that is not as it should be is kept if VITRINE_KEEP names a directory. When it is right and the list is wrong:

    tests/boot/test_screens.py --accept [NAME...]
"""
import hashlib
import os
import shutil
import sys

import harness
import screens

sys.path.insert(0, os.path.join(harness.ROOT, "firmware", "vga"))
import font  # noqa: E402: beside the fonts

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "screens.txt")
SEABIOS = "/usr/share/seabios/vgabios-stdvga.bin"
# The same glyph, 'A', in each of its fonts: by it they are found.
SEABIOS_A = {8: "3078ccccfccccc00", 14: "000010386cc6c6fec6c6c6000000", 16: "000010386cc6c6fec6c6c6c600000000"}
# What SeaBIOS' VGA BIOS does otherwise, and why.
DIFFERENT = {
    "text-80x43": "does not know AX=1201h, BL=30h: always 400 lines",
    "text-200-lines": "the same",
    "text-mono": "no underline in mode 7: CR14 is 1Fh",
    "mode-0d-pages": "draws in page 0 only",
    "vbe-800x600x8-pm": "no 4F0Ah",
    "vbe-640x480x8": "no 4F09h, and INT 10h reaches the first 64 KiB only",
}
ACCEPT = None               # names; empty: all


def golden():
    with open(GOLDEN) as f:
        return {name: (size, digest) for name, size, digest in (line.split() for line in f if line[0] != "#")}


def accept(name, size, digest):
    lines = golden()
    lines[name] = (size, digest)
    with open(GOLDEN, "w") as f:
        f.write("# name, size, SHA-256 of the pixels as red, green, blue: see test_screens.py\n")
        f.writelines(f"{name} {' '.join(lines[name])}\n" for name in screens.PROGRAMS if name in lines)


def pixels(ppm):
    """Size and pixels of a P6 file."""
    magic, size, depth, data = ppm.split(b"\n", 3)
    assert magic == b"P6" and depth == b"255", ppm[:20]
    return size.decode().replace(" ", "x"), data


def seabios_with_our_fonts():
    """SeaBIOS' VGA BIOS, its fonts replaced, as they are what it is bound to differ in."""
    with open(SEABIOS, "rb") as f:
        rom = bytearray(f.read())
    for height, glyph in SEABIOS_A.items():
        at = rom.index(bytes.fromhex(glyph)) - ord("A") * height
        rom[at:at + 256 * height] = font.load(height)
    rom[6] = (rom[6] - sum(rom[:rom[2] * 512])) & 0xFF
    return bytes(rom)


class Screens(harness.Case):
    def picture(self, name, *args):
        """Size and pixels; the picture is in the test's directory as well."""
        disk = self.boot_sector(screens.PROGRAMS[name], name=f"{name}.img")
        self.count = getattr(self, "count", 0) + 1
        v = self.start("-display", "none", "-m", "16", "-serial", "stdio", "-monitor",
                       f"unix:monitor{self.count},server=on,wait=off", *args, disk, tty=False)
        v.expect("k", 2 * harness.LIMIT)
        monitor = self.monitor(f"monitor{self.count}")
        self.assertEqual("", monitor.command("screendump screen.ppm"))
        self.assertEqual("", monitor.command(f"screendump {name}.png"))
        return pixels(self.read("screen.ppm"))

    def kept(self, name):
        """Where the picture is, in words."""
        directory = os.environ.get("VITRINE_KEEP")
        if not directory:
            return "VITRINE_KEEP=DIR keeps the picture"
        return "the picture is " + shutil.copy(self.path(f"{name}.png"), directory)

    def compare(self, name, *args):
        size, data = self.picture(name, *args)
        got = (size, hashlib.sha256(data).hexdigest())
        want = golden().get(name)
        if got == want:
            return
        if ACCEPT is not None and not args and (not ACCEPT or name in ACCEPT):
            accept(name, *got)
            return
        self.fail(f"{name} is {got}, not {want}. {self.kept(name)}; when it is as it should be:\n"
                  f"    tests/boot/test_screens.py --accept {name}")

    def seabios(self, name):
        if not os.path.exists(SEABIOS):
            self.skipTest(f"no {SEABIOS}")
        self.compare(name, "-device", "VGA,romfile=" + self.write("seabios.bin", seabios_with_our_fonts()))


def add_tests():
    for name in screens.PROGRAMS:
        setattr(Screens, "test_" + name.replace("-", "_"), lambda self, name=name: self.compare(name))
        if name not in DIFFERENT:
            setattr(Screens, "test_seabios_" + name.replace("-", "_"), lambda self, name=name: self.seabios(name))


add_tests()

if __name__ == "__main__":
    if "--accept" in sys.argv:
        at = sys.argv.index("--accept")
        ACCEPT = sys.argv[at + 1:]
        del sys.argv[at:]
    harness.main()
