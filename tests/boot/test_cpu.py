#!/usr/bin/env python3
"""Programs that use all of a CPU, under Linux in the guest and under the host's own: OpenSSL, libgcrypt, glibc and
Python, from the disk that scripts/make-guest --cpu makes. What the guest prints has to be what the same files print on
the host's processor, where that is kept from what the guest's has not got.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import harness

# What glibc calls the features that it chooses by, and Linux.
GLIBC = {"AVX512F": "avx512f", "AVX512VL": "avx512vl", "AVX512BW": "avx512bw", "AVX512DQ": "avx512dq",
         "AVX512CD": "avx512cd", "AVX2": "avx2", "AVX": "avx", "FMA": "fma", "BMI1": "bmi1", "BMI2": "bmi2",
         "LZCNT": "abm", "MOVBE": "movbe", "ERMS": "erms", "FSRM": "fsrm", "SSE4_1": "sse4_1", "SSE4_2": "sse4_2",
         "SSSE3": "ssse3", "POPCNT": "popcnt", "RTM": "rtm", "XSAVEC": "xsavec"}

# Each leaves out one more of what functions come in variants for; the last one all.
MATHS = [[], ["FMA"], ["FMA", "AVX2"], ["FMA", "AVX2", "AVX"], ["FMA", "AVX2", "AVX", "SSE4_1"]]

# What is left out for OpenSSL, as flags of Linux', and whether public keys are tried too. OPENSSL_ia32cap has bits of
# CPUID: 1 EDX and ECX in one number, 7 EBX and ECX in another. "intel" is OpenSSL's own: RC4 is written otherwise then.
IA32CAP = {"sse": (25, 0), "sse2": (26, 0), "fxsr": (24, 0), "mmx": (23, 0), "intel": (30, 0), "pclmulqdq": (33, 0),
           "ssse3": (41, 0), "sse4_1": (51, 0), "sse4_2": (52, 0), "movbe": (54, 0), "aes": (57, 0), "avx": (60, 0),
           "bmi1": (3, 1), "avx2": (5, 1), "bmi2": (8, 1), "adx": (19, 1), "sha_ni": (29, 1), "gfni": (40, 1),
           "vaes": (41, 1), "vpclmulqdq": (42, 1)}
LIBCRYPTO = [([], True), (["sha_ni", "adx"], True), (["aes"], False), (["pclmulqdq"], False),
             (["movbe", "intel"], False), (["avx2", "sha_ni"], False), (["bmi2", "avx2", "adx"], True),
             (["avx", "avx2", "sha_ni"], False), (["avx", "avx2", "pclmulqdq"], False),
             (["avx", "avx2", "aes", "sha_ni"], False),
             (["avx", "avx2", "aes", "sha_ni", "ssse3"], False), (sorted(IA32CAP), True)]

# What libgcrypt calls its features and Linux; they are left out in this order, each with those before it.
LIBGCRYPT = [("intel-vaes-vpclmul", "vaes"), ("intel-shaext", "sha_ni"), ("intel-fast-vpgather", "avx2"),
             ("intel-avx2", "avx2"), ("intel-bmi2", "bmi2"), ("intel-aesni", "aes"), ("intel-pclmul", "pclmulqdq"),
             ("intel-avx", "avx"), ("intel-sse4.1", "sse4_1"), ("intel-ssse3", "ssse3"), ("intel-fast-shld", "fpu"),
             ("intel-cpu", "fpu")]

# A third of test_math goes into testFsum: Python's own code for the most part, which no feature makes another.
PYTHON = ["-i", "testFsum", "test_math", "test_float", "test_struct", "test_ctypes"]
PYTHON_WHOLE = ["test_math", "test_float", "test_struct", "test_ctypes", "test_decimal"]


def host_flags():
    with open("/proc/cpuinfo") as f:
        return set(re.search(r"flags\s*: (.*)", f.read()).group(1).split())


def tunables(without, *more):
    words = ["glibc.cpu.hwcaps=" + ",".join("-" + name for name in without)] if without else []
    return ":".join([*words, *more])


class Cpu:
    """The tests; a class for each model follows."""
    model = None

    @classmethod
    def setUpClass(cls):
        if os.uname().machine != "x86_64":
            raise unittest.SkipTest("the host's processor is none to compare with")
        cls.root = harness.guest("cpu")
        cls.directory = tempfile.mkdtemp(prefix="vitrine-test-")
        cls.addClassCleanup(shutil.rmtree, cls.directory, ignore_errors=True)
        v = cls.v = harness.Vitrine(
            ["-cpu", cls.model, "-m", "512", "-icount", "shift=5", "-display", "none", "-serial", "stdio", "-kernel",
             harness.guest("vmlinuz"), "-initrd", harness.guest("initrd.img"), "-append", "console=ttyS0 quiet",
             "-drive", f"file={harness.guest('cpu.img')},format=raw", "-snapshot"], cls.directory)
        cls.addClassCleanup(v.close)
        v.shell()
        v.command("mount -o ro /dev/sda /mnt && mount -t proc proc /mnt/proc && mount -o bind /dev /mnt/dev &&"
                  " mount -o bind /dev/shm /mnt/dev/shm && mount -t tmpfs tmpfs /mnt/tmp")
        cls.flags = set(re.search(r"flags\s*: (.*)", v.command("grep -m1 flags /proc/cpuinfo")).group(1).split())

    def guest(self, program, *args, seconds=600, **env):
        """What it printed, and its status."""
        words = [f"{name}={value}" for name, value in env.items() if value]
        text = self.v.command(" ".join([*words, "chroot /mnt", program, *args, "2>&1; echo STATUS $?"]), seconds)
        text, status = text.rsplit("STATUS ", 1)
        return text, int(status)

    def native(self, program, *args, **env):
        lib = os.path.join(self.root, "usr/lib/x86_64-linux-gnu")
        done = subprocess.run([os.path.join(self.root, "lib64/ld-linux-x86-64.so.2"), "--library-path", lib,
                               self.root + program, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env={"OPENSSL_MODULES": os.path.join(lib, "ossl-modules"), "OPENSSL_CONF": "/dev/null",
                                   "LC_ALL": "C", **{name: value for name, value in env.items() if value}})
        return done.stdout, done.returncode

    def difference(self):
        """Of the features glibc chooses by: those only the host has, and those only the guest has."""
        host = host_flags()
        return ([name for name, flag in GLIBC.items() if flag in host - self.flags],
                [name for name, flag in GLIBC.items() if flag in self.flags - host])

    def same(self, what, expected, got):
        """Line by line in any order, as some programs go through hash tables."""
        self.assertEqual(0, expected[1], expected[0])
        want, have = (sorted(text.splitlines()) for text, _ in (expected, got))
        self.assertEqual(want, have, what)
        self.assertEqual(0, got[1], got[0][-2000:])

    def test_strings(self):
        """Every variant that can run, against loops. Twice: the second time lengths that are usual go the ways that
        are meant for long ones."""
        long = ("glibc.cpu.x86_non_temporal_threshold=0x4040", "glibc.cpu.x86_rep_movsb_threshold=0x800",
                "glibc.cpu.x86_rep_stosb_threshold=0x800")
        for more, rounds in (((), 1000), (long, 300)):
            text, status = self.guest("/usr/bin/strings", str(rounds), GLIBC_TUNABLES=tunables([], *more))
            self.assertEqual(0, status, text)
            for variant, flag in (("_avx2", "avx2"), ("_sse42", "sse4_2"), ("_ssse3", "ssse3"), ("_evex", "avx512vl")):
                self.assertEqual(flag in self.flags, variant in text, f"{variant} is tested where the CPU has {flag}")
            self.report(text.splitlines()[-1])

    def test_maths(self):
        """Results to the last bit and flags, in all rounding modes."""
        only_host, only_guest = self.difference()
        widest = next((flag for flag in ("avx2", "avx") if flag in self.flags & host_flags()), "sse")
        for without in MATHS:
            expected = self.native("/usr/bin/maths", "400", widest, GLIBC_TUNABLES=tunables([*without, *only_host]))
            got = self.guest("/usr/bin/maths", "400", widest, GLIBC_TUNABLES=tunables([*without, *only_guest]))
            self.same(f"without {without}", expected, got)
        self.report(got[0].splitlines()[-1])

    def test_signals(self):
        """What Linux' signal frames say of each exception, and that the state in them is that of the registers."""
        args = ("avx",) if "avx" in self.flags & host_flags() else ()
        got = self.guest("/usr/bin/signals", *args)
        text, status = self.native("/usr/bin/signals", *args)
        # INT1 is a trap (SDM 2A "INT n/INTO/INT3/INT1"); the host's hypervisor may make a fault of it.
        text = re.sub(r"^icebp.*", lambda line: line[0].replace("code+0", "code+1"), text, flags=re.M)
        self.same("signals", (text, status), got)
        self.report(f"signals: {len(got[0].splitlines())} lines")

    def test_libcrypto(self):
        """The same results whatever OpenSSL's assembly takes."""
        expected = {keys: self.native("/usr/bin/libcrypto", *keys) for keys in ((), ("keys",))}
        done = set()
        for without, keys in LIBCRYPTO:
            without = [flag for flag in without if flag in self.flags or flag == "intel"]
            words = [0, 0]
            for flag in without:
                bit, word = IA32CAP[flag]
                words[word] |= 1 << bit
            keys = ("keys",) if keys else ()
            if (*words, keys) in done:      # what was left out is not there anyway
                continue
            done.add((*words, keys))
            self.same(f"without {without}", expected[keys],
                      self.guest("/usr/bin/libcrypto", *keys, OPENSSL_ia32cap=f"~{words[0]:#x}:~{words[1]:#x}"))
        self.report(f"{len(expected['keys',][0].splitlines()) - 1} lines, {len(done)} sets of features")

    def test_libgcrypt(self):
        """Its own self-test, and the same results whatever it takes."""
        expected = self.native("/usr/bin/libgcrypt")
        without, sets = [], 0
        for name, flag in [(None, "fpu"), *LIBGCRYPT]:
            if name:
                without.append(name)
            if flag in self.flags:
                sets += 1
                self.same(f"without {without}", expected, self.guest("/usr/bin/libgcrypt", *without))
        self.report(f"{len(expected[0].splitlines()) - 1} lines, {sets} sets of features")

    def test_python(self):
        """Python's own tests, without those of its tests that want a compiler and a linker."""
        text, status = self.guest("/usr/bin/python3.11", "-m", "test", "-i", "test_find_library_with_*",
                                  *self.python, seconds=2400)
        self.assertEqual(0, status, text[-3000:])
        number = sum(word.startswith("test_") for word in self.python)
        self.assertIn(f"All {number} tests OK.", text)

    def test_speed(self):
        """openssl speed, of all it has and of what it has only by name; one size of block. (Of curves and the like it
        does no others after one that takes it a second.)"""
        lines = {(): (r"^sha256 +\d", r"^aes-256-cbc +\d", r"^rsa 2048 bits +\d", r"\(Ed25519\) +\d",
                      r"^2048 bits ffdh +\d"),
                 ("ecdhx25519", "ecdhx448"): (r"\(X25519\) +\d", r"\(X448\) +\d"),
                 ("-evp", "aes-128-gcm"): (r"^AES-128-GCM +\d",),
                 ("-evp", "chacha20-poly1305"): (r"^ChaCha20-Poly1305 +\d",)}
        for args, wanted in lines.items():
            text, status = self.guest("/usr/bin/openssl", "speed", "-seconds", "1", "-bytes", "1024", *args,
                                      seconds=1800)
            self.assertEqual(0, status, text[-3000:])
            self.assertNotRegex(text, r"(?i)failure|\berror:|:error")
            for line in wanted:
                self.assertRegex(text, "(?m)" + line)

    def report(self, text):
        print(f"[{self.model}: {text}]", end=" ", file=sys.stderr)


class Max(Cpu, unittest.TestCase):
    model = "max"
    python = PYTHON_WHOLE


class V2(Cpu, unittest.TestCase):
    model = "x86-64-v2"
    python = PYTHON


class V3(Cpu, unittest.TestCase):
    model = "x86-64-v3"
    python = PYTHON


if __name__ == "__main__":
    harness.main()
