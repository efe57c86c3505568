#!/usr/bin/env python3
"""The process around the machine: signals, crashes, job control, and the terminal after each; where consoles lead."""
import os
import re
import shlex
import signal
import socket
import stat
import subprocess
import termios
import time

import harness

# Echoes what comes over COM1 as "[c]", once it has said so; interrupts stay off, the line status is polled.
ECHO = """
        mov $0x3fb, %dx
        mov $0x03, %al
        out %al, %dx
        mov $'<', %al
        call put
1:      mov $0x3fd, %dx
        in %dx, %al
        test $1, %al
        jz 1b
        mov $0x3f8, %dx
        in %dx, %al
        mov %al, %bl
        mov $'[', %al
        call put
        mov %bl, %al
        call put
        mov $']', %al
        call put
        jmp 1b
put:    mov %al, %ah
        mov $0x3fd, %dx
2:      in %dx, %al
        test $0x20, %al
        jz 2b
        mov $0x3f8, %dx
        mov %ah, %al
        out %al, %dx
        ret
"""


class Echo(harness.Case):
    """The guest of this file on its disk."""

    def echo(self, *args, **options):
        return self.start("-display", "none", *args, self.boot_sector(ECHO), **options)

    def first_words(self, v):
        """The first line on stderr, when it comes."""
        end = time.monotonic() + harness.LIMIT * harness.SLOW
        while not v.messages() and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(1, len(v.messages()), v.messages())
        return v.messages()[0]


