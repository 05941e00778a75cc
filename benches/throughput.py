"""Script throughput: stock Lua and librlua run the same scripts, alternately, A B A B.

Method: each run is a process of its own (host.c), timed inside, in CPU time. A pair is one run
of each; the order within a pair alternates. The ratio of a row is the median of its pairs' ratios;
below 1 librlua is the faster one.
"""
import argparse
import glob
import os
import re
import subprocess

from table import geometric_mean, median, pair_ratio, pin, save, show

HERE = os.path.dirname(os.path.abspath(__file__))


def measure(host, arguments):
    done = subprocess.run([host, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{host} {' '.join(arguments)}: {done.stderr.strip()}")
    return float(done.stdout)


def kind_of(script):
    with open(script, encoding="utf-8") as file:
        return re.search(r"^-- kind: (cpu|alloc)$", file.read(), re.MULTILINE).group(1)


def cases(only):
    """(name, kind, host's arguments, factor to the unit shown, unit)"""
    for path in sorted(glob.glob(os.path.join(HERE, "scripts", "*.lua"))):
        name = os.path.splitext(os.path.basename(path))[0]
        kind = kind_of(path)
        yield f"script/run/{name}/kind={kind}", kind, ["run", path], 1e3, "ms"
    yield "allocator/churn/heap_mib=16", "churn", ["churn", only.operations], 1, "ns"
    yield "vm/create/libraries=all", "create", ["create", only.vms], 1e-3, "us"
    yield "io/open+write+close", "files", ["files", only.files], 1, "ns"


def run_pairs(options, arguments):
    stock, subject = [], []
    for pair in range(options.rounds):
        order = [(options.stock, stock), (options.subject, subject)]
        for host, times in order if pair % 2 == 0 else reversed(order):
            times.append(measure(host, arguments))
    return stock, subject


def summary(ratios, kinds, wanted):
    chosen = [r for r, kind in zip(ratios, kinds) if kind in wanted]
    if not chosen:
        return None
    return {"geometric_mean": geometric_mean(chosen), "min": min(chosen), "max": max(chosen),
            "scripts": len(chosen)}


def options_of_command_line():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stock", required=True, help="host linked with stock Lua")
    parser.add_argument("--subject", required=True, help="host linked with librlua")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of runs for each row")
    parser.add_argument("--only", default="", help="regular expression on row names")
    parser.add_argument("--operations", default="3000000", help="operations of a churn run")
    parser.add_argument("--files", default="200000", help="files of a files run")
    parser.add_argument("--vms", default="3000", help="VMs of a create run")
    parser.add_argument("--json", help="file for the results")
    return parser.parse_args()


def main():
    options = options_of_command_line()
    pin()
    rows, results, ratios, kinds = [], [], [], []
    for name, kind, arguments, factor, unit in cases(options):
        if not re.search(options.only, name):
            continue
        stock, subject = run_pairs(options, arguments)
        ratio = pair_ratio(subject, stock)
        ratios.append(ratio)
        kinds.append(kind)
        rows.append([name, f"{median(stock) * factor:.1f} {unit}",
                     f"{median(subject) * factor:.1f} {unit}", f"{ratio:.3f}"])
        results.append({"name": name, "kind": kind, "unit": unit, "ratio": ratio,
                        "stock": [t * factor for t in stock],
                        "rlua": [t * factor for t in subject]})
    show(f"Script throughput, {options.rounds} pairs, CPU time",
         ["row", "stock median", "rlua median", "ratio"], rows)
    summaries = {"all": summary(ratios, kinds, ("cpu", "alloc")),
                 "cpu": summary(ratios, kinds, ("cpu",)),
                 "alloc": summary(ratios, kinds, ("alloc",))}
    show("Ratios over the scripts", ["scripts", "count", "geometric mean", "min", "max"],
         [[label, str(s["scripts"]), f"{s['geometric_mean']:.3f}", f"{s['min']:.3f}",
           f"{s['max']:.3f}"] for label, s in summaries.items() if s])
    if options.json and not options.only:  # charts want every row
        save(options.json, {"rows": results, "summaries": summaries})


if __name__ == "__main__":
    main()
