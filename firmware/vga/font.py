"""Reads the fonts beside it: 256 glyphs drawn with # and dots, eight side by side."""
import pathlib

HERE = pathlib.Path(__file__).resolve().parent


def load(height):
    """The glyphs as the character generator has them: height bytes each, bit 7 on the left."""
    glyphs = []
    path = HERE / f"font8x{height}.txt"
    rows = []
    for line in path.read_text().splitlines():
        parts = line.split()
        if len(parts) == 8 and all(len(p) == 8 and set(p) <= set("#.") for p in parts):
            rows.append(parts)
        elif rows:
            raise SystemExit(f"{path}: '{line}' within the glyphs from {len(glyphs):02X}h on")
        elif len(parts) == 1 and parts[0].endswith("h") and int(parts[0][:-1], 16) != len(glyphs):
            raise SystemExit(f"{path}: '{line}' where {len(glyphs):02X}h should be")
        if len(rows) == height:
            for column in range(8):
                glyphs.append(bytes(int(row[column].replace("#", "1").replace(".", "0"), 2) for row in rows))
            rows = []
    if len(glyphs) != 256 or rows:
        raise SystemExit(f"{path}: {len(glyphs)} glyphs, not 256")
    return b"".join(glyphs)