class Signals(Echo):
    def up(self, *args, **options):
        v = self.echo("-serial", "mon:stdio", *args, **options)
        v.expect("<")
        v.send("a")
        v.expect(r"\[a\]")
        return v

    def test_asked_to_end(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            v = self.up("-pidfile", "pid")
            self.assertTrue(v.raw())
            self.assertEqual(str(v.process.pid), self.read("pid").decode().strip())
            v.signal(number)
            self.ends(v, 0, [f"vitrine: terminating on signal {int(number)}"])
            self.assertFalse(os.path.exists(self.path("pid")), "the pid file is left")

    def test_pid_file(self):
        """It is gone however the process ends, and belongs to one process at a time."""
        for args, status, said in (
                (("-serial", "unix:com1,server=on,wait=on"), -signal.SIGTERM,
                 ["vitrine: serial0: waiting for a connection on unix:com1"]),
                (("-S",), 0, ["vitrine: terminating on signal 15"])):
            self.write("pid", b"4711 and more than our number takes\n")       # left by one that crashed
            v = self.echo("-pidfile", "pid", *args, tty=False)
            while self.read("pid") != b"%d\n" % v.process.pid:
                time.sleep(0.05)
            second = self.echo("-pidfile", "pid", "-serial", "file:second")
            self.ends(second, 1, ["vitrine: -pidfile pid: the process that wrote it is still there"])
            self.assertFalse(os.path.exists(self.path("second")), "it did more than to look at the file")
            time.sleep(0.5)
            v.signal(signal.SIGTERM)
            self.ends(v, status, said)
            self.assertFalse(os.path.exists(self.path("pid")), "the pid file is left")

    def test_crashes(self):
        """The status is the signal's, and the terminal as it was."""
        for number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE, signal.SIGQUIT,
                       signal.SIGXCPU, signal.SIGUSR1):
            v = self.up(limits=[(harness.resource.RLIMIT_CORE, (0, 0))],
                        env={"ASAN_OPTIONS": "handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:"
                                             "handle_abort=0"})
            self.assertTrue(v.raw())
            v.signal(number)
            self.assertEqual(-number, v.wait())
            self.assertEqual(v.attributes_before, v.attributes())

    def test_closed_at_the_start(self):
        """Standard input, output and error are nothing to read from or write to, not somebody else's descriptors."""
        for closed in ("0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"):
            words = shlex.join(harness.command("-display", "none", "-serial", "file:out", "-device", "isa-debug-exit,iobase=0xf4",
                                               self.boot_sector("mov $0xf4, %dx; mov $3, %al; out %al, %dx")))
            done = subprocess.run(["sh", "-c", f"exec {words} {closed}"], cwd=self.directory, stdin=subprocess.DEVNULL,
                                  timeout=harness.LIMIT * harness.SLOW)
            self.assertEqual(7, done.returncode, closed)

    def test_while_paused(self):
        v = self.up("-monitor", "none", "-gdb", "unix:gdb")
        v.send("\x01c")
        v.expect(r"\(vitrine\) ")
        v.send("stop\n")
        v.expect(r"stop\r\n\(vitrine\) ")
        v.signal(signal.SIGTERM)
        self.ends(v, 0, ["vitrine: terminating on signal 15"])
        self.assertFalse(os.path.exists(self.path("gdb")), "the socket is left")

    def test_gdbserver(self):
        """The monitor ends what -gdb began, and begins anew; gdb's own monitor does not end itself."""
        v = self.up("-gdb", "unix:gdb", "-monitor", "unix:monitor,server=on,wait=off", "-monitor",
                    "unix:monitor2,server=on,wait=off")
        m = self.monitor()
        self.assertEqual("VM status: running\n", self.monitor("monitor2").command("info status"))
        self.assertEqual("Disabled gdbserver\n", m.command("gdbserver none"))
        self.assertFalse(os.path.exists(self.path("gdb")), "the socket is left")
        m.command("gdbserver unix:gdb2")
        gdb = harness.Socket(self.path("gdb2"))
        command = b"gdbserver none".hex()
        packet = f"qRcmd,{command}"
        gdb.send(f"+${packet}#{sum(packet.encode()) & 255:02x}")
        gdb.expect(rf"O{b'not from gdb'.hex()}")
        gdb.close()
        v.signal(signal.SIGTERM)
        self.ends(v, 0, ["vitrine: terminating on signal 15"])
        self.assertFalse(os.path.exists(self.path("gdb2")), "the socket is left")

    def test_nohup(self):
        """What was ignored at the start stays so."""
        v = self.up(ignore=[signal.SIGHUP])
        v.signal(signal.SIGHUP)
        v.send("b")
        v.expect(r"\[b\]")
        v.send("\x01x")
        self.ends(v)

    def test_suspended(self):
        """Stopped by Ctrl-Z the terminal is the shell's; continued it is the guest's again."""
        image = self.boot_sector(ECHO)
        shell = self.start("-c", "PS1='$ ' exec bash --norc --noprofile -i 2>&1", program=harness.need("bash"))
        shell.expect(r"\$ ")
        shell.send(f"{shlex.join(harness.command('-display', 'none', '-serial', 'stdio', image))} 2>messages\n")
        shell.expect("<")
        self.assertTrue(shell.raw())
        shell.send("a")
        shell.expect(r"\[a\]")
        shell.send("\x1a")
        shell.expect("Stopped")
        shell.expect(r"\$ ")
        shell.send("stty -a | grep -o '.icanon'; fg\n")
        shell.expect(r"[\r\n] icanon")
        shell.expect("vitrine")
        shell.send("b")
        shell.expect(r"\[b\]")
        self.assertTrue(shell.raw())
        shell.send("\x03")
        shell.expect(r"\$ ")
        shell.send("stty -a | grep -o '.icanon'; echo status $?; exit\n")
        shell.expect(r"[\r\n] icanon")
        shell.wait()
        self.assertEqual(b"vitrine: terminating on signal 2\n", self.read("messages"))

    def test_suspended_without_a_shell(self):
        """Nobody could continue it: then the signal does nothing."""
        v = self.up()
        v.signal(signal.SIGTSTP)
        v.send("c")
        v.expect(r"\[c\]")
        v.send("\x01x")
        self.ends(v)

    def test_terminal_goes_away(self):
        v = self.up()
        fd, slave = v.fd, v.slave
        v.fd, v.slave = os.open("/dev/null", os.O_RDWR), os.open("/dev/null", os.O_RDWR)
        os.close(slave)
        os.close(fd)
        end = time.monotonic() + harness.LIMIT * harness.SLOW
        while v.process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(0, v.process.poll())

    def test_reader_goes_away(self):
        """A closed pipe is no reason to die; one line says so."""
        v = self.echo("-serial", "stdio", "-monitor", "unix:monitor,server=on,wait=off", tty=False,
                      stdin=subprocess.PIPE)
        v.expect("<")
        os.close(v.fd)
        v.fd = os.open("/dev/null", os.O_RDONLY)
        v.process.stdin.write(b"x" * 100)
        v.process.stdin.close()
        self.first_words(v)
        m = self.monitor()
        self.assertEqual("VM status: running\n", m.command("info status"))
        m.send("quit\n")
        self.ends(v, 0, ["vitrine: serial0: nobody reads the output any more (Broken pipe)"])

    def test_reader_stalls(self):
        """One signal ends it all the same, while the guest writes and when it has written."""
        for source in ("1: mov $0x3f8, %dx; mov $'x', %al; out %al, %dx; jmp 1b",
                       "mov $0x3f8, %dx; mov $'x', %al; mov $3000, %bx; 1: mov $100, %cx; 2: out %al, %dx; loop 2b;"
                       " dec %bx; jnz 1b; cli; hlt"):
            v = self.start("-display", "none", "-serial", "stdio", self.boot_sector(source), tty=False)
            while not v.more(1):
                pass                # the first of it; the rest fills the pipe
            time.sleep(1)
            v.signal(signal.SIGTERM)
            v.process.wait(harness.LIMIT * harness.SLOW)    # nothing is read meanwhile
            self.ends(v, 0, ["vitrine: terminating on signal 15",
                             "vitrine: serial0: nobody read the last of the output"])


