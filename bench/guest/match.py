# Patterns over half a megabyte of text: alternatives, classes, captures, a substitution.
import re

with open("text") as f:
    text = f.read(524288)
found = re.findall(r"\b(st|pr|un)([a-z]+?)(ing|ed|ly)\b", text)
pairs = sum(1 for _ in re.finditer(r"\b(\w)\w*\1\b", text))
changed, times = re.subn(r"([aeiou])([^aeiou\s])", r"\2\1", text[:200000])
print(len(found), sum(len(f[1]) for f in found), pairs, times, sum(map(ord, changed)))
