"""Snapshots of game worlds: every backend of librlua against copies of all used memory.

Runs world.c in its modes, takes medians over rounds, prints tables and saves the rows. A ratio is
the median over rounds of (what the backend added) / (what the copy added), both from the same
round. Below 1 the backend is the cheaper one.
"""
import argparse
import collections
import os
import subprocess

from table import load, median, pair_ratio, pin, save, show

HERE = os.path.dirname(os.path.abspath(__file__))
LUA = os.path.join(HERE, "world.lua")
COPIES = ["copy_fresh", "copy_ring", "copy_reused"]
BACKENDS = ["compare", "uffd", "auto", "cards"]
WORLDS_KIB = [256, 1024, 4096, 16384, 65536]
SCRIPTS = ["fib", "mandelbrot", "queens", "methods", "binary_trees", "string_build", "tables"]

Line = collections.namedtuple("Line", "name way values")


def run(world, arguments):
    """The lines that world.c prints, and the backends that it lacks."""
    done = subprocess.run([world, *map(str, arguments)], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise SystemExit(f"world {' '.join(map(str, arguments))}: {done.stderr.strip()}")
    lines = []
    for text in done.stdout.splitlines():
        name, way, *pairs = text.split()
        if name != "unavailable":
            lines.append(Line(name, way, dict(pair.split("=") for pair in pairs)))
    return lines


def group(lines, keys):
    """{(values of keys): {way: [values of each round]}}, in the order of the output."""
    groups = {}
    for line in lines:
        key = tuple(line.values[k] for k in keys)
        groups.setdefault(key, {}).setdefault(line.way, []).append(line.values)
    return groups


def numbers(rounds, key):
    return [float(values[key]) for values in rounds]


def us(ns):
    return f"{ns / 1e3:.1f}" if ns < 1e6 else f"{ns / 1e3:.0f}"


def positive(values):
    """A cost below the noise counts as the least that the clock shows."""
    return [max(v, 20.0) for v in values]


def ratio_to(ways, way, baseline, key):
    subject = numbers(ways[way], key)
    return pair_ratio(positive(subject), positive(numbers(ways[baseline], key)))


def size_of(kib):
    return f"{int(kib) / 1024:g}MiB"


def cost_rows(groups, name_of, key):
    """Rows of the table and of the file for costs that world.c compared in the same round."""
    rows, results = [], []
    for group_key, ways in groups.items():
        for way in (w for w in COPIES + BACKENDS if w in ways):
            cost = median(numbers(ways[way], key))
            result = {"name": name_of(group_key, way), "way": way, "cost_ns": cost}
            for copy in (c for c in COPIES if c in ways):
                result[f"ratio_{copy}"] = ratio_to(ways, way, copy, key)
            for extra in ("capture_ns", "slower_ns", "dirty_pages", "used_pages", "frame_ns"):
                if extra in ways[way][0]:
                    result[extra] = median(numbers(ways[way], extra))
            results.append(result)
            if way in BACKENDS:
                copies = [f"{us(median(numbers(ways[c], key)))} ({result[f'ratio_{c}']:.2f}x)"
                          if c in ways else "-" for c in COPIES]
                rows.append([result["name"], us(cost), *copies])
    return rows, results


HEADER = ["row", "added us"] + [f"{copy} us (ratio)" for copy in COPIES]


def capture(options):
    def name_of(key, way):
        kib, touched, pattern, allocate = key
        return (f"snapshot/capture/{way}/world={size_of(kib)},touched={int(touched) / 10:g}%,"
                f"pattern={pattern},allocate={allocate}")

    results = []
    for kib in options.worlds:
        frames = 10 if kib <= 4096 else 4  # of a round; large worlds take long
        lines = run(options.world, ["matrix", LUA, kib, 8, options.rounds, frames])
        groups = group(lines, ["world_kib", "touched_permille", "pattern", "allocate"])
        rows, new = cost_rows(groups, name_of, "added_ns")
        shown = [result for result in new if result["way"] in BACKENDS]
        for row, result in zip(rows, shown):
            row[2:2] = [us(result["capture_ns"]), us(result["frame_ns"]),
                        f"{result['dirty_pages']:.0f}/{result['used_pages']:.0f}"]
        header = HEADER[:2] + ["capture", "frame", "dirty/used pages"] + HEADER[2:]
        show(f"Capture and what it slows the frame by, {size_of(kib)} world", header, rows)
        results += new
    return results


def rollback(options):
    def name_of(key, way):
        return f"snapshot/rollback/{way}/world={size_of(key[0])},touched=1%,n={key[1]}"

    def netcode_name(key, way):
        return f"netcode/rollback8_frames8/{way}/world={size_of(key[0])},touched=1%"

    results = {"rollback": [], "netcode": []}
    all_rows, net_rows = [], []
    for kib in options.worlds:
        lines = run(options.world, ["rollback", LUA, kib, options.rounds * 2 + 1])
        back = group([x for x in lines if x.name == "rollback"], ["world_kib", "n"])
        rows, new = cost_rows(back, name_of, "rollback_ns")
        all_rows += rows
        results["rollback"] += new
        net = group([x for x in lines if x.name == "netcode"], ["world_kib"])
        rows, new = cost_rows(net, netcode_name, "added_ns")
        net_rows += rows
        results["netcode"] += new
    show("Rollback", ["row", "us", *HEADER[2:]], all_rows)
    show("Rollback by 8, then 8 frames with a snapshot each, less the 8 frames alone", HEADER,
         net_rows)
    return results


def worst(options):
    rows, results = [], []
    for kib in (4096, 16384):
        for line in run(options.world, ["worst", LUA, kib, options.worst_frames]):
            v = line.values
            name = (f"frame/worst/{line.way}/world={size_of(kib)},touched=1%,allocate=1,"
                    f"pacing={v['pacing']}")
            rows.append([name, us(float(v["frame_ns_median"])), us(float(v["frame_ns_p99"])),
                         us(float(v["frame_ns_max"])), f"{float(v['dirty_median']):.1%}",
                         f"{float(v['dirty_p99']):.1%}", f"{float(v['dirty_max']):.1%}",
                         v["peak_kib"]])
            results.append({"name": name, "way": line.way, **v})
    show(f"Worst of {options.worst_frames} frames, the collector running (us)",
         ["row", "median", "p99", "max", "dirty median", "p99", "max", "peak KiB"], rows)
    return results


def memory(options):
    rows, results = [], []
    for kib in (k for k in options.worlds if k <= 16384):
        for line in run(options.world, ["memory", LUA, kib]):
            v = line.values
            name = f"snapshot/memory/{line.way}/world={size_of(kib)},touched=1%,snapshots=20"
            rows.append([name, f"{int(v['used_bytes']) / 1024:.0f}",
                         f"{int(v['dirty_bytes']) / 1024:.0f}",
                         f"{int(v['snapshot_bytes']) / 1024:.0f}", v["of_bound"]])
            results.append({"name": name, "way": line.way, **v})
    show("Memory of 20 snapshots (KiB); the bound is one heap and what the frames dirtied",
         ["row", "heap", "dirtied", "snapshots", "of bound"], rows)
    return results


def idle(options):
    rows, results = [], []
    for line in run(options.world, ["idle", options.vms, 100]):
        v = {key: float(value) for key, value in line.values.items()}
        name = f"vm/idle/{line.way}/vms={options.vms},vm=100KiB"
        rows.append([name, us(v["first_snap_ns"]), f"{v['next_snap_ns'] / 1e3:.2f}",
                     f"{v['resident_built'] / v['live_bytes']:.2f}",
                     f"{v['resident_snapped'] / (v['live_bytes'] + v['snapshot_bytes']):.2f}"])
        results.append({"name": name, "way": line.way, **v})
    show("Idle VMs: us for a snapshot of each; resident memory to live bytes", [
        "row", "first", "next", "before snapshots", "after, to live + snapshots"], rows)
    return results


def scripts(options):
    """The hook and the yields are in both, so the ratio is the price of tracking and capture."""
    rows, results = [], []
    for script in SCRIPTS:
        path = os.path.join(HERE, "scripts", f"{script}.lua")
        times, snaps = collections.defaultdict(list), {}
        for _ in range(options.rounds):
            for way in ["none"] + BACKENDS:
                for line in run(options.world, ["script", path, way, 1000]):
                    times[way].append(float(line.values["total_ns"]))
                    snaps[way] = line.values["snaps"]
        for way in (w for w in BACKENDS if w in times):
            ratio = pair_ratio(times[way], times["none"])
            name = f"script/snap_each_ms/{way}/script={script}"
            rows.append([name, us(median(times[way])), snaps[way], f"{ratio:.3f}"])
            results.append({"name": name, "way": way, "ratio": ratio})
    show("Scripts with a snapshot each 1 ms, to the same without snapshots",
         ["row", "us", "snapshots", "ratio"], rows)
    return results


PARTS = {"capture": capture, "rollback": rollback, "worst": worst, "memory": memory,
         "idle": idle, "scripts": scripts}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--world", required=True, help="the compiled world.c")
    parser.add_argument("--worlds", type=lambda text: [int(k) for k in text.split(",")],
                        default=WORLDS_KIB, help="sizes of worlds in KiB")
    parser.add_argument("--parts", type=lambda text: text.split(","), default=list(PARTS),
                        help=f"which of {','.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each measurement")
    parser.add_argument("--worst-frames", type=int, default=2000)
    parser.add_argument("--vms", type=int, default=10000)
    parser.add_argument("--json", help="file for the results")
    options = parser.parse_args()
    pin()
    results = {part: PARTS[part](options) for part in options.parts}
    if options.json:  # parts that were not run keep their last results
        save(options.json, {**load(options.json), **results})


if __name__ == "__main__":
    main()