class Names(Echo):
    def test_process(self):
        """-name process=: what ps and top call it. The machine's own name is another matter."""
        for args, want in (((), "vitrine"), (("-name", "guest=lab,process=lab-pc"), "lab-pc"), (("-name", "lab"), "vitrine")):
            v = self.echo("-serial", "mon:stdio", *args)
            v.expect("<")
            with open(f"/proc/{v.process.pid}/comm") as f:
                self.assertEqual(want + "\n", f.read())
            v.send("\x01x")
            self.ends(v)


class Keys(Echo):
    def test_control_c(self):
        """To the guest under mon:stdio, to Vitrine under plain stdio."""
        v = self.echo("-serial", "mon:stdio")
        v.expect("<")
        v.send("\x03")
        v.expect("\\[\x03\\]")
        v.send("\x1a\x1c")
        v.expect("\\[\x1a\\]\\[\x1c\\]")
        v.send("\x01x")
        self.ends(v)
        v = self.echo("-serial", "stdio")
        v.expect("<")
        v.send("\x01")
        v.expect("\\[\x01\\]")
        v.send("\x03")
        self.ends(v, 0, ["vitrine: terminating on signal 2"])

    def test_every_byte(self):
        v = self.echo("-serial", "stdio", tty=False, stdin=subprocess.PIPE)
        v.expect("<")
        data = bytes(range(256))
        v.process.stdin.write(data)
        v.process.stdin.flush()
        for byte in data:
            v.expect(r"(?s)\[(.)\]")
        self.assertEqual(b"".join(b"[%c]" % byte for byte in data), v.seen[-3 * 256:])
        v.signal(signal.SIGTERM)
        v.process.stdin.close()
        self.ends(v, 0, ["vitrine: terminating on signal 15"])


