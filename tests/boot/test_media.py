#!/usr/bin/env python3
"""CD-ROMs and floppy disks: booted from, read and written by firmware and by Linux, ejected and changed while the guest
runs, and what is said when they are not as they should be."""
import hashlib
import os
import random

import harness

ISOLINUX = ("/usr/lib/ISOLINUX/isolinux.bin", "/usr/lib/syslinux/modules/bios/ldlinux.c32")
CONFIG = "serial 0 115200\nprompt 1\ntimeout 0\ndefault none\nlabel none\n kernel none\n"
SEABIOS = ["-bios", "bios-256k.bin"]
# Not -nographic, under which SeaBIOS copies the screen to the serial port that the loaders write to themselves.
TERMINAL = ["-display", "none", "-serial", "mon:stdio"]
EXIT = ["-device", "isa-debug-exit"]
MONITOR = ["-monitor", "unix:monitor,server=on,wait=off"]

STOP = """
stop:   mov $0x501, %dx         # AL: the status
        out %al, %dx
        hlt
"""


class Media(harness.Case):
    FIRMWARE = []           # our own

    def start(self, *args, **options):
        return super().start(*self.FIRMWARE, *args, **options)

    def folder(self, name, files):
        for path, text in files.items():
            full = os.path.join(self.path(name), path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "wb") as f:
                f.write(text if isinstance(text, bytes) else text.encode())
        return self.path(name)

    def iso(self, name, files, *options):
        """An ISO 9660 image of these files."""
        folder = self.folder(name + ".d", files)
        harness.host("xorriso", "-as", "mkisofs", "-quiet", "-R", "-o", self.path(name), *options, folder)
        return self.path(name)

    def boot_iso(self, name, source):
        """A CD whose El Torito entry is this code, at 7C00h."""
        return self.iso(name, {"boot.bin": self.assemble(source).ljust(2048, b"\0")}, "-b", "boot.bin", "-no-emul-boot",
                        "-boot-load-size", "4")

    def floppy(self, name, code=b"", kib=1440):
        """A disk whose sectors behind the first hold their numbers."""
        sectors = [code.ljust(510, b"\0") + b"\x55\xaa"]
        sectors += [(b"sector %5d." % n).ljust(512, b".") for n in range(1, kib * 2)]
        return self.write(name, b"".join(sectors))


class Loaders(Media):
    """Boot loaders that people put on such media."""

    def test_grub_on_a_cd(self):
        """El Torito as grub-mkrescue writes it, to the menu and through a choice."""
        mkrescue = harness.need("grub-mkrescue")
        harness.need("xorriso")
        if not os.path.isdir("/usr/lib/grub/i386-pc"):
            self.skipTest("grub-pc-bin is not installed")
        cfg = ("serial --unit=0 --speed=115200\nterminal_input serial\nterminal_output serial\nset timeout=-1\n"
               "menuentry 'from the disc' { cat /words; halt }\n")
        folder = self.folder("grub", {"boot/grub/grub.cfg": cfg, "words": "words of a file\n"})
        # Only what the menu needs: the smaller, the sooner tested.
        harness.host(mkrescue, "-o", self.path("grub.iso"), "--install-modules=iso9660 normal serial terminal cat halt",
                     "--fonts=", "--locales=", "--themes=", folder)
        v = self.start(*TERMINAL, "-cdrom", "grub.iso")
        v.expect("from the disc", 120)
        v.send("\r")
        v.expect("words of a file", 120)
        self.ends(v)

    def test_isolinux(self):
        for path in ISOLINUX:
            if not os.path.exists(path):
                self.skipTest("isolinux or syslinux-common is not installed")
        files = {"isolinux/" + os.path.basename(path): open(path, "rb").read() for path in ISOLINUX}
        files["isolinux/isolinux.cfg"] = CONFIG
        self.iso("isolinux.iso", files, "-b", "isolinux/isolinux.bin", "-c", "isolinux/boot.cat", "-no-emul-boot",
                 "-boot-load-size", "4", "-boot-info-table")
        v = self.start(*TERMINAL, "-boot", "d", "-cdrom", "isolinux.iso")
        v.expect(r"ISOLINUX \d")
        v.expect("boot: ")
        v.send("nothing\r")
        v.expect("Loading nothing.*failed: No such file or directory")
        v.send("\x01x")
        self.ends(v)

    def test_syslinux_on_a_floppy(self):
        mkfs, syslinux, mcopy = (harness.need(p) for p in ("mkfs.vfat", "syslinux", "mcopy"))
        image = self.floppy("floppy.img")
        harness.host(mkfs, image)
        harness.host(syslinux, "--install", image)
        self.write("syslinux.cfg", CONFIG.encode())
        harness.host(mcopy, "-i", image, self.path("syslinux.cfg"), "::")
        for place in (["-fda", image], ["-drive", f"if=floppy,file={image},format=raw,readonly=on", "-boot", "a"]):
            v = self.start(*TERMINAL, *place)
            v.expect(r"SYSLINUX \d")
            v.expect("boot: ")
            v.send("nothing\r")
            v.expect("Loading nothing.*failed: No such file or directory")
            v.send("\x01x")
            self.ends(v)


