#!/usr/bin/env python3
"""What becomes of what the guest writes: kept, forgotten, refused, or not possible."""
import hashlib
import os
import resource
import subprocess

import harness
from harness import MiB

PARTITION = 2048 * 512


class Writes(harness.Case):
    def boot(self, *args, **options):
        """To a shell by -kernel: the disks are all that matters here."""
        v = self.start("-m", "256", "-nographic", "-no-reboot", "-kernel", harness.guest("vmlinuz"), "-initrd",
                       harness.guest("initrd.img"), "-append", "console=ttyS0 quiet", *args, **options)
        v.shell()
        return v

    def off(self, v, *messages):
        v.send("poweroff -f\n")
        self.ends(v, 0, messages)

    def fsck(self, image):
        harness.host("e2fsck", "-fn", f"{image}?offset={PARTITION}")

    def test_kept(self):
        """Through a file system, after sync and without a clean end, and after one."""
        image = self.copy_of("default.img")
        v = self.boot(image)
        v.command("mount -t ext4 /dev/sda1 /mnt")
        v.command("seq 1 200000 >/mnt/numbers; md5sum /mnt/numbers >/mnt/sum; sync")
        v.signal(9)
        self.assertEqual(-9, v.wait())
        v = self.boot(image)
        v.command("mount -t ext4 /dev/sda1 /mnt")
        self.assertEqual("/mnt/numbers: OK\n", v.command("md5sum -c /mnt/sum"))
        self.assertEqual("200000\n", v.command("wc -l </mnt/numbers"))
        v.command("echo second >/mnt/second; umount /mnt")
        self.off(v)
        self.fsck(image)
        self.assertEqual(b"second\n", harness.host("debugfs", "-R", "cat /second", f"{image}?offset={PARTITION}"))

    def test_forgotten(self):
        """Each way to say snapshot; the guest sees its own writes meanwhile."""
        image = self.write("disk.img", bytes(range(256)) * (4 * MiB // 256))
        before = hashlib.sha256(self.read("disk.img")).digest()
        for args in (["-snapshot", image], ["-drive", f"file={image},format=raw,snapshot=on"]):
            v = self.boot(*args)
            v.command("echo not for long | dd of=/dev/sda bs=1k seek=1000 conv=fsync")
            v.command("echo 3 >/proc/sys/vm/drop_caches")
            self.assertEqual("not for long\n", v.command("dd if=/dev/sda bs=1k skip=1000 count=1 2>/dev/null | head -1"))
            self.assertIn("a3", v.command("dd if=/dev/sda bs=1 skip=163 count=1 2>/dev/null | od -An -tx1"))
            self.off(v)
            self.assertEqual(before, hashlib.sha256(self.read("disk.img")).digest())
            self.assertEqual({"disk.img"}, set(os.listdir(self.directory)))

    def test_read_only(self):
        image = self.write("disk.img", b"fixed\n".ljust(4 * MiB, b"\0"))
        os.chmod(image, 0o444)
        v = self.boot("-drive", f"file={image},format=raw,readonly=on")
        self.assertEqual("fixed\n", v.command("head -1 /dev/sda"))
        self.assertIn("error", v.command("echo changed | dd of=/dev/sda conv=fsync").lower())
        v.wait_for_quiet()
        v.send("poweroff -f\n")
        v.wait()
        self.assertEqual(0, v.status)
        self.assertEqual(b"fixed\n", self.read("disk.img")[:6])

    def full(self, v, image, base, room):
        """The guest writes more than the host takes, from base MiB on, of which there is room for some: an error for
        it, one line for us, and nothing else is lost."""
        said = v.command("dd if=/dev/zero bs=1M count=16 2>/dev/null | tr '\\0' x | "
                         f"dd of=/dev/sda bs=1M seek={base} iflag=fullblock conv=fsync; echo status $?", 120)
        self.assertIn("status 1", said)
        self.assertRegex(v.command("dmesg"), r"I/O error, dev sda, sector \d+ op 0x1:\(WRITE\)")
        v.command("echo 3 >/proc/sys/vm/drop_caches")
        # What was written before is there; so is the machine.
        self.assertEqual(f"{room * MiB}\n", v.command(f"dd if=/dev/sda bs=1M skip={base} count={room} 2>/dev/null | "
                                                      "tr -cd x | wc -c"))
        v.command("echo at the start | dd of=/dev/sda conv=notrunc,fsync; sync")
        v.wait_for_quiet()
        v.send("poweroff -f\n")
        self.assertEqual(0, v.wait())
        self.assertEqual(1, len(v.messages()), v.messages())
        with open(image, "rb") as f:
            self.assertEqual(b"at the start\n", f.read(13))
        return v.messages()[0]

    def test_a_limit_on_files(self):
        image = self.path("disk.img")
        with open(image, "wb") as f:
            f.truncate(512 * MiB)
        v = self.boot(image, limits=[(resource.RLIMIT_FSIZE, (400 * MiB, 400 * MiB))])
        self.assertRegex(self.full(v, image, 396, 4),
                         r"^vitrine: \S*disk\.img: writing \d+ bytes at \d+ failed: File too large; the guest gets a "
                         r"disk error$")

    def test_a_full_disk(self):
        """A file system of its own, of 8 MiB, where one may be mounted."""
        unshare, where = harness.need("unshare"), self.path("small")
        os.mkdir(where)
        mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", where]
        how = [unshare, "--mount"] if os.geteuid() == 0 else [unshare, "--map-root-user", "--mount"]
        if subprocess.run([*how, *mount], capture_output=True).returncode:
            self.skipTest("nothing may be mounted here")
        image = os.path.join(where, "disk.img")
        kept = self.path("kept")
        script = f"{' '.join(mount)} && truncate -s 16M {image} && \"$0\" \"$@\"; s=$?; head -c 64 {image} >{kept}; exit $s"
        v = self.start("--mount", *how[2:], "sh", "-c", script,
                       *harness.command("-m", "256", "-nographic", "-kernel", harness.guest("vmlinuz"), "-initrd",
                                        harness.guest("initrd.img"), "-append", "console=ttyS0 quiet", image),
                       program=unshare)
        v.shell()
        # tmpfs is full when its size is reached, wherever that is in the file.
        self.assertRegex(self.full(v, kept, 0, 4), r"disk\.img: writing \d+ bytes at \d+ failed: No space left on "
                                                      r"device; the guest gets a disk error$")


class Images(harness.Case):
    def test_not_a_multiple_of_512(self):
        """Accepted, rounded up, said; the odd end reads as zeros behind it."""
        code = self.assemble("""
        mov $0x4200, %ax
        mov $0x80, %dl
        push %cs
        pop %ds
        mov $packet, %si
        int $0x13               # read sector 3, of which 100 bytes are in the file
        mov $1, %al
        jc 9f
        mov $2, %al
        cmpw $0x7878, 0x8062
        jne 9f
        mov $3, %al
        cmpw $0, 0x8064
        jne 9f
        mov $4, %al
        cmpw $0, 0x81fe
        jne 9f
        mov $0x7f, %al
9:      mov $0x501, %dx
        out %al, %dx
packet: .word 16, 1, 0x8000, 0
        .quad 3
""")
        image = self.write("odd.img", (code.ljust(510, b"\0") + b"\x55\xaa").ljust(3 * 512, b"\0") + b"x" * 100)
        v = self.start("-display", "none", "-device", "isa-debug-exit", image, tty=False)
        v.wait()
        self.assertEqual(["vitrine: %s: 1636 bytes are no whole number of 512-byte sectors; the last one is filled up "
                          "with zeros" % image], v.messages())
        self.assertEqual(0xff, v.status)

    def test_four_disks(self):
        disks = []
        for n, name in enumerate("abcd"):
            with open(self.path(name), "wb") as f:
                f.write(b"disk %d\n" % n)
                f.truncate((n + 1) * MiB)
            disks += ["-drive", f"file={name},format=raw,if=ide,index={n},media=disk"]
        v = self.start("-m", "256", "-nographic", "-kernel", harness.guest("vmlinuz"), "-initrd",
                       harness.guest("initrd.img"), "-append", "console=ttyS0 quiet", *disks)
        v.shell()
        # by host and target: Linux probes disks at once and names them as they come
        found = v.command("for d in a b c d; do basename $(readlink -f /sys/block/sd$d/device); head -1 /dev/sd$d; "
                          "cat /sys/block/sd$d/size; done | paste - - - | sort")
        self.assertEqual("".join(f"{n >> 1}:0:{n & 1}:0\tdisk {n}\t{(n + 1) * 2048}\n" for n in range(4)), found)
        v.send("poweroff -f\n")
        self.ends(v)


if __name__ == "__main__":
    harness.main()
