"""What bench/run found: a table in Markdown, a plot in SVG, and all figures in JSON."""
import json
import os
import statistics

import quiet

GROUPS = {"int": "integer", "fp": "floating point and vector", "x87": "x87", "memory": "memory",
          "code": "self-modifying code", "jit": "guest JITs", "regex": "regular expressions",
          "system": "system", "real": "real programs", "smp": "two vCPUs"}


def medians(runs, key="cpu"):
    """Machine to program to the median over the runs."""
    table = {}
    for machine, all_runs in runs.items():
        names = dict.fromkeys(name for run in all_runs for name in run)
        table[machine] = {name: statistics.median(run[name][key] for run in all_runs if name in run)
                          for name in names}
    return table


def rows_of(programs, table):
    """Each program and, behind it, its first run where that was measured: (group, name, unit)."""
    for p in programs:
        for name in (p["name"], p["name"] + " (cold)"):
            if any(name in column for column in table.values()):
                yield p["group"], name, p["unit"]


def figure(seconds):
    """Nanoseconds with three digits and a prefix."""
    value = seconds * 1e9
    for limit, divisor, prefix in ((1e3, 1, ""), (1e6, 1e3, " k"), (1e9, 1e6, " M"), (float("inf"), 1e9, " G")):
        if value < limit:
            return f"{value / divisor:.3g}{prefix}"
    return ""


def ratio(table, name, over, under):
    above, below = table.get(over, {}).get(name), table.get(under, {}).get(name)
    return above / below if above and below else None


def cell(value):
    return f"{value:.2f}×" if value else "-"


def geomean(values):
    values = [v for v in values if v]
    return statistics.geometric_mean(values) if values else None


# Ratios of the table: heading, whose time, over whose.
RATIOS = [("QEMU / Vitrine", "qemu", "vitrine"), ("Vitrine / native", "vitrine", "native"),
          ("QEMU / native", "qemu", "native")]


def in_geomean(name):
    return not name.endswith("(cold)") and name != "cpuid"


def group_table(group, rows, table, machines):
    ratios = [r for r in RATIOS if r[1] in machines and r[2] in machines]
    head = ["program", "unit", *machines, *(r[0] for r in ratios)]
    lines = [f"### {GROUPS[group]}", "", "| " + " | ".join(head) + " |",
             "|---|---|" + "---:|" * (len(head) - 2)]
    for _, name, unit in rows:
        cells = [name, f"ns/{unit}", *(figure(table[m][name]) if name in table[m] else "-" for m in machines),
                 *(cell(ratio(table, name, over, under)) for _, over, under in ratios)]
        lines.append("| " + " | ".join(cells) + " |")
    means = [geomean(ratio(table, name, over, under) for _, name, _ in rows if in_geomean(name))
             for _, over, under in ratios]
    lines.append("| **geomean** | | " + "| " * len(machines) + " | ".join(f"**{cell(m)}**" for m in means) + " |")
    return lines + [""], means


def scaling(runs):
    """How much more two processors do than one, by the clock on the wall."""
    lines = []
    for machine, table in medians(runs, "wall").items():
        if "par1" in table and "par2" in table:
            lines.append(f"* {machine}: two threads on two processors do {table['par1'] / table['par2']:.2f} times "
                         "the work of one (wall time)")
    return lines


def disturbed(runs):
    """How many measurements bench/quiet.py would have had repeated, had there been time."""
    shares = [result["disturbed"] for all_runs in runs.values() for run in all_runs for result in run.values()]
    if None in shares:
        return "* whether others used the same cores could not be told on this host (bench/quiet.py)"
    shared = sum(share > quiet.TOLERATED for share in shares)
    return f"* {shared} of {len(shares)} measurements shared their processor's core with others (bench/quiet.py)"


