#!/usr/bin/env python3
"""Memory on both sides of the PCI hole: the guest is told of it, and all of it holds what is written."""
import hashlib
import random
import re

import harness
from harness import MiB

FILES, SIZE_MIB = 55, 100       # the kernel keeps about 300 of the 6144 MiB


class Memory(harness.Case):
    def test_six_gigabytes(self):
        """Filled with files that differ on every page, which are read back after the last one was written."""
        data = random.Random(harness.seed()).randbytes((SIZE_MIB + FILES) * MiB)
        disk = self.write("random.img", data)
        v = self.start("-m", "6G", "-nographic", "-kernel", harness.guest("vmlinuz"), "-initrd",
                       harness.guest("initrd.img"), "-append", "console=ttyS0 quiet", disk)
        v.shell()
        ram = [(int(start, 16), int(end, 16) + 1) for start, end in
               re.findall(r"BIOS-e820: \[mem 0x([0-9a-f]+)-0x([0-9a-f]+)\] usable", v.command("dmesg"))]
        self.assertTrue(6143 < sum(end - start for start, end in ram) / MiB <= 6144, ram)
        self.assertIn(1 << 32, [start for start, _ in ram])
        v.command("mkdir /fill && mount -t tmpfs -o size=6g none /fill")
        said = v.command(f"for i in $(seq {FILES}); do dd if=/dev/sda of=/fill/$i bs=1M skip=$i count={SIZE_MIB} "
                         "2>/dev/null; done; echo status $?", 600)
        self.assertEqual("status 0\n", said)
        left = int(re.search(r"MemAvailable:\s+(\d+) kB", v.command("cat /proc/meminfo")).group(1)) // 1024
        self.assertLess(left, 500)
        sums = dict(reversed(line.split()) for line in
                    v.command(f"cd /fill; md5sum $(seq {FILES}); cd /", 1500).splitlines())
        for i in range(1, FILES + 1):
            self.assertEqual(hashlib.md5(data[i * MiB:(i + SIZE_MIB) * MiB]).hexdigest(), sums[str(i)], f"file {i}")
        v.send("poweroff -f\n")
        self.ends(v)


if __name__ == "__main__":
    harness.main()
