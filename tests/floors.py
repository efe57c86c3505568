#!/usr/bin/env python3
"""Holds the floors of ARCHITECTURE.md: a file includes what stands below it, never above, and
folders on one floor do not include each other."""
import pathlib
import re
import sys

FLOORS = {
    "main.c": 8,
    "debug": 7,
    "ui": 7,
    "machine": 6,
    "machine_pc": 5,
    "bios": 4,
    "cpu": 3,
    "devices": 3,
    "mmu": 2,
    "host": 2,
    "cli": 2,
    "cli_device": 1.9,
    "cli_chardev": 1.9,
    "cli_keys": 1.8,
    "cli_rows": 1.7,
    "config": 1.5,
    "core": 1,
}


def place(path):
    """The folder, or for files right in src their stem, and its floor."""
    parts = pathlib.PurePath(path).parts
    key = parts[0] if len(parts) > 1 else path if path == "main.c" else pathlib.PurePath(path).stem
    if key.startswith("machine_") and key != "machine_pc":
        key = "machine"
    return key, FLOORS.get(key)


def main(src):
    root = pathlib.Path(src)
    bad = files = 0
    for path in sorted(root.rglob("*")):
        if path.suffix not in (".c", ".h", ".inc", ".def"):
            continue
        files += 1
        name = path.relative_to(root).as_posix()
        key, floor = place(name)
        if floor is None:
            print(f"{name}: on no floor; add it to tests/floors.py and ARCHITECTURE.md")
            bad += 1
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            m = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not m:
                continue
            target = m.group(1)
            if not (root / target).exists():
                if (path.parent / target).exists():
                    target = (path.parent / target).relative_to(root).as_posix()
                else:
                    print(f"{name}:{number}: {target} is not a path below src")
                    bad += 1
                    continue
            tkey, tfloor = place(target)
            if tfloor is None or tfloor > floor or (tfloor == floor and tkey != key):
                print(f"{name}:{number}: floor {floor} ({key}) uses floor {tfloor} ({target})")
                bad += 1
    print(f"{files} files, {bad} violations")
    return 1 if bad or not files else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
