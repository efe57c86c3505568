#!/usr/bin/env python3
"""-kernel and -initrd stay in their files: the firmware reads them anew after each reset, whatever has become of them."""
import os
import shutil

import harness


class Kernel(harness.Case):
    def setUp(self):
        super().setUp()
        self.kernel = shutil.copy(harness.guest("vmlinuz"), self.path("vmlinuz"))
        self.initrd = shutil.copy(harness.guest("initrd.img"), self.path("initrd.img"))

    def boot(self):
        v = self.start("-m", "256", "-nographic", "-kernel", self.kernel, "-initrd", self.initrd, "-append",
                       "console=ttyS0 panic=-1")
        v.shell()
        return v

    def anonymous(self, v):
        """How much is resident of each of v's mappings that are of no file: bytes."""
        sizes, name = [], None
        with open(f"/proc/{v.process.pid}/smaps") as f:
            for line in f:
                words = line.split()
                if "-" in words[0] and not words[0].endswith(":"):
                    name = words[5] if len(words) > 5 else ""
                elif words[0] == "Rss:" and not name:
                    sizes.append(int(words[1]) << 10)
        return sizes

    def test_no_copies(self):
        v = self.boot()
        for file in (self.kernel, self.initrd):
            size = os.path.getsize(file)
            self.assertEqual([], [s for s in self.anonymous(v) if size <= s < size + (64 << 10)], file)

    def test_reset(self):
        """Removed or replaced under their names they are still what was given."""
        v = self.boot()
        os.unlink(self.kernel)
        os.unlink(self.initrd)
        self.write("vmlinuz", b"something else")
        v.send("reboot -f\n")
        v.shell()
        self.assertEqual("2", v.command("echo $((1 + 1))").strip())
        self.assertEqual([], v.messages())

    def test_shrunk(self):
        """The guest finds zeros, and fails as it does; we say once why."""
        v = self.boot()
        os.truncate(self.initrd, 4096)
        v.send("reboot -f\n")
        for _ in range(2):                      # it panics and resets itself
            v.expect("Kernel panic", 2 * harness.LIMIT)
        self.assertEqual([f"vitrine: initrd '{self.initrd}': the file has become shorter: the guest gets what can be "
                          "read now, and zeros for the rest"], v.messages())


if __name__ == "__main__":
    harness.main()