class Firmware(Media):
    """INT 13h on floppies, the boot order."""

    READ_WRITE = """
        cli
        xor %ax, %ax
        mov %ax, %ds
        mov %ax, %es
        mov %ax, %ss
        mov $0x7c00, %sp
        sti
        mov $0x0212, %ax        # all of cylinder 5, head 1: 18 sectors
        mov $0x0501, %cx
        mov $0x0100, %dx
        mov $0x8000, %bx
        int $0x13
        mov %ah, %al
        jc stop
        mov $1, %al
        cmpl $0x38393120, 0x8008        # "sector   198."
        jne stop
        mov $2, %al
        cmpl $0x35313220, 0xa208        # the last one: 215
        jne stop
        movl $0x74697277, 0x8000        # "writ"
        mov $0x0301, %ax                # to cylinder 79, head 0, sector 18
        mov $0x4f12, %cx
        xor %dx, %dx
        mov $0x8000, %bx
        int $0x13
        mov %ah, %al
        jc stop
        mov $0x7f, %al
""" + STOP

    def test_read_and_write(self):
        image = self.floppy("floppy.img", self.assemble(self.READ_WRITE))
        before = self.read("floppy.img")
        for how in ("readonly=on", "snapshot=on", "format=raw"):
            v = self.start("-display", "none", *EXIT, "-drive", f"if=floppy,file={image},{how}", tty=False)
            v.wait()
            self.assertEqual([], v.messages())
            # INT 13h's 03h: write protected.
            self.assertEqual(3 << 1 | 1 if how == "readonly=on" else 0xff, v.status, how)
            if how != "format=raw":
                self.assertEqual(before, self.read("floppy.img"), how)
        after = self.read("floppy.img")
        place = (79 * 36 + 17) * 512
        self.assertEqual(b"writor   198.", after[place:place + 13])
        self.assertEqual(before[:place] + before[place + 512:], after[:place] + after[place + 512:])

    def test_other_sizes(self):
        """The last sector of each kind of disk, by the geometry that INT 13h tells."""
        source = """
        xor %ax, %ax
        mov %ax, %ds
        mov %ax, %es
        mov $0x0800, %ax
        xor %dx, %dx
        xor %di, %di
        int $0x13
        mov $1, %al
        jc stop
        xor %ax, %ax
        mov %ax, %es
        push %dx
        mov $0x0201, %ax        # CX and DH are the last sector
        xor %dl, %dl
        mov $0x8000, %bx
        int $0x13
        pop %dx
        mov %ah, %al
        jc stop
        mov $2, %al
        cmpl $0x74636573, 0x8000
        jne stop
        mov $0x3f8, %dx         # its number
        mov $0x8006, %si
        mov $6, %cx
1:      lodsb
        out %al, %dx
        loop 1b
        mov $0x7f, %al
""" + STOP
        code = self.assemble(source)
        for kib in (360, 720, 1200, 1440, 2880):
            image = self.floppy(f"{kib}.img", code, kib)
            v = self.start("-display", "none", "-serial", "stdio", *EXIT, "-fda", image, tty=False)
            v.wait()
            self.assertEqual((0xff, []), (v.status, v.messages()), kib)
            self.assertEqual(b"%6d" % (kib * 2 - 1), v.seen, kib)

    def test_once(self):
        """-boot once=: the CD, which resets; then the disk."""
        say = "mov $0x3f8, %dx\n" + "".join(f"mov ${{}}, %al\nout %al, %dx\n" for _ in range(3))
        cd = self.boot_iso("boot.iso", say.format(*b"cd.") + "mov $6, %al\nmov $0xcf9, %dx\nout %al, %dx\nhlt\n")
        disk = self.boot_sector(say.format(*b"hd.") + "mov $0x7f, %al\n" + STOP)
        for order, what in (("c", b"hd."), ("order=c,once=d", b"cd.hd."), ("once=d", b"cd.hd.")):
            v = self.start("-display", "none", "-serial", "stdio", *EXIT, "-cdrom", cd, "-boot", order, disk, tty=False)
            v.wait()
            self.assertEqual((0xff, what), (v.status, v.seen), order)

    def test_signature(self):
        """A disk without AA55h boots where it need not have it."""
        image = self.write("floppy.img", self.assemble("mov $0x7f, %al\n" + STOP).ljust(1440 << 10, b"\0"))
        v = self.start("-display", "none", *EXIT, "-fda", image, "-no-fd-bootchk", tty=False)
        v.wait()
        self.assertEqual((0xff, []), (v.status, v.messages()))
        v = self.start("-display", "none", "-debugcon", "stdio", "-fda", image, tty=False)
        v.expect("No bootable device")
        v.signal(15)
        v.wait()

    NOTHING = (r"diskette drive A: no disk in the drive", r"CD drive VITRINE DVD-ROM: no disc in the drive",
               r"No bootable device\. Tried: diskette drive A, CD drive VITRINE DVD-ROM\.")

    def test_nothing_in_the_drives(self):
        """Each is tried, and said where the user looks."""
        v = self.start("-display", "none", "-boot", "ad", "-debugcon", "stdio", tty=False)
        for words in self.NOTHING:
            v.expect(words)
        v.signal(15)
        v.wait()

    def test_bootindex(self):
        """By the boot order file: a floppy before a CD before a disk."""
        stop = "mov ${}, %al\n" + STOP
        places = {"floppy": ["-drive", "if=none,id=f,file=" + self.floppy("f.img", self.assemble(stop.format(1)))],
                  "ide-cd": ["-drive", "if=none,id=c,media=cdrom,file=" + self.boot_iso("c.iso", stop.format(2))],
                  "ide-hd": ["-drive", "if=none,id=h,format=raw,file=" + self.boot_sector(stop.format(3))]}
        for first, status in (("floppy", 3), ("ide-cd", 5), ("ide-hd", 7)):
            args = []
            for name, drive in places.items():
                args += drive + ["-device", f"{name},drive={name[-2] if name != 'floppy' else 'f'},"
                                 f"bootindex={1 if name == first else 2 + len(args)}"]
            v = self.start("-display", "none", *EXIT, *args, tty=False)
            v.wait()
            self.assertEqual((status, []), (v.status, v.messages()), first)


