#!/usr/bin/env python3
"""INT 10h, service by service: what our VGA BIOS answers, leaves in the BIOS data area, in registers and in memory,
beside SeaBIOS' VGA BIOS on the same board. Where the two differ on purpose, the test says so in place."""
import os
import struct

import harness
import int10

SEABIOS = "/usr/share/seabios/vgabios-stdvga.bin"
PRESERVED = ["si", "di", "ds", "esp"]
BUFFER = 0x2000             # a segment


class Int10(harness.Case):
    """Both BIOSes, started once."""

    @classmethod
    def setUpClass(cls):
        cls.case = harness.Case("setUp")
        cls.case.setUp()
        cls.addClassCleanup(cls.case.doCleanups)
        cls.ours = int10.Agent(cls.case, name="ours")
        cls.theirs = None
        if os.path.exists(SEABIOS):
            cls.theirs = int10.Agent(cls.case, "-device", f"VGA,romfile={SEABIOS}", name="theirs")

    def setUp(self):
        self.alone = False

    def tearDown(self):
        if self.alone:
            self.skipTest(f"no {SEABIOS} to compare with")      # ours was called all the same

    def both(self):
        return [self.ours] + ([self.theirs] if self.theirs else [])

    def mode(self, number):
        for g in self.both():
            g.int10(ax=number)

    def same(self, answers=("ax",), **regs):
        """Calls both; the registers named are equal, and those no service changes are as they were. Returns ours."""
        for g in self.both():
            g.ask_int10(**regs)
        results = [g.registers() for g in self.both()]
        ours = results[0]
        for r in PRESERVED:
            want = {"ds": 0, "esp": 0xabcd7c00}.get(r, regs.get(r, {"si": 0x5152, "di": 0x6162}.get(r)))
            self.assertEqual(want, ours[r], f"{r} after {regs}")
        self.alone |= not self.theirs
        if self.theirs:
            for r in answers:
                self.assertEqual(f"{results[1][r]:04x}", f"{ours[r]:04x}", f"{r} after {regs}")
        return ours

    def same_memory(self, seg, off, count):
        for g in self.both():
            g.order("r", seg, off, count)
        data = [g.take(count) for g in self.both()]
        self.alone |= not self.theirs
        self.assertEqual(data[-1].hex(" "), data[0].hex(" "), f"{seg:04x}:{off:04x}")
        return data[0]

    def attributes(self, g):
        """The attribute controller's registers."""
        status = 0x3da if g.inb(0x3cc) & 1 else 0x3ba
        for i in range(21):
            g.order("p", status)
            g.outb(0x3c0, i)
            g.order("p", 0x3c1)
        values = g.take(42)[1::2]
        g.inb(status)
        g.outb(0x3c0, 0x20)
        return values

    def dac(self, g):
        g.outb(0x3c7, 0)
        return g.repeated(0x3c9, 768)


