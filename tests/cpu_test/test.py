#!/usr/bin/env python3
"""-cpu-test: sets made by cases.py pass in JSON, MOO and packed; what differs is found and said; bad files are one line.
The program to test: VITRINE."""
import copy
import gzip
import json
import os
import random
import struct
import subprocess
import tempfile
import unittest

import cases

REGS16 = "ax bx cx dx cs ss ds es sp bp si di ip flags".split()
REGS32 = "cr0 cr3 eax ebx ecx edx esi edi ebp esp cs ds es fs gs ss eip eflags dr6 dr7".split()


def chunk(name, data):
    return name.encode() + struct.pack("<I", len(data)) + data


def moo_regs(name, order, regs):
    size = "<H" if len(order) < 16 else "<I"
    present = [n for n in order if n in regs]
    return chunk(name, struct.pack(size, sum(1 << order.index(n) for n in present))
                 + b"".join(struct.pack(size, regs[n]) for n in present))


def moo_ram(ram):
    flat = []
    for at, v in ram:
        flat += [(at + i, b) for i, b in enumerate(bytes.fromhex(v) if isinstance(v, str) else [v])]
    return chunk("RAM ", struct.pack("<I", len(flat)) + b"".join(struct.pack("<IB", *e) for e in flat))


def moo_case(index, case, wide):
    order, regs = (REGS32, "RG32") if wide else (REGS16, "REGS")
    data = struct.pack("<I", index)
    data += chunk("NAME", struct.pack("<I", len(case["name"])) + case["name"].encode())
    data += chunk("BYTS", struct.pack("<I", len(case["bytes"])) + bytes(case["bytes"]))
    for key, name in (("initial", "INIT"), ("final", "FINA")):
        state = case[key]
        mask = moo_regs("RM32" if wide else "RMSK", order, case.get("mask", {})) if key == "final" else b""
        data += chunk(name, moo_regs(regs, order, state["regs"]) + mask + moo_ram(state["ram"]) + chunk("XXXX", b"?"))
    if "exception" in case:
        data += chunk("EXCP", struct.pack("<BI", case["exception"]["number"], case["exception"]["flag_address"]))
    return chunk("TEST", data + chunk("CYCL", struct.pack("<I", 0)) + chunk("HASH", bytes(20)))


def moo(cases_, wide=True):
    return (chunk("MOO ", bytes((1, 1, 0, 0)) + struct.pack("<I", len(cases_)) + (b"386E" if wide else b"C286"))
            + chunk("META", bytes(32)) + b"".join(moo_case(i, c, wide) for i, c in enumerate(cases_)))


# The forms of the published sets, as their processors would have it.
def form_8088():
    """No HLT behind; the top four flags are ones; addresses wrap at 1 MiB."""
    return {"name": "add cl,[bx]", "bytes": [0x02, 0x0f],
            "initial": {"regs": dict(ax=1, bx=0x20, cx=0x1001, dx=2, cs=0x1000, ss=0x2000, ds=0xffff, es=3, sp=0x100, bp=4,
                                     si=5, di=6, ip=0x200, flags=0xf002),
                        "ram": [[0x10200, 0x02], [0x10201, 0x0f], [0x10, 0x41]], "queue": []},
            "final": {"regs": {"cx": 0x1042, "ip": 0x202, "flags": 0xf006}, "ram": [], "queue": [0x90]},
            "cycles": [[0, 66048, "CS", "R--", "---", 0, 0, "CODE", "T2", "F", 0], [1, 2, "]}{\"", 3]],
            "hash": "00", "idx": 0}


def form_286():
    """A HLT behind that is stepped over; IOPL cannot be set; an address above 1 MiB."""
    case = form_8088()
    case["bytes"].append(0xf4)
    case["initial"]["regs"]["flags"] = 0x3002
    case["initial"]["ram"] = [[0x10200, 0x02], [0x10201, 0x0f], [0x10202, 0xf4], [0x100010, 0x41]]
    case["final"]["regs"].update(ip=0x203, flags=6)
    return case


