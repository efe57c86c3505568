"""Starts vitrine as a person would: on a terminal of its own, which is typed at and read; or on pipes. Talks to its
monitor and makes small disks for it to boot.

A test file is a unittest module that ends in harness.main(). CTest is told about skipping: when all cases of a file
were skipped, the process ends with 77. From the environment:

    VITRINE         the program under test (build/vitrine)
    VITRINE_GUEST   where scripts/make-guest put its disks (build/guest)
    VITRINE_ACCEL   the engine and its switches, where a test does not name one (scripts/check --accel)
    FUZZ_SEED       the seed of random tests, which print it
    VITRINE_KEEP    a directory for pictures that are not as they should be, where they are to outlive the test
    VITRINE_SLOW    by how much every time limit is stretched: a sanitized build is several times slower
"""
import fcntl
import os
import pty
import re
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VITRINE = os.environ.get("VITRINE", os.path.join(ROOT, "build", "vitrine"))
GUEST = os.environ.get("VITRINE_GUEST", os.path.join(ROOT, "build", "guest"))
ACCEL = os.environ.get("VITRINE_ACCEL")
LOCKSTEP = "verify=on" in (ACCEL or "")
SLOW = float(os.environ.get("VITRINE_SLOW", "1"))
PROMPT = r"vitrine:/# "
MiB = 1 << 20
SKIPPED = 77
os.environ["LC_ALL"] = "C"      # what others say is looked for in English
LIMIT = 60              # seconds; what nearly everything ends within by far


def guest(name):
    """Path of what scripts/make-guest made; the test is skipped where it was not run."""
    path = os.path.join(GUEST, name)
    if not os.path.exists(path):
        option = next((f" --{disk}" for disk in ("systemd", "cpu") if name.startswith(disk)), "")
        raise unittest.SkipTest(f"no {name}: run scripts/make-guest{option}")
    return path


def command(*args):
    """vitrine's, for those who start it in their own way."""
    return [VITRINE, *(["-accel", ACCEL] if ACCEL and "-accel" not in args else []), *map(str, args)]


def need(program):
    """Path of a program of the host's, or the test is skipped."""
    path = shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not path:
        raise unittest.SkipTest(f"{program} is not installed")
    return path


def seed(usual=1):
    """Of a random test: what FUZZ_SEED in the environment says, or the usual one; printed, so that a run can be had again."""
    chosen = int(os.environ["FUZZ_SEED"], 0) if "FUZZ_SEED" in os.environ else usual
    print(f"FUZZ_SEED={chosen}", end=" ", flush=True)
    return chosen


class Failure(AssertionError):
    """With what was seen last, as that is what one wants to know."""

    def __init__(self, what, seen):
        super().__init__(f"{what}; last seen:\n{printable(seen[-3000:])}")


def host(program, *args, **options):
    """What a program of the host's writes, which has to succeed; it says why where it does not."""
    done = subprocess.run([need(program), *args], capture_output=True, **options)
    if done.returncode:
        raise Failure(f"{program} {' '.join(args)}: status {done.returncode}", done.stdout + done.stderr)
    return done.stdout


def printable(data):
    text = data.decode("utf-8", "replace").replace("\r\n", "\n")
    return "".join(c if c == "\n" or c.isprintable() else f"<{ord(c):02x}>" for c in text)


def plain(text):
    """Without the sequences that move cursors and colour text."""
    return re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>78])", "", text)


# What Linux says of the host, not of us: it warns when a timer's interrupt, by the guest's clock, took longer than a
# timer may. Guest time follows the host's clock, so it does when the host gives our thread no processor meanwhile.
# Where guest time is made of instructions (-icount) this is no excuse, and the line is not left out.
OF_THE_HOST = re.compile(r"hrtimer: interrupt took \d+ ns")


def not_of_the_host(text):
    """The lines of a kernel's messages, but for those that are the host's doing."""
    return [line for line in text.splitlines() if not OF_THE_HOST.search(line)]


class Reader:
    """Something that is read from, with a memory of what was not expected yet."""

    def __init__(self):
        self.seen = b""         # everything
        self.at = 0             # what was matched ends here

    def more(self, seconds):
        """Reads what is there, waiting at most so long. False at the end."""
        raise NotImplementedError

    def expect(self, pattern, seconds=LIMIT):
        """Waits for a regular expression. Returns its match; what was up to its end is done with."""
        wanted = re.compile(pattern.encode())
        end, late = time.monotonic() + seconds * SLOW, False
        while True:
            match = wanted.search(self.seen, self.at)
            if match:
                self.before = self.seen[self.at:match.start()].decode("utf-8", "replace")
                self.at = match.end()
                return match
            if late:
                raise Failure(f"{pattern!r} did not come within {seconds * SLOW:.0f} s", self.seen)
            left = end - time.monotonic()
            late = left <= 0            # it may have come in time, and we were not let run: a last look
            if not self.more(min(max(left, 0), 1)):
                raise Failure(f"ended before {pattern!r} came", self.seen)