class Modes(Int10):
    # Registers in which the two differ, by mode: IBM's tables say what ours say.
    CARE = {("gr", 7)}      # SeaBIOS: 0Fh in all modes; IBM: 0 where it does nothing, 5 in mode 0Fh
    DIFFER = {
        # No underline; and SeaBIOS resets the attribute controller's flip-flop at 3DAh, where there is nothing now.
        7: {("cr", 0x14), ("ar", 0), ("ar", 8)},
        0x0f: {("misc", 0), ("ar", 0x10), ("ar", 0x12)},    # SeaBIOS: a colour mode
        0x11: {("cr", 0x17)} | {("ar", i) for i in range(2, 16, 2)},    # SeaBIOS: plane 0 alone counts
        0x6a: {("cr", i) for i in (0, 2, 3, 4, 5, 6, 0x11, 0x15, 0x16)},        # other timings of 800x600
    }

    def registers(self, g):
        misc = g.inb(0x3cc)
        return {"misc": bytes([misc]), "sr": g.indexed(0x3c4, 5), "gr": g.indexed(0x3ce, 9),
                "cr": g.indexed(0x3d4 if misc & 1 else 0x3b4, 25), "ar": self.attributes(g), "dac": self.dac(g)}

    def test_registers(self):
        """Registers after each mode set, and the BIOS data area."""
        if not self.theirs:
            self.skipTest(f"no {SEABIOS}")
        for number in (0, 1, 2, 3, 4, 5, 6, 7, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x6a):
            # Twice: SeaBIOS writes the CRTC before it has moved from 3Bxh to 3Dxh, and so loses a mode's registers.
            self.mode(number)
            self.same(ax=number)
            ours, theirs = self.registers(self.ours), self.registers(self.theirs)
            differ = {(group, i) for group in ours
                      for i, (a, b) in enumerate(zip(ours[group], theirs[group])) if a != b}
            self.assertEqual(set(), differ - self.CARE - self.DIFFER.get(number, set()), f"mode {number:x}h")
            if number not in (0x0f, 0x6a):
                self.same_memory(0x40, 0x49, 3 if number == 0x6a else 0x1c)
            self.same_memory(0x40, 0x84, 7)

    def test_unknown(self):
        self.mode(3)
        self.ours.int10(ax=0x55)
        self.assertEqual(3, self.ours.int10(ax=0x0f00)["ax"] & 0xff)

    def test_not_cleared(self):
        self.mode(3)
        for g in self.both():
            g.write(0xb800, 0, b"xyzw")
        self.same(ax=0x83)
        self.assertEqual(b"xyzw", self.same_memory(0xb800, 0, 4))
        self.assertEqual(0x83, self.same(("ax", "bx"), ax=0x0f00)["ax"] & 0xff)
        self.mode(0x12)
        self.assertEqual(0x12 | 80 << 8, self.same(("ax", "bx"), ax=0x0f00)["ax"])