def form_286_exception():
    """DIV of AX by zero: flags are undefined in the register and where they were pushed; HLT at the handler."""
    case = form_286()
    case.update(name="div bx", bytes=[0xf7, 0xf3, 0xf4], exception={"number": 0, "flag_address": 0x200fe})
    case["initial"]["regs"]["bx"] = 0
    case["initial"]["ram"] = [[0, "00103040"], [0x10200, "f7f3f4"]]
    case["final"]["regs"] = {"ip": 0x1001, "cs": 0x4030, "sp": 0xfa, "flags": 0x8d7 & ~0x300}
    case["final"]["ram"] = [[0x200fa, "00020010"], [0x200fe, 0xd7], [0x200ff, 0x08]]
    return case


def form_386():
    """Registers as System Management Mode dumps them: reserved bits of CR0 and EFLAGS are ones, and RF is."""
    regs = dict.fromkeys(REGS32, 0)
    regs.update(cr0=0x7ffefff0, eax=0xfffffff0, ebx=0x10, cs=0x1000, ss=0x2000, esp=0x100, eip=0x200, eflags=0xfffd0002,
                dr6=0xffff0ff0)
    return {"idx": 0, "name": "add eax,ebx", "bytes": [0x66, 0x01, 0xd8, 0xf4],
            "initial": {"regs": regs, "ea": {"seg": "SS"}, "ram": [[0x10200, "6601d8f4"]], "queue": []},
            "final": {"regs": {"eax": 0, "eip": 0x204, "eflags": 0xfffd0047}, "ram": [], "queue": []}}


