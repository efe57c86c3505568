#!/usr/bin/env python3
"""Boot sectors of a few bytes: how a guest ends, and what is said about it."""
import os
import re
import resource
import time

import harness

SAY = """
say:                            # the text at SI, to COM1
        lodsb
        test %al, %al
        jz 2f
        mov %al, %ah
        mov $0x3fd, %dx
1:      in %dx, %al
        test $0x20, %al
        jz 1b
        mov $0x3f8, %dx
        mov %ah, %al
        out %al, %dx
        jmp say
2:      ret
"""
STAY = "sti\n1: hlt\njmp 1b\n"
EXIT = ["-device", "isa-debug-exit,iobase=0x501,iosize=2"]


def say(text):
    return f"push %cs\npop %ds\nmov $text, %si\ncall say\njmp 9f\ntext: .asciz \"{text}\"\n{SAY}\n9:\n"


class Sector(harness.Case):
    def run_sector(self, source, *args, **options):
        return self.start("-nographic", *args, self.boot_sector(source), **options)


class Prints(Sector):
    def test_printer(self):
        """INT 17h, by the port that the firmware has found, to a file. Our own firmware does not print yet."""
        source = """
        xor %ax, %ax
        mov %ax, %ds
        cmpw $0x378, 0x408      # BIOS data area: LPT1
        jne 9f
        mov $0x0100, %ax
        xor %dx, %dx
        int $0x17
        push %cs
        pop %ds
        mov $text, %si
1:      lodsb
        test %al, %al
        jz 2f
        mov $0, %ah
        xor %dx, %dx
        int $0x17
        test $1, %ah            # timed out
        jz 1b
2:
9:      mov $0x604, %dx
        mov $0x2000, %ax
        out %ax, %dx
text:   .asciz "printed\\n"
"""
        v = self.run_sector(source + STAY, "-parallel", "file:paper")
        self.ends(v)
        self.assertEqual(b"printed\n", self.read("paper"))


class Ends(Sector):
    def test_debug_exit(self):
        """(value << 1) | 1, of which the host keeps eight bits, as QEMU's."""
        for value, status in ((0, 1), (0x10, 0x21), (0x31, 0x63), (0x7f, 0xff), (0x80, 1)):
            v = self.run_sector(f"mov $0x501, %dx\nmov ${value}, %al\nout %al, %dx\n" + STAY, *EXIT)
            self.ends(v, status)

    def test_debug_exit_where_it_is_asked_for(self):
        v = self.run_sector("mov $0xf4, %dx\nmov $0x20, %eax\nout %eax, %dx\n" + STAY, "-device",
                            "isa-debug-exit,iobase=0xf4,iosize=0x04")
        self.ends(v, 0x41)

    def test_power_off(self):
        """PM1a control: sleep type 5 with the enable bit, at the address where the firmware put it."""
        v = self.run_sector("mov $0x604, %dx\nmov $0x2000, %ax\nout %ax, %dx\n" + STAY)
        self.ends(v)

    def test_resets_under_no_reboot(self):
        for source in ("mov $0xfe, %al\nout %al, $0x64\n", "in $0x92, %al\nor $1, %al\nout %al, $0x92\n",
                       "mov $0xcf9, %dx\nmov $2, %al\nout %al, %dx\nmov $6, %al\nout %al, %dx\n"):
            v = self.run_sector(source + STAY, "-no-reboot")
            self.ends(v)

    def test_actions(self):
        """-action: what -no-reboot and -no-shutdown do in other words, and what happens anyway."""
        reset, off = "mov $0xfe, %al\nout %al, $0x64\n", "mov $0x604, %dx\nmov $0x2000, %ax\nout %ax, %dx\n"
        v = self.run_sector(reset + STAY, "-action", "reboot=shutdown")
        self.ends(v)
        v = self.run_sector(say("again.") + reset + STAY, "-no-reboot", "-action", "reboot=reset")
        v.expect(r"again\.")
        v.expect(r"again\.")
        v.send("\x01x")
        self.ends(v)
        v = self.run_sector(off + STAY, "-no-shutdown", "-action", "shutdown=poweroff")
        self.ends(v)
        v = self.run_sector(off + STAY, "-action", "shutdown=pause", "-monitor", "unix:monitor,server=on,wait=off")
        m = self.monitor()
        end = time.monotonic() + harness.LIMIT * harness.SLOW
        while (status := m.command("info status")) != "VM status: paused (shutdown)\n":
            self.assertLess(time.monotonic(), end, status)
            time.sleep(0.05)
        m.send("quit\n")
        self.ends(v)

    def test_resets(self):
        v = self.run_sector(say("a boot.") + "mov $0xfe, %al\nout %al, $0x64\n" + STAY)
        v.expect(r"a boot\.")
        v.expect(r"a boot\.")
        v.send("\x01x")
        self.ends(v)

    def test_cold_words_stay(self):
        """RAM outlives a reset: the second boot finds what the first one left, and ends."""
        v = self.run_sector("xor %ax, %ax\nmov %ax, %ds\ncmpw $0x1234, 0x5000\nje 1f\nmovw $0x1234, 0x5000\n"
                            "mov $6, %al\nmov $0xcf9, %dx\nout %al, %dx\nhlt\n"
                            "1: mov $0x501, %dx\nmov $7, %al\nout %al, %dx\n" + STAY, *EXIT)
        self.ends(v, 15)

    def test_no_shutdown(self):
        """The machine stands still, looked at in the monitor, until it is told to quit."""
        v = self.run_sector(say("off.") + "mov $0x604, %dx\nmov $0x2000, %ax\nout %ax, %dx\n" + STAY, "-no-shutdown")
        v.expect(r"off\.")
        v.send("\x01c")
        v.expect(r"\(vitrine\) ")
        end = time.monotonic() + harness.LIMIT * harness.SLOW
        while True:
            v.send("info status\n")
            status = v.expect(r"VM status: (\w[^\r\n]*)").group(1)
            if status != b"running":
                break
            self.assertLess(time.monotonic(), end, "it goes on")
            time.sleep(0.05)
        self.assertEqual(b"paused (shutdown)", status)
        v.send("quit\n")
        self.ends(v)


