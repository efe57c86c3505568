#!/usr/bin/env python3
"""Checks the linked system BIOS: what must be at fixed addresses is there, nothing runs into anything else."""
import pathlib
import subprocess
import sys

IMAGE_BYTES = 0x20000
SEG_F = 0x10000  # where segment F000h starts in the image
CODE_LIMIT = 0xE000  # the first fixed address
DATA_LIMIT = 0x4000  # of DATA_SEG; the stacks follow

# Offset in F000h: what software expects there, and how an entry begins (E9h: near jump, EAh: far jump, CFh: IRET).
FIXED = [
    (0xE05B, "POST", 0xE9), (0xE2C3, "NMI", 0xE9), (0xE3FE, "INT 13h", 0xE9), (0xE6F2, "INT 19h", 0xE9),
    (0xE739, "INT 14h", 0xE9), (0xE82E, "INT 16h", 0xE9), (0xE987, "INT 09h", 0xE9), (0xEC59, "INT 13h diskette", 0xE9),
    (0xEF57, "INT 0Eh", 0xE9), (0xEFD2, "INT 17h", 0xE9), (0xF045, "INT 10h", 0xCF), (0xF065, "INT 10h", 0xCF),
    (0xF841, "INT 12h", 0xE9), (0xF84D, "INT 11h", 0xE9), (0xF859, "INT 15h", 0xE9), (0xFE6E, "INT 1Ah", 0xE9),
    (0xFEA5, "INT 08h", 0xE9), (0xFF53, "IRET", 0xCF), (0xFF54, "INT 05h", 0xE9), (0xFFF0, "reset", 0xEA),
]

# Tables, and how they begin. The font at FA6E comes from the video BIOS, at run time.
TABLES = [
    (0xE6F5, "configuration", b"\x08\x00\xfc"), (0xEFC7, "diskette parameters", b"\xaf\x02\x25\x02\x12"),
    (0xF0A4, "video parameters", b"\x38\x28\x2d\x0a"), (0xFA6E, "8x8 font", bytes(1024)),
    (0xFFF5, "date", b"01/01/26"),
]


def symbols(elf):
    out = subprocess.run(["nm", elf], check=True, capture_output=True, text=True).stdout
    table = {}
    for line in out.splitlines():
        words = line.split()
        if len(words) == 3:
            table[words[2]] = int(words[0], 16)
    return table


def chance_signatures(seg_f):
    """POST makes the tables that software looks for, so none of their names may stand where it looks by chance."""
    names = (b"$PIR", b"$PnP", b"_32_", b"_MP_", b"_SM_", b"_SM3_", b"RSD PTR ", b"_DMI_", b"$PMM", b"$SYSID$")
    return [f"F000:{at:04X} begins with {name.decode()} by chance" for at in range(0, len(seg_f), 16)
            for name in names if seg_f.startswith(name, at)]


def main():
    image_path, elf_path = sys.argv[1:]
    image = pathlib.Path(image_path).read_bytes()
    table = symbols(elf_path)
    errors = []
    if len(image) != IMAGE_BYTES:
        sys.exit(f"{image_path}: {len(image)} bytes instead of {IMAGE_BYTES}")
    seg_f = image[SEG_F:]
    for offset, name, opcode in FIXED:
        if seg_f[offset] != opcode:
            errors.append(f"F000:{offset:04X} {name}: {seg_f[offset]:02x} instead of {opcode:02x}")
    if seg_f[0xFFF0:0xFFF5] != bytes([0xEA, 0x5B, 0xE0, 0x00, 0xF0]):
        errors.append("F000:FFF0 does not jump to F000:E05B")
    for offset, name, first in TABLES:
        if seg_f[offset:offset + len(first)] != first:
            errors.append(f"F000:{offset:04X} {name}: {seg_f[offset:offset + len(first)].hex()}")
    if seg_f[0xFFFE] != 0xFC:
        errors.append(f"F000:FFFE model byte: {seg_f[0xFFFE]:02x} instead of fc")
    if table["seg_f_code_end"] > CODE_LIMIT:
        errors.append(f"16-bit code ends at {table['seg_f_code_end']:04X}, behind the first fixed address E000")
    if table["bss16_end"] > DATA_LIMIT:
        errors.append(f"16-bit data ends at {table['bss16_end']:04X}, in the stacks")
    errors += chance_signatures(seg_f)
    for error in errors:
        print(f"check_image: {error}", file=sys.stderr)
    if errors:
        sys.exit(1)
    print(f"check_image: 16-bit code {table['seg_f_code_end']} of {CODE_LIMIT} bytes, "
          f"16-bit data {table['bss16_end']} of {DATA_LIMIT}")


main()
