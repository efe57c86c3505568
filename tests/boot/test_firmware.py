#!/usr/bin/env python3
"""Our own system BIOS: what it says, what it boots, the tables it leaves; and that both firmwares boot the guests."""
import struct
import time

import harness

SEABIOS = ["-bios", "bios-256k.bin"]
STAY = "sti\n1: hlt\njmp 1b\n"
MONITOR = ["-monitor", "unix:monitor,server=on,wait=off"]

# Subroutines for boot sectors; all keep every register.
PRINT = """
char:   pusha                   # AL to COM1
        mov %al, %ah
        mov $0x3fd, %dx
1:      in %dx, %al
        test $0x20, %al
        jz 1b
        mov $0x3f8, %dx
        mov %ah, %al
        out %al, %dx
        popa
        ret
hex:    pusha                   # CX bytes from SI, the last first, then a blank
        add %cx, %si
1:      dec %si
        mov (%si), %al
        shr $4, %al
        call digit
        mov (%si), %al
        and $15, %al
        call digit
        loop 1b
        mov $32, %al
        call char
        popa
        ret
digit:  add $48, %al
        cmp $58, %al
        jb char
        add $7, %al
        jmp char
"""
START = "xor %ax, %ax\nmov %ax, %ds\nmov %ax, %es\nmov %ax, %ss\nmov $0x7000, %sp\ncld\n"


def say(text):
    return "".join(f"mov ${ord(c)}, %al\ncall char\n" for c in text)


class Firmware(harness.Case):
    def boots(self, source, *args, name="sector.img", **options):
        return self.start("-nographic", *args, self.boot_sector(START + source + STAY + PRINT, name), **options)

    def plain_text(self, v):
        return harness.plain(v.seen.decode("utf-8", "replace")).replace("\r", "")


class Says(Firmware):
    def test_banner_and_disk(self):
        """With -nographic on COM1, and always on the debug port."""
        v = self.boots(say("up!"), "-debugcon", "file:debug.txt")
        v.expect(r"Vitrine BIOS\r\n")
        v.expect(r"Booting from disk VITRINE HARDDISK\r\n")
        v.expect(r"up!")
        self.assertIn(b"Vitrine BIOS\nBooting from disk", self.read("debug.txt").replace(b"\r", b""))

    def test_screen(self):
        """Without -nographic the screen has it, and the serial port is the guest's alone."""
        source = START + "mov $0xb800, %ax\nmov %ax, %ds\nxor %si, %si\nmov $2000, %cx\n" \
            "2: lodsw\ncall char\nloop 2b\n" + say(".") + STAY + PRINT
        v = self.start("-display", "none", "-serial", "stdio", self.boot_sector(source))
        v.expect(r"\.")
        rows = [v.before[i:i + 80].rstrip() for i in range(0, 2000, 80)]
        self.assertEqual(2000, len(v.before))
        self.assertIn("Vitrine BIOS", rows)
        self.assertIn("Booting from disk VITRINE HARDDISK", rows)

    def test_nothing_there(self):
        """The empty drives of the board say so."""
        v = self.start("-nographic")
        v.expect(r"diskette drive A: no disk in the drive\r\n")
        v.expect(r"CD drive VITRINE DVD-ROM: no disc in the drive\r\n")
        v.expect(r"No bootable device\. Tried: diskette drive A, CD drive VITRINE DVD-ROM\.\r\n")

    def test_no_signature(self):
        """Said in a line, then what was tried; a disk that has one is found behind it."""
        blank = self.write("blank.img", bytes(harness.MiB))
        v = self.start("-nographic", blank)
        v.expect(r"disk VITRINE HARDDISK: no boot signature \(55h AAh\) at the end of its first sector\r\n")
        v.expect(r"No bootable device\. Tried: disk VITRINE HARDDISK, diskette drive A, CD drive VITRINE DVD-ROM\.\r\n")
        blank = self.write("blank2.img", bytes(harness.MiB))
        v = self.boots(say("second"), "-hda", blank, "-hdb")
        v.expect(r"no boot signature")
        v.expect(r"second")

    def test_gives_up(self):
        """INT 18h, and a far return, go on with what comes next."""
        for n, source in enumerate(("int $0x18\n", "lretw\n")):
            first = self.write(f"first{n}.img", self.assemble(source).ljust(510, b"\0") + b"\x55\xaa" + bytes(harness.MiB))
            v = self.boots(say("second"), "-hda", first, "-hdb", name=f"second{n}.img")
            v.expect(r"it gave up")
            v.expect(r"second")

    def test_restarts_when_asked_to(self):
        v = self.start("-nographic", "-boot", "reboot-timeout=1000")
        v.expect(r"Starting again in 1 seconds\.")
        v.expect(r"Vitrine BIOS")