class Vitrine(Reader):
    """A running vitrine. tty: on a terminal; its messages (stderr) go to a file in any case.

    ignore: signals that are ignored where it is started. program: something else that starts it."""

    def __init__(self, args, directory, tty=True, stdin=None, limits=(), env=None, size=(25, 80), ignore=(),
                 program=VITRINE):
        super().__init__()
        self.args = command(*args) if program == VITRINE else [program, *map(str, args)]
        self.messages_file = tempfile.TemporaryFile(dir=directory)
        self.tty, self.status = tty, None
        if tty:
            self.fd, self.slave = pty.openpty()
            fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
            attributes = termios.tcgetattr(self.slave)
            attributes[1] &= ~termios.ONLCR         # what is written is what is seen
            termios.tcsetattr(self.slave, termios.TCSANOW, attributes)
            self.attributes_before = termios.tcgetattr(self.slave)
            streams = dict(stdin=self.slave, stdout=self.slave)
        else:
            self.fd, out = os.pipe()
            streams = dict(stdin=stdin if stdin is not None else subprocess.DEVNULL, stdout=out)

        def prepare():
            os.setsid()
            if tty:
                fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            for number in ignore:
                signal.signal(number, signal.SIG_IGN)
            for what, value in limits:
                resource.setrlimit(what, value)

        self.process = subprocess.Popen(self.args, cwd=directory, stderr=self.messages_file, preexec_fn=prepare,
                                        env={**os.environ, **(env or {})}, **streams)
        if not tty:
            os.close(out)

    def more(self, seconds):
        # The terminal stays open on our side, so its end is that of the process, asked for before: it may print and
        # end while we wait. What it wrote takes the kernel a moment to pass on.
        ended = self.tty and self.process.poll() is not None
        ready, _, _ = select.select([self.fd], [], [], 0.05 if ended else seconds)
        if not ready:
            return not ended
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        self.seen += data
        return bool(data)

    def send(self, text):
        data = text.encode()
        while data:
            data = data[os.write(self.fd, data):]

    def shell(self, seconds=2 * LIMIT):
        """Waits for the guest's shell, gives it long lines, so that it does not break those it echoes, and keeps the
        kernel's messages out of what commands print."""
        self.expect(PROMPT, seconds)
        self.send("stty cols 999; dmesg -n 1\n")
        self.expect(PROMPT)

    def command(self, line, seconds=LIMIT):
        """Types a line at the guest's shell; returns what it printed before the next prompt."""
        self.send(line + "\n")
        self.expect(PROMPT, seconds)
        return plain(self.before).replace("\r", "").split("\n", 1)[-1]

    def wait_for_quiet(self):
        """Lets the kernel say what it still has to say."""
        while select.select([self.fd], [], [], 0.3)[0] and self.more(0):
            pass

    def signal(self, number):
        os.kill(self.process.pid, number)

    def wait(self, seconds=LIMIT):
        """The exit status (negative: the signal), everything printed having been read."""
        end = time.monotonic() + seconds * SLOW
        while self.process.poll() is None:
            if time.monotonic() > end:
                raise Failure(f"did not end within {seconds * SLOW:.0f} s", self.seen)
            if not self.more(0.1):      # a pipe that was closed is always ready
                time.sleep(0.05)
        while (self.tty or select.select([self.fd], [], [], 0)[0]) and self.more(0):
            pass
        self.status = self.process.returncode
        return self.status

    def messages(self):
        """The lines on stderr so far."""
        self.messages_file.seek(0)
        return self.messages_file.read().decode("utf-8", "replace").splitlines()

    def attributes(self):
        return termios.tcgetattr(self.slave)

    def raw(self):
        """Is the terminal raw, as it is while the guest gets every key?"""
        return not self.attributes()[3] & termios.ICANON

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.fd)
        if self.tty:
            os.close(self.slave)
        self.messages_file.close()


class Socket(Reader):
    """A peer of one of vitrine's sockets, which may not be there yet."""

    def __init__(self, address, seconds=LIMIT):
        super().__init__()
        end = time.monotonic() + seconds * SLOW
        while True:
            family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
            self.socket = socket.socket(family, socket.SOCK_STREAM)
            try:
                self.socket.connect(address)
                return
            except OSError:
                self.socket.close()
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def more(self, seconds):
        if not select.select([self.socket], [], [], seconds)[0]:
            return True
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            data = b""
        self.seen += data
        return bool(data)

    def send(self, text):
        self.socket.sendall(text.encode())

    def close(self):
        self.socket.close()


