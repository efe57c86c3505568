#!/usr/bin/env python3
"""Images of the kinds that test suites for QEMU are made of, started by the command lines those have: flat multiboot
images that report over COM1 and isa-debug-exit and drive pc-testdev (kvm-unit-tests), a ROM in place of the BIOS that
drives a POST port and an output port (test386.asm), and an ELF file with a PVH note."""
import os
import re
import struct
import subprocess

import harness

# What x86/run of kvm-unit-tests says, and what its unittests.cfg adds.
SUITE = ["-nodefaults", "-device", "pc-testdev", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x4", "-vnc", "none",
         "-serial", "stdio", "-machine", "accel=tcg", "-no-reboot", "-no-user-config", "-cpu", "max"]

START = """
        .section .init, "ax"
        .long 0x1badb002, 0, -0x1badb002
        .globl _start
_start: movl $stack, %esp
        pushl %ebx
        pushl %eax
        call main
1:      hlt
        jmp 1b
        .section .note.GNU-stack, "", @progbits
        .bss
        .space 4096
stack:
"""

LIBRARY = r"""
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned u32;

static void outb(u16 p, u8 v) { __asm__ volatile("outb %0, %1" : : "a"(v), "d"(p)); }
static void outw(u16 p, u16 v) { __asm__ volatile("outw %0, %1" : : "a"(v), "d"(p)); }
static void outl(u16 p, u32 v) { __asm__ volatile("outl %0, %1" : : "a"(v), "d"(p)); }
static u8 inb(u16 p) { u8 v; __asm__ volatile("inb %1, %0" : "=a"(v) : "d"(p)); return v; }
static u16 inw(u16 p) { u16 v; __asm__ volatile("inw %1, %0" : "=a"(v) : "d"(p)); return v; }
static u32 inl(u16 p) { u32 v; __asm__ volatile("inl %1, %0" : "=a"(v) : "d"(p)); return v; }
static volatile u32 *at(u32 a) { return (volatile u32 *)a; }

static void put(char c)
{
    while (!(inb(0x3fd) & 0x20))
        ;
    outb(0x3f8, (u8)c);
}
static void print(const char *s)
{
    while (*s)
        put(*s++);
}
static void number(u32 v)
{
    for (int i = 28; i >= 0; i -= 4)
        put("0123456789abcdef"[v >> i & 15]);
}
static int failed;
static void check(int ok, const char *what)
{
    print(ok ? "PASS: " : "FAIL: ");
    print(what);
    print("\n");
    failed |= !ok;
}
"""

