#!/usr/bin/env python3
"""mkrom.py SIZE IMAGE STUB OUT: the image, room, the 4-KiB stub with the reset vector."""
import sys

size, image, stub, out = int(sys.argv[1], 0), *sys.argv[2:]
image, stub = open(image, "rb").read(), open(stub, "rb").read()
assert len(stub) == 4096, f"the stub has {len(stub)} bytes"
room = size - len(stub) - len(image)
if room < 0:
    sys.exit(f"mkrom: {out}: the image is {-room} bytes too large")
open(out, "wb").write(image + b"\xff" * room + stub)
