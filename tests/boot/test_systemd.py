#!/usr/bin/env python3
"""Debian with systemd from a disk: log in, write, restart, power off, and lose the power in the middle of writing."""
import os
import random
import subprocess
import time

import debian
import harness

PARTITION = 2048 * 512


class Systemd(debian.Guest):
    def fsck(self, image, *options):
        """Of the root file system, and what it changes goes back into the image. (e2fsck opens a file at an offset
        once, but not again after the journal.)"""
        part = self.path("part")
        harness.host("dd", f"if={image}", f"of={part}", "bs=1M", f"skip={PARTITION >> 20}", "conv=sparse")
        done = subprocess.run([harness.need("e2fsck"), "-f", *options, part], capture_output=True, text=True)
        harness.host("dd", f"if={part}", f"of={image}", "bs=1M", f"seek={PARTITION >> 20}", "conv=notrunc")
        return done

    def cat(self, image, path):
        return harness.host("debugfs", "-R", f"cat {path}", f"{image}?offset={PARTITION}")

    def test_several_cpus(self):
        v = self.boot(harness.guest("systemd.img"), "-snapshot", "-smp", "4,sockets=2,cores=2")
        self.command(v, "dmesg -n 1")
        text = self.command(v, "nproc; lscpu | cat")
        for line in (r"4\n", r"On-line CPU\(s\) list:\s+0-3", r"Thread\(s\) per core:\s+1", r"Core\(s\) per socket:\s+2",
                     r"Socket\(s\):\s+2", r"L3 cache:\s+32 MiB \(2 instances\)"):
            self.assertRegex(text, line)
        self.assertEqual("running\n", self.command(v, "systemctl is-system-running --wait", 300))
        self.command(v, "hwclock -r")       # waits for an alarm of the RTC, as the HPET has its interrupt
        v.send("poweroff\n")
        self.ends(v, seconds=300)

    def test_log_in_write_restart_power_off(self):
        image = self.copy_of("systemd.img")
        v = self.boot(image)
        self.command(v, "seq 1 300000 >/root/numbers && md5sum /root/numbers >/root/sum && cp -r /usr/share/doc /root/doc"
                        " && sync", 300)
        # Nothing a unit needs has failed.
        self.assertEqual("running\n", self.command(v, "systemctl is-system-running --wait", 120))
        v.send("reboot\n")
        self.log_in(v)
        self.assertEqual("/root/numbers: OK\n", self.command(v, "md5sum -c /root/sum"))
        self.command(v, "diff -r /usr/share/doc /root/doc", 300)
        v.send("poweroff\n")
        self.ends(v, seconds=300)
        checked = self.fsck(image, "-n")
        self.assertEqual(0, checked.returncode, checked.stdout)
        self.assertEqual("".join(f"{n}\n" for n in range(1, 300001)).encode(), self.cat(image, "/root/numbers"))

    def test_floppy_and_cd(self):
        """A floppy disk written and changed; a mounted CD that udev lets go of when it is asked for."""
        disk, other = self.path("disk.img"), self.path("other.img")
        for image, label in ((disk, "DISK"), (other, "OTHER")):
            harness.host("mkfs.vfat", "-C", "-n", label, image, "1440")
        os.mkdir(self.path("files"))
        self.write("files/hello", b"of a disc\n")
        harness.host("xorriso", "-as", "mkisofs", "-quiet", "-o", self.path("cd.iso"), self.path("files"))
        v = self.boot(harness.guest("systemd.img") + ",snapshot=on", "-monitor", "unix:monitor,server=on,wait=off",
                      "-cdrom", "cd.iso")
        m = self.monitor()
        self.command(v, "modprobe floppy && mkdir /fd /cd")
        self.command(v, "! mount /dev/fd0 /fd", 120)        # there is no disk in the drive
        self.assertEqual("", m.command(f"change floppy0 {disk}"))
        self.command(v, "mount /dev/fd0 /fd && cp /usr/bin/ls /fd && umount /fd && sync", 120)
        self.assertEqual("", m.command(f"change floppy0 {other}"))
        self.assertEqual("", self.command(v, "mount /dev/fd0 /fd && ls /fd && umount /fd"))
        self.assertEqual("", m.command(f"change floppy0 {disk}"))
        self.command(v, "mount -r /dev/fd0 /fd && cmp /usr/bin/ls /fd/ls && umount /fd", 120)

        self.command(v, "mount -r /dev/sr0 /cd && grep disc /cd/hello")
        self.assertIn("is locked by the guest", m.command("eject ide1-cd0"))
        for _ in range(100):
            if "tray open" in m.command("info block").split("ide1-cd0")[1].split("floppy0")[0]:
                break
            time.sleep(0.2)
        else:
            self.fail("udev has not opened the tray")
        self.assertEqual("", m.command("eject ide1-cd0"))
        self.assertIn("ide1-cd0: [not inserted]", m.command("info block"))
        v.send("poweroff\n")
        self.ends(v, seconds=300)

    def test_power_lost_while_writing(self):
        """The journal brings the file system back, and what was synced before is there."""
        pause = random.Random(harness.seed(random.randrange(1 << 32)))
        image = self.copy_of("systemd.img")
        for turn in range(3):
            v = self.boot(image)
            if turn:
                self.assertEqual(f"kept {turn - 1}\n", self.command(v, "cat /root/kept"))
                self.command(v, "rm -rf /root/copy")
            self.command(v, f"echo kept {turn} >/root/kept && sync")
            v.send("while cp -r /usr/share/doc /root/copy && sync; do rm -rf /root/copy; done\n")
            end = time.monotonic() + pause.uniform(1, 8)
            while time.monotonic() < end:
                v.more(0.2)
            v.signal(9)
            self.assertEqual(-9, v.wait())
            mended = self.fsck(image, "-y")       # what the journal holds; status 1: and it was played back
            self.assertIn(mended.returncode, (0, 1), mended.stdout)
            checked = self.fsck(image, "-n")
            self.assertEqual(0, checked.returncode, checked.stdout)
            self.assertEqual(f"kept {turn}\n".encode(), self.cat(image, "/root/kept"))


if __name__ == "__main__":
    harness.main()