class Text(Int10):
    def setUp(self):
        super().setUp()
        self.mode(3)

    def test_cursor(self):
        self.same(ax=0x0200, bx=0, dx=0x0a14)
        self.same(ax=0x0200, bx=0x0300, dx=0x0105)
        self.assertEqual(0x0a14, self.same(("ax", "bx", "cx", "dx"), ax=0x0300, bx=0)["dx"])
        self.same(("ax", "bx", "cx", "dx"), ax=0x0300, bx=0x0300)
        for g in self.both():
            self.assertEqual(struct.pack(">H", 10 * 80 + 20), g.indexed(0x3d4, 16)[0x0e:0x10])
        for shape, lines in ((0x0607, (0x0d, 0x0e)), (0x0007, (0x00, 0x0e)), (0x2000, (0x20, 0x00)),
                             (0x0b0c, (0x0b, 0x0c))):
            self.ours.int10(ax=0x0100, cx=shape)
            self.assertEqual(bytes(lines), self.ours.indexed(0x3d4, 12)[0x0a:0x0c], f"{shape:04x}")
            self.assertEqual(shape, self.ours.int10(ax=0x0300, bx=0)["cx"])

    def test_pages(self):
        self.same(ax=0x0502)
        self.same(ax=0x0200, bx=0x0200, dx=0x0301)
        self.same(ax=0x0e41, bx=7)
        self.same_memory(0x40, 0x49, 0x1a)
        self.same_memory(0xb800, 0x2000, 1000)
        for g in self.both():
            self.assertEqual("1000", g.indexed(0x3d4, 14)[0x0c:0x0e].hex())
        self.same(("ax", "bx"), ax=0x0f00)
        self.same(ax=0x0500)

    def test_characters(self):
        self.same(ax=0x0200, bx=0, dx=0x1810)
        self.same(ax=0x0958, bx=0x1e, cx=3)
        self.same(ax=0x0200, bx=0, dx=0x1811)
        self.same(ax=0x0a59, bx=0x4c, cx=1)
        self.assertEqual(0x1e59, self.same(ax=0x0800, bx=0)["ax"])
        self.same(ax=0x0200, bx=0, dx=0x0000)
        self.same(ax=0x0941, bx=0x07, cx=100)
        self.same_memory(0xb800, 0, 4000)

    def test_too_many(self):
        """A count beyond the page ends with the page."""
        self.ours.int10(ax=0x0200, bx=0, dx=0x1800)
        self.ours.int10(ax=0x0958, bx=0x1e, cx=0xffff)
        self.assertEqual(b"X\x1e" * 80, self.ours.read(0xb800, 24 * 160, 160))
        self.assertEqual(b" \x07" * 8, self.ours.read(0xb800, 4096, 16))

    def test_teletype(self):
        for c in b"one\r\ntwo\b\bX\r\n" + b"y" * 85:
            self.same(ax=0x0e00 | c, bx=7)
        self.same_memory(0xb800, 0, 800)
        self.same(ax=0x0200, bx=0, dx=0x184e)
        self.same(ax=0x0b4f)
        for c in b"abc\ndef":
            self.same(ax=0x0e00 | c, bx=7)
        self.same_memory(0xb800, 0, 4000)
        self.same_memory(0x40, 0x50, 2)

    def test_bell(self):
        self.assertEqual(0x0e07, self.ours.int10(ax=0x0e07, bx=7)["ax"])
        self.assertEqual(0, self.ours.inb(0x61) & 3, "the speaker is off again")

    def test_scroll(self):
        for g in self.both():
            g.write(0xb800, 0, bytes(i * 7 & 0xff for i in range(4000)))
        for ax, bx, cx, dx in ((0x0601, 0x1700, 0x0000, 0x184f), (0x0702, 0x2a00, 0x0000, 0x184f),
                               (0x0603, 0x3b00, 0x0305, 0x0a20), (0x0701, 0x4c00, 0x0b10, 0x1741),
                               (0x0600, 0x5d00, 0x0203, 0x0405), (0x0700, 0x6e00, 0x0a0a, 0x0a0a),
                               (0x0650, 0x7f00, 0x1000, 0x1103)):
            self.same(ax=ax, bx=bx, cx=cx, dx=dx)
            self.same_memory(0xb800, 0, 4000)
        for cx, dx in ((0xffff, 0x0000), (0x0500, 0x0410), (0x0000, 0xffff)):       # nonsense, and too large
            self.ours.int10(ax=0x0601, bx=0, cx=cx, dx=dx)

    def test_strings(self):
        for g in self.both():
            g.write(BUFFER, 0x100, b"plain\r\nA\x1fB\x2eC\x3d")
        self.same(ax=0x1300, bx=0x0a, cx=8, dx=0x0305, es=BUFFER, bp=0x100)
        self.same_memory(0x40, 0x50, 2)
        self.same(ax=0x1301, bx=0x0b, cx=5, dx=0x1700, es=BUFFER, bp=0x100)
        self.same_memory(0x40, 0x50, 2)
        self.same(ax=0x1303, bx=0x0c, cx=3, dx=0x1802, es=BUFFER, bp=0x107)
        self.same_memory(0xb800, 0, 4000)
        self.same_memory(0x40, 0x50, 2)

    def test_fonts(self):
        for which, points in ((2, 14), (3, 8), (4, 8), (6, 16)):
            r = self.same(("cx", "dx"), ax=0x1130, bx=which << 8)
            blank = 0xff - 0x80 if which == 4 else ord(" ")         # 4: the upper half of the characters
            self.assertEqual(b"\0" * 4, self.ours.read(r["es"], r["bp"] + blank * points, 4), which)
        for service, rows, height in ((0x1112, 50, 8), (0x1111, 28, 14), (0x1114, 25, 16)):
            self.same(ax=service, bx=0)
            self.assertEqual(struct.pack("<BH", rows - 1, height), self.ours.read(0x40, 0x84, 3))
            self.same_memory(0x40, 0x84, 3)
            for g in self.both():
                self.assertEqual(height - 1, g.indexed(0x3d4, 10)[9] & 31)
        self.same_memory(0x40, 0x4c, 2)

    def test_user_font(self):
        glyphs = bytes(range(1, 33))
        for g in self.both():
            g.write(BUFFER, 0x10, glyphs)
        self.same(ax=0x1100, bx=0x1001, cx=2, dx=0x41, es=BUFFER, bp=0x10)
        for g in self.both():
            for port, value in ((0x3ce, 0x04), (0x3cf, 2), (0x3ce, 5), (0x3cf, 0), (0x3ce, 6), (0x3cf, 4), (0x3c4, 4),
                                (0x3c5, 7)):
                g.outb(port, value)
        self.assertEqual(glyphs[:16], self.same_memory(0xa000, 0x4000 + 0x41 * 32, 16))
        self.assertEqual(glyphs[16:], self.same_memory(0xa000, 0x4000 + 0x42 * 32, 16))
        self.mode(0x12)         # in a graphics mode registers are put back as they were
        before = self.ours.indexed(0x3ce, 9), self.ours.indexed(0x3c4, 5)
        self.ours.int10(ax=0x1104, bx=1)
        self.assertEqual(before, (self.ours.indexed(0x3ce, 9), self.ours.indexed(0x3c4, 5)))
        self.mode(3)
        self.same(ax=0x1103, bx=0x04)
        for g in self.both():
            self.assertEqual(4, g.indexed(0x3c4, 5)[3])