class Board(Sector):
    """What options put on the board, or leave out, as the guest finds it."""

    def test_without_acpi(self):
        """The root pointer is where a guest looks for it, or nowhere there."""
        source = """
        mov $0xe000, %ax
next:   mov %ax, %ds
        xor %si, %si
        push %ax
        push %cs
        pop %es
        mov $sign, %di
        mov $8, %cx
        repe cmpsb
        pop %ax
        je found
        inc %ax
        jnz next
        mov $2, %al
        jmp out
found:  mov $3, %al
out:    mov $0x501, %dx
        out %al, %dx
sign:   .ascii "RSD PTR "
"""
        for args, status in (((), 7), (("-no-acpi",), 5)):
            self.ends(self.run_sector("cld\n" + source + STAY, *EXIT, *args), status)

    def test_without_hpet(self):
        """HPET §2.3.4 "General Capabilities and ID Register": the vendor is 8086h; without it nobody answers."""
        source = """
        cli
        lgdt %cs:gdtr
        mov %cr0, %eax
        or $1, %al
        mov %eax, %cr0
        mov $8, %bx
        mov %bx, %ds            # flat, and still so when the mode is real again
        and $0xfe, %al
        mov %eax, %cr0
        mov $0xfed00000, %ebx
        mov (%ebx), %ecx
        shr $16, %ecx
        mov $1, %al
        cmp $0x8086, %cx
        je out
        inc %al
        cmp $0xffff, %cx
        je out
        inc %al
out:    mov $0x501, %dx
        out %al, %dx
        .balign 8
gdt:    .quad 0, 0x00cf93000000ffff
gdtr:   .word 15
        .long gdt
"""
        for args, status in (((), 3), (("-no-hpet",), 5)):
            self.ends(self.run_sector(source, *EXIT, *args), status)

    def test_local_time(self):
        """-rtc base=localtime: the hour of the host's zone."""
        source = """
1:      mov $10, %al
        out %al, $0x70
        in $0x71, %al
        test $0x80, %al         # it counts
        jnz 1b
        mov $4, %al
        out %al, $0x70
        in $0x71, %al
        mov $0x501, %dx
        out %al, %dx
"""
        for zone, ahead in (("TEST-5", 5), ("TEST3", -3)):
            for base, hours in (("localtime", ahead), ("utc", 0)):
                before = time.time()
                v = self.run_sector(source + STAY, *EXIT, "-rtc", f"base={base}", env={"TZ": zone})
                v.wait()
                wanted = {time.gmtime(t + hours * 3600).tm_hour for t in (before, time.time())}
                bcd = v.status >> 1
                self.assertIn((bcd >> 4) * 10 + (bcd & 15), wanted, (zone, base))

    def test_instructions_count_and_halts_take_their_time(self):
        """-icount sleep=on: what the guest sleeps, the host does; and the run is the same as without."""
        ticks = 20
        source = say("go.") + f"""
        sti
        xor %ax, %ax
        mov %ax, %ds
        mov 0x46c, %ebx
        add ${ticks + 1}, %ebx
1:      hlt
        cmp %ebx, 0x46c
        jb 1b
        mov $0x604, %dx
        mov $0x2000, %ax
        out %ax, %dx
"""
        counted = set()
        for sleep in ("on", "off"):
            v = self.run_sector(source, "-icount", f"shift=0,sleep={sleep}", "-accel", "interp,stats=on")
            v.expect(r"go\.")
            began = time.monotonic()
            self.assertEqual(0, v.wait())
            if sleep == "on":
                self.assertGreater(time.monotonic() - began, (ticks - 4) * 65536 / 1193182)
            counted.add(tuple(line for line in v.messages() if re.search(r"stats: (instructions|hash)", line)))
        self.assertEqual(1, len(counted), counted)
        self.assertEqual(2, len(counted.pop()))


