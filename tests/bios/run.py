#!/usr/bin/env python3
"""Runs the BIOS suite under two firmwares on the same board, and compares their answers line by line.

    run.py [--images DIRECTORY] [--emulator PATH] [--reference BIOS] [--firmware BIOS] [--show] [CASE...]

A line of the suite is "key -> field=value field=value" (rt.h says what it holds). The reference is SeaBIOS. A field
that differs fails the case, unless docs/bios.md lists it with the reason: a row

    | `case` | `key` | `field` | `theirs` | `ours` | why |

where all may hold * ? and [sets], and in key, field and the values "-" stands for what is not there. A row that no
difference needs is an error too: the table is kept true. cases.cfg has the machines.

--show prints the firmware's answers and compares nothing; --table prints the differences as rows to be explained.
"""
import argparse
import configparser
import fnmatch
import os
import re
import selectors
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SLOW = float(os.environ.get("VITRINE_SLOW", "1"))
ACCEL = os.environ.get("VITRINE_ACCEL")
# What the suite ends with is status 1, which is also the sanitizers' for what they find.
SANITIZERS = {name: os.environ.get(name, "") + ":exitcode=99" for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS")}
SECTOR = 512
COUNT_AT = 0x1e0            # boot.S: sectors of the program
WORDS_AT = SECTOR + 16      # entry.S: what to run
WORDS_BYTES = 240
MARKED = 8 << 20            # so much of each disk's start is numbered


def number_sectors(f, disk, first, last):
    """Each sector's number and its disk's, as disk.c expects them."""
    f.seek(first * SECTOR)
    f.write(b"".join((n.to_bytes(4, "little") + bytes([disk, 0xd1, 0x5c, 0])).ljust(SECTOR, b"\0")
                     for n in range(first, last)))


def make_disk(path, sectors, disk):
    with open(path, "wb") as f:
        f.truncate(sectors * SECTOR)
        for first, last in ((0, MARKED // SECTOR), (sectors - 2048, sectors),
                            *((n - 64, n + 64) for n in (1024 * 255 * 63, 1024 * 16 * 63))):
            if first < sectors:
                number_sectors(f, disk, first, min(last, sectors))


def make_boot_disk(path, image, words, sectors):
    data = bytearray(open(image, "rb").read())
    data += bytes(-len(data) % SECTOR)
    data[COUNT_AT:COUNT_AT + 2] = (len(data) // SECTOR - 1).to_bytes(2, "little")
    assert len(words) < WORDS_BYTES
    data[WORDS_AT:WORDS_AT + len(words)] = words.encode()
    make_disk(path, sectors, 0)
    with open(path, "r+b") as f:
        f.write(data)


class Monitor:
    """Types commands; what the monitor answers is of no interest."""

    def __init__(self, path):
        self.path, self.socket = path, None

    def command(self, line):
        if not self.socket:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(self.path)
        self.socket.sendall(line.encode() + b"\n")


def converse(fd, monitor, end):
    """All that the suite prints until it ends, or time does. A line "!COMMAND" is for the monitor."""
    selector = selectors.DefaultSelector()
    selector.register(fd, selectors.EVENT_READ)
    text, seen = b"", 0
    while time.monotonic() < end and selector.select(max(0, end - time.monotonic())):
        data = os.read(fd, 65536)
        if not data:
            break
        text += data
        lines = text.split(b"\n")
        for line in lines[seen:-1]:
            if line.startswith(b"!"):
                monitor.command(line[1:].decode())
        seen = len(lines) - 1
    return text


def run(emulator, bios, video, case, image, directory, patience):
    """The lines that the suite prints on one machine."""
    disks = case.get("disks", "").split()
    args = []
    for i, size in enumerate(disks):
        path = os.path.join(directory, f"disk{i}.img")
        if i == 0:
            make_boot_disk(path, image, case["groups"], int(size))
        else:
            make_disk(path, int(size), i)
        args += ["-drive", f"file={path},format=raw,if=ide,index={i}"]
    monitor_at = os.path.join(directory, "monitor")
    command = [emulator, *args, "-display", "none", "-debugcon", "stdio", "-global", "isa-debugcon.iobase=0xe9",
               "-monitor", f"unix:{monitor_at},server=on,wait=off", "-device", "isa-debug-exit,iobase=0xf4,iosize=1",
               *case.get("args", "").split()]
    if bios:
        command += ["-bios", bios]
    if video:
        command += ["-global", f"VGA.romfile={video}"]
    if os.path.basename(emulator).startswith("qemu"):
        command += ["-accel", "tcg", "-cpu", "max", "-net", "none"]
    elif ACCEL and "-accel" not in command:
        command += ["-accel", ACCEL]
    end, status = time.monotonic() + patience * SLOW, "none"
    with tempfile.TemporaryFile() as err, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                                           stderr=err, env={**os.environ, **SANITIZERS}) as p:
        try:
            text = converse(p.stdout.fileno(), Monitor(monitor_at), end)
            status = p.wait(max(5, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            pass
        finally:
            p.kill()
        err.seek(0)
        said = err.read().decode(errors="replace")
    lines = text.decode("latin-1").split("\n")
    if "DONE" not in lines or status != 1 or said:
        last = "\n".join(lines[-4:])
        sys.exit(f"{bios or 'the default firmware'}: the suite did not come to its end (status {status}); its last lines:\n"
                 f"{last}\nstderr:\n{said}")
    return lines


def parse(lines):
    """{key: {field: value}}, in order; a key that comes again gets a number."""
    answers, group, seen = {}, "", {}
    for line in lines:
        if line.startswith("FAIL"):
            sys.exit(line)
        if re.fullmatch(r"\[\w+\]", line):
            group = line[1:-1]
            continue
        key, arrow, rest = line.partition(" ->")
        if not arrow or not group:      # what the firmware itself says
            continue
        key = f"{group}: {key}"
        seen[key] = seen.get(key, 0) + 1
        if seen[key] > 1:
            key += f" #{seen[key]}"
        fields = {}
        for word in rest.split():
            name, equals, value = word.partition("=")
            if equals:
                fields[name] = value
            else:
                fields["value"] = f"{fields['value']} {word}" if "value" in fields else word
        answers[key] = fields
    return answers


def differences(theirs, ours):
    """(key, field, theirs, ours) of each difference."""
    found = []
    for key in [*theirs, *(k for k in ours if k not in theirs)]:
        a, b = theirs.get(key), ours.get(key)
        if a is None or b is None:
            found.append((key, "line", "-" if a is None else "there", "-" if b is None else "there"))
            continue
        for field in dict.fromkeys([*a, *b]):
            if a.get(field) != b.get(field):
                found.append((key, field, a.get(field, "-"), b.get(field, "-")))
    return found


class Row:
    def __init__(self, cells, number):
        self.case, self.key, self.field, self.theirs, self.ours = cells
        self.number, self.used = number, 0

    def covers(self, case, key, field, theirs, ours):
        def is_like(text, pattern):
            return text == pattern or fnmatch.fnmatchcase(text, pattern)
        return (is_like(case, self.case) and is_like(key, self.key) and is_like(field, self.field)
                and is_like(theirs, self.theirs) and is_like(ours, self.ours))


def read_table(path):
    rows = []
    with open(path) as f:
        for number, line in enumerate(f, 1):
            cells = re.match(r"\| `([^`]+)` \| `([^`]+)` \| `([^`]+)` \| `([^`]*)` \| `([^`]*)` \| \S", line)
            if cells:
                rows.append(Row(cells.groups(), number))
    return rows


def judge(name, found, rows, as_table):
    """Prints what is not explained; how many there are."""
    unexplained = 0
    for difference in found:
        row = next((r for r in rows if r.covers(name, *difference)), None)
        if row:
            row.used += 1
            continue
        unexplained += 1
        key, field, theirs, ours = difference
        if as_table:
            print(f"| `{name}` | `{key}` | `{field}` | `{theirs}` | `{ours}` |  |")
        else:
            print(f"{name}: {key}\n    {field}: reference {theirs}, ours {ours}")
    return unexplained


def main():
    build = os.path.join(ROOT, "build")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", default=os.path.join(build, "tests/bios"))
    parser.add_argument("--emulator", default=os.environ.get("VITRINE", os.path.join(build, "vitrine")))
    parser.add_argument("--reference", default="bios-256k.bin")
    parser.add_argument("--firmware", help="the emulator's default")
    parser.add_argument("--reference-video", help="the reference's video ROM (vgabios-stdvga.bin); by default ours")
    parser.add_argument("--differences", default=os.path.join(ROOT, "docs/bios.md"))
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("cases", nargs="*")
    options = parser.parse_args()
    cases = configparser.ConfigParser()
    cases.read(os.path.join(HERE, "cases.cfg"))
    rows = read_table(options.differences) if not options.show else []
    bad = 0
    for name in options.cases or cases.sections():
        case, answers = cases[name], []
        image = os.path.join(options.images, case.get("image", "services") + ".bin")
        machines = [(options.reference, options.reference_video), (options.firmware, None)]
        for bios, video in machines[1:] if options.show else machines:
            with tempfile.TemporaryDirectory(prefix="vitrine-bios-") as directory:
                lines = run(options.emulator, bios, video, case, image, directory, case.getint("timeout", 120))
            answers.append(parse(lines))
        if options.show:
            print("\n".join(lines))
            continue
        found = differences(*answers)
        unexplained = judge(name, found, rows, options.table)
        needless = [row for row in rows if row.case == name and not row.used]
        for row in needless:
            print(f"{name}: {options.differences}:{row.number}: no difference needs this row")
        print(f"{name}: {len(answers[1])} answers compared, {len(found)} differences, {unexplained} without a reason")
        bad += unexplained + len(needless)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
