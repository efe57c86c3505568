#!/usr/bin/env python3
"""Every host-side error a user can meet before the guest runs: exit status 1 and one line on stderr
that starts with "vitrine: " and names the file or option. Argument: the vitrine program."""
import os
import socket
import subprocess
import sys
import tempfile

TIMEOUT_S = 30


def cases(directory):
    """(name, arguments, what the line must contain)"""
    def path(name):
        return os.path.join(directory, name)

    with open(path("disk.img"), "wb") as f:
        f.truncate(1 << 20)
    for name, data in (("short.rom", b"\x55\xaa\x08".ljust(1024, b"\0")),
                       ("damaged.rom", b"\x55\xaa\x01".ljust(512, b"\1"))):
        with open(path(name), "wb") as f:
            f.write(data)
    with open(path("odd.rom"), "wb") as f:
        f.write(b"\0" * 1000)
    with open(path("not-a-kernel"), "wb") as f:
        f.write(b"\0" * 4096)
    with open(path("linux"), "wb") as f:                # a bzImage of boot protocol 2.15, without code
        header = bytearray(0x268)
        header[0x1f1:0x1f2] = b"\3"
        header[0x202:0x208] = b"HdrS\x0f\x02"
        header[0x211:0x212] = b"\1"
        header[0x22c:0x230] = b"\xff\xff\xff\x7f"
        f.write(bytes(header).ljust(8192, b"\0"))
    with open(path("huge"), "wb") as f:
        f.truncate((1 << 30) + 1)
    os.mkfifo(path("fifo"))
    cases.writer = os.open(path("fifo"), os.O_RDWR)     # or whoever opens it waits
    with open(path("qcow2.img"), "wb") as f:
        f.write(b"QFI\xfb" + b"\0" * 4096)
    with open(path("unreadable.img"), "wb") as f:
        f.truncate(4096)
    with open(path("large.img"), "wb") as f:
        f.truncate((2880 << 10) + 512)
    with open(path("empty.iso"), "wb"):
        pass
    with open(path("720.img"), "wb") as f:
        f.truncate(720 << 10)
    disk = path("disk.img")
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    port = taken.getsockname()[1]
    cases.keep = taken
    return [
        ("missing image", ["-hda", path("none.img")], "none.img"),
        ("missing image, bare argument", [path("none.img")], "none.img"),
        ("directory as image", ["-hda", directory], directory),
        ("image of another format", ["-hda", path("qcow2.img")], "qcow2"),
        ("two disks in one place", ["-hda", disk, "-drive", f"file={disk},format=raw,if=ide,index=0"], "index"),
        ("missing disc", ["-cdrom", path("none.iso")], "none.iso"),
        ("empty file as disc", ["-cdrom", path("empty.iso")], "empty.iso: is empty"),
        ("directory as disc", ["-cdrom", directory], directory),
        ("missing floppy disk", ["-fda", path("none.img")], "none.img"),
        ("floppy disk that is too large", ["-fdb", path("large.img")], "more than a floppy disk holds"),
        ("floppy disk for another drive", ["-drive", f"if=none,id=f,file={path('720.img')}", "-device",
                                           "floppy,drive=f,drive-type=120"], "does not fit a 1.2M drive"),
        ("two floppy disks in one place", ["-fda", path("720.img"), "-drive", f"if=floppy,index=0,file={disk}"], "fda"),
        ("three floppy drives", ["-fda", path("720.img"), "-drive", "if=floppy", "-drive", "if=floppy"], "floppy"),
        ("disk in the CD's place", ["-cdrom", disk, "-hdc", disk], "hdc"),
        ("a disk drive without a disk", ["-drive", "if=ide"], "file="),
        ("CD drive on a floppy cable", ["-drive", "if=floppy,media=cdrom"], "floppy"),
        ("-boot once", ["-boot", "once=z"], "once=z"),
        ("unknown option", ["-sirial", "stdio"], "-serial"),
        ("unknown option far from any", ["-xyzzy"], "-xyzzy"),
        ("unknown key of -drive", ["-drive", f"file={disk},formt=raw"], "format"),
        ("unknown interface", ["-drive", f"file={disk},if=floppyy"], "floppyy"),
        ("virtio", ["-drive", f"file={disk},if=virtio"], "virtio"),
        ("unknown device", ["-device", "isa-debug-exti"], "isa-debug-exit"),
        ("device that is not there yet", ["-device", "e1000"], "e1000"),
        ("bad size", ["-m", "12X"], "12X"),
        ("no memory at all", ["-m", "0"], "-m"),
        ("bad number", ["-device", "isa-debug-exit,iobase=zz"], "zz"),
        ("port beyond the last", ["-device", "isa-debug-exit,iobase=0x10000"], "0x10000 is not a port number"),
        ("ports beyond the last", ["-device", "isa-debug-exit,iobase=0xffff"], "iobase=0xffff: 2 ports do not fit"),
        ("no ports at all", ["-device", "isa-debug-exit,iosize=0"], "iosize=0"),
        ("two test devices", ["-device", "pc-testdev", "-device", "pc-testdev"], "there is one pc-testdev"),
        ("test device that is not there", ["-device", "pci-testdev"], "no pci-testdev here"),
        ("debug console without a back-end", ["-device", "isa-debugcon"], "chardev= is missing"),
        ("board that is not there yet", ["-machine", "q35"], "q35"),
        ("test file that is not there", ["-cpu-test", path("none.json")], "none.json: No such file"),
        ("test file that is none", ["-cpu-test", disk], "neither a MOO file nor JSON"),
        ("directory as test file", ["-cpu-test", directory], directory),
        ("unknown log item", ["-d", "psot"], "psot"),
        ("SMM", ["-machine", "pc,smm=on"], "smm=on"),
        ("too many CPUs", ["-smp", "256"], "255"),
        ("a topology that does not add up", ["-smp", "4,cores=3"], "-smp"),
        ("dies", ["-smp", "4,dies=2"], "dies"),
        ("machine that is not there yet", ["-machine", "q35"], "q35"),
        ("KVM", ["-enable-kvm"], "KVM"),
        ("accelerator", ["-accel", "hax"], "hax"),
        ("window without a desktop", ["-display", "sdl"], "-display sdl: "),
        ("full screen without a desktop", ["-full-screen"], "-full-screen"),
        ("display", ["-display", "gtk"], "gtk"),
        ("sound file in a missing folder", ["-audiodev", "wav,id=a,path=" + path("no/such/wav"), "-machine",
                                            "pcspk-audiodev=a"], "no/such/wav"),
        ("sound that goes nowhere", ["-machine", "pcspk-audiodev=a"], "id=a"),
        ("network", ["-nic", "user"], "-nic"),
        ("CPU model", ["-cpu", "nonesuch"], "nonesuch"),
        ("CPU flag", ["-cpu", "max,+nonesuch"], "nonesuch"),
        ("missing firmware", ["-bios", path("none.rom")], "none.rom"),
        ("firmware of a wrong size", ["-bios", path("odd.rom")], "odd.rom"),
        ("missing VGA BIOS", ["-device", "VGA,romfile=" + path("none.rom")], "none.rom"),
        ("no VGA BIOS", ["-device", "VGA,romfile=" + path("odd.rom")], "55h AAh"),
        ("VGA BIOS cut short", ["-device", "VGA,romfile=" + path("short.rom")], "length"),
        ("damaged VGA BIOS", ["-global", "VGA.romfile=" + path("damaged.rom")], "checksum"),
        ("VGA BIOS without a VGA", ["-vga", "none", "-global", "VGA.romfile=x"], "-vga none"),
        ("missing kernel", ["-kernel", path("none")], "none"),
        ("not a kernel", ["-kernel", path("not-a-kernel")], "not-a-kernel"),
        ("directory as kernel", ["-kernel", directory], f"kernel '{directory}': not a regular file"),
        ("pipe as kernel", ["-kernel", path("fifo")], "fifo': not a regular file"),
        ("empty kernel", ["-kernel", path("empty.iso")], "empty.iso': neither"),
        ("kernel that is too large", ["-kernel", path("huge")], "huge': 1073741825 bytes are too many"),
        ("missing initrd", ["-kernel", path("linux"), "-initrd", path("none")], "none': No such file"),
        ("directory as initrd", ["-kernel", path("linux"), "-initrd", directory], "not a regular file"),
        ("pipe as initrd", ["-kernel", path("linux"), "-initrd", path("fifo")], "fifo': not a regular file"),
        ("initrd that is too large", ["-kernel", path("linux"), "-initrd", path("huge")], "are too many"),
        ("initrd larger than memory", ["-m", "1", "-kernel", path("linux"), "-initrd", disk], "give a larger -m"),
        ("-append alone", ["-append", "x"], "-kernel"),
        ("-initrd alone", ["-initrd", disk], "-kernel"),
        ("port in use", ["-serial", f"tcp:127.0.0.1:{port},server=on,wait=off"], str(port)),
        ("gdb port in use", ["-gdb", f"tcp:127.0.0.1:{port}"], str(port)),
        ("bad port", ["-serial", "tcp:127.0.0.1:99999"], "99999"),
        ("unknown back-end", ["-serial", "carrier-pigeon"], "carrier-pigeon"),
        ("serial file in a missing folder", ["-serial", "file:" + path("no/such/file")], "no/such/file"),
        ("socket in a missing folder", ["-monitor", "unix:" + path("no/such/socket") + ",server=on,wait=off"],
         "no/such/socket"),
        ("log file in a missing folder", ["-D", path("no/such/log")], "no/such/log"),
        ("unknown log item", ["-d", "evrything"], "evrything"),
        ("icount shift", ["-icount", "shift=99"], "99"),
        ("rtc base", ["-rtc", "base=yesterday"], "yesterday"),
        ("boot order", ["-boot", "order=z"], "z"),
        ("too little host memory", ["-m", "64T"], "-m"),
        ("fw_cfg file", ["-fw_cfg", "name=opt/x,file=" + path("none")], "none"),
    ]


