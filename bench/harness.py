"""Runs a guest disk under Vitrine, QEMU TCG or Bochs and reads the emulator's CPU clock as serial lines arrive.

CPU time is the emulator process' own, user and system, of all its threads: neither other load on the machine nor
waiting counts. Every run works on a private copy of the disk.
"""
import os
import pty
import re
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import termios
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GUEST = os.path.join(ROOT, "build", "guest")
PROMPT = "vitrine:/# "


class BenchError(Exception):
    """What is told to the user in one line."""


def cpu_seconds(pid):
    """User and system time of a living process, all threads, in seconds (nanosecond clock)."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def make_guest(*options):
    subprocess.run([os.path.join(ROOT, "scripts", "make-guest"), *options], check=True, stdout=sys.stderr)


def raw_terminal():
    master, slave = pty.openpty()
    attributes = termios.tcgetattr(slave)
    attributes[0] = 0                                    # no input translation
    attributes[1] = 0                                    # nor output translation
    attributes[3] &= ~(termios.ECHO | termios.ICANON | termios.ISIG | termios.IEXTEN)
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    return master, slave


class Emulator:
    """What differs between the three: how the program is called and where its serial port comes out."""

    def __init__(self, name, program, memory=512, extra=()):
        self.name, self.program, self.memory, self.extra = name, program, memory, list(extra)

    def available(self):
        return shutil.which(self.program) is not None

    def disk_arguments(self, disk):
        return ["-drive", f"file={disk},format=raw"]

    def arguments(self, disk=None, kernel=None, initrd=None, append=None):
        words = [self.program, *self.base(), "-m", str(self.memory), "-nographic", "-no-reboot", *self.extra]
        if disk:
            words += self.disk_arguments(disk)
        if kernel:
            words += ["-kernel", kernel, "-initrd", initrd, "-append", append]
        return words

    def base(self):
        return []


class Vitrine(Emulator):
    accel = "tcg"                                        # whatever its fastest engine is

    def base(self):
        return ["-accel", self.accel, "-cpu", "max", "-smp", "1"]


class VitrineSeabios(Vitrine):
    """The same board under the firmware the others have."""

    def base(self):
        return [*super().base(), "-bios", "bios-256k.bin", "-device", "VGA,romfile=vgabios-stdvga.bin"]


class Qemu(Emulator):
    def base(self):
        # No network card: Vitrine's board has none, and QEMU's brings a boot ROM that costs time.
        # Its threads bear names, as ours do: bench/run pins them by these.
        return ["-accel", "tcg", "-cpu", "max", "-smp", "1", "-nic", "none", "-name", "bench,debug-threads=on"]


class Bochs(Emulator):
    """Debian's package is built with Bochs' debugger, which costs it speed and has to be told to continue."""

    CONFIG = """\