def markdown(programs, runs):
    table, machines = medians(runs), list(runs)
    n = max((len(r) for r in runs.values()), default=0)
    lines = [f"CPU nanoseconds a unit, median of {n}; \"cold\" is the first run of the command in a freshly booted guest (what "
             "it has in common with one before it, as cc1_O2 with cc1_O0, has been run by then). The geomeans leave out the "
             "cold runs, and cpuid. Where native is itself a guest of a hypervisor, system calls and faults pay for that.", ""]
    summary = []
    rows = list(rows_of(programs, table))
    for group in GROUPS:
        part = [row for row in rows if row[0] == group]
        if part:
            text, means = group_table(group, part, table, machines)
            lines += text
            summary.append((group, means))
    ratios = [r[0] for r in RATIOS if r[1] in machines and r[2] in machines]
    lines += ["### Geomeans", "", "| group | " + " | ".join(ratios) + " |", "|---|" + "---:|" * len(ratios)]
    lines += [f"| {GROUPS[group]} | " + " | ".join(cell(m) for m in means) + " |" for group, means in summary]
    lines += ["", *scaling(runs), disturbed(runs)]
    return "\n".join(lines) + "\n"


# ---- the plot -----------------------------------------------------------------------------------------------

BAR, GAP, LEFT, WIDTH, TOP = 14, 20, 190, 760, 46
COLOURS = {"vitrine": "#2b6cb0", "qemu": "#dd6b20"}
TITLES = {"vitrine": "Vitrine", "qemu": "QEMU TCG"}


def bars(programs, runs):
    """Group to machine to times slower than native; a group is its geomean."""
    table, found = medians(runs), []
    for group, title in GROUPS.items():
        names = [p["name"] for p in programs if p["group"] == group and in_geomean(p["name"])]
        slower = {m: geomean(ratio(table, name, m, "native") for name in names) for m in COLOURS}
        if any(slower.values()):
            found.append((title, slower))
    return found


def svg(programs, runs):
    """Bars on a logarithmic scale: how many times slower than native, per group."""
    import math
    groups = bars(programs, runs)
    most = max((v for _, slower in groups for v in slower.values() if v), default=10)
    least = min((v for _, slower in groups for v in slower.values() if v), default=1)
    low, high = min(0, math.floor(math.log10(least))), max(1, math.ceil(math.log10(most)))

    def x(value):
        return LEFT + (WIDTH - LEFT - 60) * (math.log10(value) - low) / (high - low)

    height = TOP + len(groups) * (2 * BAR + GAP) + 30
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
           'font-size="12">', f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
           f'<text x="{LEFT}" y="16" font-weight="bold">Times slower than native (shorter is better)</text>']
    for i, (machine, colour) in enumerate(COLOURS.items()):
        out.append(f'<rect x="{LEFT + i * 110}" y="24" width="10" height="10" fill="{colour}"/>'
                   f'<text x="{LEFT + i * 110 + 15}" y="33">{TITLES[machine]}</text>')
    for power in range(low, high + 1):
        at = x(10 ** power)
        out.append(f'<line x1="{at:.1f}" y1="{TOP}" x2="{at:.1f}" y2="{height - 24}" stroke="#cccccc"/>'
                   f'<text x="{at:.1f}" y="{height - 8}" text-anchor="middle">{10 ** power:g}</text>')
    y = TOP + 6
    for title, slower in groups:
        out.append(f'<text x="{LEFT - 8}" y="{y + BAR + 4}" text-anchor="end">{title}</text>')
        for machine, colour in COLOURS.items():
            value = slower[machine]
            if value:
                out.append(f'<rect x="{min(x(1), x(value)):.1f}" y="{y}" width="{abs(x(value) - x(1)):.1f}" '
                           f'height="{BAR - 2}" fill="{colour}"/>'
                           f'<text x="{max(x(1), x(value)) + 4:.1f}" y="{y + BAR - 4}">{value:.3g}</text>')
            y += BAR
        y += GAP
    return "\n".join(out + ["</svg>"]) + "\n"


def write(directory, programs, runs):
    """Writes all three; returns the table."""
    os.makedirs(directory, exist_ok=True)
    text = markdown(programs, runs)
    for name, content in (("bench.json", json.dumps({"programs": programs, "runs": runs}, indent=1)),
                          ("bench.md", text), ("bench.svg", svg(programs, runs))):
        with open(os.path.join(directory, name), "w") as f:
            f.write(content)
    return text
