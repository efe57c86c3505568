#!/usr/bin/env python3
"""Makes single-instruction tests for -cpu-test, in every mode of the CPU, with the outcome worked out here.

    tests/cpu_test/cases.py [COUNT [SEED]] > cases.json       COUNT of each kind

docs/cpu-test.md describes the form."""
import json
import random
import sys

CF, PF, AF, ZF, SF, OF = 1, 4, 16, 64, 128, 2048
ARITH = CF | PF | AF | ZF | SF | OF
CODE, DATA, STACK, TABLES = 0x10000, 0x20000, 0x30000, 0x40000


def flags_of(result, bits):
    result &= (1 << bits) - 1
    even = bin(result & 0xff).count("1") % 2 == 0
    return (PF if even else 0) | (0 if result else ZF) | (SF if result >> (bits - 1) else 0)


def add(a, b, bits, carry=0):
    s, mask = a + b + carry, (1 << bits) - 1
    r = s & mask
    return r, (flags_of(r, bits) | (CF if s > mask else 0) | (AF if (a ^ b ^ r) & 16 else 0)
               | (OF if (a ^ r) & (b ^ r) & (1 << (bits - 1)) else 0))


def sub(a, b, bits, borrow=0):
    r = (a - b - borrow) & ((1 << bits) - 1)
    return r, (flags_of(r, bits) | (CF if a < b + borrow else 0) | (AF if (a ^ b ^ r) & 16 else 0)
               | (OF if (a ^ b) & (a ^ r) & (1 << (bits - 1)) else 0))


# Name, opcode of "op r/m, r", function of (destination, source, bits, CF); which flags are defined.
BINARY = [
    ("add", 0x01, lambda a, b, n, c: add(a, b, n), ARITH),
    ("or", 0x09, lambda a, b, n, c: (a | b, flags_of(a | b, n)), ARITH & ~AF),
    ("adc", 0x11, lambda a, b, n, c: add(a, b, n, c), ARITH),
    ("sbb", 0x19, lambda a, b, n, c: sub(a, b, n, c), ARITH),
    ("and", 0x21, lambda a, b, n, c: (a & b, flags_of(a & b, n)), ARITH & ~AF),
    ("sub", 0x29, lambda a, b, n, c: sub(a, b, n), ARITH),
    ("xor", 0x31, lambda a, b, n, c: (a ^ b, flags_of(a ^ b, n)), ARITH & ~AF),
    ("cmp", 0x39, lambda a, b, n, c: (a, sub(a, b, n)[1]), ARITH),
]


def segment(regs, name, selector, attr, base=0, limit=0xffffffff):
    regs.update({name: selector, name + ".base": base, name + ".limit": limit, name + ".attr": attr})


def le(value, size):
    return value.to_bytes(size, "little").hex()


class Mode:
    """A mode of the CPU: registers that make it, how wide its code is, where CS begins."""
    def __init__(self, name, bits, regs, cs_base=0, ram=()):
        self.name, self.bits, self.regs, self.cs_base, self.ram = name, bits, dict(regs), cs_base, list(ram)
        self.ip = "rip" if bits == 64 else "eip"
        self.flags = "rflags" if bits == 64 else "eflags"

    def state(self, rng):
        regs = dict(self.regs)
        for name in ("ax", "bx", "cx", "dx", "si", "di", "bp"):
            regs[("r" if self.bits == 64 else "e") + name] = rng.choice(
                (0, 1, (1 << self.width) - 1, 1 << (self.width - 1), rng.getrandbits(self.width)))
        if self.bits == 64:
            regs = {k: hex(v) if isinstance(v, int) and v >> 62 else v for k, v in regs.items()}
        regs[("r" if self.bits == 64 else "e") + "sp"] = 0x8000
        regs[self.ip] = CODE - self.cs_base
        regs[self.flags] = 2 | rng.choice((0, CF, ARITH)) | self.regs.get("vm", 0)
        regs.pop("vm", None)
        return regs

    @property
    def width(self):
        return 64 if self.bits == 64 else 32