class Graphics(Int10):
    def test_pixels(self):
        for number, colours in ((4, 3), (6, 1), (0x0d, 15), (0x12, 15), (0x13, 255), (0x6a, 15)):
            self.mode(number)
            for x, y, colour in ((0, 0, 1), (7, 3, 2), (13, 100, 3), (319, 199, 14), (100, 57, 0x85)):
                self.same(ax=0x0c00 | colour, bx=0, cx=x, dx=y)
                got = self.same(ax=0x0d00, bx=0, cx=x, dx=y)["ax"] & 0xff
                self.assertEqual(colour & colours, got, f"mode {number:x}h, {x}, {y}")
            if number != 0x13:
                self.same(ax=0x0c83, bx=0, cx=13, dx=100)
                self.assertEqual(0, self.same(ax=0x0d00, bx=0, cx=13, dx=100)["ax"] & 0xff)

    def test_read_back(self):
        """Characters that were drawn are recognised."""
        for number in (4, 6, 0x10, 0x12, 0x13):
            self.mode(number)
            for c in b" Az\x8e\xdb":
                self.ours.int10(ax=0x0200, bx=0, dx=0x0304)
                self.ours.int10(ax=0x0900 | c, bx=3, cx=1)
                # FFh, 00h and 20h look alike
                self.assertEqual(c, self.ours.int10(ax=0x0800, bx=0)["ax"] & 0xff, f"mode {number:x}h")

    def test_scroll(self):
        for number, seg, size in ((4, 0xb800, 0x4000), (6, 0xb800, 0x4000), (0x13, 0xa000, 64000)):
            self.mode(number)
            for dh in (0, 5, 20):
                self.same(ax=0x0200, bx=0, dx=dh << 8 | 2)
                self.same(ax=0x09db, bx=0x02, cx=7)
            self.same(ax=0x0601, bx=0, cx=0, dx=0x1827)
            self.same(ax=0x0702, bx=0, cx=0x0301, dx=0x1525)
            self.same_memory(seg, 0, size)


class Colours(Int10):
    def setUp(self):
        super().setUp()
        self.mode(3)

    def same_palette(self, but=()):
        ours = self.attributes(self.ours)
        if self.theirs:
            theirs = self.attributes(self.theirs)
            self.assertEqual([], [i for i in range(21) if ours[i] != theirs[i] and i not in but])
        return ours

    def test_palette(self):
        self.same(ax=0x1000, bx=0x3a05)
        self.same(ax=0x1001, bx=0x0700)
        self.assertEqual(0x3a, self.same(("ax", "bx"), ax=0x1007, bx=0x0005)["bx"] >> 8)
        self.assertEqual(7, self.same(("ax", "bx"), ax=0x1008)["bx"] >> 8)
        self.same(ax=0x1003, bx=0)
        self.assertEqual(4, self.same_palette()[0x10])
        self.same(ax=0x1003, bx=1)
        self.assertEqual(0x0c, self.same_palette()[0x10])
        for g in self.both():
            g.write(BUFFER, 0, bytes(range(0x20, 0x31)))
        self.same(ax=0x1002, es=BUFFER, dx=0)
        self.assertEqual(bytes(range(0x20, 0x30)), self.same_palette()[:16])
        self.same(ax=0x1009, es=BUFFER, dx=0x100)
        self.same_memory(BUFFER, 0x100, 17)

    def test_dac(self):
        self.same(ax=0x1010, bx=7, cx=0x1234, dx=0x3f00)
        r = self.same(("ax", "cx"), ax=0x1015, bx=7)
        self.assertEqual((0x1234, 0x3f), (r["cx"], r["dx"] >> 8))
        for g in self.both():
            g.write(BUFFER, 0, bytes(i & 63 for i in range(300)))
        self.same(ax=0x1012, bx=0x20, cx=100, es=BUFFER, dx=0)
        self.same(ax=0x1017, bx=0x1f, cx=102, es=BUFFER, dx=0x200)
        self.same_memory(BUFFER, 0x200, 306)
        self.same(ax=0x1018, bx=0x0f)
        self.assertEqual(0x0f, self.same(("ax",), ax=0x1019)["bx"] & 0xff)
        self.same(ax=0x1018, bx=0xff)
        self.same(ax=0x1013, bx=0x0100)
        self.same(ax=0x1013, bx=0x0501)
        self.assertEqual(0x0501, self.same(("ax", "bx"), ax=0x101a)["bx"])
        self.same_palette()
        self.mode(3)

    def test_grey(self):
        self.ours.int10(ax=0x101b, bx=0, cx=64)
        dac = self.dac(self.ours)
        for i in range(64):
            self.assertEqual(1, len(set(dac[3 * i:3 * i + 3])), f"entry {i}")
        self.assertEqual([0, 0x2a, 0x3f], [dac[0], dac[3 * 7], dac[3 * 0x3f]])

    def test_cga(self):
        self.mode(4)
        for bx in (0x0100, 0x0101, 0x0011, 0x0004):
            self.same(ax=0x0b00, bx=bx)
            self.same_palette(but=[0x11])       # SeaBIOS leaves the border as it is