class Order(Firmware):
    def drives(self, *indices, name="disk"):
        words = []
        for n, index in enumerate(indices):
            source = START + say(f"this is {n}, DL=") + "mov %dl, 0x600\nmov $0x600, %si\nmov $1, %cx\ncall hex\n" + STAY
            image = self.boot_sector(source + PRINT, f"{name}{n}.img")
            extra = "" if index is None else f",bootindex={index}"
            words += ["-drive", f"file={image},format=raw,if=none,id=d{n}", "-device", f"ide-hd,drive=d{n}{extra}"]
        return words

    def test_bootindex(self):
        """What is booted is disk 80h, wherever it is plugged in."""
        v = self.start("-nographic", *self.drives(None, 2, 1))
        v.expect(r"this is 2, DL=80 ")
        v = self.start("-nographic", *self.drives(None, None, name="other"))
        v.expect(r"this is 0, DL=80 ")

    def test_strict(self):
        blank = self.write("blank.img", bytes(harness.MiB))
        v = self.start("-nographic", "-boot", "strict=on", "-drive", f"file={blank},format=raw,if=none,id=b", "-device",
                       "ide-hd,drive=b,bootindex=1", *self.drives(None))
        v.expect(r"No bootable device\. Tried: disk VITRINE HARDDISK\.\r\n")

    def test_menu(self):
        """From the serial line: Esc, then the second entry."""
        v = self.start("-nographic", "-boot", "menu=on,splash-time=20000", *self.drives(None, None))
        v.expect(r"Press F12 \(or Esc on the serial line\) for the boot menu\.\r\n")
        v.send("\x1b")
        v.expect(r"  1  disk VITRINE HARDDISK\r\n  2  disk VITRINE HARDDISK\r\n")
        v.send("2")
        v.expect(r"this is 1, DL=80 ")

    def test_menu_by_keyboard(self):
        """On the screen, where no serial line is told of: F12, then the second entry."""
        v = self.start("-display", "none", "-serial", "stdio", *MONITOR, "-boot", "menu=on,splash-time=20000",
                       *self.drives(None, None))
        monitor = self.monitor()

        def shows(line):
            deadline = time.monotonic() + harness.LIMIT * harness.SLOW
            while line not in (screen := monitor.command("info screen")).split("\n"):
                self.assertLess(time.monotonic(), deadline, screen)

        shows("Press F12 for the boot menu.")
        monitor.command("sendkey f12")
        shows("  2  disk VITRINE HARDDISK")
        monitor.command("sendkey 2")
        v.expect(r"this is 1, DL=80 ")

    def test_menu_not_wanted(self):
        v = self.start("-nographic", "-boot", "menu=on,splash-time=300", *self.drives(None, None))
        v.expect(r"for the boot menu\.")
        v.expect(r"this is 0, DL=80 ")


