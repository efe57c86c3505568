#!/usr/bin/env python3
"""Runs the bare-metal images of cases.cfg and judges what they print.

    run.py --roms DIR [--emulator vitrine|qemu|bochs|PATH] [--arguments=ARGS] [--list|--compare] [--verbose] [CASE...]

An image ends with "DONE name: N checks, F failed" and through isa-debug-exit; a FAIL line, a wrong
exit status, no end in time or a word on stderr fails the case. VITRINE_ACCEL in the environment
names the engine where ARGS do not. --list prints the failed checks, one a line, which is
how the emulators are compared (docs/guest-tests.md). Cases that reset on purpose say "reboot = yes",
those of which Vitrine has something to say have it, as a regular expression, in "stderr".
"""
import argparse
import configparser
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
# A guest's success is status 1, which is also the sanitizers' for what they find.
SANITIZERS = {name: os.environ.get(name, "") + ":exitcode=99" for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS")}


def machine_command(emulator, rom, extra):
    common = ["-bios", rom, "-m", "64", "-display", "none", "-serial", "stdio", "-monitor", "none",
              "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-vga", "none"]
    if os.path.basename(emulator).startswith("qemu"):
        return [emulator, "-accel", "tcg", "-cpu", "max", "-net", "none", *common, *extra]
    if "VITRINE_ACCEL" in os.environ and "-accel" not in extra:
        extra = ["-accel", os.environ["VITRINE_ACCEL"], *extra]
    return [emulator, "-cpu", "max", *common, *extra]


BOCHS_RC = """\
megs: 64
cpu: model=corei7_skylake_x, count={cpus}, ips=200000000, reset_on_triple_fault=1, ignore_bad_msrs=0
romimage: file={rom}, address=0x{address:x}
vgaromimage: file=/usr/share/vgabios/vgabios.bin
display_library: term
port_e9_hack: enabled=1
com1: enabled=1, mode=file, dev={out}
log: {log}
panic: action=fatal
error: action=report
info: action=ignore
sound: waveoutdrv=dummy
speaker: enabled=0
boot: floppy
"""


def bochs_cpus(args):
    """-smp as Bochs has it: sockets:cores:threads, of which only the product counts here."""
    return args[args.index("-smp") + 1].split(",")[0] if "-smp" in args else "1"


def run_bochs(rom, timeout, args):
    with tempfile.TemporaryDirectory() as tmp:
        out, rc = os.path.join(tmp, "out"), os.path.join(tmp, "bochsrc")
        with open(rc, "w") as f:
            f.write(BOCHS_RC.format(rom=rom, cpus=bochs_cpus(args), out=out,
                                    address=(1 << 32) - os.path.getsize(rom),
                                    log=os.path.join(tmp, "log")))
        with open(rc + ".cmd", "w") as f:
            f.write("c\n")  # Debian's Bochs has its debugger built in
        env = dict(os.environ, TERM="xterm")
        command = ["script", "-qec", f"bochs -q -f {rc} -rc {rc}.cmd", "/dev/null"]
        p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, env=env, cwd=tmp, start_new_session=True)
        try:
            p.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGTERM)
            p.wait()
        try:
            with open(out, errors="replace") as f:
                return f.read(), None
        except OSError:
            return "", None


def run_machine(command, timeout):
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env={**os.environ, **SANITIZERS}) as p:
        try:
            out, err = p.communicate(timeout=timeout)
            status = p.returncode
        except subprocess.TimeoutExpired:
            p.kill()
            out, err = p.communicate()
            status = "timeout"
    return out.decode(errors="replace").replace("\r", ""), status, err.decode(errors="replace")


def outcome(name, case, emulator, roms, patience=1, arguments=""):
    rom = os.path.join(roms, case.get("image", name) + ".rom")
    timeout = case.getint("timeout", 20) * patience
    extra = case.get("args", "").split()
    if emulator == "bochs":
        return *run_bochs(rom, timeout * 2, extra), ""
    if not case.getboolean("reboot", False):
        extra.append("-no-reboot")
    extra += arguments.split()
    return run_machine(machine_command(emulator, rom, extra), timeout)


def compare(cases, names, args):
    """Failed checks by group; "-" where an emulator did not get that far."""
    emulators = [args.emulator] + [e for e in ("qemu-system-x86_64", "bochs") if shutil.which(e)]
    print(f"{'group':32}" + "".join(f"{os.path.basename(e):>20}" for e in emulators))
    for name in names:
        groups, count = [], {}
        for e in emulators:
            out = outcome(name, cases[name], e, args.roms, args.patience)[0]
            for verdict, group in re.findall(r"^(PASS|FAIL|SKIP) ([a-z0-9_]+)", out, re.M):
                if group not in groups:
                    groups.append(group)
                count[e, group] = count.get((e, group), 0) + (verdict == "FAIL")
        for g in groups:
            print(f"{name + ' ' + g:32}" + "".join(f"{count.get((e, g), '-'):>20}" for e in emulators))


def run_case(name, case, args):
    out, status, err = outcome(name, case, args.emulator, args.roms, args.patience, args.arguments)
    if args.verbose:
        print(out, end="")
    fails = re.findall(r"^FAIL ([^:]*): (.*)$", out, re.M)
    passes = len(re.findall(r"^PASS ", out, re.M))
    done = re.search(r"^DONE (\S+): (\d+) checks, (\d+) failed", out, re.M)
    ours = args.emulator != "bochs" and not os.path.basename(args.emulator).startswith("qemu")
    quiet = not ours or bool(re.fullmatch(case.get("stderr", ""), err))
    ok = bool(done) and not fails and status in (1, None) and quiet
    if args.list:
        for what, how in fails:
            print(f"{name} {what}: {how}")
        if not done:
            print(f"{name} did not end (status {status}) after {passes} groups: "
                  f"{out.strip().splitlines()[-1] if out.strip() else 'no output'}")
        if not quiet:
            print(f"{name} has this on stderr, not '{case.get('stderr', '')}': {err.strip()}")
        return ok, int(done[2]) if done else 0
    if not ok and not args.verbose:
        print(out, end="")
        print(err, end="")
        if not quiet:
            print(f"{name}: stderr is not what it should be ('{case.get('stderr', '')}')")
    count = f"{passes} groups, {done[2]} checks" if done else "no end"
    print(f"{'ok' if ok else 'FAILED'} {name}: {count}, {len(fails)} failed, status {status}")
    return ok, int(done[2]) if done else 0


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--roms", required=True)
    p.add_argument("--emulator", default="vitrine")
    p.add_argument("--arguments", default="", metavar="ARGS", help="more of them for the emulator, e.g. an engine")
    p.add_argument("--list", action="store_true")
    p.add_argument("--compare", action="store_true", help="under all emulators, failures by group")
    p.add_argument("--verbose", "-v", action="store_true")
    p.add_argument("--patience", type=float, default=1, help="factor on every timeout")
    p.add_argument("case", nargs="*")
    args = p.parse_args()
    args.roms = os.path.abspath(args.roms)  # Bochs runs in a directory of its own
    if args.emulator == "qemu":
        args.emulator = "qemu-system-x86_64"
    cases = configparser.ConfigParser()
    cases.read(os.path.join(HERE, "cases.cfg"))
    names = args.case or cases.sections()
    if args.compare:
        compare(cases, names, args)
        return 0
    results = [run_case(n, cases[n], args) for n in names]
    failed = sum(not ok for ok, _ in results)
    if not args.list:
        print(f"{len(results) - failed} passed, {failed} failed ({sum(n for _, n in results)} checks)")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
