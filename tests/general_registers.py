#!/usr/bin/env python3
"""general_registers.py BUILD: what the translator has compiled to general registers only runs while the host's vector
registers hold the guest's, so it may not call the C library's functions either, which use them. The compiler makes such
calls by itself."""
import json
import os
import subprocess
import sys

# Where handlers run, and the registers have been stored: emptying whole tables, new pages of code, operands of more than
# eight bytes, and what devices read and write.
ALLOWED = {"jumps.c": {"memset"}, "code_cache.c": {"memset"}, "tlb.c": {"memset"}, "access.c": {"memcpy"},
           "memmap.c": {"memcpy", "memset"}}
SANITIZED = {"shadow.c": {"memcmp", "memcpy", "memset"}}    # other address spaces: small ones are calls as well there
LIBRARY = {"memcpy", "memmove", "memset", "memcmp", "bcmp", "strlen", "strcmp", "memchr"}

with open(os.path.join(sys.argv[1], "compile_commands.json")) as f:
    entries = [e for e in json.load(f) if "-mgeneral-regs-only" in e["command"].split()]
assert entries, "nothing is compiled so"
bad = []
for e in entries:
    name = os.path.basename(e["file"])
    words = e["command"].split()
    made = os.path.join(e["directory"], words[words.index("-o") + 1])
    listing = subprocess.run(["nm", "-u", made], check=True, stdout=subprocess.PIPE, text=True).stdout
    called = {line.split()[-1] for line in listing.splitlines()} & LIBRARY
    if "-fsanitize=" in e["command"]:
        called -= SANITIZED.get(name, set())
    bad += [f"{name} calls {f}()" for f in sorted(called - ALLOWED.get(name, set()))]
sys.exit("\n".join(bad) or 0)