class Services(Firmware):
    """What goes wrong only in company: another gate, another interrupt, the clock."""

    KEYBOARD = """
        busy:   in $0x64, %al
                test $2, %al
                jnz busy
                ret
        inject: cli                     # BL, as if the keyboard had sent it; until INT 09h has taken it
                mov $0xd2, %al
                out %al, $0x64
                call busy
                mov %bl, %al
                out %al, $0x60
                sti
        1:      in $0x64, %al
                test $1, %al
                jnz 1b
                ret
        """
    VECTOR = "movw ${name}, 4 * {n}\nmovw $0, 4 * {n} + 2\n"

    def test_a20_by_the_keyboard_controller(self):
        """Closed through the 8042, it is told, and INT 15h AH=87h leaves it closed."""
        v = self.boots("""
                mov $0xd1, %al
                out %al, $0x64
                call busy
                mov $0xdd, %al
                out %al, $0x60
                call busy
                mov $0x2402, %ax
                int $0x15
                mov %al, 0x602
                mov $0x700, %di         # a table of descriptors of 0: nothing moves, to and from 0
                mov $24, %cx
                xor %ax, %ax
                rep stosw
                mov $0x700, %si
                mov $0x87, %ah
                int $0x15
                mov %ah, 0x601
                mov $0xffff, %ax
                mov %ax, %es
                movb $1, 0x600
                movb $0, %es:0x610      # the same byte, if it is closed
                mov $0x600, %si
                mov $3, %cx
                call hex
            """ + say(".") + STAY + self.KEYBOARD)
        match = v.expect(r"([0-9A-F]{6}) \.")
        self.assertEqual("000000", match.group(1).decode())

    def test_print_screen_within_an_interrupt(self):
        """One EOI for IRQ 1: COM1's, which it interrupts, stays in service."""
        v = self.boots(self.VECTOR.format(name="irq4", n=0x0c) + self.VECTOR.format(name="iret", n=5) + """
                in $0x21, %al
                and $0xed, %al
                out %al, $0x21
                mov $0x3fc, %dx
                mov $0x0b, %al
                out %al, %dx
                mov $0x3f9, %dx
                mov $2, %al             # the transmitter is empty
                sti
                out %al, %dx
                nop
                nop
                mov $0x600, %si
                mov $1, %cx
                call hex
            """ + say(".") + STAY + """
        irq4:   pusha
                mov $0x3f9, %dx
                xor %al, %al
                out %al, %dx
                mov $0xe0, %bl          # Print Screen
                call inject
                mov $0x37, %bl
                call inject
                mov $0x0b, %al          # in service?
                out %al, $0x20
                in $0x20, %al
                mov %al, 0x600
                mov $0x20, %al
                out %al, $0x20
                popa
        iret:   iret
            """ + self.KEYBOARD)
        match = v.expect(r"([0-9A-F]{2}) \.")
        self.assertEqual("10", match.group(1).decode())

    def test_bell(self):
        """An eighth of a second, and the clock does not stand still meanwhile: two or three ticks."""
        for flags, wanted in (("sti", ("02", "03")), ("cli", ("00", "01"))):
            v = self.boots("sti\nmov 0x46c, %bl\n1: hlt\ncmp 0x46c, %bl\nje 1b\nmov 0x46c, %bl\n" + flags + """
                mov $0x0e07, %ax
                int $0x10
                sti
                nop
                mov 0x46c, %al
                sub %bl, %al
                mov %al, 0x600
                mov $0x600, %si
                mov $1, %cx
                call hex
            """ + say("."), "-icount", "shift=3", name=f"bell-{flags}.img")
            match = v.expect(r"([0-9A-F]{2}) \.")
            self.assertIn(match.group(1).decode(), wanted)


class Reads(Firmware):
    """INT 13h AH=42h to buffers of every kind: what DMA takes, and what falls back to PIO."""

    # Address, sectors: plain; across 64 KiB; odd; odd across 64 KiB; a bank of three.
    CASES = [(0x10000, 1), (0x1fe00, 127), (0x20001, 3), (0x2fe01, 100), (0x30200, 255), (0x8000, 1), (0x1c002, 64)]

    def test_buffers(self):
        source = ""
        for n, (address, count) in enumerate(self.CASES):
            seg, off = address >> 4, address & 15
            source += f"mov ${seg}, %ax\nmov ${off}, %di\nmov ${count}, %bx\nmov ${100 + n}, %bp\ncall case\n"
        routine = """
case:   mov %bx, packet + 2
        mov %di, packet + 4
        mov %ax, packet + 6
        mov %bp, packet + 8
        mov $packet, %si
        mov $0x42, %ah
        mov $0x80, %dl
        int $0x13
        jc bad
        mov packet + 2, %cx
        shl $8, %cx                     # words
        mov packet + 6, %es
        xor %edx, %edx
        movzwl packet + 4, %edi
2:      movzwl %es:(%edi), %eax
        add %eax, %edx
        rol $1, %edx
        add $2, %di
        jnc 3f
        mov %es, %ax
        add $0x1000, %ax
        mov %ax, %es
3:      dec %cx
        jnz 2b
        mov %edx, 0x600
        mov $0x600, %si
        mov $4, %cx
        call hex
        ret
bad:    mov $33, %al
        call char
        ret
        .balign 4
packet: .word 16, 0, 0, 0
        .quad 0
"""
        code = self.assemble(START + source + say(".") + STAY + routine + PRINT)
        self.assertLessEqual(len(code), 510)
        sectors = [code.ljust(510, b"\0") + b"\x55\xaa"]
        sectors += [struct.pack("<128I", *((n * 2654435761 + i * 40503) & 0xffffffff for i in range(128)))
                    for n in range(1, 2048)]
        v = self.start("-nographic", self.write("disk.img", b"".join(sectors)))
        v.expect(r"VITRINE HARDDISK\r\n")
        v.expect(r"\.")
        wanted = []
        for n, (_, count) in enumerate(self.CASES):
            total = 0
            for word in struct.unpack(f"<{count * 256}H", b"".join(sectors[100 + n:100 + n + count])):
                total = total + word & 0xffffffff
                total = (total << 1 | total >> 31) & 0xffffffff
            wanted.append(f"{total:08X}")
        self.assertEqual(wanted, v.before.split())