SUITE_C = LIBRARY + r"""
static u32 pending(u8 vector) { return at(0xfee00200)[vector / 32 * 4] >> vector % 32 & 1; }

/* An input of the IOAPIC, which pc-testdev drives, arrives at the local APIC. */
static int line_arrives(u8 line, u8 pin)
{
    const u8 vector = 0x40 + line;
    *at(0xfec00000) = 0x11 + 2 * pin;
    *at(0xfec00010) = 0;
    *at(0xfec00000) = 0x10 + 2 * pin;
    *at(0xfec00010) = vector;
    const int before = pending(vector);
    outb(0x2000 + line, 1);
    const int after = pending(vector);
    outb(0x2000 + line, 0);
    return !before && after;
}

static void testdev(void)
{
    static const char text[] = "abcdefgh";
    const char *p = text;
    u32 n = sizeof text - 1;
    outl(0xe0, 0x12345678);
    check(inl(0xe0) == 0x12345678 && inw(0xe0) == 0x5678 && inb(0xe0) == 0x78, "scratch register");
    outb(0xe1, 0xff);
    outw(0xe2, 0xabcd);
    check(inl(0xe0) == 0xabcdff78, "scratch register in parts");
    check(inl(0xe8) == 0xabcdff78 && inb(0xeb) == 0xab, "scratch register by bytes");
    outl(0xe8, 0x01020304);
    check(inl(0xe0) == 0x01020304, "written by bytes");
    __asm__ volatile("cld; rep outsb" : "+S"(p), "+c"(n) : "d"((u16)0xe0) : "memory");
    check(inb(0xe0) == 'h', "outs");
    at(0xff000000)[3] = 0xcafef00d;
    check(at(0xff000000)[3] == 0xcafef00d && *(volatile u8 *)0xff00000e == 0xfe, "I/O memory");
    *(volatile u8 *)0xff00ffff = 0x5a;
    check(at(0xff00fffc)[0] >> 24 == 0x5a, "the end of I/O memory");
    outl(0xe4, (u32)testdev & ~4095u);
    check(1, "flushed the page of this code");
    *at(0xfee000f0) = 0x1ff;
    check(line_arrives(14, 14) && line_arrives(5, 5), "lines of ISA");
    check(line_arrives(20, 20) && line_arrives(23, 23), "lines beyond ISA");
}

void main(u32 magic, const u32 *info)
{
    check(magic == 0x2badb002, "entered by multiboot");
    print("args: ");
    print((const char *)info[4]);
    print("\n");
    if (info[5] == 1) {
        const u32 *module = (const u32 *)info[6];
        print("env: ");
        for (u32 i = module[0]; i < module[1]; i++)
            put(*(char *)i);
    }
    outw(0x510, 5);
    print("cpus: ");
    put('0' + inb(0x511));
    print("\n");
    if (info[2] * 1024 > (u32)main)
        testdev();
    outl(0xf4, failed);
}
"""

# Entered at its note's place, not the ELF header's, which is outside all that is loaded.
PVH_C = LIBRARY + r"""
void main(u32 unused, const u32 *info)
{
    u32 flags, cr0, cr4;
    u16 cs, ds, es, ss;
    __asm__("pushfl; popl %0" : "=r"(flags));
    __asm__("movl %%cr0, %0; movl %%cr4, %1" : "=r"(cr0), "=r"(cr4));
    __asm__("movw %%cs, %0; movw %%ds, %1; movw %%es, %2; movw %%ss, %3" : "=r"(cs), "=r"(ds), "=r"(es), "=r"(ss));
    (void)unused;
    check(info[0] == 0x336ec578 && info[1] == 1 && info[2] == 0, "start information");
    check(cr0 == 0x11 && cr4 == 0 && !(flags & 0x20300), "flat protected mode");
    check(cs != ds && ds == es && es == ss, "segments");
    print("cmdline: ");
    print((const char *)info[6]);
    print("\n");
    const u32 *map = (const u32 *)info[10];
    for (u32 i = 0; i < info[12]; i++, map += 6) {
        print("map: ");
        number(map[1]), number(map[0]);
        print(" ");
        number(map[3]), number(map[2]);
        print(" ");
        number(map[4]), number(map[5]);
        print("\n");
    }
    if (info[3] == 1) {
        const u32 *module = (const u32 *)info[4];
        print("initrd: ");
        number(module[0]);
        print(" ");
        for (u32 i = 0; i < module[2]; i++)
            put(((char *)module[0])[i]);
        print("\n");
    }
    const char *rsdp = (const char *)info[8];
    check(rsdp && rsdp[0] == 'R' && rsdp[6] == 'R' && rsdp[7] == ' ', "RSDP");
    outl(0xf4, failed);
}
"""

PVH_START = """
        .section .init, "ax"
        .globl entry
entry:  movl $stack, %esp
        pushl %ebx
        pushl %eax
        call main
        .section .note.Xen, "a", @note
        .long 4, 4, 6
        .asciz "Xen"
        .long 0
        .long 4, WIDTH, 18
        .asciz "Xen"
        NOTE entry
        .section .note.GNU-stack, "", @progbits
        .bss
        .space 4096
stack:
"""