class Answers(Int10):
    def setUp(self):
        super().setUp()
        self.mode(3)

    def test_alternate_select(self):
        r = self.same(("ax", "bx"), ax=0x1200, bx=0x0010)
        self.assertEqual(0x0f09, r["cx"])       # SeaBIOS leaves out the feature bits, 0Fh
        for bl in (0x31, 0x32, 0x33, 0x34, 0x36):
            for al in (1, 0):
                self.assertEqual(0x12, self.ours.int10(ax=0x1200 | al, bx=bl)["ax"] & 0xff, f"{bl:x}h")
        self.assertNotEqual(0x12, self.ours.int10(ax=0x1203, bx=0x30)["ax"] & 0xff)
        self.ours.int10(ax=0x1201, bx=0x31)         # palettes are left alone
        self.ours.int10(ax=0x1010, bx=7, cx=0x0102, dx=0x0300)
        self.ours.int10(ax=0x0003)
        self.assertEqual(0x0102, self.ours.int10(ax=0x1015, bx=7)["cx"])
        self.ours.int10(ax=0x1200, bx=0x31)

    def test_display_combination(self):
        self.assertEqual(0x0008, self.same(("ax", "bx"), ax=0x1a00)["bx"])

    def test_state_information(self):
        for number in (3, 0x12, 0x13):
            self.mode(number)
            self.same(ax=0x1b00, bx=0, es=BUFFER, di=0)
            ours = self.ours.read(BUFFER, 0, 64)
            table = self.ours.read(*reversed(struct.unpack("<HH", ours[:4])), 16)
            self.assertEqual("ffe00f", table[:3].hex())
            self.assertEqual((number, 8), (ours[4], ours[0x25]))
            self.assertEqual({3: 16, 0x12: 16, 0x13: 256}[number], struct.unpack_from("<H", ours, 0x27)[0])
            self.assertEqual({3: 2, 0x12: 3, 0x13: 0}[number], ours[0x2a])

    def test_states(self):
        """Saved, spoilt, restored: as before."""
        for what, number in ((7, 3), (7, 0x13), (1, 0x12)):
            self.ours.int10(ax=number)
            before = [self.ours.indexed(0x3d4, 25), self.ours.indexed(0x3c4, 5), self.ours.indexed(0x3ce, 9),
                      self.attributes(self.ours)]
            dac, bda = self.dac(self.ours), self.ours.read(0x40, 0x49, 0x1e)
            r = self.ours.int10(ax=0x1c00, cx=what)
            self.assertEqual(0x1c, r["ax"] & 0xff)
            size = r["bx"] * 64
            self.ours.write(BUFFER, size, b"\x5a" * 16)
            self.ours.int10(ax=0x1c01, cx=what, es=BUFFER, bx=0)
            self.assertEqual(b"\x5a" * 16, self.ours.read(BUFFER, size, 16), "no more than was said")
            self.ours.int10(ax=0x0006)
            self.ours.int10(ax=0x1c02, cx=what, es=BUFFER, bx=0)
            after = [self.ours.indexed(0x3d4, 25), self.ours.indexed(0x3c4, 5), self.ours.indexed(0x3ce, 9),
                     self.attributes(self.ours)]
            self.assertEqual(before, after)
            if what & 6:
                self.assertEqual((dac, bda), (self.dac(self.ours), self.ours.read(0x40, 0x49, 0x1e)))

    def test_image(self):
        """It was written to when it was initialised (EDID, segments), and its bytes still sum to 0."""
        with open(os.path.join(harness.ROOT, "roms", "vitrine-vgabios.bin"), "rb") as f:
            made = f.read()
        size = made[2] * 512
        image = bytearray(b"".join(self.ours.read(0xc000, at, min(0x4000, size - at)) for at in range(0, size, 0x4000)))
        image[2] = made[2]      # SeaBIOS rounds the length
        self.assertNotEqual(made[:size], image)
        self.assertEqual(0, sum(image) & 0xff)

    def test_vectors(self):
        for vector in (0x10, 0x1d, 0x1f, 0x43, 0x6d):
            _, seg = struct.unpack("<HH", self.ours.read(0, 4 * vector, 4))
            self.assertEqual(0xc000, seg, f"INT {vector:x}h")
        off, seg = struct.unpack("<HH", self.ours.read(0x40, 0xa8, 4))
        off, seg = struct.unpack("<HH", self.ours.read(seg, off, 4))
        # IBM's parameter table: mode 3 with 400 lines is entry 18h
        self.assertEqual("50181000100003000267", self.ours.read(seg, off + 0x18 * 64, 10).hex())

    def test_unknown(self):
        for ax in (0x1400, 0x7777, 0xff00):
            self.assertEqual(ax, self.ours.int10(ax=ax)["ax"])