class Memory(Firmware):
    E820 = """
        xor %ebx, %ebx
next:   mov $0xe820, %eax
        mov $0x534d4150, %edx
        mov $20, %ecx
        mov $0x600, %di
        int $0x15
        jc done
        mov $0x600, %si
        mov $8, %cx
        call hex
        add %cx, %si
        call hex
        add %cx, %si
        mov $1, %cx
        call hex
        mov $10, %al
        call char
        test %ebx, %ebx
        jnz next
done:   mov $0xe801, %ax
        int $0x15
        mov %ax, 0x600
        mov %bx, 0x602
        mov $0x88, %ah
        int $0x15
        mov %ax, 0x604
        int $0x12
        mov %ax, 0x606
        mov $0x600, %si
        mov $8, %cx
        call hex
"""

    def map(self, memory):
        v = self.boots(self.E820 + say("."), "-m", memory)
        v.expect(r"VITRINE HARDDISK\r\n")
        v.expect(r"\.")
        lines = v.before.split("\n")
        ranges = [tuple(int(word, 16) for word in line.split()) for line in lines[:-1]]
        return ranges, struct.unpack("<4H", bytes.fromhex(lines[-1].strip())[::-1])

    def check(self, memory, tops):
        ranges, numbers = self.map(memory)
        self.assertEqual((0, 639 * 1024, 1), ranges[0])
        end = 0
        for start, size, kind in ranges:                # sorted, apart, nothing empty
            self.assertGreaterEqual(start, end)
            self.assertGreater(size, 0)
            self.assertIn(kind, (1, 2))
            end = start + size
        for top in tops:                                # RAM, or what the firmware keeps of it, ends there
            self.assertIn(top, [start + size for start, size, _ in ranges])
        self.assertIn((0xfffc0000, 0x40000, 2), ranges)
        above = next(size for start, size, kind in ranges if start == 1 << 20 and kind == 1)
        kib, blocks, old, base = numbers
        self.assertEqual(639, base)
        self.assertEqual(min(15 * 1024, above >> 10), kib)
        self.assertEqual(max(0, (above >> 16) - 240), blocks)
        self.assertEqual(min(63 * 1024, above >> 10), old)

    def test_6g(self):
        self.check("6G", [3 << 30, 7 << 30])

    def test_512m(self):
        self.check("512", [512 << 20])

    def test_small(self):
        self.check("8", [8 << 20])


