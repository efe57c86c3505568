#!/usr/bin/env python3
"""Memory on both sides of the PCI hole: the guest is told of it, and all of it holds what is written."""
import hashlib
import re

import harness
from harness import MiB

FILES, SIZE_MIB = 58, 100       # of 6144 MiB the kernel keeps less than 300


class Memory(harness.Case):
    def test_six_gigabytes(self):
        """Filled with files that differ on every page, which are read back after the last one was written."""
        v = self.start("-m", "6G", "-nographic", "-kernel", harness.guest("vmlinuz"), "-initrd",
                       harness.guest("initrd.img"), "-append", "console=ttyS0 vitrine.coldplug=0")
        v.shell()
        ram = [(int(start, 16), int(end, 16) + 1) for start, end in
               re.findall(r"BIOS-e820: \[mem 0x([0-9a-f]+)-0x([0-9a-f]+)\] usable", v.command("dmesg"))]
        self.assertTrue(6143 < sum(end - start for start, end in ram) / MiB <= 6144, ram)
        self.assertIn(1 << 32, [start for start, _ in ram])
        v.command("mkdir /fill && mount -t tmpfs -o size=6g none /fill")
        said = v.command(f"for i in $(seq 1 {FILES}); do yes \"$i of {FILES}\" | head -c {SIZE_MIB}m >/fill/$i; done; "
                         "echo status $?", 1500)
        self.assertEqual("status 0\n", said)
        left = int(re.search(r"MemAvailable:\s+(\d+) kB", v.command("cat /proc/meminfo")).group(1)) // 1024
        self.assertLess(left, 250)
        sums = dict(reversed(line.split()) for line in
                    v.command(f"cd /fill; md5sum $(seq 1 {FILES}); cd /", 1500).splitlines())
        for i in range(1, FILES + 1):
            line = f"{i} of {FILES}\n".encode()
            whole, part = divmod(SIZE_MIB * MiB, len(line))
            self.assertEqual(hashlib.md5(line * whole + line[:part]).hexdigest(), sums[str(i)], f"file {i}")
        v.send("poweroff -f\n")
        self.ends(v)


if __name__ == "__main__":
    harness.main()