class Consoles(Echo):
    """The other places a serial port may lead to."""

    def quit_by_signal(self, v, *said):
        v.signal(signal.SIGTERM)
        self.ends(v, 0, [*said, "vitrine: terminating on signal 15"])

    def test_unix_server(self):
        v = self.echo("-serial", "unix:com1,server=on,wait=on", tty=False)
        s = harness.Socket(self.path("com1"))
        s.expect("<")
        s.send("s")
        s.expect(r"\[s\]")
        s.close()
        s = harness.Socket(self.path("com1"))       # another may come
        s.send("t")
        s.expect(r"\[t\]")
        s.close()
        self.quit_by_signal(v, "vitrine: serial0: waiting for a connection on unix:com1")
        self.assertFalse(os.path.exists(self.path("com1")), "the socket is left")

    def test_unix_client(self):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(self.path("listening"))
            server.listen(1)
            v = self.echo("-serial", "unix:listening", tty=False)
            peer, _ = server.accept()
            with peer:
                peer.settimeout(harness.LIMIT * harness.SLOW)
                self.assertEqual(b"<", peer.recv(1))
                peer.sendall(b"u")
                self.assertEqual(b"[u]", b"".join(peer.recv(1) for _ in range(3)))
                self.quit_by_signal(v)

    def test_tcp_server(self):
        v = self.echo("-serial", "tcp:127.0.0.1:0,server=on,wait=off", tty=False)
        said = self.first_words(v)
        port = int(re.fullmatch(r"vitrine: serial0: listening on port (\d+)", said)[1])
        s = harness.Socket(("127.0.0.1", port))
        s.send("v")
        s.expect(r"\[v\]")
        s.close()
        self.quit_by_signal(v, said)

    def test_telnet(self):
        """Commands are not the guest's; FFh is sent twice; a NUL behind a CR is none; what is not offered is declined."""
        v = self.echo("-serial", "telnet:127.0.0.1:0,server,nowait", tty=False)
        said = self.first_words(v)
        s = harness.Socket(("127.0.0.1", int(said.split()[-1])))
        s.socket.sendall(b"\xff\xfd\x18\xff\xfb\x03\xff\xfa\x18\x01\xff\xf0a\r\0\xff\xff\xff\xf1b")
        s.expect(r"\[b\]")
        greeting = b"\xff\xfb\x01\xff\xfb\x03\xff\xfb\x00\xff\xfd\x00"
        self.assertTrue(s.seen.startswith(greeting), s.seen)
        rest = s.seen[len(greeting):]
        self.assertIn(b"\xff\xfc\x18", rest)
        self.assertEqual(b"[a][\r][\xff\xff][b]", rest.replace(b"\xff\xfc\x18", b"").replace(b"<", b""))
        s.close()
        self.quit_by_signal(v, said)

    def test_pty(self):
        """What it is called is said on the terminal."""
        v = self.echo("-serial", "pty", "-monitor", "unix:monitor,server=on,wait=off", tty=False)
        said = self.first_words(v)
        self.assertRegex(said, r"^vitrine: char device redirected to /dev/pts/\d+ \(label serial0\)$")
        name = said.split()[5]
        self.assertTrue(stat.S_ISCHR(os.stat(name).st_mode))
        fd = os.open(name, os.O_RDWR | os.O_NOCTTY)
        self.addCleanup(os.close, fd)
        attributes = termios.tcgetattr(fd)
        attributes[1] &= ~termios.OPOST
        attributes[3] &= ~(termios.ICANON | termios.ECHO)
        termios.tcsetattr(fd, termios.TCSANOW, attributes)
        os.write(fd, b"w")
        seen = b""
        while b"[w]" not in seen:
            seen += os.read(fd, 100)
        m = self.monitor()
        m.send("quit\n")
        self.ends(v, 0, [said])

    def test_full(self):
        """What the host has no room for is said, and in the exit status."""
        lost = "vitrine: {}: output is lost: No space left on device"
        for args, said in ((("-serial", "file:/dev/full"), lost.format("serial0")),
                           (("-debugcon", "file:/dev/full"), lost.format("debugcon")),
                           (("-d", "int", "-D", "/dev/full"),
                            "vitrine: -D /dev/full: No space left on device: the log is not complete")):
            v = self.start("-display", "none", *args, "-device", "isa-debug-exit,iobase=0xf4",
                           self.boot_sector("mov $0x3f8, %dx; mov $'x', %al; out %al, %dx; out %al, $0xe9; int $0x1c;"
                                            " mov $0xf4, %dx; out %al, %dx"), tty=False)
            self.ends(v, 1, [said])

    def test_file_and_null(self):
        v = self.echo("-serial", "file:com1.txt", "-serial", "null", "-monitor", "stdio")
        v.expect(r"\(vitrine\) ")
        end = time.monotonic() + harness.LIMIT * harness.SLOW
        while self.read("com1.txt") != b"<" and time.monotonic() < end:
            time.sleep(0.05)
        v.send("info chardev\n")
        v.expect("serial0: filename=file:com1.txt")
        v.send("quit\n")
        self.ends(v)
        self.assertEqual(b"<", self.read("com1.txt"))


if __name__ == "__main__":
    harness.main()
