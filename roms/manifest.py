#!/usr/bin/env python3
"""Checks the images in roms/ against their MANIFEST: manifest.py [--update] MANIFEST"""
import hashlib
import pathlib
import sys

KEYS = ["name", "sha256", "licence", "source", "rebuild"]


def entries(text):
    """Of each paragraph its lines by key."""
    for paragraph in text.split("\n\n"):
        lines = [line for line in paragraph.splitlines() if line and not line.startswith("#")]
        if lines:
            entry = dict(line.split(": ", 1) for line in lines)
            if list(entry) != KEYS:
                sys.exit(f"MANIFEST: '{lines[0]}' has {', '.join(entry)}, not {', '.join(KEYS)}")
            yield entry


def main():
    update = sys.argv[1:2] == ["--update"]
    manifest = pathlib.Path(sys.argv[-1])
    text = manifest.read_text()
    bad = False
    listed = set()
    for entry in entries(text):
        image = manifest.parent / entry["name"]
        listed.add(image.name)
        digest = hashlib.sha256(image.read_bytes()).hexdigest() if image.exists() else "missing"
        if digest == entry["sha256"]:
            continue
        if update:
            text = text.replace(f"name: {entry['name']}\nsha256: {entry['sha256']}\n",
                                f"name: {entry['name']}\nsha256: {digest}\n")
        else:
            bad = True
            print(f"{image}: its SHA-256 is {digest}, in MANIFEST {entry['sha256']}; rebuild: {entry['rebuild']}")
    for image in sorted(manifest.parent.glob("*.bin")):
        if image.name not in listed:
            bad = True
            print(f"{image}: not in MANIFEST")
    if update:
        manifest.write_text(text)
    sys.exit(bad)


main()
