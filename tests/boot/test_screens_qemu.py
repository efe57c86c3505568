#!/usr/bin/env python3
"""Our VGA BIOS in QEMU: the programs of screens.py draw there what they draw in Vitrine. Colours are compared in the
six bits that the DAC has, since the two widen them differently."""
import subprocess

import harness
import screens
import test_screens

# What QEMU's adapter does not show, or shows otherwise.
DIFFERENT = {
    "text-80x25": "the ninth dot of B0h to BFh, which only C0h to DFh should have",
    "text-80x50": "the same",
    "text-40x25": "characters of 16 dots' width, not 18",
    "text-200-lines": "no doubled lines in text",
    "text-512": "no preset row scan",
    "text-mono": "no underline",
    "mode-x-split": "no panning by pixels",
}
SIX_BITS = bytes(i & 0xfc for i in range(256))


class Qemu(harness.Case):
    def in_qemu(self, name):
        qemu = harness.need("qemu-system-x86_64")
        rom = f"{harness.ROOT}/roms/vitrine-vgabios.bin"
        disk = self.boot_sector(screens.PROGRAMS[name], name=f"qemu-{name}.img")
        v = self.start("-accel", "tcg", "-m", "16", "-display", "none", "-net", "none", "-vga", "none", "-device",
                       f"VGA,romfile={rom}", "-drive", f"file={disk},format=raw", "-serial", "stdio", "-monitor",
                       "unix:qemu,server=on,wait=off", tty=False, program=qemu)
        v.expect("k", 2 * harness.LIMIT)
        monitor = harness.Socket(self.path("qemu"))
        self.addCleanup(monitor.close)
        monitor.expect(r"\(qemu\) ")
        monitor.send("screendump qemu.ppm\n")
        monitor.expect(r"\r\n\(qemu\) ")
        return test_screens.pixels(self.read("qemu.ppm"))

    def compare(self, name):
        size, data = self.in_qemu(name)
        ours, ours_data = test_screens.Screens.picture(self, name)
        self.assertEqual(ours, size)
        if ours_data.translate(SIX_BITS) != data.translate(SIX_BITS):
            self.fail(f"{name} looks otherwise in QEMU; of ours {test_screens.Screens.kept(self, name)}")


for name in screens.PROGRAMS:
    if name not in DIFFERENT:
        setattr(Qemu, "test_" + name.replace("-", "_"), lambda self, name=name: self.compare(name))

if __name__ == "__main__":
    harness.main()