def modes():
    real = {"cs": CODE >> 4, "ds": DATA >> 4, "es": DATA >> 4, "ss": STACK >> 4}
    code32, code16, data32, data16 = 0xc09b, 0x009b, 0xc093, 0x0093
    flat, small, low = {"cr0": 0x11}, {"cr0": 0x11}, {"cr0": 0x11, "vm": 1 << 17}
    for regs, code, data, limit in ((flat, code32, data32, 0xffffffff), (small, code16, data16, 0xfffff)):
        segment(regs, "cs", 8, code, 0, limit)
        for s in ("ds", "es", "ss"):
            segment(regs, s, 16, data, 0, limit)
    low.update(real)
    # One table of each level; 2-MiB pages, the first one the user's, too.
    tables = [[TABLES, le(TABLES + 0x1027, 8)], [TABLES + 0x1000, le(TABLES + 0x2027, 8)],
              [TABLES + 0x2000, le(0xe7, 8) + le(0x2000e3, 8)]]
    long_ = {"cr0": 0x80000011, "cr3": TABLES, "cr4": 0x620, "efer": 0x500}
    user = dict(long_)
    segment(long_, "cs", 8, 0xa09b)
    segment(long_, "ss", 16, 0xc093)
    segment(user, "cs", 0x33, 0xa0fb)
    segment(user, "ss", 0x2b, 0xc0f3)
    compat = dict(user)
    segment(compat, "cs", 0x23, 0xc0fb)
    for s in ("ds", "es"):
        segment(compat, s, 0x2b, 0xc0f3)
    return [Mode("real", 16, real, CODE), Mode("prot32", 32, flat), Mode("prot16", 16, small), Mode("v86", 16, low, CODE),
            Mode("long", 64, long_, 0, tables), Mode("user64", 64, user, 0, tables),
            Mode("compat", 32, compat, 0, tables)]


def value(v):
    return int(v, 16) if isinstance(v, str) else v


def as_number(v):
    return hex(v) if v >> 62 else v


def register_case(mode, rng):
    """op EAX, EBX (RAX, RBX): 32 bits everywhere, 64 in long mode."""
    name, opcode, function, defined = rng.choice(BINARY)
    regs = mode.state(rng)
    a, b = ("rax", "rbx") if mode.bits == 64 else ("eax", "ebx")
    code = bytes({16: [0x66], 32: [], 64: [0x48]}[mode.bits] + [opcode, 0xd8])
    before = value(regs[mode.flags])
    result, flags = function(value(regs[a]), value(regs[b]), mode.width, before & CF)
    final = {mode.ip: regs[mode.ip] + len(code), mode.flags: before & ~ARITH | flags | (before & ~defined & ARITH),
             a: as_number(result)}
    return {"name": f"{mode.name}: {name} {a},{b}", "bytes": list(code),
            "initial": {"regs": regs, "ram": mode.ram + [[CODE, code.hex()]]},
            "final": {"regs": final, "ram": []}}


def memory_case(mode, rng):
    """op byte [BX or EBX or RBX], CL."""
    name, opcode, function, defined = rng.choice(BINARY)
    regs = mode.state(rng)
    base = DATA if mode.name in ("real", "v86") else 0
    at = DATA + 0x1000 + rng.randrange(0x1000)
    b = "rbx" if mode.bits == 64 else "ebx"
    address32 = mode.name == "prot16"      # reaches DATA only by a 32-bit address
    regs[b] = at - base
    c = value(regs["rcx" if mode.bits == 64 else "ecx"]) & 0xff
    m = rng.choice((0, 1, 0x7f, 0x80, 0xff, rng.randrange(256)))
    code = bytes(([0x67] if address32 else []) + [opcode - 1, 0x0b if mode.bits != 16 or address32 else 0x0f])
    before = value(regs[mode.flags])
    result, flags = function(m, c, 8, before & CF)
    return {"name": f"{mode.name}: {name} [{b}],cl", "bytes": list(code),
            "initial": {"regs": regs, "ram": mode.ram + [[CODE, code.hex()], [at, m]]},
            "final": {"regs": {mode.ip: regs[mode.ip] + len(code),
                               mode.flags: before & ~ARITH | flags | (before & ~defined & ARITH)},
                      "ram": [[at, result]]}}