class CpuTest(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)

    def path(self, name):
        return os.path.join(self.dir.name, name)

    def run_bytes(self, data, *args, name="set"):
        with open(self.path(name), "wb") as f:
            f.write(data)
        return subprocess.run([os.environ["VITRINE"], "-cpu-test", self.path(name), *args], capture_output=True, text=True,
                              timeout=300)

    def run_cases(self, cases_, *args):
        return self.run_bytes(json.dumps(cases_).encode(), *args)

    def passes(self, run, count):
        self.assertEqual((f"{count} cases, 0 failed\n", "", 0), (run.stdout, run.stderr, run.returncode))

    def fails(self, case, *words):
        run = self.run_cases([case])
        self.assertEqual("", run.stderr)
        line, summary = run.stdout.splitlines()
        self.assertEqual(("1 cases, 1 failed", 1), (summary, run.returncode))
        self.assertTrue(line.startswith(f"{self.path('set')}: case 0 ({case['name']}): "), line)
        for word in words:
            self.assertIn(word, line)

    def test_every_mode(self):
        made = cases.make(30)
        self.passes(self.run_cases(made), len(made))

    def test_models(self):
        """What a model lacks cannot be set up: no OSXSAVE, no AVX."""
        case = next(c for c in cases.make(1) if c["bytes"][:1] == [0xc5])
        run = self.run_cases([case], "-cpu", "x86-64-v2")
        self.assertEqual(1, run.returncode)
        self.assertRegex(run.stderr, "case 0: cr4=40600: reserved bit in a control register")

    def test_published_forms(self):
        made = [form_8088(), form_286(), form_286_exception(), form_386()]
        for case in made:
            self.passes(self.run_cases([case]), 1)
        self.passes(self.run_cases(made), len(made))
        self.passes(self.run_bytes(moo(made[:3], wide=False)), 3)
        self.passes(self.run_bytes(moo([made[3]])), 1)

    def test_moo(self):
        rng, mode = random.Random(7), cases.modes()[0]
        made = [kind(mode, rng) for _ in range(200) for kind in (cases.register_case, cases.memory_case)]
        for case in made:
            case["initial"]["regs"].update(cr0=0x10, cr3=0, fs=0, gs=0, dr6=0xffff0ff0, dr7=0x400)
        self.passes(self.run_bytes(moo(made)), 400)
        self.passes(self.run_bytes(gzip.compress(moo(made))), 400)
        made[3]["final"]["regs"]["eip"] += 1
        run = self.run_bytes(moo(made))
        self.assertIn("case 3 (", run.stdout)
        self.assertTrue(run.stdout.endswith("400 cases, 1 failed\n"))

    def test_several_files(self):
        run = self.run_bytes(gzip.compress(json.dumps([form_386()]).encode()), "-cpu-test", self.path("set"))
        self.passes(run, 2)

    def test_what_differs(self):
        case = form_386()
        change = lambda key, value: (copy.deepcopy(case), key, value)
        for wrong, key, value in (change("eax", 1), change("eip", 0x205), change("ds", 7), change("eflags", 0xfffd0007)):
            wrong["final"]["regs"][key] = value
            words = {"eax": "eax 00000000, expected 00000001", "eip": "eip 00000204, expected 00000205",
                     "ds": "ds 0000, expected 0007", "eflags": "differs in ZF"}
            self.fails(wrong, words[key])
        wrong = copy.deepcopy(case)
        wrong["final"]["ram"] = [[0x10200, 0x67], [0x30000, 1]]
        self.fails(wrong, "[10200] 66, expected 67", "[30000] 00, expected 01")

    def test_what_must_stay(self):
        """A register or byte that final does not name is to be what it was."""
        case = form_386()
        del case["final"]["regs"]["eax"]
        self.fails(case, "eax 00000000, expected fffffff0")
        case = form_8088()
        case["bytes"], case["initial"]["ram"] = [0x88, 0x0f], [[0x10200, "880f"], [0x10, 0x41]]
        case["final"]["regs"] = {"ip": 0x202}
        self.fails(case, "[00010] 01, expected 41")

    def test_undefined_flags(self):
        case = form_386()
        case.update(name="and eax,ebx", bytes=[0x66, 0x21, 0xd8, 0xf4])
        case["initial"]["ram"] = [[0x10200, "6621d8f4"]]
        case["final"]["regs"].update(eax=0x10, eflags=0xfffd0002 | cases.AF)      # AND leaves AF undefined
        self.passes(self.run_cases([case]), 1)
        strict = dict(copy.deepcopy(case), mask={"eflags": 0xffff})
        self.fails(strict, "differs in AF")
        blind = dict(copy.deepcopy(case), mask={"eflags": 0, "eax": 0xffff0000})
        blind["final"]["regs"].update(eflags=0xfffd0002 | cases.CF, eax=0x11)
        self.passes(self.run_cases([blind]), 1)
        self.passes(self.run_bytes(moo([blind])), 1)

    def test_exceptions(self):
        case = next(c for c in cases.make(1) if c["name"].startswith("user64: store"))
        for key, value, word in (("number", 13, "#PF"), ("error", 5, "error code 7, expected 5"),
                                 ("cr2", 1, "expected 1")):
            wrong = copy.deepcopy(case)
            wrong["exception"][key] = value
            self.fails(wrong, word)
        self.fails(dict(copy.deepcopy(case), exception=None), "#PF", "expected none")
        quiet = form_386()
        quiet["exception"] = {"number": 13}
        self.fails(quiet, "no exception, expected vector 13")

    def test_steps(self):
        case = form_8088()
        case.update(bytes=[], steps=3)
        case["initial"]["ram"] = [[0x10200, "40" * 8]]
        case["final"] = {"regs": {"ax": 4, "ip": 0x203, "flags": 0xf002}, "ram": []}
        self.passes(self.run_cases([case]), 1)

    def test_a20(self):
        case = dict(form_8088(), a20=True)
        self.fails(case, "cx 1001, expected 1042")

    def test_memory(self):
        case = form_386()
        case["initial"]["ram"].append([0x10000000, 1])
        run = self.run_cases([case])
        self.assertRegex(run.stderr, "^vitrine: .*set: case 0: address 10000000 is beyond the memory; give a larger -m\n$")
        self.passes(self.run_cases([case], "-m", "512"), 1)

    def test_bad_states(self):
        for regs, why in (({"cr4": 1 << 30}, "cr4=40000000: "), ({"cr0": 0x80000010}, "cr0=80000010: "),
                          ({"efer": 2}, "efer=2: this CPU cannot hold that"), ({"xcr0": 2}, "xcr0=2: "),
                          ({"efer": 0x400}, "LMA without LME"), ({"mxcsr": 1 << 20}, "mxcsr=100000: "),
                          ({"rflags": 1 << 17}, "VM outside protected mode"), ({"cpl": 3}, "cpl=3: not in this mode"),
                          ({"cr0": 0x11}, "cs: its selector is null"),
                          ({"cr0": 0x11, "cs": 8}, "cs=8: in protected mode cs.attr is needed"),
                          ({"cr0": 0x80000011, "cr4": 0x20, "efer": 0x500, "cs": 8, "cs.attr": 0xa09b,
                            "rip": "0x800000000000"}, "rip=800000000000: not canonical"),
                          ({"lstar": "0x8000000000000000"}, "lstar=8000000000000000: this CPU cannot hold that")):
            run = self.run_cases([{"initial": {"regs": regs, "ram": []}, "final": {"regs": {}, "ram": []}}])
            self.assertEqual(1, run.returncode, regs)
            self.assertIn(why, run.stderr)
            self.assertEqual(1, run.stderr.count("\n"))

    def bad(self, data, why):
        run = self.run_bytes(data)
        self.assertEqual((1, ""), (run.returncode, run.stdout), data[:80])
        self.assertRegex(run.stderr, f"^vitrine: {self.path('set')}: .*{why}.*\n$")
        self.assertEqual(1, run.stderr.count("\n"))

    def test_bad_json(self):
        good = json.dumps(form_386())
        case = lambda text: ("[" + text + "]").encode()
        change = lambda old, new: case(good.replace(old, new, 1))
        for data, why in (
                (b"", "neither a MOO file nor JSON"), (b"{}", "neither a MOO file nor JSON"),
                (b"[", "line 1: a case is not an object"), (b"[1]", "line 1: a case is not an object"),
                (b"[\n\n" + good.encode()[:-1], "line 3: "), (case(good + ","), "comma without a case"),
                (case(good + good), "expected , or"), (case(good) + b"x", "more behind the closing"),
                (case("{}"), "initial or final is missing"), (change('"name"', '"nmae"'), 'unknown key "nmae"'),
                (change('"eax"', '"exx"'), 'initial: there is no register "exx"'),
                (change('"queue": ', '"quoue": '), 'initial: unknown key "quoue"'),
                (change('"dr7": 0', '"dr7": -1'), "dr7 is not a number"), (change('"cs": 4096', '"cs": 65536'), "too large"),
                (change('"dr7": 0', '"dr7": "0xg"'), "no hexadecimal number"),
                (change('"dr7": 0', '"dr7": 1.5'), "dr7 is not a number"),
                (change('"dr7": 0', '"dr7": 0, "dr7": 0'), "line 1: duplicate object key"),
                (change('"6601d8f4"', '"660"'), "half a byte"), (change('"6601d8f4"', '"66zz"'), "not in hexadecimal"),
                (change('[[66048', '[[66048, 1, 1'), "not a pair"), (change('"6601d8f4"', "256"), "256 is too large"),
                (change('"idx": 0', '"exception": 3'), "neither an object nor null"),
                (change('"idx": 0', '"exception": {}'), "number is missing"),
                (change('"idx": 0', '"exception": {"nubmer": 1}'), 'unknown key "nubmer"'),
                (change('"idx": 0', '"a20": 1'), "neither true nor false"),
                (change('"bytes": [', '"bytes": ["a",'), "bytes"), (change('"idx": 0', '"mask": []'), "not an object"),
                (case(good + ",\n" + good.replace('"name"', '"nmae"')), "case 1: line 2: unknown key")):
            self.bad(data, why)
        self.bad(gzip.compress(case(good))[:-20], ".")

    def test_bad_moo(self):
        good = moo([form_386()])
        at = good.index(b"RG32")
        self.bad(good[:-3], "longer than what it lies in")
        self.bad(good + b"TE", "middle of a chunk")
        self.bad(good[:8] + b"\x02" + good[9:], "version 2")
        self.bad(good[:at + 8] + struct.pack("<I", 1 << 20) + good[at + 12:], "registers that are not known")
        self.bad(good[:at + 4] + struct.pack("<I", 2) + good[at + 8:], ".")
        self.bad(good[:4] + struct.pack("<I", 4) + good[8:], "too short")
        rng = random.Random(3)
        for _ in range(60):             # nothing in a file brings the program down
            data = bytearray(good)
            for _ in range(rng.randrange(1, 4)):
                data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7f, 0x80, 0xff, rng.randrange(256)))
            if rng.randrange(3) == 0:
                del data[rng.randrange(len(data)):]
            self.assertIn(self.run_bytes(bytes(data)).returncode, (0, 1), data)

    def test_not_a_file(self):
        for name in ("none", ""):
            run = subprocess.run([os.environ["VITRINE"], "-cpu-test", self.path(name)], capture_output=True, text=True)
            self.assertEqual((1, 1), (run.returncode, run.stderr.count("\n")))
            self.assertTrue(run.stderr.startswith(f"vitrine: {self.path(name)}: "), run.stderr)


if __name__ == "__main__":
    unittest.main()