# 128 KiB in place of the BIOS: POST codes to 80h and 190h, words to three ports; protected mode and back with tables in
# the ROM; memory works; the exit port is how this test ends.
ROM = """
        .code16
start:  cli
        movw $1, %ax
        call post
        xorw %ax, %ax
        movw %ax, %ds
        movw $0x1000, %ax
        movw %ax, %ss
        movw $0xffff, %sp
        movw $back, %ax
        pushw %ax
        movl $0x12345678, 0x2000
        cmpw $0x1234, 0x2002
        jne error
        ret
back:   movw $2, %ax
        call post
        lgdtl %cs:(gdtr - base)
        movl %cr0, %eax
        orb $1, %al
        movl %eax, %cr0
        ljmpl $8, $(flat - base)
        .code32
flat:   movw $16, %ax
        movw %ax, %ds           # the ROM below 1 MiB is that below 4 GiB
        movb HIGH, %al
        cmpb $0x42, %al
        jne 1f
        movb LOW, %al
        cmpb $0x42, %al
        jne 1f
        ljmpl $24, $(small - base)
1:      hlt
        .code16
small:  movl %cr0, %eax
        andb $0xfe, %al
        movl %eax, %cr0
        ljmpw $0xf000, $(real - base)
real:   movw $3, %ax
        call post
        movw $(text - base), %si
2:      movb %cs:(%si), %al
        testb %al, %al
        jz 3f
        movw $0x378, %dx
        outb %al, %dx
        outb %al, $0xe9
        movw $0x3f8, %dx
        outb %al, %dx
        incw %si
        jmp 2b
3:      movw $0xff, %ax
        call post
        movb $0x10, %al
        outb %al, $0xf4
error:  hlt
        jmp error
post:   outb %al, $0x80
        movw $0x190, %dx
        outb %al, %dx
        ret
gdtr:   .word 31
        .long 0xf0000 + gdt - base
        .balign 8
gdt:    .quad 0
        .quad 0x00009b0f0000ffff | 0x0040000000000000
        .quad 0x00cf93000000ffff
        .quad 0x00009b0f0000ffff
text:   .asciz "computed\\n"
"""


