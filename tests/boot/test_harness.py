#!/usr/bin/env python3
"""The harness itself: what it must not miss, and how it counts what was skipped."""
import os
import select
import subprocess
import sys
import time
from unittest import mock

import harness


class Reads(harness.Case):
    def shell(self, script, **options):
        return self.start("-c", script, program=harness.need("sh"), **options)

    def test_last_words(self):
        """Printed after a select() that saw nothing, by a process that ended before we asked."""
        v = self.shell("until [ -e go ]; do sleep 0.05; done; printf last")

        def sees_nothing(*_):
            self.write("go", b"")
            v.process.wait()
            return [], [], []
        with mock.patch.object(select, "select", sees_nothing):
            self.assertTrue(v.more(1))
        v.expect("last")
        self.assertFalse(v.more(0))

    def test_in_time_but_not_looked_at(self):
        """As when the host lets others run until the time is up."""
        for tty in (True, False):
            v = self.shell("printf there; sleep 60", tty=tty)
            select.select([v.fd], [], [])
            v.expect("there", 0)
            with self.assertRaisesRegex(harness.Failure, "did not come"):
                v.expect("here", 0)

    def test_waiting_does_not_spin(self):
        v = self.shell("exec >&-; sleep 1", tty=False)
        before = time.process_time()
        self.assertEqual(0, v.wait())
        self.assertLess(time.process_time() - before, 0.3)


SKIPS = """
import harness
class Whole(harness.Case):
    @classmethod
    def setUpClass(cls):
        if {whole}: cls.skipTest(cls, "no class")
    def test_it(self): pass
class Part(harness.Case):
    def test_one(self): {one}
    def test_some(self):
        for part in range(3):
            with self.subTest(part): {part}
harness.main()
"""


class Skips(harness.Case):
    def run_cases(self, **cases):
        path = self.write("test_x.py", SKIPS.format(**cases).encode())
        env = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.abspath(__file__))}
        done = subprocess.run([sys.executable, path], env=env, capture_output=True, text=True)
        return done.returncode, [line for line in done.stdout.splitlines() if line.startswith("SKIPPED")]

    def test_counted(self):
        """A file is skipped when nothing in it ran; what was skipped is said in any case."""
        self.assertEqual((0, []), self.run_cases(whole=False, one="pass", part="pass"))
        skip, twice = "self.skipTest('no thing')", "pass\n        self.skipTest('no thing')"
        one, whole = "SKIPPED test_x.Part.test_one: no thing", "SKIPPED setUpClass (test_x.Whole): no class"
        some = "SKIPPED test_x.Part.test_some: no thing"
        parts = [some.replace(":", f" [{n}]:") for n in range(3)]
        self.assertEqual((0, [one]), self.run_cases(whole=False, one=skip, part="pass"))
        self.assertEqual((0, [one, *parts, whole]), self.run_cases(whole=True, one=skip, part=skip))
        self.assertEqual((harness.SKIPPED, [one, some, whole]), self.run_cases(whole=True, one=skip, part=twice))


if __name__ == "__main__":
    harness.main()