class SplitMemory(Sector):
    def test_locked(self):
        """PAM: where writes go to memory and reads to the bus, a locked instruction does the same."""
        source = """
        cli
        mov $0xd800, %ax
        mov %ax, %ds
        mov $0x33, %al          # PAM 4, 0xd8000: memory
        call pam
        movb $0x77, 0
        mov $0x32, %al          # written alone
        call pam
        mov $0x5a, %bl
        mov $3, %cx
1:      push %cx
        xchg %bl, 0
        pop %cx
        mov %bl, %bh            # nothing is on the bus: ff
        mov $0x5a, %bl
        loop 1b
        mov $0x33, %al
        call pam
        mov 0, %al
        cmp $0x5a, %al
        jne 2f
        mov %bh, %al
2:      mov $0x501, %dx
        out %al, %dx
pam:    push %ax
        mov $0x8000005c, %eax   # PAM 4 is byte 5d
        mov $0xcf8, %dx
        out %eax, %dx
        pop %ax
        mov $0xcfd, %dx
        out %al, %dx
        ret
""" + STAY
        for accel in ("interp", "jit,threshold=1"):
            v = self.run_sector(source, "-accel", accel, *EXIT)
            self.ends(v, 0xff)


class TripleFaults(Sector):
    """The chain of exceptions with address, mode and the check that failed; then reset, or the end."""

    def chain(self, v):
        lines = v.messages()
        self.assertEqual("vitrine: the guest triple-faulted:", lines[0])
        self.assertEqual(4, len(lines), lines)
        for line in lines[1:]:
            self.assertRegex(line, r"^vitrine:   #[A-Z]+ .*[0-9a-f]{4}:[0-9a-f]{16} .*: \S+ .*; SDM ")
        return lines[1:]

    def test_real_mode_without_a_table(self):
        v = self.run_sector("lidt %cs:none\nmov $0x77, %bx\nint3\nnone: .word 0, 0, 0\n", "-no-reboot")
        self.assertEqual(0, v.wait())
        first = self.chain(v)[0]
        self.assertIn("0000:0000000000007c0", first)
        self.assertIn("IDT", first)

    def test_protected_mode(self):
        """A bad selector in a machine whose IDT holds nothing that is present."""
        source = """
        cli
        lgdt %cs:gdt_at
        lidt %cs:idt_at
        mov %cr0, %eax
        or $1, %al
        mov %eax, %cr0
        ljmpl $8, $flat
        .code32
flat:   mov $0x10, %ax
        mov %ax, %ds
bad:    mov $0x1f8, %ax
        mov %ax, %es
gdt_at: .word 23
        .long gdt
idt_at: .word 255
        .long 0x9000
        .balign 8
gdt:    .quad 0, 0x00cf9a000000ffff, 0x00cf92000000ffff
"""
        v = self.run_sector(source, "-no-reboot")
        self.assertEqual(0, v.wait())
        self.assertIn("#GP error 01f8 at 0008:", self.chain(v)[0])

    def test_then_reset(self):
        v = self.run_sector(say("again.") + "lidt %cs:none\nint3\nnone: .word 0, 0, 0\n")
        v.expect(r"again\.")
        v.expect(r"again\.")
        v.signal(15)
        v.wait()
        self.assertEqual("vitrine: the guest triple-faulted:", v.messages()[0])

    def test_registers_in_the_log(self):
        v = self.run_sector("sti\nhlt\nlidt %cs:none\nmov $0xabcd, %bx\nint3\nnone: .word 0, 0, 0\n",
                            "-no-reboot", "-d", "cpu_reset,int", "-D", "log")
        v.wait()
        self.chain(v)
        log = self.read("log").decode()
        self.assertRegex(log, r"EBX=\w{4}abcd")
        self.assertIn("interrupt 08", log)