def push_case(mode, rng):
    """PUSH of the accumulator, 16 bits in 16-bit code, 64 in 64-bit code."""
    regs = mode.state(rng)
    size = mode.bits // 8
    sp, a = ("rsp", "rax") if mode.bits == 64 else ("esp", "eax")
    top = (STACK if mode.name in ("real", "v86") else 0) + 0x8000
    return {"name": f"{mode.name}: push {a}", "bytes": [0x50],
            "initial": {"regs": regs, "ram": mode.ram + [[CODE, "50"]]},
            "final": {"regs": {sp: 0x8000 - size, mode.ip: regs[mode.ip] + 1},
                      "ram": [[top - size, (value(regs[a]) & ((1 << mode.bits) - 1)).to_bytes(size, "little").hex()]]}}


def string_case(mode, rng):
    """REP STOSB: one instruction however often it goes round."""
    regs = mode.state(rng)
    wide = "r" if mode.bits == 64 else "e"
    base = DATA if mode.name in ("real", "v86") else 0
    address32 = mode.name == "prot16"
    count, at = rng.randrange(1, 60), DATA + 0x2000 + rng.randrange(0x1000)
    regs[wide + "cx"], regs[wide + "di"] = count, at - base
    code = bytes([0x67] * address32 + [0xf3, 0xaa])
    return {"name": f"{mode.name}: rep stosb", "bytes": list(code),
            "initial": {"regs": regs, "ram": mode.ram + [[CODE, code.hex()], [at + count, 0x77]]},
            "final": {"regs": {wide + "cx": 0, wide + "di": at - base + count, mode.ip: regs[mode.ip] + len(code)},
                      "ram": [[at, f"{value(regs[wide + 'ax']) & 0xff:02x}" * count]]}}


def undelivered_case(mode, rng):
    """UD2, and an IDT with no room for it: nothing changes but that the CPU stands still."""
    regs = mode.state(rng)
    regs["idtr.limit"] = 0
    return {"name": f"{mode.name}: ud2", "bytes": [0x0f, 0x0b],
            "initial": {"regs": regs, "ram": mode.ram + [[CODE, "0f0b"]]},
            "final": {"regs": {}, "ram": []}, "exception": {"number": 6}}


def real_divide_case(rng):
    """DIV by zero in real-address mode: FLAGS, CS and IP pushed, vector 0 entered."""
    mode = modes()[0]
    regs = mode.state(rng)
    regs["ebx"] = 0
    flags = regs["eflags"]
    top = STACK + 0x8000
    pushed = le(0, 2) + le(CODE >> 4, 2) + le(flags, 2)
    return {"name": "real: div by zero", "bytes": [0xf7, 0xf3],
            "initial": {"regs": regs, "ram": [[CODE, "f7f3"], [0, le(0x1234, 2) + le(0x5678, 2)]]},
            "final": {"regs": {"eip": 0x1234, "cs": 0x5678, "esp": 0x7ffa}, "ram": [[top - 6, pushed]]},
            "exception": {"number": 0, "flag_address": top - 2}}