class Tables(Firmware):
    def zero(self, data, what):
        self.assertEqual(0, sum(data) & 0xff, f"checksum of {what}")

    def find(self, signature, step=16):
        at = next((i for i in range(0, 0x10000, step) if self.f.startswith(signature, i)), None)
        self.assertIsNotNone(at, f"no {signature} in segment F000h")
        return at

    def physical(self, address, size):
        if 0xf0000 <= address and address + size <= 0x100000:
            return self.f[address - 0xf0000:address - 0xf0000 + size]
        self.m.command(f"pmemsave {address:#x} {size} piece.bin")
        return self.read("piece.bin")

    def table(self, address):
        size, = struct.unpack("<I", self.physical(address + 4, 4))
        data = self.physical(address, size)
        if not data.startswith(b"FACS"):
            self.zero(data, data[:4])
        return data

    def test_all(self):
        v = self.boots(say("up!"), *MONITOR, "-serial", "stdio")
        v.expect(r"up!")
        self.m = self.monitor()
        self.m.command("pmemsave 0xf0000 0x10000 f.bin")
        self.f = self.read("f.bin")
        self.acpi()
        self.mp()
        self.smbios()
        at = self.find(b"$PIR")
        size, = struct.unpack_from("<H", self.f, at + 6)
        self.zero(self.f[at:at + size], "$PIR")
        at = self.find(b"$PnP")
        self.zero(self.f[at:at + self.f[at + 5]], "$PnP")
        self.assertEqual(b"\xea\x5b\xe0\x00\xf0", self.f[0xfff0:0xfff5])

    def acpi(self):
        at = self.find(b"RSD PTR ")
        self.zero(self.f[at:at + 20], "RSDP")
        self.zero(self.f[at:at + 36], "RSDP, all of it")
        rsdt, _, xsdt = struct.unpack_from("<IIQ", self.f, at + 16)
        for root, width in ((self.table(rsdt), "I"), (self.table(xsdt), "Q")):
            pointers = [p for p, in struct.iter_unpack("<" + width, root[36:])]
            names = {self.table(p)[:4]: p for p in pointers}
            self.assertIn(b"FACP", names)
            self.assertIn(b"APIC", names)
            fadt = self.table(names[b"FACP"])
            dsdt, = struct.unpack_from("<I", fadt, 40)
            self.assertEqual(b"DSDT", self.table(dsdt)[:4])

    def mp(self):
        at = self.find(b"_MP_")
        self.zero(self.f[at:at + 16], "_MP_")
        address, = struct.unpack_from("<I", self.f, at + 4)
        size, = struct.unpack("<H", self.physical(address + 4, 2))
        table = self.physical(address, size)
        self.zero(table, "PCMP")
        count, = struct.unpack_from("<H", table, 34)
        at, kinds = 44, []
        for _ in range(count):
            kinds.append(table[at])
            at += 20 if table[at] == 0 else 8
        self.assertEqual(size, at)
        self.assertEqual(1, kinds.count(0))             # processors
        self.assertEqual(sorted(kinds), kinds)

    def smbios(self):
        at = self.find(b"_SM_")
        self.zero(self.f[at:at + self.f[at + 5]], "_SM_")
        self.zero(self.f[at + 16:at + 31], "_DMI_")
        size, address, count = struct.unpack_from("<HIH", self.f, at + 22)
        table = self.physical(address, size)
        self.assertEqual(0, table[0])                   # BIOS information comes first
        self.assertIn(b"Vitrine BIOS\0", table)
        at = kinds = 0
        while at < size:
            kinds += 1
            at = table.index(b"\0\0", at + table[at + 1]) + 2
        self.assertEqual((size, count), (at, kinds))


# Under sanitizers the guest's time is that of its instructions, or systemd gives up on what takes it 90 seconds.
GUEST_TIME = ["-icount", "shift=2"] if harness.SLOW > 1 else []


class Guests(harness.Case):
    def boot(self, disk, *args, until=harness.PROMPT, seconds=harness.LIMIT * 4):
        v = self.start("-nographic", "-m", "512", "-snapshot", *args, harness.guest(disk))
        v.expect(until, seconds)
        return v

    def test_default_disk(self):
        v = self.boot("default.img")
        text = v.seen.decode("utf-8", "replace")
        self.assertIn("Vitrine BIOS", text)
        self.assertNotRegex(text, r"(?i)acpi.*error|firmware bug|mp-bios bug")
        v.send("poweroff -f\n")
        self.ends(v)

    def test_default_disk_under_seabios(self):
        v = self.boot("default.img", *SEABIOS)
        self.assertNotIn(b"Vitrine BIOS", v.seen)
        v.send("poweroff -f\n")
        self.ends(v)

    def test_systemd_disk(self):
        v = self.boot("systemd.img", *GUEST_TIME, until="vitrine login: ", seconds=harness.LIMIT * 6)
        self.assertIn(b"Vitrine BIOS", v.seen)

    def test_systemd_disk_under_seabios(self):
        v = self.boot("systemd.img", *GUEST_TIME, *SEABIOS, until="vitrine login: ", seconds=harness.LIMIT * 6)
        self.assertNotIn(b"Vitrine BIOS", v.seen)


harness.main()