FAULTS = """
        cli
        lgdt gdtr
        mov %cr0, %eax
        or $1, %al
        mov %eax, %cr0
        ljmp $8, $1f
        .code32
1:      mov $0x10, %ax
        mov %ax, %ds
        mov %ax, %ss
        lidt idtr
        mov $0x7000, %esp
        movl $0x83, 0x9000      # the first 4 MiB are what they are, and nothing else is there
        mov %cr4, %eax
        or $0x10, %eax
        mov %eax, %cr4
        mov $0x9000, %eax
        mov %eax, %cr3
        mov %cr0, %eax
        or $0x80000000, %eax
        mov %eax, %cr0
        mov $0x2b, %ax
        mov %ax, %es            # behind the GDT
gp:     add $4, %esp
        mov 0xc0000123, %eax    # in no page
pf:     hlt
        jmp pf
        .align 8
gdt:    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdtr:   .word 23
        .long gdt
idtr:   .word 8 * 15 - 1
        .long idt
idt:    .fill 13 * 8, 1, 0
        .word gp, 8, 0x8e00, 0
        .word pf, 8, 0x8e00, 0
"""
FAULTS_SAID = """\
fault 0 of CPU 0:
#GP general protection (vector 13) at 0008:00007c51, instruction N
  what        selector index beyond the descriptor table limit
  rule        SDM 3A §5.3
  instruction 8e c0  movl     %eax, %es
  where       protected mode, 32-bit code, CPL 0, paging 32-bit
  error code  0028: selector 0028 (index 5, TI=0 GDT), EXT=0
  descriptor  beyond the GDT: it would lie at 7c88, the table has base 7c60 and limit 17
  read on     SDM 3A §6.15 "Exception and Interrupt Reference", interrupt 13
fault 1 of CPU 0:
#PF page fault (vector 14) at 0008:00007c56, instruction N
  what        a paging entry is not present
  rule        SDM 3A §4.7 "Page-Fault Exceptions"
  instruction a1 23 01 00 c0  movl     0xc0000123, %eax
  where       protected mode, 32-bit code, CPL 0, paging 32-bit
  error code  0000: P=0 an entry is not present, W/R=0 read, U/S=0 supervisor, RSVD=0, I/D=0, PK=0
  access      read by supervisor code at linear address c0000123 (CR2)
  page walk   32-bit paging, CR3 = 9000
  PDE[768]    at 9c00: 00000000  <- P=0: not present
  read on     SDM 3A §6.15 "Exception and Interrupt Reference", interrupt 14
"""


class Faults(Sector):
    def test_explained(self):
        """Why two exceptions were raised: asked of the monitor, and in the log as they were."""
        v = self.run_sector(FAULTS, "-monitor", "unix:monitor,server=on,wait=off", "-d", "int", "-D", "log")
        m = self.monitor()
        end = time.monotonic() + harness.LIMIT * harness.SLOW
        while "#PF" not in m.command("info fault -l"):
            self.assertLess(time.monotonic(), end, "the guest does not come to its faults")
            time.sleep(0.2)
        said = re.sub(r"instruction \d+\n", "instruction N\n", m.command("info fault 2"))
        self.assertEqual(FAULTS_SAID, said)
        m.send("quit\n")
        self.ends(v)
        with open(self.path("log"), encoding="utf-8") as f:
            log = re.sub(r"instruction \d+\n", "instruction N\n", f.read())
        explained = [line for line in FAULTS_SAID.splitlines() if not line.startswith("fault ")]
        self.assertEqual(explained, [line[4:] for line in log.splitlines() if line[4:] in explained])
        self.assertIn("\n#GP 0d cpl=0 pc=0008:0000000000007c51 sp=0010:0000000000007000\n", log)


