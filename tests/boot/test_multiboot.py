#!/usr/bin/env python3
"""A multiboot kernel of our own, which says in what state it was entered: Multiboot 0.6.96, sections 3.2 and 3.3.
Under both firmwares."""
import re
import struct
import subprocess

import harness

# Dwords to port E9h, then everything that the multiboot information points to, each with its length before it.
KERNEL = """
        .globl _start
        .set FLAGS, %d
        .balign 4
        .long 0x1badb002, FLAGS, -(0x1badb002 + FLAGS)
        .long 0, 0, 0, 0, 0
        .long %s
_start: movl %%esp, saved
        movl $stack, %%esp
        pushfl
        pushl %%ss; pushl %%gs; pushl %%fs; pushl %%es; pushl %%ds; pushl %%cs
        pushl %%ebx
        pushl %%eax
        movl %%cr0, %%eax
        pushl %%eax
        movl %%esp, %%esi                         # CR0, EAX, EBX, CS to SS, EFLAGS
        movl $40, %%ecx
        call dump
        movl 8(%%esp), %%ebx
        movl %%ebx, %%esi
        movl $116, %%ecx
        call dump
        movl 48(%%ebx), %%esi                     # memory map
        movl 44(%%ebx), %%ecx
        call dump
        movl 16(%%ebx), %%esi                     # command line
        movl $64, %%ecx
        call dump
        movl 24(%%ebx), %%esi                     # modules
        movl 20(%%ebx), %%ecx
        shll $4, %%ecx
        call dump
        movl 24(%%ebx), %%edi
        cmpl $0, 20(%%ebx)
        je 1f
        movl (%%edi), %%esi                       # the first one's bytes
        movl 4(%%edi), %%ecx
        subl %%esi, %%ecx
        call dump
1:      movl $0xffffffff, 0x100000 + 0x7fffc     # A20: the same offset of the even MiB stays as it is
        movl $0x12345678, 0x200000 + 0x7fffc
        movl $0x100000 + 0x7fffc, %%esi
        movl $4, %%ecx
        call dump
        movw $0x501, %%dx
        outb %%al, %%dx
        hlt
dump:   pushl %%ecx
        movl $lengths, %%edi
        movl %%ecx, (%%edi)
        xchgl %%esi, %%edi
        movl $4, %%ecx
        rep outsb
        xchgl %%esi, %%edi
        popl %%ecx
        rep outsb
        ret
        .bss
lengths: .long 0
saved:  .long 0
        .space 4096
stack:
"""


class Multiboot(harness.Case):
    def kernel(self, flags=3, mode="0, 0, 0, 0"):
        for program in ("as", "ld"):
            harness.need(program)
        # OUTS goes to the port in DX, which nothing else changes before the end.
        source = (KERNEL % (flags, mode)).replace("_start: movl", "_start: movw $0xe9, %dx\n        movl", 1)
        with open(self.path("kernel.s"), "w") as f:
            f.write(source)
        subprocess.run(["as", "--32", "-o", self.path("kernel.o"), self.path("kernel.s")], check=True)
        subprocess.run(["ld", "-m", "elf_i386", "-Ttext=0x300000", "-o", self.path("kernel"), self.path("kernel.o")],
                       check=True)
        return self.path("kernel")

    def run_kernel(self, kernel, *args):
        """What it has written: a list of byte strings."""
        v = self.start("-m", "32", "-display", "none", "-debugcon", "file:out", "-device", "isa-debug-exit", "-kernel",
                       kernel, *args, tty=False)
        v.wait()
        self.assertEqual([], v.messages())
        data, parts = self.read("out"), []
        at = self.beginning(data)
        while at < len(data):
            length, = struct.unpack_from("<I", data, at)
            parts.append(data[at + 4:at + 4 + length])
            at += 4 + length
        return parts

    def beginning(self, data):
        """Firmware may have written to the port before: 40 bytes with the magic number in them are the start."""
        match = re.search(rb"\x28\0\0\0....\x02\xb0\xad\x2b", data, re.DOTALL)
        self.assertIsNotNone(match, data[:200])
        return match.start()

    def check_entry(self, *firmware):
        module = self.write("module", b"module's bytes")
        kernel = self.kernel()
        state, info, memory, command, modules, first, a20 = self.run_kernel(
            kernel, "-append", "one two", "-initrd", f"{module} its arguments,{kernel}", *firmware)
        cr0, eax, _, cs, ds, es, fs, gs, ss, eflags = struct.unpack("<10I", state)
        self.assertEqual(0x2badb002, eax)
        self.assertEqual(1, cr0 & 0x80000001)           # protected, no paging
        self.assertEqual(0, eflags & 0x20200)           # IF, VM
        self.assertEqual({ds}, {ds, es, fs, gs, ss})
        self.assertNotEqual(cs, ds)
        flags, lower, upper = struct.unpack_from("<3I", info)
        self.assertEqual(0x24d, flags)
        self.assertIn(lower, range(600, 641))
        self.assertIn(upper, range(30 << 10, (31 << 10) + 1))
        entries = [struct.unpack_from("<IQQI", memory, at) for at in range(0, len(memory), 24)]
        self.assertEqual({20}, {entry[0] for entry in entries})
        self.assertIn((20, 0x100000, upper << 10, 1), [(e[0], e[1], e[2] & ~1023, e[3]) for e in entries])
        self.assertTrue(command.startswith(f"{kernel} one two".encode()[:64]))
        self.assertEqual(32, len(modules))
        self.assertEqual(b"module's bytes", first)
        start, end, name, _ = struct.unpack_from("<4I", modules)
        self.assertEqual((0, 14), (start % 4096, end - start))
        self.assertEqual(b"\xff\xff\xff\xff", a20)

    def test_entry(self):
        self.check_entry()

    def test_entry_under_seabios(self):
        self.check_entry("-bios", "bios-256k.bin")

    def check_video(self, mode, *firmware):
        """Framebuffer: address, pitch, width, height, bits, type, colours."""
        info = self.run_kernel(self.kernel(7, mode), *firmware)[1]
        self.assertTrue(struct.unpack_from("<I", info)[0] & 1 << 12)
        return struct.unpack_from("<QIIIBB6s", info, 88)

    def video(self, *firmware):
        address, pitch, width, height, bits, kind, colours = self.check_video("0, 800, 600, 32", *firmware)
        self.assertEqual((3200, 800, 600, 32, 1), (pitch, width, height, bits, kind))
        self.assertGreaterEqual(address, 0xe0000000)
        self.assertEqual(bytes((16, 8, 8, 8, 0, 8)), colours)
        # No such mode: text stays, and says so.
        self.assertEqual((0xb8000, 160, 80, 25, 16, 2), self.check_video("0, 801, 601, 32", *firmware)[:6])
        self.assertEqual((0xb8000, 160, 80, 25, 16, 2), self.check_video("1, 80, 25, 0", *firmware)[:6])

    def test_video(self):
        self.video()

    def test_video_under_seabios(self):
        self.video("-bios", "bios-256k.bin")


if __name__ == "__main__":
    harness.main()
