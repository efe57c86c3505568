#!/usr/bin/env python3
"""Builds the VGA BIOS: build.py IMAGE

Needs gcc and binutils with 32-bit x86 support. The image is the same, bit for bit, wherever it is built with Debian
12's; the compiler can be named in the environment variable VGAROM_CC.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

import font

HERE = pathlib.Path(__file__).resolve().parent
CC = os.environ.get("VGAROM_CC", "gcc")
FLAGS = """-m16 -march=i386 -std=gnu17 -Os -Wall -Wextra -Werror -Wmissing-prototypes -Wstrict-prototypes
  -ffreestanding -fno-pic -fno-pie -fomit-frame-pointer -fno-stack-protector -fno-strict-aliasing -fcf-protection=none
  -fno-asynchronous-unwind-tables -fno-ident -ffunction-sections -mgeneral-regs-only -mregparm=3
  -mpreferred-stack-boundary=2""".split()
# What would put constants where DS does not reach them, or use ES as if it were DS.
FLAGS += "-fno-jump-tables -fno-tree-switch-conversion -fno-tree-loop-distribute-patterns -mstringop-strategy=libcall".split()
CHECKSUM_AFTER = b"Vitrine VGA BIOS\0"


def font_source():
    lines = ['#include "vga.h"']
    for height in (8, 14, 16):
        # Behind font16 a 0: a list of glyphs for characters of nine dots, which ends at once (AX=1130h).
        data = ",".join(map(str, font.load(height) + (b"\0" if height == 16 else b"")))
        lines.append(f"ROM_DATA uint8_t font{height}[] = {{{data}}};")
    return "\n".join(lines) + "\n"


def compile_all(tmp):
    objects = []

    def run(*command):
        subprocess.run(command, check=True, cwd=HERE)

    generated = tmp / "fonts.c"
    generated.write_text(font_source())
    for source in [HERE / "rom.S", *sorted(HERE.glob("*.c")), generated]:
        out = tmp / (source.stem + ".o")
        run(CC, *FLAGS, f"-I{HERE}", "-c", str(source), "-o", str(out))
        objects.append(str(out))
    elf, image = tmp / "rom.elf", tmp / "rom.bin"
    run("ld", "-m", "elf_i386", "--gc-sections", "--build-id=none", "--no-warn-rwx-segments", "-T", str(HERE / "rom.lds"), "-o", str(elf),
        f"-Map={tmp / 'rom.map'}", *objects)
    run("objcopy", "-O", "binary", "-j", ".rom", str(elf), str(image))
    return bytearray(image.read_bytes())


def finish(rom):
    """Lengths and checksum of what is used; padded to a power of two, which is what a PCI function's ROM decodes."""
    blocks = (len(rom) + 511) // 512
    size = 2048
    while size < blocks * 512:
        size *= 2
    rom += bytes(size - len(rom))
    pcir = rom.index(b"PCIR")
    assert rom[:2] == b"\x55\xaa" and rom[0x18] == pcir and size <= 65536
    rom[2] = blocks
    rom[pcir + 0x10:pcir + 0x12] = blocks.to_bytes(2, "little")
    at = rom.index(CHECKSUM_AFTER) + len(CHECKSUM_AFTER)
    rom[at] = -sum(rom) & 0xFF
    return blocks


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as tmp:
        rom = compile_all(pathlib.Path(tmp))
        if os.environ.get("VGAROM_KEEP"):
            subprocess.run(["cp", "-r", tmp, os.environ["VGAROM_KEEP"]], check=True)
    blocks = finish(rom)
    pathlib.Path(sys.argv[1]).write_bytes(rom)
    print(f"{sys.argv[1]}: {len(rom)} bytes, of which {blocks * 512} are the image")


main()
