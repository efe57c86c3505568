#!/usr/bin/env python3
"""Several CPUs under Linux: all come up with the right topology, take part, go away and come back; every run of a
deterministic machine is the same; monitor and gdb see each of them."""
import os
import re
import subprocess
import time

import harness

SYS = "/sys/devices/system/cpu"
# What each CPU's topology says, and who shares its last-level cache, in one line.
TOPOLOGY = (f"for c in {SYS}/cpu[0-9]*; do t=$c/topology; echo ${{c##*/}} socket $(cat $t/physical_package_id) core "
            "$(cat $t/core_id) threads $(cat $t/thread_siblings_list) cores $(cat $t/core_siblings_list) "
            "l3 $(cat $c/cache/index3/shared_cpu_list); done")


class Smp(harness.Case):
    def kernel(self, *args, run=None, **options):
        words = ["console=ttyS0"] + ([f'vitrine.run="{run}"'] if run else [])
        return self.start("-m", "512", "-nographic", "-kernel", harness.guest("vmlinuz"), "-initrd",
                          harness.guest("initrd.img"), "-append", " ".join(words), *args, **options)

    def up(self, *args):
        v = self.kernel(*args)
        v.expect("GUEST-UP", 120)
        v.shell()
        return v

    def check_dmesg(self, v):
        """Nothing worse than a notice, but for what is said of one CPU, too."""
        for line in harness.not_of_the_host(v.command("dmesg -r | grep '^<[0-4]>'")):
            # the numbers of CPUs that come up are continued without a level
            if not re.search(r"fail to add MMCONFIG information|\]\s+#\d+", line):
                self.fail(f"the kernel warns: {line}")

    def await_the_other(self):
        """Until the CPU that COUNT runs on has said so."""
        end = time.monotonic() + harness.LIMIT * harness.SLOW
        while not os.path.exists(self.path("con")) or b"!" not in self.read("con"):
            self.assertLess(time.monotonic(), end, "the other CPU says nothing")
            time.sleep(0.1)

    def topology(self, smp, cpus, want):
        v = self.up("-smp", smp)
        self.assertEqual(f"{cpus}\n", v.command("nproc"))
        self.assertEqual(want, v.command(TOPOLOGY))
        apic_ids = re.findall(r"initial apicid\s*: (\d+)", v.command("cat /proc/cpuinfo"))
        self.assertEqual([str(n) for n in range(cpus)], apic_ids)
        self.check_dmesg(v)
        # each of them runs something and has its own timer
        for n in range(cpus):
            self.assertEqual(f"{n}\n", v.command(f"taskset -c {n} sh -c 'cut -d \" \" -f 39 /proc/self/stat'"))
        timers = re.search(r"LOC:((\s+\d+)+)", v.command("cat /proc/interrupts")).group(1).split()
        self.assertEqual(cpus, len(timers))
        self.assertNotIn("0", timers)
        v.send("poweroff -f\n")
        self.ends(v)

    def test_two(self):
        self.topology("2", 2, "cpu0 socket 0 core 0 threads 0 cores 0-1 l3 0-1\n"
                              "cpu1 socket 0 core 1 threads 1 cores 0-1 l3 0-1\n")

    def test_four(self):
        self.topology("4", 4, "".join(f"cpu{n} socket 0 core {n} threads {n} cores 0-3 l3 0-3\n" for n in range(4)))

    def test_two_sockets(self):
        self.topology("4,sockets=2,cores=2", 4, "cpu0 socket 0 core 0 threads 0 cores 0-1 l3 0-1\n"
                                                "cpu1 socket 0 core 1 threads 1 cores 0-1 l3 0-1\n"
                                                "cpu2 socket 1 core 0 threads 2 cores 2-3 l3 2-3\n"
                                                "cpu3 socket 1 core 1 threads 3 cores 2-3 l3 2-3\n")

    def test_threads(self):
        self.topology("4,threads=2", 4, "cpu0 socket 0 core 0 threads 0-1 cores 0-3 l3 0-3\n"
                                        "cpu1 socket 0 core 0 threads 0-1 cores 0-3 l3 0-3\n"
                                        "cpu2 socket 0 core 1 threads 2-3 cores 0-3 l3 0-3\n"
                                        "cpu3 socket 0 core 1 threads 2-3 cores 0-3 l3 0-3\n")

    def test_every_run_is_the_same(self):
        """Same count, same state, same memory; with the turns of the CPUs in it."""
        results = []
        for _ in range(2):
            v = self.kernel("-smp", "2", "-icount", "shift=0", "-accel", "interp,stats=on", tty=False,
                            run="nproc; cat /proc/interrupts; poweroff -f")
            self.assertEqual(0, v.wait(180))
            results.append([line for line in v.messages() if re.match(r"stats: (instructions|cpu \d|hash)", line)])
            self.assertRegex(v.seen.decode("utf-8", "replace"), r"RES:\s+[1-9]\d*\s+[1-9]")
        self.assertEqual(4, len(results[0]))
        self.assertEqual(*results)

    def test_host_threads(self):
        """Each CPU has a host thread; stopping and the end reach them all."""
        if harness.LOCKSTEP:
            self.skipTest("in lockstep the CPUs take turns on one thread")
        v = self.up("-smp", "2", "-monitor", "unix:monitor,server=on,wait=off")
        names = sorted(open(f"/proc/{v.process.pid}/task/{t}/comm").read() for t in os.listdir(f"/proc/{v.process.pid}/task"))
        self.assertEqual(["CPU 0/TCG\n", "CPU 1/TCG\n"], [n for n in names if n.startswith("CPU")])
        self.assertEqual("2\n", v.command("nproc"))
        m = self.monitor()
        m.stop()
        self.assertEqual(m.command("info registers -a"), m.command("info registers -a"))
        m.command("cont")
        self.assertEqual("1\n", v.command("taskset -c 1 sh -c 'cut -d \" \" -f 39 /proc/self/stat'"))
        v.send("poweroff -f\n")
        self.ends(v)

    def test_offline_and_online(self):
        """Out by INIT, in by INIT and SIPI; the rest goes on."""
        v = self.up("-smp", "2")
        for _ in range(3):
            self.assertEqual("1\n", v.command(f"echo 0 >{SYS}/cpu1/online; nproc"))
            self.assertEqual("2\n", v.command(f"echo 1 >{SYS}/cpu1/online; nproc"))
        self.assertEqual("1\n", v.command("taskset -c 1 sh -c 'cut -d \" \" -f 39 /proc/self/stat'"))
        v.send("poweroff -f\n")
        self.ends(v)

    def test_a_reset_brings_all_back(self):
        v = self.up("-smp", "3", "-monitor", "unix:monitor,server=on,wait=off")
        m = self.monitor()
        self.assertEqual("", m.command("system_reset"))
        v.expect("GUEST-UP", 120)
        v.shell()
        self.assertEqual("3\n", v.command("nproc"))
        self.check_dmesg(v)
        v.send("poweroff -f\n")
        self.ends(v)

    def test_monitor(self):
        v = self.up("-smp", "2", "-monitor", "unix:monitor,server=on,wait=off")
        m = self.monitor()
        self.assertRegex(m.command("info cpus"), r"^\* CPU #0: pc=0x\S+.*\n  CPU #1: pc=0x\S+.*\n$")
        if not harness.LOCKSTEP:        # in which they take turns on one thread
            threads = re.findall(r"thread_id=(\d+)", m.command("info cpus"))
            names = [open(f"/proc/{v.process.pid}/task/{thread}/comm").read() for thread in threads]
            self.assertEqual(["CPU 0/TCG\n", "CPU 1/TCG\n"], names)
        m.command("cpu 1")
        self.assertRegex(m.command("info cpus"), r"^  CPU #0: .*\n\* CPU #1: .*\n$")
        self.assertIn("CPU#1\n", m.command("info registers"))
        self.assertRegex(m.command("info registers -a"), r"(?s)CPU#0\n.*CR3=.*CPU#1\n.*CR3=")
        self.assertIn("lapic.1: id 1, base 0xfee00000\n", m.command("info lapic"))
        self.assertIn("lapic.0: id 0, base 0xfee00000 BSP\n", m.command("info lapic 0"))
        self.assertIn("there is no lapic.2", m.command("info lapic 2"))
        self.assertIn("there are CPUs 0 to 1", m.command("cpu 2"))
        # Linux has LINT1 as NMI on its boot CPU alone
        self.assertEqual("", m.command("nmi"))
        v.expect(r"NMI received for unknown reason \S+ on CPU 0")
        self.assertRegex(v.command("cat /proc/interrupts"), r"NMI:\s+1\s+0\s")
        v.send("poweroff -f\n")
        self.ends(v)

    def test_triple_fault_of_another(self):
        """It resets the machine, whichever CPU it is."""
        image = self.boot_sector(START.replace("OTHER", TRIPLE_FAULT))
        v = self.start("-smp", "3", "-display", "none", "-no-reboot", "-drive", f"file={image},format=raw", tty=False)
        self.assertEqual(0, v.wait())
        # both may have come to it before the machine stops: each says so in four lines
        reports = [v.messages()[i : i + 4] for i in range(0, len(v.messages()), 4)]
        self.assertIn(len(reports), (1, 2), v.messages())
        for report in reports:
            self.assertEqual(4, len(report), report)
            self.assertRegex(report[0], r"^vitrine: the guest triple-faulted: cpu=[12]$")
            for line in report[1:]:
                self.assertRegex(line, "^vitrine:   #GP error 000")

    def test_gdb(self):
        """A thread a CPU; a step of one, with the others or without; a breakpoint that the other one meets."""
        gdb = harness.need("gdb")
        image = self.boot_sector(START.replace("OTHER", COUNT))
        self.start("-smp", "2", "-display", "none", "-icount", "shift=0", "-drive", f"file={image},format=raw", "-gdb",
                   "unix:gdb,server=on,wait=off", "-debugcon", "file:con", tty=False)
        self.await_the_other()
        script = ["set pagination off", f"target remote {self.path('gdb')}", "info threads",
                  "thread 2", "printf \"ebx %d\\n\", $rbx > 0", "set $before = $rbx", "stepi", "stepi", "stepi", "stepi",
                  "printf \"steps %d\\n\", $rbx - $before", "set $before = $rbx", "set scheduler-locking on", "thread 1", "stepi", "stepi",
                  "thread 2", "printf \"meanwhile %d\\n\", $rbx - $before", "set scheduler-locking off", "thread 1",
                  "stepi", "stepi", "thread 2", "printf \"went on %d\\n\", $rbx > $before + 10",
                  "thread 1", "hbreak *0x8009", "continue",
                  "printf \"met by %d at %x\\n\", $_thread, $rip", "kill"]
        args = [gdb, "-batch", "-nx"]
        for line in script:
            args += ["-ex", line]
        out = subprocess.run(args, cwd=self.directory, capture_output=True, text=True, timeout=60 * harness.SLOW)
        out = out.stdout + out.stderr
        self.assertRegex(out, r"(?m)^. 1\s+Thread 1 \(CPU#0 \[running\]\)")
        self.assertRegex(out, r"(?m)^. 2\s+Thread 2 \(CPU#1 \[running\]\)")
        self.assertIn("ebx 1\n", out)
        self.assertIn("steps 2\n", out)
        self.assertIn("meanwhile 0\n", out)
        self.assertIn("went on 1\n", out)
        self.assertIn("met by 2 at 9\n", out)

    def test_gdb_and_threads(self):
        """The same of CPUs on threads, which go on for as long as they like when one is let go."""
        gdb = harness.need("gdb")
        image = self.boot_sector(START.replace("OTHER", COUNT))
        self.start("-smp", "2", "-display", "none", "-drive", f"file={image},format=raw", "-gdb",
                   "unix:gdb,server=on,wait=off", "-debugcon", "file:con", tty=False)
        self.await_the_other()
        script = ["set pagination off", f"target remote {self.path('gdb')}", "info threads", "thread 2", "set $before = $rbx",
                  "set scheduler-locking on", "thread 1", "stepi", "stepi", "thread 2", "printf \"meanwhile %d\\n\", $rbx - $before",
                  "set scheduler-locking off", "thread 1", "hbreak *0x8009", "continue",
                  "printf \"met by %d at %x\\n\", $_thread, $rip", "set $before = $rbx", "continue",
                  "printf \"round %d\\n\", $rbx - $before", "kill"]
        args = [gdb, "-batch", "-nx"]
        for line in script:
            args += ["-ex", line]
        out = subprocess.run(args, cwd=self.directory, capture_output=True, text=True, timeout=60 * harness.SLOW)
        out = out.stdout + out.stderr
        self.assertIn("meanwhile 0\n", out)
        self.assertIn("met by 2 at 9\n", out)
        self.assertIn("round 1\n", out)


# The boot CPU starts the other one at 8000h, where OTHER is copied to, and loops.
START = r"""
    cli
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw $other, %si
    movw $0x8000, %di
    movw $other_end - other, %cx
    cld
    rep movsb
    lgdtl gdt_pointer
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $8, $flat
.code32
flat:
    movw $16, %ax
    movw %ax, %ds
    movl $0xc4500, 0xfee00300
    movl $100000, %ecx
1:  pause
    loop 1b
    movl $0xc4608, 0xfee00300
2:  incl %edx
    jmp 2b
.code16
other:
OTHER
other_end:
    .balign 8
gdt:
    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
    .word 23
    .long gdt
"""

COUNT = r"""
    movw $0xe9, %dx
    movb $'!', %al
    outb %al, %dx
    xorl %ebx, %ebx
1:  incl %ebx
    jmp 1b
"""

TRIPLE_FAULT = r"""
    lidtl %cs:1f - other
    int3
1:  .long 0, 0
"""


if __name__ == "__main__":
    harness.main()