class Monitor(Socket):
    PROMPT = r"\(vitrine\) "

    def __init__(self, path):
        super().__init__(path)
        self.expect(self.PROMPT)

    def command(self, line, seconds=LIMIT):
        """What the command printed."""
        self.send(line + "\n")
        self.expect(r"(?s)\r\n(.*\r\n)?" + self.PROMPT, seconds)
        text = plain(self.seen[:self.at].decode("utf-8", "replace"))
        echo = text.rindex("(vitrine) " + line + "\r\n")
        return text[echo + len("(vitrine) " + line + "\r\n"):-len("(vitrine) ")].replace("\r\n", "\n")

    def stop(self):
        """Stops the guest, which nothing that comes after sees running: not even what comes at the same time."""
        self.send("stop\ninfo status\n")
        status = self.expect(r"VM status: (.*)\r\n")[1]
        self.expect(self.PROMPT)
        assert status == b"paused", status

    def type(self, text):
        """Types at the guest's keyboard, US layout."""
        names = {" ": "spc", "\n": "ret", "-": "minus", "/": "slash", ".": "dot", "=": "equal", ";": "semicolon",
                 ",": "comma", ">": "shift-dot", "|": "shift-backslash"}
        for c in text:
            key = names.get(c) or (f"shift-{c.lower()}" if c.isupper() else c)
            answer = self.command(f"sendkey {key} 20")
            assert not answer, answer


class Case(unittest.TestCase):
    """A test with a directory of its own, which nothing of it outlives."""
    maxDiff = None

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="vitrine-test-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data)
        return self.path(name)

    def read(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def start(self, *args, **options):
        """Starts vitrine in the test's directory."""
        v = Vitrine(args, self.directory, **options)
        self.addCleanup(v.close)
        return v

    def monitor(self, name="monitor"):
        m = Monitor(self.path(name))
        self.addCleanup(m.close)
        return m

    def ends(self, v, status=0, messages=(), seconds=LIMIT):
        """v ends by itself, with that status and nothing else said; its terminal is as it was."""
        got = v.wait(seconds)
        said = "\n".join(v.messages())
        self.assertEqual(status, got, f"status; messages:\n{said}\nlast seen:\n{printable(v.seen[-2000:])}")
        self.assertEqual(list(messages), v.messages())
        if v.tty:
            self.assertEqual(v.attributes_before, v.attributes(), "the terminal is not as it was")

    def assemble(self, source, org=0x7c00):
        """Flat code from GNU assembler text. ld -Ttext is what gives it its address."""
        for program in ("as", "ld"):
            need(program)
        text, obj, out = self.path("code.s"), self.path("code.o"), self.path("code.bin")
        with open(text, "w") as f:
            f.write(".code16\n.globl _start\n_start:\n" + source + "\n")
        subprocess.run(["as", "--32", "-o", obj, text], check=True)
        subprocess.run(["ld", "-m", "elf_i386", f"-Ttext={org:#x}", "--oformat=binary", "-o", out, obj], check=True)
        return self.read("code.bin")

    def boot_sector(self, source, name="sector.img", sectors=2048):
        """A disk that boots the given code: at 7C00h in real mode, interrupts as the firmware leaves them."""
        code = self.assemble(source)
        self.assertLessEqual(len(code), 510, "the code does not fit a boot sector")
        return self.write(name, code.ljust(510, b"\0") + b"\x55\xaa" + bytes(512 * (sectors - 1)))

    def copy_of(self, name):
        """A guest disk to write to."""
        subprocess.run(["cp", "--reflink=auto", "--sparse=always", guest(name), self.path(name)], check=True)
        return self.path(name)


class Result(unittest.TextTestResult):
    """Says how long each case took; knows which were not skipped as a whole, but at most in part (subtests)."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.ran = set()

    def startTest(self, test):
        self.began = time.monotonic()
        self.ran.add(test.id())
        super().startTest(test)

    def addSuccess(self, test):
        self.stream.write(f"({time.monotonic() - self.began:.1f} s) ")
        super().addSuccess(test)

    def addSkip(self, test, reason):
        self.ran.discard(test.id())         # of a subtest it is another
        super().addSkip(test, reason)


def main():
    if not os.access(VITRINE, os.X_OK):
        sys.exit(f"no {VITRINE}: build it, or say where it is in VITRINE")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))       # CTest's way to end what takes too long
    program = unittest.main(module="__main__", exit=False,
                            testRunner=unittest.TextTestRunner(verbosity=2, resultclass=Result))
    result = program.result
    file = os.path.splitext(os.path.basename(sys.argv[0]))[0]
    for test, reason in result.skipped:     # scripts/check collects these lines
        print(f"SKIPPED {test.id().replace('__main__', file)}: {reason}", flush=True)
    if not result.wasSuccessful():
        sys.exit(1)
    if result.skipped and not result.ran:
        sys.exit(SKIPPED)
