#!/usr/bin/env python3
"""The default guest in a terminal: menu, shell, power-off, reboot, the keys behind Ctrl-A."""
import re

import harness
from harness import PROMPT

CTRL_A = "\x01"


class Shell(harness.Case):
    def boot(self, *args):
        v = self.start("-m", "512", "-nographic", *args)
        v.expect("GNU GRUB")
        v.expect("Loading /boot/vmlinuz")
        v.expect("GUEST-UP", 120)
        v.shell()
        return v

    def disk(self, *more):
        return ["-drive", ",".join([f"file={harness.guest('default.img')},format=raw,snapshot=on", *more])]

    def test_a_person_at_the_terminal(self):
        """The commands of the README's first paragraph, and the terminal as it was afterwards."""
        v = self.boot(*self.disk())
        self.assertTrue(v.raw())
        v.send("uname -a; cat /proc/cpuinfo; lspci; poweroff -f\n")
        v.expect(r"Linux vitrine 6\.[0-9]+\.[0-9]+\S*-cloud-amd64 .* x86_64 GNU/Linux")
        flags = v.expect(r"flags\s*: ([^\r\n]*)[\r\n]").group(1).decode().split()
        for flag in "fpu pse tsc msr pae cx8 apic sep pge cmov pat clflush mmx fxsr sse sse2 syscall nx lm ssse3 " \
                    "cx16 sse4_1 sse4_2 popcnt xsave rdrand hypervisor lahf_lm smep smap umip".split():
            self.assertIn(flag, flags)
        for device in ("00:00.0 Host bridge: Intel Corporation 440FX", "00:01.0 ISA bridge: .*PIIX3",
                       "00:01.1 IDE interface: .*PIIX3", "00:01.3 Bridge: .*PIIX4 ACPI",
                       "00:02.0 VGA compatible controller"):
            v.expect(device)
        self.ends(v)

    def test_a_harness_written_for_qemu(self):
        v = self.boot("-accel", "tcg", "-cpu", "max", "-smp", "1", "-name", "g,debug-threads=on", "-no-reboot",
                      *self.disk())
        self.assertEqual("1\n", v.command("nproc"))
        v.send("reboot -f\n")
        self.ends(v)

    def test_keys_behind_ctrl_a_then_reboot(self):
        v = self.boot(*self.disk())
        v.send(CTRL_A + "h")
        v.expect("(?s)Ctrl-A h .*Ctrl-A x .*Ctrl-A c ")
        v.send(CTRL_A + "c")
        v.expect(r"\(vitrine\) ")
        v.send("info status\n")
        v.expect(r"VM status: running\r\n\(vitrine\) ")
        v.send("info block\n")
        v.expect(r"default\.img")
        v.expect(r"\(vitrine\) ")
        v.send("stop\n")
        v.expect(r"\(vitrine\) ")
        v.send("info status\n")
        v.expect("VM status: paused")
        v.send("cont\n")
        v.expect(r"\(vitrine\) cont\r\n\(vitrine\) ")
        v.send(CTRL_A + "c")
        self.assertEqual("still-here\n", v.command("echo still-'here'"))
        # Ctrl-A twice is Ctrl-A for the guest: its shell goes to the start of the line.
        v.send("x-y" + CTRL_A + CTRL_A + "echo \n")
        v.expect(r"\nx-y\r\n")
        # The monitor is as it was left.
        v.send(CTRL_A + "c")
        v.expect(r"\(vitrine\) ")
        v.send("system_reset\n" + CTRL_A + "c")
        v.expect("GNU GRUB")
        v.shell()
        v.send("reboot -f\n")
        v.expect("GNU GRUB")
        # In the menu's own shell: its keys arrive too.
        v.send("c")
        v.expect("grub> ")
        v.send("echo grub-'answers'\r")
        v.expect("grub-answers")
        v.send(CTRL_A + "x")
        v.expect("Vitrine: terminated")
        self.ends(v)

    def test_without_a_boot_loader(self):
        v = self.start("-m", "256", "-nographic", "-kernel", harness.guest("vmlinuz"), "-initrd",
                       harness.guest("initrd.img"), "-append", "console=ttyS0 vitrine.coldplug=0 of-a=test")
        v.shell()
        self.assertIn("of-a=test", v.command("cat /proc/cmdline"))
        memory = int(re.search(r"MemTotal:\s+(\d+) kB", v.command("cat /proc/meminfo")).group(1))
        self.assertTrue(200_000 < memory < 262_144, memory)
        v.send("exit\n")            # init starts another
        v.expect(PROMPT)
        v.send("poweroff\n")        # by way of init this time
        self.ends(v)


if __name__ == "__main__":
    harness.main()