def page_fault_case(mode, rng):
    """A store by CPL 3 to the supervisor's page: #PF with its frame on the stack that the TSS names."""
    regs = mode.state(rng)
    wide = "r" if mode.bits == 64 else "e"
    at = 0x200000 + rng.randrange(0x1000)
    regs[wide + "bx"] = at
    idt, gdt, tss, stack = 0x50000, 0x51000, 0x52000, 0x53000
    gate = le(0x4000, 2) + le(8, 2) + "008e" + le(0, 2) + le(0, 8)
    regs.update({"idtr.base": idt, "idtr.limit": 0xfff, "gdtr.base": gdt, "gdtr.limit": 0xf,
                 "tr": 0x40, "tr.base": tss, "tr.limit": 0x67, "tr.attr": 0x8b})
    ram = mode.ram + [[CODE, "880b"], [idt + 14 * 16, gate], [gdt + 8, le(0x00af9b000000ffff, 8)],
                      [tss + 4, le(stack, 8)]]
    frame = b"".join(v.to_bytes(8, "little") for v in (
        7, regs[mode.ip], regs["cs"], regs[mode.flags] | 1 << 16, 0x8000, regs["ss"]))
    final = {"rip": 0x4000, "rsp": stack - len(frame), "cs": 8, "cs.base": 0, "cs.limit": 0xffffffff, "cs.attr": 0xa09b,
             "ss": 0, "ss.limit": 0, "ss.base": 0, "ss.attr": 0x10000, "cpl": 0, "cr2": at, "rflags": regs[mode.flags]}
    return {"name": f"{mode.name}: store to a supervisor page", "bytes": [0x88, 0x0b],
            "initial": {"regs": regs, "ram": ram},
            "final": {"regs": final, "ram": [[stack - len(frame), frame.hex()]]},
            "exception": {"number": 14, "error": 7, "cr2": at}}


def vector_case(mode, rng):
    """PADDQ XMM1, XMM2, and VPADDQ YMM1, YMM2, YMM3, which clears what is above."""
    regs = mode.state(rng)
    words = lambda n: [rng.getrandbits(64) for _ in range(n)]
    number = lambda ws: "0x" + "".join(f"{w:016x}" for w in reversed(ws))
    total = lambda x, y: [(i + k) & (1 << 64) - 1 for i, k in zip(x, y)]
    a, b, c = words(4), words(4), words(4)
    regs.update({"cr4": value(regs.get("cr4", 0)) | 0x40600, "xcr0": 7, "ymm1": number(a), "ymm2": number(b),
                 "ymm3": number(c)})
    if rng.randrange(2):
        code, result = bytes.fromhex("660fd4ca"), total(a[:2], b[:2]) + a[2:]
    else:
        code, result = bytes.fromhex("c5edd4cb"), total(b, c)
    return {"name": f"{mode.name}: add of quadwords", "bytes": list(code),
            "initial": {"regs": regs, "ram": mode.ram + [[CODE, code.hex()]]},
            "final": {"regs": {"ymm1": number(result), mode.ip: regs[mode.ip] + len(code)}, "ram": []}}


def x87_case(mode, rng):
    """FLDPI onto an empty stack."""
    regs = mode.state(rng)
    regs.update({"fcw": 0x37f, "fsw": 0, "ftw": 0})
    return {"name": f"{mode.name}: fldpi", "bytes": [0xd9, 0xeb],
            "initial": {"regs": regs, "ram": mode.ram + [[CODE, "d9eb"]]},
            "final": {"regs": {"st0": "0x4000c90fdaa22168c235", "fsw": 7 << 11, "ftw": 0x80,
                               mode.ip: regs[mode.ip] + 2}, "ram": []},
            "exception": None}


def make(count, seed=1):
    rng = random.Random(seed)
    cases = []
    for mode in modes():
        for _ in range(count):
            for kind in (register_case, memory_case, push_case, string_case):
                cases.append(kind(mode, rng))
        cases += [undelivered_case(mode, rng), vector_case(mode, rng), vector_case(mode, rng), x87_case(mode, rng)]
        if mode.name in ("real", "v86"):
            cases[-3:-1] = []       # no VEX there
        if mode.name in ("user64", "compat"):
            cases.append(page_fault_case(mode, rng))
    cases += [real_divide_case(rng) for _ in range(4)]
    return cases


if __name__ == "__main__":
    json.dump(make(int(sys.argv[1]) if len(sys.argv) > 1 else 20, int(sys.argv[2]) if len(sys.argv) > 2 else 1),
              sys.stdout, indent=1)