class Suites(harness.Case):
    def build(self, name, start, program, base, bits=32, entry="_start"):
        for tool in ("gcc", "ld"):
            harness.need(tool)
        self.write(name + ".S", start.encode())
        self.write(name + ".c", program.encode())
        run = lambda *args: subprocess.run(args, check=True, cwd=self.directory)
        flags = ["-m32", "-ffreestanding", "-fno-pic", "-fno-stack-protector", "-O1", "-mno-sse", "-fcf-protection=none", "-c"]
        run("gcc", *flags, "-o", name + "-c.o", name + ".c")
        run("gcc", "-m32", "-c", "-o", name + "-s.o", name + ".S")
        self.write("ld", b"SECTIONS { . = %d; .text : { *(.init) *(.text*) *(.rodata*) } :load .note : { *(.note.Xen) } :load "
                   b":note .data : { *(.data*) *(.bss*) *(COMMON) } :load /DISCARD/ : { *(.comment) *(.eh_frame*) "
                   b"*(.note*) } } PHDRS { load PT_LOAD; note PT_NOTE; }" % base)
        run("ld", "-m", "elf_i386", "-e", entry, "-T", "ld", "--no-warn-rwx-segments", "-o", name, name + "-s.o", name + "-c.o")
        if bits == 64:
            self.widen(name)
        return self.path(name)

    def widen(self, name):
        """The same program in an ELF file of 64 bits, its entry where nothing is."""
        old = self.read(name)
        at, = struct.unpack_from("<I", old, 28)
        count, = struct.unpack_from("<H", old, 44)
        head = old[:4] + bytes((2,)) + old[5:16] + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0xffffffff81000000, 64, 0, 0, 64,
                                                              56, count, 0, 0, 0)
        table = b""
        for i in range(count):
            kind, offset, _, physical, size, memory, rights, align = struct.unpack_from("<8I", old, at + 32 * i)
            table += struct.pack("<IIQQQQQQ", kind, rights, offset + 0x1000, 0xffffffff80000000 + physical, physical, size,
                                 memory, align)
        self.write(name, (head + table).ljust(0x1000, b"\0") + old)

    def suite(self, base):
        return self.build("test.flat", START, SUITE_C, base)

    def passes(self, *args, status=1):
        """Output of the serial port."""
        run = subprocess.run(harness.command(*args), cwd=self.directory, capture_output=True, text=True,
                             stdin=subprocess.DEVNULL, timeout=harness.LIMIT * harness.SLOW)
        self.assertEqual((status, ""), (run.returncode, run.stderr), run.stdout)
        self.assertNotIn("FAIL", run.stdout)
        return run.stdout

    def check_suite(self, *firmware, base=4 << 20):
        kernel = self.suite(base)
        env = self.write("env", b"KEY=value\nNR_CPUS=2\n")
        out = self.passes(*SUITE, "-smp", "2", "-append", "alpha beta=1", "-initrd", env, "-kernel", kernel, *firmware)
        self.assertIn(f"args: {kernel} alpha beta=1\n", out)
        self.assertIn("env: KEY=value\nNR_CPUS=2\ncpus: 2\n", out)
        self.assertEqual(11, out.count("PASS: "), out)

    def test_multiboot_suite(self):
        self.check_suite()

    def test_multiboot_suite_under_seabios(self):
        self.check_suite("-bios", "bios-256k.bin")

    def test_low_image(self):
        """Linked to 32 KiB, where the tables of the option ROM are otherwise; and to 4 KiB."""
        self.check_suite(base=0x8000)
        self.check_suite("-bios", "bios-256k.bin", base=0x8000)
        self.check_suite(base=0x1000)

    def test_hints_are_warnings(self):
        """run_qemu of kvm-unit-tests takes any other line on stderr for a failure."""
        kernel = self.suite(4 << 20)
        run = subprocess.run(harness.command(*SUITE, "-machine", "kernel_irqchip=split", "-global",
                                             "kvm-pit.lost_tick_policy=discard", "-kernel", kernel), cwd=self.directory,
                             capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=harness.LIMIT * harness.SLOW)
        self.assertEqual(1, run.returncode)
        self.assertEqual(2, len(run.stderr.splitlines()))
        for line in run.stderr.splitlines():
            self.assertIn("warning", line)

    def test_status(self):
        """What is written to the exit port comes out as (value << 1) | 1."""
        kernel = self.build("exit.flat", START, LIBRARY + "void main(void) { outl(0xf4, 0x13); }", 4 << 20)
        self.passes(*SUITE, "-kernel", kernel, status=0x27)

    def check_pvh(self, bits, *firmware):
        start = PVH_START.replace("WIDTH", "4" if bits == 32 else "8").replace("NOTE", ".long" if bits == 32 else ".quad")
        if bits == 64:
            start = start.replace(".quad entry", ".long entry, 0")
        kernel = self.build(f"pvh{bits}", start, PVH_C, 2 << 20, bits, "entry")
        initrd = self.write("initrd", b"the initrd's bytes")
        out = self.passes(*SUITE, "-m", "64", "-append", "one two", "-initrd", initrd, "-kernel", kernel, *firmware)
        self.assertEqual(4, out.count("PASS: "), out)
        self.assertIn("cmdline: one two\n", out)
        place = re.search(r"^initrd: ([0-9a-f]{8}) the initrd's bytes$", out, re.MULTILINE)
        self.assertTrue(place, out)
        self.assertEqual(0, int(place[1], 16) % 4096)
        entries = [tuple(int(n, 16) for n in m) for m in
                   re.findall(r"^map: ([0-9a-f]{16}) ([0-9a-f]{16}) ([0-9a-f]{16})$", out, re.MULTILINE)]
        self.assertGreaterEqual(len(entries), 4)
        self.assertEqual({0}, {e[2] & 0xffffffff for e in entries})         # what is reserved in an entry
        ram = [e for e in entries if e[2] >> 32 == 1]
        self.assertEqual((0, 0x100000), (ram[0][0], ram[1][0]))
        self.assertGreater(ram[1][0] + ram[1][1], 63 << 20)

    def test_pvh(self):
        self.check_pvh(32)
        self.check_pvh(64)

    def test_pvh_under_seabios(self):
        self.check_pvh(64, "-bios", "bios-256k.bin")

    def test_pvh_linux(self):
        """Debian's kernel, unpacked."""
        lz4 = harness.need("lz4")
        image = open(harness.guest("vmlinuz"), "rb").read()
        offset, length = struct.unpack_from("<II", image, 0x248)
        offset += (image[0x1f1] + 1) * 512
        packed = self.write("vmlinux.lz4", image[offset:offset + length - 4])       # its length is behind it
        if self.read("vmlinux.lz4")[:4] != b"\x02\x21\x4c\x18":
            self.skipTest("vmlinuz is packed otherwise")
        subprocess.run([lz4, "-dqf", packed, self.path("vmlinux")], check=True)
        v = self.start("-display", "none", "-serial", "stdio", "-m", "512", "-no-reboot", "-kernel", "vmlinux", "-initrd",
                       harness.guest("initrd.img"), "-append", 'console=ttyS0 vitrine.run="echo PVH $((6*7))"', tty=False)
        v.expect(r"PVH 42")
        self.ends(v)

    def rom(self, size):
        for tool in ("as", "ld", "objcopy"):
            harness.need(tool)
        # The last 64 KiB, in front of them what is said to be 42h: the byte at E0000h, or the ROM's last one.
        marker = (0xffffffff, 0xfffff) if size == 65536 else (0xfffe0000, 0xe0000)
        source = (f"        .text\nbase:\n        .set HIGH, {marker[0]}\n        .set LOW, {marker[1]}\n" + ROM
                  + "        .org 0xfff0\n        ljmp $0xf000, $(start - base)\n        .org 0xffff\n        .byte 0x42\n")
        self.write("rom.s", source.encode())
        run = lambda *args: subprocess.run(args, check=True, cwd=self.directory)
        run("as", "--32", "-o", "rom.o", "rom.s")
        run("ld", "-m", "elf_i386", "-Ttext=0", "-e", "0", "--no-warn-rwx-segments", "-o", "rom.elf", "rom.o")
        run("objcopy", "-O", "binary", "-j", ".text", "rom.elf", "rom.bin")
        rom = bytearray(size - 65536) + self.read("rom.bin")
        rom[-131072:-131071] = b"\x42" if size > 65536 else b""
        self.write("rom.bin", rom)
        self.assertEqual(size, os.path.getsize(self.path("rom.bin")))
        return "rom.bin"

    def check_rom(self, size):
        rom = self.rom(size)
        out = self.passes("-bios", rom, "-display", "none", "-serial", "stdio", "-d", "post", "-D", "log", "-debugcon", "file:e9",
                          "-chardev", "file,id=post,path=post", "-device", "isa-debugcon,iobase=0x190,chardev=post",
                          "-chardev", "file,id=lpt,path=lpt", "-device", "isa-debugcon,iobase=0x378,chardev=lpt",
                          "-device", "isa-debug-exit,iobase=0xf4", status=0x21)
        self.assertEqual("computed\n", out)
        self.assertEqual((b"computed\n", b"computed\n"), (self.read("e9"), self.read("lpt")))
        self.assertEqual(b"\1\2\3\xff", self.read("post"))
        self.assertEqual("".join(f"POST code {c}\n" for c in ("01", "02", "03", "ff")), self.read("log").decode())

    def test_rom_instead_of_bios(self):
        self.check_rom(128 << 10)
        self.check_rom(64 << 10)

    def test_large_rom(self):
        self.check_rom(4 << 20)


if __name__ == "__main__":
    harness.main()
