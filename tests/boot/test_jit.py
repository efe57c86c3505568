#!/usr/bin/env python3
"""The translator under Linux: the same system as the interpreter's, to the instruction."""
import os
import re
import subprocess

import harness
import test_guests

PROGRAM = ("uname -m; seq 20000 | md5sum; sh -c 'i=0; while [ $i -lt 500 ]; do i=$((i + 1)); done; echo $i'; "
           "find / -xdev -type f | sort | xargs cat | md5sum; poweroff -f")


class Linux(harness.Case):
    def kernel(self, *args, run=None, **options):
        words = ["console=ttyS0"] + ([f'vitrine.run="{run}"'] if run else [])
        return self.start("-m", "256", "-nographic", "-kernel", harness.guest("vmlinuz"), "-initrd",
                          harness.guest("initrd.img"), "-append", " ".join(words), *args, **options)

    def same(self, engines, *args, run=PROGRAM, limit=240):
        """Count, state, memory and what came over the serial port."""
        results = {}
        for engine in engines:
            v = self.kernel("-icount", "shift=0", "-accel", f"{engine},stats=on", *args, tty=False, run=run)
            self.assertEqual(0, v.wait(limit))
            stats = [line for line in v.messages() if re.match(r"stats: (instructions|cpu \d|hash)", line)]
            self.assertGreaterEqual(len(stats), 2)
            results[engine] = (stats, v.seen)
        first, *others = engines
        for other in others:
            self.assertEqual(results[first][0], results[other][0], f"{first} and {other}")
            self.assertEqual(results[first][1], results[other][1], f"{first} and {other}")


class LockstepStart(Linux):
    def test_start(self):
        """Every block in both engines: firmware, and Linux until it has unpacked itself and speaks."""
        v = self.start("-m", "256", "-nographic", "-monitor", "none", "-serial", "stdio", "-accel", "jit,verify=on,threshold=1,stats=on",
                       "-icount", "shift=0", "-kernel", harness.guest("vmlinuz"), "-append", "earlyprintk=ttyS0 console=ttyS0", tty=False)
        v.expect("Linux version", 600)
        v.process.terminate()
        v.wait(60)
        text = "\n".join(v.messages())
        blocks = re.search(r"stats: lockstep (\d+) blocks, (\d+) not verified, (\d+) differ", text)
        self.assertTrue(blocks, text)
        self.assertEqual("0", blocks[3])
        self.assertGreater(int(blocks[1]), 1000000)


class Lockstep(Linux):
    def test_lockstep(self):
        """Every block in both engines, up to the shell and a little further."""
        v = self.kernel("-accel", "jit,verify=on,stats=on", "-icount", "shift=0", tty=False,
                        run="seq 300 | md5sum; poweroff -f")
        self.assertEqual(0, v.wait(900), v.messages())
        text = "\n".join(v.messages())
        blocks = re.search(r"stats: lockstep (\d+) blocks, (\d+) not verified, (\d+) differ", text)
        self.assertTrue(blocks, text)
        self.assertEqual("0", blocks[3])
        self.assertGreater(int(blocks[1]), 50 * int(blocks[2]))


class Determinism(Linux):
    def outcome(self, engine):
        v = self.kernel("-icount", "shift=0", "-accel", f"{engine},stats=on", tty=False, run=PROGRAM)
        self.assertEqual(0, v.wait(900))
        stats = [line for line in v.messages() if re.match(r"stats: (instructions|hash)", line)]
        self.assertEqual(2, len(stats))
        return stats, v.seen

    def test_twenty_runs(self):
        """Both engines, on a host that has nothing else to do and on one that has too much."""
        expected = self.outcome("interp")
        for load in (0, 3 * os.cpu_count()):
            others = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(load)]
            try:
                for i in range(5):
                    for engine in ("interp", "jit"):
                        self.assertEqual(expected, self.outcome(engine), f"{engine}, {load} others, run {i}")
            finally:
                for process in others:
                    process.kill()
                    process.wait()


class Jit(Linux):
    def test_shell(self):
        v = self.kernel("-accel", "jit")
        v.expect("GUEST-UP", 120)
        v.shell()
        self.assertEqual("500500\n", v.command("echo $((1000 * 1001 / 2))"))
        numbers = v.command("seq 1 3000 | sort -rn | md5sum")
        self.assertEqual(numbers, v.command("seq 3000 -1 1 | md5sum"))
        for line in v.command("dmesg -r | grep '^<[0-4]>'").splitlines():
            if "fail to add MMCONFIG information" not in line:
                self.fail(f"the kernel warns: {line}")
        v.send("poweroff -f\n")
        self.ends(v)

    def test_engines_agree(self):
        """Whatever is translated when: timer interrupts come at the same instruction."""
        self.same(("interp", "jit", "jit,threshold=1"))

    def test_switches(self):
        """Each mechanism off: the same outcome."""
        self.same(("jit", "jit,chain=off", "jit,indirect=off", "jit,shadow=off", "jit,events=off", "jit,fill=off", "jit,share=off", "jit,find=off"))

    def test_perfmap(self):
        """Names of translated code, where perf looks for them."""
        v = self.kernel("-accel", "jit", "-perfmap", tty=False, run="poweroff -f")
        names = f"/tmp/perf-{v.process.pid}.map"
        try:
            self.assertEqual(0, v.wait(120))
            with open(names) as f:
                lines = f.read().splitlines()
        finally:
            if os.path.exists(names):
                os.unlink(names)
        self.assertRegex(lines[0], r"^[0-9a-f]+ [0-9a-f]+ jit-stubs$")
        self.assertGreater(sum(bool(re.match(r"[0-9a-f]+ [0-9a-f]+ guest-ffffffff[0-9a-f]+$", x)) for x in lines), 100)

    def test_debugger(self):
        """gdb, of the emulator itself, finds its way through translated code."""
        gdb = harness.need("gdb")
        out = subprocess.run(
            [gdb, "-batch", "-nx", "-ex", "set debuginfod enabled off", "-ex", "break main", "-ex", "run", "-ex", "break access_fill",
             "-ex", "continue", "-ex", "backtrace", "-ex", "delete", "-ex", "break c_insn", "-ex", "continue", "-ex", "backtrace",
             "-ex", "kill", "--args", harness.VITRINE, "-m", "256", "-display", "none",
             "-accel", "jit,threshold=1", "-kernel", harness.guest("vmlinuz"), "-initrd", harness.guest("initrd.img")],
            cwd=self.directory, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120 * harness.SLOW)
        way = r"#1 .*jit_stubs.*#2 .*translated_code.*#3 .*cpu_run"
        self.assertRegex(out.stdout + out.stderr, rf"(?s)#0 .*access_fill.*{way}.*#0 .*c_insn.*{way}")

    def test_engines_agree_on_two(self):
        self.same(("interp", "jit,threshold=20"), "-smp", "2")


class Jit32(Linux):
    """Debian's i386 kernels, which unpack themselves and run in 32-bit code, and programs of that kind."""
    flavour = "686"

    def kernel(self, *args, run=None, **options):
        initrd = self.write("initrd.img", test_guests.busybox_initramfs(run))
        return self.start("-m", "256", "-nographic", "-kernel", test_guests.foreign(f"vmlinuz-{self.flavour}"),
                          "-initrd", initrd, "-append", "console=ttyS0", *args, **options)

    def test_engines_agree(self):
        self.same(("interp", "jit", "jit,threshold=1"), limit=600,
                  run="seq 20000 | md5sum; md5sum /bin/busybox; poweroff -f")


class Jit32Pae(Jit32):
    flavour = "686-pae"


if __name__ == "__main__":
    harness.main()