display_library: {display}
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
cpu: model=corei7_haswell_4770, count=1, ips=100000000, reset_on_triple_fault=0
clock: sync=none
megs: {memory}
boot: disk
ata0-master: type=disk, mode=flat, path="{disk}"
com1: enabled=1, mode=term, dev={serial}
sound: waveoutdrv=dummy
speaker: enabled=0
log: {log}
panic: action=fatal
error: action=report
info: action=ignore
debug: action=ignore
"""

    def configure(self, directory, disk, serial):
        block = 16 * 63 * 512                            # Bochs wants whole cylinders
        os.truncate(disk, (os.path.getsize(disk) + block - 1) // block * block)
        path = os.path.join(directory, "bochsrc")
        display = 'rfb, options="timeout=0"'
        with open(path, "w") as f:
            f.write(self.CONFIG.format(display=display, memory=self.memory, disk=disk, serial=serial,
                                       log=os.path.join(directory, "bochs.log")))
        return [self.program, "-q", "-f", path]


class Run:
    """One guest, from the start of its emulator. Text is kept with the CPU and wall time it arrived at."""

    def __init__(self, emulator, disk=None, kernel=None, initrd=None, append=None, verbose=False, arguments=()):
        self.emulator, self.verbose = emulator, verbose
        self.directory = tempfile.mkdtemp(prefix="vitrine-bench-")
        self.text, self.seen, self.process, self.master = "", 0, None, None
        self.stderr_path = os.path.join(self.directory, "stderr")
        try:
            self._start(emulator, disk, kernel, initrd, append, list(arguments))
        except BaseException:
            self.close()
            raise

    def _start(self, emulator, disk, kernel, initrd, append, arguments):
        if disk:
            copy = os.path.join(self.directory, "disk.img")
            subprocess.run(["cp", "--sparse=always", disk, copy], check=True)
            disk = copy
        self.master, slave = raw_terminal()
        with open(self.stderr_path, "wb") as errors:
            if isinstance(emulator, Bochs):
                words = emulator.configure(self.directory, disk, os.ttyname(slave))
                self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                                stderr=errors, cwd=self.directory, start_new_session=True)
                self.process.stdin.write(b"c\n")
                self.process.stdin.flush()
                self.slave = slave                       # held open, or reads fail before Bochs opens it
            else:
                words = emulator.arguments(disk, kernel, initrd, append) + arguments
                self.process = subprocess.Popen(words, stdin=slave, stdout=slave, stderr=errors,
                                                start_new_session=True)
                os.close(slave)
        self.started = time.monotonic()

    def cpu(self):
        return cpu_seconds(self.process.pid)

    def wall(self):
        return time.monotonic() - self.started

    def mib_beside_ram(self):
        """What the process holds but for the guest's RAM, in MiB; a page that is mapped twice counts once.

        RAM is the smallest mapping of data that has room for it: QEMU's for code has twice the size."""
        held, ram = 0, None
        with open(f"/proc/{self.process.pid}/smaps") as f:
            for line in f:
                words = line.split()
                if re.fullmatch(r"[0-9a-f]+-[0-9a-f]+", words[0]):
                    rights = words[1]
                elif words[0] == "Size:":
                    size = int(words[1])
                elif words[0] == "Pss:":
                    held += int(words[1])
                    if rights.startswith("rw-") and size >= self.emulator.memory * 1024 and (ram is None or size < ram[0]):
                        ram = size, int(words[1])
        if ram is None:
            raise BenchError(f"{self.emulator.name}: no mapping is large enough to be the guest's RAM")
        return (held - ram[1]) / 1024

    def _read(self, seconds):
        """Appends what arrives; False when the emulator has ended."""
        ended = self.process.poll() is not None          # before looking whether there is more of it
        ready, _, _ = select.select([self.master], [], [], seconds)
        if not ready:
            return not ended
        try:
            data = os.read(self.master, 65536)
        except OSError:
            data = b""
        if not data:
            return False
        text = data.decode("utf-8", "replace")
        if self.verbose:
            sys.stderr.write(text)
            sys.stderr.flush()
        self.text += text
        return True

    def wait_for(self, patterns, timeout):
        """Waits for the first of some regular expressions after the last match.

        Returns (index, match, CPU seconds, wall seconds); the clocks are read when the text arrives."""
        end = time.monotonic() + timeout
        while True:
            found = None
            for index, pattern in enumerate(patterns):
                match = re.compile(pattern).search(self.text, self.seen)
                if match and (found is None or match.start() < found[1].start()):
                    found = (index, match)
            if found:
                cpu, wall = self.cpu(), self.wall()
                self.seen = found[1].end()
                return found[0], found[1], cpu, wall
            if time.monotonic() > end:
                raise BenchError(f"{self.emulator.name}: no {patterns[0]!r} within {timeout} s; last line: "
                                 f"{self.last_line()!r}")
            if not self._read(0.5):
                raise BenchError(f"{self.emulator.name}: ended before {patterns[0]!r}; last line: "
                                 f"{self.last_line()!r}; stderr: {self.stderr().strip()[-300:]!r}")

    def last_line(self):
        lines = [line for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.text).splitlines() if line.strip()]
        return lines[-1] if lines else ""

    def send(self, line):
        os.write(self.master, line.encode() + b"\n")

    def wait_end(self, timeout):
        """Reads on until the emulator has ended by itself; its exit status."""
        end = time.monotonic() + timeout
        while self.process.poll() is None:
            if time.monotonic() > end:
                raise BenchError(f"{self.emulator.name}: did not end within {timeout} s; last line: "
                                 f"{self.last_line()!r}")
            self._read(0.2)
        return self.process.returncode

    def stderr(self):
        with open(self.stderr_path, errors="replace") as f:
            return f.read()

    def close(self):
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        for descriptor in (self.master, getattr(self, "slave", None)):
            if descriptor is not None:
                os.close(descriptor)
        self.master = self.slave = None
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def add_options(parser, machines="vitrine,qemu,bochs"):
    parser.add_argument("-n", type=int, default=5, metavar="N", help="runs of each, in alternation (5)")
    parser.add_argument("--vitrine", default=os.path.join(ROOT, "build", "vitrine"), metavar="PROGRAM")
    parser.add_argument("--qemu", default="qemu-system-x86_64", metavar="PROGRAM")
    parser.add_argument("--bochs", default="bochs-bin" if shutil.which("bochs-bin") else "bochs", metavar="PROGRAM")
    parser.add_argument("--only", metavar="LIST", default=machines,
                        help=f"which of {machines} to run")
    parser.add_argument("-v", "--verbose", action="store_true", help="show the guests' serial output")


def emulators(options):
    """Those asked for and installed; the ones that are missing are named, not silently left out."""
    known = {"vitrine": Vitrine("vitrine", options.vitrine),
             "seabios": VitrineSeabios("seabios", options.vitrine), "qemu": Qemu("qemu", options.qemu),
             "bochs": Bochs("bochs", options.bochs)}
    chosen = []
    for name in options.only.split(","):
        if name not in known:
            raise BenchError(f"unknown emulator '{name}' in --only ({', '.join(known)})")
        if known[name].available():
            chosen.append(known[name])
        elif name in ("vitrine", "seabios"):
            raise BenchError(f"{options.vitrine} not found: build it first (scripts/run, or cmake --build --preset release)")
        else:
            package = {"qemu": "qemu-system-x86", "bochs": "bochs bochsbios vgabios"}[name]
            print(f"{name}: not installed, left out (apt-get install {package})", file=sys.stderr)
    return chosen


def progress(text):
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        if not text:
            sys.stderr.write("\r")
    elif text:
        sys.stderr.write(text + "\n")
    sys.stderr.flush()


def median(values):
    return statistics.median(values) if values else None


def geomean(values):
    return statistics.geometric_mean(values) if values else None


def main_wrapper(main):
    """One clear line instead of a traceback; nothing left running when interrupted."""
    try:
        sys.exit(main())
    except BenchError as error:
        progress("")
        print(f"{os.path.basename(sys.argv[0])}: error: {error}", file=sys.stderr)
        sys.exit(1)
    except subprocess.CalledProcessError as error:
        print(f"{os.path.basename(sys.argv[0])}: error: {' '.join(error.cmd)} failed", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