class LoadersUnderSeaBIOS(Loaders):
    FIRMWARE = SEABIOS


class FirmwareSeaBIOS(Firmware):
    FIRMWARE = SEABIOS
    NOTHING = (r"Boot failed: could not read the boot disk", r"Boot failed: Could not read from CDROM \(code 0003\)",
               r"No bootable device")


class Said(Media):
    def test_odd_sizes(self):
        """What a disk or a disc is taken for, once; and that it works."""
        code = self.assemble("""
        xor %ax, %ax
        mov %ax, %ds
        mov %ax, %es
        mov $0x0201, %ax        # sector 4: behind the end of the image
        mov $0x0004, %cx
        xor %dx, %dx
        mov $0x8000, %bx
        int $0x13
        mov %ah, %al
        jc stop
        mov $1, %al
        cmpl $0, 0x8000
        jne stop
        mov $0x0301, %ax
        mov $0x0004, %cx
        xor %dx, %dx
        mov $0x8000, %bx
        int $0x13
        mov $2, %al
        jnc stop
        mov $0x7f, %al
""" + STOP)
        floppy = self.write("odd.img", (code.ljust(510, b"\0") + b"\x55\xaa").ljust(1000, b"x"))
        iso = self.write("odd.iso", bytes(5000))
        v = self.start("-display", "none", *EXIT, "-fda", floppy, "-cdrom", iso, "-boot", "a", tty=False)
        v.wait()
        self.assertEqual([
            f"vitrine: {floppy}: 1024 bytes are no floppy disk's size; taken as the beginning of one of 1440K, whose "
            "rest is zeros and cannot be written",
            f"vitrine: {iso}: 5000 bytes are no whole number of 2048-byte sectors; the last one is filled up with zeros",
        ], v.messages())
        self.assertEqual(0xff, v.status)

    def test_monitor(self):
        """Before the guest runs: drives, mistakes, and that a mistake changes nothing."""
        self.floppy("a.img")
        self.floppy("b.img", kib=720)
        self.floppy("c.img", kib=1200)
        v = self.start("-display", "none", "-S", *MONITOR, "-fda", "a.img", "-drive", "media=cdrom,index=3,id=second",
                       tty=False)
        m = self.monitor()
        removable = "    Removable device: not locked, tray {}\n"
        floppy = "floppy0: {} (raw)\n    Attached to:      fdc unit 0, a 1.44M drive\n" + removable.format("closed")
        cd = "ide1-cd0: {}\n    Attached to:      ide.1 unit 0\n" + removable
        second = "second: [not inserted]\n    Attached to:      ide.1 unit 1\n" + removable.format("closed")
        empty = cd.format("[not inserted]", "closed")
        self.assertEqual(floppy.format("a.img") + second + empty, m.command("info block"))
        self.assertIn("none.img: No such file or directory", m.command("change floppy0 none.img"))
        self.assertEqual("c.img: a disk of 1228800 bytes does not fit a 1.44M drive\n", m.command("change floppy0 c.img"))
        self.assertIn("unknown image format 'vmdk'", m.command("change floppy0 b.img vmdk"))
        self.assertIn("is a directory", m.command("change second /"))
        self.assertEqual("there is no drive flopy0, did you mean floppy0?\n", m.command("eject flopy0"))
        self.assertEqual("there is no drive zip, see info block\n", m.command("eject zip"))
        self.assertEqual(floppy.format("a.img") + second + empty, m.command("info block"))
        self.assertEqual("", m.command("change floppy0 b.img"))
        self.assertEqual("", m.command("eject ide1-cd0"))
        self.assertEqual(floppy.format("b.img") + second + cd.format("[not inserted]", "open"), m.command("info block"))
        self.assertEqual("", m.command("change ide1-cd0 a.img raw"))    # that is no ISO image is the guest's affair
        self.assertEqual("", m.command("change floppy0 b.img"))         # the same again
        self.assertEqual("", m.command("change floppy0 a.img raw read-only"))
        self.assertIn("floppy0: a.img (raw, read-only)\n", m.command("info block"))
        self.assertEqual("", m.command("eject -f floppy0"))
        self.assertEqual(floppy.format("x").replace("x (raw)", "[not inserted]") + second +
                         cd.format("a.img (raw, read-only)", "closed"), m.command("info block"))
        m.send("quit\n")
        v.wait()
        self.assertEqual([], v.messages())

    def test_the_same_again(self):
        """-icount: booting from a floppy is repeatable to the instruction."""
        self.floppy("floppy.img", self.assemble(Firmware.READ_WRITE))
        runs = set()
        for _ in range(2):
            v = self.start("-display", "none", "-icount", "shift=0", "-snapshot", "-accel", "interp,stats=on", *EXIT, "-fda",
                           "floppy.img", tty=False)
            v.wait()
            self.assertEqual(0xff, v.status)
            runs.add(tuple(line for line in v.messages() if "stats: hash" in line or "stats: instructions" in line))
        self.assertEqual(1, len(runs), runs)
        self.assertEqual(2, len(runs.pop()))