def check(program, name, arguments, needle):
    quiet = [] if "-cpu-test" in arguments else ["-serial", "null"]
    command = [program, "-display", "none", *quiet, *arguments]
    if any(a == "-serial" for a in arguments):
        command = [program, "-display", "none", *arguments]
    environment = {k: v for k, v in os.environ.items() if "DISPLAY" not in k and k != "SDL_VIDEODRIVER"}
    try:
        run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S,
                             env=environment)
    except subprocess.TimeoutExpired:
        return f"still running after {TIMEOUT_S} s"
    lines = [line for line in run.stderr.splitlines() if not line.startswith("vitrine: warning: ")]
    if run.returncode != 1:
        return f"exit status {run.returncode}, not 1; stderr: {run.stderr!r}"
    if len(lines) != 1:
        return f"{len(lines)} lines on stderr, not one: {run.stderr!r}"
    if not lines[0].startswith("vitrine: "):
        return f"does not begin with 'vitrine: ': {lines[0]!r}"
    if needle not in lines[0]:
        return f"does not name {needle!r}: {lines[0]!r}"
    if run.stdout:
        return f"words on stdout: {run.stdout!r}"
    return None


def main(program):
    failed = passed = 0
    with tempfile.TemporaryDirectory() as directory:
        table = cases(directory)
        before = sorted(os.listdir(directory))
        for name, arguments, needle in table:
            wrong = check(program, name, arguments, needle)
            if wrong:
                failed += 1
                print(f"FAIL {name}: {' '.join(arguments)}: {wrong}")
            else:
                passed += 1
        after = sorted(os.listdir(directory))
        if before != after:
            failed += 1
            print(f"FAIL files left behind: {set(after) - set(before)}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