class Vbe(Int10):
    def info(self, g):
        g.write(BUFFER, 0, b"VBE2")
        self.assertEqual(0x4f, g.int10(ax=0x4f00, es=BUFFER, di=0)["ax"])
        data = g.read(BUFFER, 0, 512)
        off, seg = struct.unpack_from("<HH", data, 14)
        modes = struct.unpack("<128H", g.read(seg, off, 256))
        return data, modes[:modes.index(0xffff)]

    def mode_info(self, g, mode):
        r = g.int10(ax=0x4f01, cx=mode, es=BUFFER, di=0)
        return r["ax"], g.read(BUFFER, 0, 256)

    def test_controller(self):
        data, modes = self.info(self.ours)
        self.assertEqual((b"VESA", 0x0300, 256), struct.unpack_from("<4sH12xH", data))
        off, seg = struct.unpack_from("<HH", data, 6)
        self.assertEqual(b"Vitrine VGA\0", self.ours.read(seg, off, 12))
        self.assertLessEqual({0x101, 0x103, 0x105, 0x112, 0x115, 0x118, 0x143, 0x144, 0x145, 0x192}, set(modes))
        self.assertEqual(len(modes), len(set(modes)))
        if self.theirs:
            _, theirs = self.info(self.theirs)
            # SeaBIOS has two more of 16 colours, and lists the VGA's own modes.
            self.assertEqual([], [hex(m) for m in theirs if m >= 0x100 and m not in modes and m not in (0x104, 0x106)
                                  and struct.unpack_from("<H", self.mode_info(self.theirs, m)[1], 0x12)[0] < 2560])

    def test_modes(self):
        """Mode information: what both say of the modes both have."""
        _, modes = self.info(self.ours)
        for mode in modes:
            ax, ours = self.mode_info(self.ours, mode)
            self.assertEqual(0x4f, ax)
            if not self.theirs or mode == 0x102:
                continue
            ax, theirs = self.mode_info(self.theirs, mode)
            if ax != 0x4f:
                continue
            for name, at, count in (("window", 2, 1), ("granularity", 4, 4), ("segment", 8, 2), ("pitch, size", 16, 6),
                                    ("planes, depth", 24, 4), ("fields", 31, 8 if ours[25] > 8 else 0),
                                    ("address", 40, 4), ("linear pitch", 50, 2)):
                self.assertEqual(theirs[at:at + count].hex(" "), ours[at:at + count].hex(" "),
                                 f"mode {mode:x}h: {name}")
        self.assertEqual(0x014f, self.mode_info(self.ours, 0x1ff)[0])

    def test_set(self):
        for mode, size in ((0x4118, (1024, 768, 24)), (0x0101, (640, 480, 8)), (0x4144, (1024, 768, 32)),
                           (0x8114, (800, 600, 16))):
            self.assertEqual(0x4f, self.same(ax=0x4f02, bx=mode)["ax"])
            self.assertEqual(tuple(v & 0xff for v in size), tuple(self.ours.vbe(i) for i in (1, 2, 3)))
            self.assertEqual(mode, self.same(("ax",), ax=0x4f03)["bx"])
        self.assertEqual(0x014f, self.ours.int10(ax=0x4f02, bx=0x1ff)["ax"])
        self.same(ax=0x4f02, bx=0x0003)
        self.assertEqual(3, self.same(("ax", "bx"), ax=0x4f03)["bx"])
        self.assertEqual(0, self.ours.vbe(4) & 1)

    def test_wide(self):
        """More columns than a cursor can count: text goes on in the next row."""
        self.assertEqual(0x4f, self.ours.int10(ax=0x4f02, bx=0x018a)["ax"])        # 2560x1600x16
        self.ours.int10(ax=0x0200, bx=0, dx=0x00fe)
        self.ours.int10(ax=0x0e41, bx=7)
        self.assertEqual(0x0100, self.ours.int10(ax=0x0300, bx=0)["dx"])
        self.assertEqual((255, 100), (self.ours.int10(ax=0x0f00)["ax"] >> 8, self.ours.read(0x40, 0x84, 1)[0] + 1))

    def test_scroll(self):
        """Windows of all widths, up and down: through the linear framebuffer; where lines are short, bank by bank."""
        for left, right in ((0, 99), (2, 21), (5, 90)):
            for service in (0x0601, 0x0701):
                self.ours.int10(ax=0x4f02, bx=0x0103)               # 800x600 in 256 colours
                self.ours.write(0xa000, 0, bytes((x * 7 + y * 13) & 0xff or 1 for y in range(48) for x in range(800)))
                lines = [bytearray(self.ours.read(0xa000, y * 800, 800)) for y in range(48)]
                self.ours.int10(ax=service, bx=0x0900, cx=left, dx=0x0200 | right)
                a, b = left * 8, right * 8 + 8
                old = [bytes(line) for line in lines]
                for y in range(48):
                    source = y + 16 if service == 0x0601 else y - 16
                    lines[y][a:b] = old[source][a:b] if 0 <= source < 48 else b"\x09" * (b - a)
                got = self.ours.read(0xa000, 0, 48 * 800)
                self.assertTrue(b"".join(lines) == got, f"{service:x}h, columns {left} to {right}")

    def test_wrapped_buffer(self):
        """A caller's buffer at the end of a segment wraps around in it, as 16-bit addresses do."""
        self.ours.int10(ax=0x4f01, cx=0x118, es=BUFFER, di=0)
        want = self.ours.read(BUFFER, 0, 256)
        self.assertEqual(0x4f, self.ours.int10(ax=0x4f01, cx=0x118, es=BUFFER, di=0xff81)["ax"])
        self.assertEqual(want, self.ours.read(BUFFER, 0xff81, 127) + self.ours.read(BUFFER, 0, 129))

    def test_window(self):
        self.same(ax=0x4f02, bx=0x0103)
        for g in self.both():
            for bank in (0, 3, 7):
                self.assertEqual(0x4f, g.int10(ax=0x4f05, bx=0, dx=bank)["ax"])
                g.write(0xa000, 0x1234, bytes([bank + 1]) * 4)
            self.assertEqual(7, g.int10(ax=0x4f05, bx=0x0100, dx=0)["dx"])
            for bank in (0, 3, 7):
                g.int10(ax=0x4f05, bx=0, dx=bank)
                self.assertEqual(bytes([bank + 1]) * 4, g.read(0xa000, 0x1234, 4))
        self.assertEqual(0x014f, self.ours.int10(ax=0x4f05, bx=0, dx=256)["ax"])
        self.ours.int10(ax=0x4f02, bx=0x4103)
        self.assertEqual(0x034f, self.ours.int10(ax=0x4f05, bx=0, dx=0)["ax"], "there is no window in linear modes")

    def test_lines(self):
        self.same(ax=0x4f02, bx=0x0111)
        self.assertEqual((0x4f, 2048, 1024),
                         tuple(self.same(("ax", "bx", "cx"), ax=0x4f06, bx=0, cx=1024)[r] for r in ("ax", "bx", "cx")))
        self.same(("ax", "bx", "cx"), ax=0x4f06, bx=1)
        self.assertEqual(0x4f, self.same(ax=0x4f07, bx=0, cx=16, dx=300)["ax"])
        r = self.same(("ax", "cx", "dx"), ax=0x4f07, bx=1)
        self.assertEqual((16, 300), (r["cx"], r["dx"]))
        self.assertEqual(0x024f, self.ours.int10(ax=0x4f06, bx=0, cx=0xffff)["ax"])
        self.assertEqual(0x024f, self.ours.int10(ax=0x4f07, bx=0, cx=0, dx=0xffff)["ax"])
        self.assertEqual(0x4f, self.ours.int10(ax=0x4f07, bx=0x80, cx=8, dx=8)["ax"])

    def test_palette(self):
        self.same(ax=0x4f02, bx=0x0101)
        r = self.same(("ax",), ax=0x4f08, bx=0x0800)
        self.assertEqual(8, r["bx"] >> 8)
        self.ours.write(BUFFER, 0, bytes(range(1, 41)))
        self.assertEqual(0x4f, self.ours.int10(ax=0x4f09, bx=0, cx=10, dx=20, es=BUFFER, di=0)["ax"])
        self.ours.int10(ax=0x4f09, bx=1, cx=10, dx=20, es=BUFFER, di=0x100)
        want = bytes(0 if i % 4 == 3 else i + 1 for i in range(40))
        self.assertEqual(want, self.ours.read(BUFFER, 0x100, 40))
        self.ours.int10(ax=0x4f08, bx=0x0600)
        self.assertEqual(6, self.ours.int10(ax=0x4f08, bx=1)["bx"] >> 8)

    def test_states(self):
        self.ours.int10(ax=0x4f02, bx=0x0114)
        self.ours.int10(ax=0x4f06, bx=0, cx=1024)
        self.ours.int10(ax=0x4f07, bx=0, cx=8, dx=9)
        size = self.ours.int10(ax=0x4f04, cx=15, dx=0)["bx"] * 64
        self.assertGreater(size, 768)
        self.assertEqual(0x4f, self.ours.int10(ax=0x4f04, cx=15, dx=1, es=BUFFER, bx=0)["ax"])
        self.ours.int10(ax=0x0003)
        self.assertEqual(0x4f, self.ours.int10(ax=0x4f04, cx=15, dx=2, es=BUFFER, bx=0)["ax"])
        self.assertEqual(0x114, self.ours.int10(ax=0x4f03)["bx"])
        r = self.ours.int10(ax=0x4f07, bx=1)
        self.assertEqual((8, 9), (r["cx"], r["dx"]))
        self.assertEqual([800 & 0xff, 600 & 0xff, 16], [self.ours.vbe(i) for i in (1, 2, 3)])

    def test_protected_mode(self):
        r = self.ours.int10(ax=0x4f0a, bx=0)
        self.assertEqual(0x4f, r["ax"])
        table = self.ours.read(r["es"], r["di"], r["cx"])
        offsets = struct.unpack_from("<4H", table)
        self.assertTrue(all(8 <= o < len(table) for o in offsets), offsets)

    def test_edid(self):
        self.assertEqual(0x4f, self.ours.int10(ax=0x4f15, bx=0)["ax"])
        r = self.ours.int10(ax=0x4f15, bx=1, cx=0, dx=0, es=BUFFER, di=0)
        self.assertEqual(0x4f, r["ax"])
        edid = self.ours.read(BUFFER, 0, 128)
        self.assertEqual("00ffffffffffff00", edid[:8].hex())
        self.assertEqual(0, sum(edid) & 0xff)
        self.assertEqual(0x014f, self.ours.int10(ax=0x4f15, bx=1, cx=0, dx=1, es=BUFFER, di=0)["ax"])

    def test_unknown(self):
        self.assertEqual(0x01, self.ours.int10(ax=0x4f20)["ax"] >> 8)


if __name__ == "__main__":
    harness.main()