class Linux(Media):
    def test_cd(self):
        """Mounted, read whole, locked, ejected from either side, changed."""
        big = random.Random(harness.seed()).randbytes(6 << 20)
        first = self.iso("first.iso", {"hello": "of the first disc\n", "big": big})
        second = self.iso("second.iso", {"hello": "of the second disc\n"})
        v = self.start("-m", "256", "-nographic", *MONITOR, "-kernel", harness.guest("vmlinuz"), "-initrd",
                       harness.guest("initrd.img"), "-append", "console=ttyS0 quiet", "-cdrom", first, "-d", "guest_errors",
                       "-D", "log")
        v.shell()
        m = self.monitor()
        v.command("modprobe sr_mod; modprobe isofs; mkdir /cd")
        self.assertRegex(v.command("dmesg"), r"sr 1:0:0:0: \[sr0\] scsi3-mmc drive: 24x/24x cd/rw xa/form2 tray")
        v.command("mount -t iso9660 -o ro /dev/sr0 /cd")
        self.assertEqual("of the first disc\n", v.command("cat /cd/hello"))
        self.assertIn(hashlib.sha256(big).hexdigest(), v.command("sha256sum /cd/big"))
        self.assertIn(hashlib.sha256(self.read("first.iso")).hexdigest(), v.command("sha256sum /dev/sr0"))

        # What is mounted is locked: asked for, not taken.
        self.assertRegex(m.command("eject ide1-cd0"), r"^ide1-cd0 is locked by the guest.*-f takes it by force\n$")
        self.assertIn("Removable device: locked, tray closed", m.command("info block"))
        self.assertRegex(m.command(f"change ide1-cd0 {second}"), "is locked by the guest")
        self.assertEqual("of the first disc\n", v.command("cat /cd/hello"))
        v.command("umount /cd")
        self.assertIn("Removable device: not locked, tray closed", m.command("info block"))
        self.assertIn("No such file or directory", m.command("change ide1-cd0 none.iso"))
        v.command("mount -t iso9660 -o ro /dev/sr0 /cd")
        self.assertEqual("of the first disc\n", v.command("cat /cd/hello; umount /cd"))

        self.assertEqual("", m.command(f"change ide1-cd0 {second}"))
        v.command("mount -t iso9660 -o ro /dev/sr0 /cd")
        self.assertEqual("of the second disc\n", v.command("cat /cd/hello; umount /cd"))
        self.assertEqual("", m.command("eject ide1-cd0"))
        self.assertIn("No medium found", v.command("mount -t iso9660 -o ro /dev/sr0 /cd"))
        self.assertEqual("", m.command(f"change ide1-cd0 {first}"))
        # The guest opens the tray, with the disc in it, and closes it again to mount it.
        auto = "/proc/sys/dev/cdrom/autoeject"
        v.command(f"echo 1 >{auto}; head -c 1 /dev/sr0 >/dev/null; echo 0 >{auto}")
        self.assertRegex(m.command("info block"), r"first\.iso[^:]*\n[^:]*:[^:]*\n[^:]*: not locked, tray open")
        v.command("mount -t iso9660 -o ro /dev/sr0 /cd")
        self.assertEqual("of the first disc\n", v.command("cat /cd/hello"))

        # By force: what the guest reads then is no longer there, and nothing worse happens.
        self.assertEqual("", m.command("eject -f ide1-cd0"))
        v.command("echo 3 >/proc/sys/vm/drop_caches; cat /cd/big >/dev/null; umount /cd")
        self.assertEqual("", m.command(f"change ide1-cd0 {second}"))
        v.command("mount -t iso9660 -o ro /dev/sr0 /cd")
        self.assertEqual("of the second disc\n", v.command("cat /cd/hello; umount /cd"))
        v.wait_for_quiet()
        v.send("poweroff -f\n")
        self.ends(v)
        self.assertNotIn("ide2: unknown packet command", self.read("log").decode())


if __name__ == "__main__":
    harness.main()
