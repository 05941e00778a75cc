"""Rows for people and for charts: medians, ratios, an aligned table, a JSON file.

Not here: what is measured (throughput.py, world.py) and how it is drawn (charts.py).
"""
import json
import math
import os
import statistics


def median(values):
    return statistics.median(values)


def pair_ratio(subject, baseline):
    """Median of the ratios of neighbouring runs: drift of a shared machine cancels in a pair."""
    return median([s / b for s, b in zip(subject, baseline)])


def geometric_mean(values):
    return math.exp(statistics.fmean(math.log(v) for v in values))


def show(title, header, rows):
    """Prints rows of strings: the first column to the left, the others to the right."""
    print(f"\n{title}\n")
    lines = [header] + rows
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    for line in lines:
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
        print("  ".join(cells).rstrip())


def save(path, results):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1, sort_keys=True)
    print(f"\nresults: {os.path.relpath(path)}")


def load(path):
    """What save() wrote, or nothing."""
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def pin():
    """Stays on one processor, the last allowed one, where the system can do that."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
