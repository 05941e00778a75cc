"""What a call, a callback and an access cost from C#: csharp/Calls.cs, in several processes.

    csharp_calls.py PROGRAM RUNTIME... [--processes N] [--json FILE]

PROGRAM has no extension: RUNTIME `mono` runs PROGRAM.exe, any other PROGRAM.dll. How fast one
process is depends on where its stacks and its code came to lie, so the medians are over processes,
which take turns.
"""
import argparse
import os
import subprocess

from table import geometric_mean, median, save, show


def measured(program, runtime):
    """[(name, nanoseconds by hand, nanoseconds of rlua, ratio)] of one process."""
    suffix = ".exe" if os.path.basename(runtime) == "mono" else ".dll"
    printed = subprocess.run([runtime, program + suffix], check=True, capture_output=True,
                             text=True).stdout
    rows = [line.split("\t") for line in printed.splitlines()]
    return [(name, *map(float, values)) for name, *values in rows]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("runtime", nargs="+")
    parser.add_argument("--processes", type=int, default=9)
    parser.add_argument("--json", help="where to save the results")
    arguments = parser.parse_args()
    runs = {runtime: [] for runtime in arguments.runtime}
    for _ in range(arguments.processes):
        for runtime, found in runs.items():
            found.append(measured(arguments.program, runtime))
    results = {}
    for runtime, found in runs.items():
        rows, ratios, label = [], [], os.path.basename(runtime)
        for same in zip(*found):
            plain, ours, ratio = (median([each[n] for each in same]) for n in (1, 2, 3))
            ratios.append(ratio)
            rows.append([same[0][0], f"{plain:.0f} ns", f"{ours:.0f} ns", f"{ratio:.2f}"])
            results[f"{label}: {same[0][0]}"] = {"plain_ns": plain, "rlua_ns": ours, "ratio": ratio}
        rows.append(["geometric mean", "", "", f"{geometric_mean(ratios):.2f}"])
        show(f"C# under {label}", ["", "by hand", "rlua", "ratio"], rows)
    if arguments.json:
        save(arguments.json, results)


if __name__ == "__main__":
    main()