class Looks(Sector):
    def test_debug_console(self):
        source = "".join(f"mov ${ord(c)}, %al\nout %al, $0xe9\n" for c in "e9!") + "mov $0x604, %dx\n" \
                 "mov $0x2000, %ax\nout %ax, %dx\n" + STAY
        v = self.run_sector(source, "-debugcon", "file:debug.txt")
        self.ends(v)
        text = self.read("debug.txt").decode()
        self.assertIn("Vitrine BIOS", text)                 # which writes to port 402h
        self.assertIn("Booting from disk", text)
        self.assertTrue(text.endswith("e9!"), text[-200:])

    def test_starts_paused(self):
        v = self.run_sector(say("running."), "-S", "-monitor", "unix:monitor,server=on,wait=off", "-serial", "stdio")
        m = self.monitor()
        self.assertEqual("VM status: paused (prelaunch)\n", m.command("info status"))
        registers = m.command("info registers")
        self.assertRegex(registers, r"EIP=0000fff0 EFL=00000002")
        self.assertRegex(registers, r"CS *=f000 ffff0000 0000ffff")
        self.assertEqual("0xfff0\n", m.command("p $rip"))
        v.wait_for_quiet()
        self.assertEqual(b"", v.seen)
        m.command("cont")
        v.expect(r"running\.")
        m.send("quit\n")
        self.ends(v)

    def test_firmware_of_ones_own(self):
        """64 KiB that do nothing but end the machine from the reset vector."""
        code = self.assemble("mov $0x501, %dx\nmov $0x2a, %al\nout %al, %dx\nhlt\n", org=0xfff0)
        rom = bytearray(64 * 1024)
        rom[0xfff0 - 0x100:0xfff0 - 0x100 + len(code)] = code
        rom[0xfff0:0xfff3] = b"\xe9" + (0xfff0 - 0x100 - 0xfff3 & 0xffff).to_bytes(2, "little")
        v = self.start("-display", "none", "-bios", self.write("rom.bin", rom), *EXIT)
        self.ends(v, 0x55)

    def test_instructions_in_the_log(self):
        v = self.run_sector("mov $0xfeed, %si\nmov $0x604, %dx\nmov $0x2000, %ax\nout %ax, %dx\n" + STAY, "-d",
                            "in_asm,exec,guest_errors,unimp", "-D", "log")
        self.ends(v, seconds=120)
        log = self.read("log").decode()
        self.assertRegex(log, r"(?i)mov\w*\s+.*0xfeed")
        self.assertRegex(log, r"exec 0000:0*7c00")

    def test_a_huge_machine(self):
        """64 GiB, counted by the firmware, cost what is touched of them."""
        source = """
        xor %ebx, %ebx
        mov %bx, %ds
        mov %bx, %es
        xor %ebp, %ebp
next:   mov $0xe820, %eax
        mov $20, %ecx
        mov $0x534d4150, %edx
        mov $0x600, %di
        int $0x15
        jc done
        cmpl $1, 0x610
        jne 1f
        mov 0x608, %eax
        shrd $20, %eax, %eax
        mov 0x60c, %edx
        mov 0x608, %eax
        shrd $20, %edx, %eax
        add %eax, %ebp
1:      test %ebx, %ebx
        jnz next
done:   mov %ebp, %eax
        shr $10, %eax           # GiB, rounded down
        mov $0x501, %dx
        out %al, %dx
""" + STAY
        v = self.run_sector(source, "-m", "64G", *EXIT)
        v.wait()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.assertEqual(63 << 1 | 1, v.status)             # some hundred KiB are the firmware's
        self.assertEqual([], v.messages())
        if harness.SLOW == 1:
            self.assertLess(after.ru_maxrss, 400_000, "KiB in memory")

    def test_the_same_again(self):
        """-icount: the same number of instructions, state, memory and output in every run, timer included."""
        source = say("counting.") + """
        sti
        xor %ax, %ax
        mov %ax, %ds
        mov $100, %cx           # ticks of 55 ms, some of them halted
1:      mov 0x46c, %eax
2:      test $1, %cl
        jz 3f
        hlt
3:      rdtsc
        add %eax, 0x9000
        mov 0x46c, %ebx
        cmp %eax, %ebx
        loop 1b
        mov $0x604, %dx
        mov $0x2000, %ax
        out %ax, %dx
"""
        runs = set()
        for _ in range(3):
            v = self.run_sector(source, "-icount", "shift=0", "-accel", "interp,stats=on")
            self.assertEqual(0, v.wait())
            stats = [line for line in v.messages() if re.search(r"stats: (instructions|hash)", line)]
            self.assertEqual(2, len(stats), v.messages())
            runs.add((*stats, v.seen))
        self.assertEqual(1, len(runs), runs)


if __name__ == "__main__":
    harness.main()
