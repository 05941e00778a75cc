"""Snapshots of game worlds: trackers of librlua against copies of all used memory.

Runs world.c in its modes, takes medians over rounds, prints tables and saves the rows. A ratio is
the median over rounds of (what the tracker added) / (what the copy added), both from the same
round. Below 1 the tracker is the cheaper one. Build world.c with `make -C benches world-program`.
"""
import argparse
import collections
import os
import subprocess

from bounds import show_bounds
from table import load, median, pair_ratio, pin, save, show

HERE = os.path.dirname(os.path.abspath(__file__))
BUILT = os.path.join(HERE, "..", "target", "bench")
LUA = os.path.join(HERE, "world.lua")
COPIES = {"copy_fresh": "fresh copy", "copy_ring": "ring", "copy_reused": "one block",
          "copy_best": "best copy"}
TRACKERS = ["compare", "auto"]
WORLDS_KIB = [256, 1024, 4096, 16384, 65536]
PARTS_PERMILLE = [0, 1, 10, 50, 200, 1000]
SCRIPTS = ["fib", "mandelbrot", "queens", "methods", "binary_trees", "string_build", "tables"]
HISTORY = 8

Line = collections.namedtuple("Line", "name way values")


def run(options, arguments, ways=None):
    """The lines that world.c prints, without those of ways that it lacks."""
    flags = ["-w", ",".join(ways or options.ways)]
    if options.plain:
        flags += ["-p", options.plain]
    command = [options.world, *flags, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()}")
    lines = []
    for text in done.stdout.splitlines():
        name, way, *pairs = text.split()
        values = dict(pair.split("=") for pair in pairs)
        if name == "unavailable" and way == options.tracker:
            raise SystemExit(f"this library or system has no tracker {way}")
        if name == "huge":
            say_huge(values)
        elif name != "unavailable":
            lines.append(Line(name, way, values))
    return lines


def say_huge(values):
    huge, total = int(values["huge_bytes"]), int(values["copy_bytes"])
    found = "nobody tells" if huge < 0 else f"{huge / 2**20:.0f} MiB of them"
    print(f"best copy, {size_of(values['world_kib'])} world: past the caches by "
          f"{values['method']}, buffers of {total / 2**20:.0f} MiB, in huge pages: {found}")


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
    return f"{ns / 1e3:.2f}" if ns < 1e4 else f"{ns / 1e3:.1f}" if ns < 1e6 else f"{ns / 1e3:.0f}"


def positive(values):
    """A cost below the noise counts as the least that the clock shows."""
    return [max(v, 20.0) for v in values]


def ratio_to(ways, way, baseline, key):
    subject = numbers(ways[way], key)
    return pair_ratio(positive(subject), positive(numbers(ways[baseline], key)))


def size_of(kib):
    return f"{int(kib) / 1024:g}MiB"


def trackers_in(ways):
    return [way for way in ways if way not in COPIES and way not in ("none", "plain")]


def cost_rows(groups, keys, name_of, key):
    """Rows of the table and of the file for costs that world.c compared in the same round."""
    rows, results = [], []
    for group_key, ways in groups.items():
        for way in [*(c for c in COPIES if c in ways), *trackers_in(ways)]:
            cost = median(numbers(ways[way], key))
            result = {"name": name_of(group_key, way), "way": way, "cost_ns": cost,
                      **dict(zip(keys, group_key))}
            for copy in (c for c in COPIES if c in ways):
                result[f"ratio_{copy}"] = ratio_to(ways, way, copy, key)
                if "total_ns" in ways[way][0]:
                    result[f"total_ratio_{copy}"] = ratio_to(ways, way, copy, "total_ns")
            for extra in ("capture_ns", "slower_ns", "dirty_pages", "used_pages", "frame_ns",
                          "total_ns"):
                if extra in ways[way][0]:
                    result[extra] = median(numbers(ways[way], extra))
            results.append(result)
            if way not in COPIES:
                copies = [f"{us(median(numbers(ways[c], key)))} ({result[f'ratio_{c}']:.3f})"
                          if c in ways else "-" for c in COPIES]
                rows.append([result["name"], us(cost), *copies])
    return rows, results


HEADER = ["row", "added us"] + [f"{label} us (ratio)" for label in COPIES.values()]


def capture(options):
    keys = ["world_kib", "touched_permille", "pattern", "allocate"]

    def name_of(key, way):
        kib, touched, pattern, allocate = key
        return (f"snapshot/capture/{way}/world={size_of(kib)},touched={int(touched) / 10:g}%,"
                f"pattern={pattern},allocate={allocate}")

    results = []
    loads = ["-t", ",".join(map(str, options.touched)), "-o", ",".join(options.patterns)]
    for kib in options.worlds:
        frames = 20 if kib <= 4096 else 6  # of a round; large worlds take long
        lines = run(options, [*loads, "matrix", LUA, kib, HISTORY, options.rounds, frames])
        rows, new = cost_rows(group(lines, keys), keys, name_of, "added_ns")
        shown = [result for result in new if result["way"] not in COPIES]
        for row, result in zip(rows, shown):
            row[2:2] = [us(result["capture_ns"]), us(result["frame_ns"]),
                        f"{result['dirty_pages']:.0f}/{result['used_pages']:.0f}"]
            row += [us(result["total_ns"]), f"{result['total_ratio_copy_ring']:.3f}"
                    if "copy_ring" in options.ways else "-"]
        header = HEADER[:2] + ["capture", "frame", "dirty/used pages"] + HEADER[2:]
        show(f"Capture and what it slows the frame by, {size_of(kib)} world; frame + capture",
             header + ["frame + capture us", "to the ring's"], rows)
        results += new
    return results


def rollback(options):
    keys = ["world_kib", "allocate"]

    def name_of(key, way):
        return (f"snapshot/rollback/{way}/world={size_of(key[0])},touched=1%,n={key[2]},"
                f"allocate={key[1]}")

    def netcode_name(key, way):
        return (f"netcode/rollback8_frames8/{way}/world={size_of(key[0])},touched=1%,"
                f"allocate={key[1]}")

    results = {"rollback": [], "netcode": []}
    all_rows, net_rows = [], []
    for kib in options.worlds:
        rounds = options.rounds * 2 + (9 if kib <= 4096 else 1)
        lines = run(options, ["rollback", LUA, kib, options.kept, rounds])
        back = group([x for x in lines if x.name == "rollback"], [*keys, "n"])
        rows, new = cost_rows(back, [*keys, "n"], name_of, "rollback_ns")
        all_rows += rows
        results["rollback"] += new
        net = group([x for x in lines if x.name == "netcode"], keys)
        rows, new = cost_rows(net, keys, netcode_name, "added_ns")
        net_rows += rows
        results["netcode"] += new
    show("Rollback", ["row", "us", *HEADER[2:]], all_rows)
    show("Rollback by 8, then 8 frames with a snapshot each, less the 8 frames alone", HEADER,
         net_rows)
    return results


def frames(options):
    """The ratio of the medians: frames, not rounds, are what was repeated here."""
    rows, results = [], []
    for kib in options.frame_worlds:
        lines = run(options, ["frames", LUA, kib, HISTORY, options.frames])
        if not options.bounds:
            pacing = [w for w in ("none", "auto") if w in options.ways + ["none"]]
            lines += run(options, ["-g", "-a", "1", "frames", LUA, kib, HISTORY, options.frames],
                         pacing)
        rings = {line.values["allocate"]: float(line.values["total_ns_median"])
                 for line in lines if line.way == "copy_ring"}
        for line in lines:
            v = line.values
            name = (f"frame/total/{line.way}/world={size_of(kib)},touched=1%,"
                    f"allocate={v['allocate']},pacing={v['pacing']}")
            middle, p99, worst = (float(v[f"total_ns_{k}"]) for k in ("median", "p99", "max"))
            ring = rings.get(v["allocate"])
            rows.append([name, us(middle), us(p99), us(worst), f"{worst / middle:.2f}",
                         f"{middle / ring:.3f}" if ring else "-",
                         *(f"{float(v[f'dirty_{k}']):.1%}" for k in ("median", "p99", "max")),
                         v["peak_kib"]])
            results.append({"name": name, "way": line.way, **v})
    show(f"Frame and capture together, {options.frames} frames, the collector running (us)",
         ["row", "median", "p99", "worst", "worst/median", "median to ring's", "dirty median",
          "p99", "worst", "peak KiB"], rows)
    return results


def memory(options):
    rows, results = [], []
    for kib in (k for k in options.worlds if k <= 16384):
        for line in run(options, ["memory", LUA, kib]):
            v = line.values
            name = f"snapshot/memory/{line.way}/world={size_of(kib)},touched=1%,snapshots=20"
            rows.append([name, f"{int(v['used_bytes']) / 1024:.0f}",
                         f"{int(v['dirty_bytes']) / 1024:.0f}",
                         f"{int(v['snapshot_bytes']) / 1024:.0f}", v["of_bound"]])
            results.append({"name": name, "way": line.way, **v})
    show("Memory of 20 snapshots (KiB); the bound is one heap and what the frames dirtied",
         ["row", "heap", "dirtied", "snapshots", "of bound"], rows)
    return results


def untouched(options):
    rows, results = [], []
    for kib in options.worlds:
        lines = run(options, ["untouched", LUA, kib, options.rounds * 4 + 1])
        for (_,), ways in group(lines, ["world_kib"]).items():
            for way, rounds in ways.items():
                cost, cold = (median(numbers(rounds, k)) for k in ("cost_ns", "cold_ns"))
                name = f"snapshot/untouched/{way}/world={size_of(kib)}"
                rows.append([name, us(cost), us(cold)])
                results.append({"name": name, "way": way, "world_kib": str(kib), "cost_ns": cost,
                                "cold_ns": cold})
    show("Snapshot of a VM that nothing ran in (us): again and again; once, the caches cold",
         ["row", "again", "cold"], rows)
    return results


def idle(options):
    rows, results = [], []
    for line in run(options, ["idle", options.vms, 100], trackers_in(options.ways)):
        v = {key: float(value) for key, value in line.values.items()}
        name = f"vm/idle/{line.way}/vms={options.vms},vm=100KiB"
        rows.append([name, us(v["first_snap_ns"]), us(v["next_snap_ns"]),
                     us(v["cold_snap_ns"]),
                     f"{v['resident_built'] / v['live_bytes']:.2f}",
                     f"{v['resident_snapped'] / (v['live_bytes'] + v['snapshot_bytes']):.2f}"])
        results.append({"name": name, "way": line.way, **v})
    show("Idle VMs: us for a snapshot of each, at first, then pass by pass, then with other "
         "memory in the caches before each pass; resident memory to live bytes", [
        "row", "first", "next", "cold", "before snapshots", "after, to live + snapshots"], rows)
    return results


def scripts(options):
    """The hook and the yields are in both, so the ratio is the price of tracking and capture."""
    rows, results = [], []
    for script in SCRIPTS:
        path = os.path.join(HERE, "scripts", f"{script}.lua")
        times, snaps = collections.defaultdict(list), {}
        for _ in range(options.rounds):
            for line in run(options, ["script", path, 1000], trackers_in(options.ways)):
                times[line.way].append(float(line.values["total_ns"]))
                snaps[line.way] = line.values["snaps"]
        for way in trackers_in(times):
            ratio = pair_ratio(times[way], times["none"])
            name = f"script/snap_each_ms/{way}/script={script}"
            rows.append([name, us(median(times[way])), snaps[way], f"{ratio:.3f}"])
            results.append({"name": name, "way": way, "ratio": ratio})
    show("Scripts with a snapshot each 1 ms, to the same without snapshots",
         ["row", "us", "snapshots", "ratio"], rows)
    return results


PARTS = {"capture": capture, "rollback": rollback, "frames": frames, "memory": memory,
         "untouched": untouched, "idle": idle, "scripts": scripts}
BOUNDED = ["capture", "rollback", "frames", "untouched", "idle"]


def names(text):
    return text.split(",")


def integers(text):
    return [int(item) for item in text.split(",")]


def options_of_command_line():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n", maxsplit=1)[0],
        epilog="A first look takes a minute: --short --bounds. A tracker beside others: "
               "--ways copy_ring,auto,cards --worlds 4096 --parts capture.")
    parser.add_argument("--bounds", action="store_true",
                        help="measure what the bounds of bounds.py need, and say which are met")
    parser.add_argument("--short", action="store_true",
                        help="one round of few frames, worlds of 1 and 4 MiB: good to a third")
    parser.add_argument("--tracker", default=os.environ.get("RLUA_TRACKER") or "auto",
                        help="whom the bounds are for (default: RLUA_TRACKER, else auto)")
    parser.add_argument("--ways", type=names,
                        help=f"of {','.join([*COPIES, *TRACKERS])} (default: all; with --bounds "
                             "or --short the ring, the best copy and the tracker)")
    parser.add_argument("--plain", metavar="LIBRLUA",
                        help="a librlua.so built without marks of writes: what frames cost in it "
                             "is what they cost without snapshots (default: the same library)")
    parser.add_argument("--parts", type=names, help=f"of {','.join(PARTS)} (default: all)")
    parser.add_argument("--worlds", type=integers, help="sizes of worlds in KiB")
    parser.add_argument("--frame-worlds", type=integers, help="the same for the part `frames`")
    parser.add_argument("--touched", type=integers, help="entities of a frame, in thousandths")
    parser.add_argument("--patterns", type=names, help="of scattered,same,clustered")
    parser.add_argument("--rounds", type=int, help="rounds of each measurement")
    parser.add_argument("--frames", type=int, help="frames of the part `frames`")
    parser.add_argument("--kept", type=int, help="moments kept in the part `rollback`, 9 or more; "
                        "what is kept besides those that are needed makes the ring slower")
    parser.add_argument("--vms", type=int, help="VMs of the part `idle`")
    parser.add_argument("--json", help="file for the results")
    parser.add_argument("--throughput", default=os.path.join(BUILT, "results", "throughput.json"),
                        help="results of throughput.py, for the bounds of scripts")
    parser.add_argument("--world", default=os.path.join(BUILT, "world"),
                        help="the compiled world.c")
    return with_defaults(parser.parse_args())


def with_defaults(options):
    few = options.bounds or options.short
    default = {
        "ways": ["copy_ring", "copy_best", options.tracker] if few else [*COPIES, *TRACKERS],
        "parts": BOUNDED if options.bounds else list(PARTS),
        "worlds": [1024, 4096] if options.short else
                  [1024, 4096, 16384, 65536] if options.bounds else WORLDS_KIB,
        "frame_worlds": [4096] if few else [4096, 16384],
        "touched": [1, 10, 50, 1000] if options.bounds else PARTS_PERMILLE,
        "patterns": ["scattered"] if few else ["scattered", "same", "clustered"],
        "rounds": 1 if options.short else 5 if options.bounds else 3,
        "frames": 300 if options.short else 2000,
        "kept": 9 if options.bounds else 20,
        "vms": 1000 if options.short else 10000,
    }
    for name, value in default.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    if options.bounds and not {"copy_ring", "copy_best", options.tracker} <= set(options.ways):
        raise SystemExit("--bounds needs copy_ring, copy_best and the tracker among --ways")
    if not os.path.exists(options.world):
        raise SystemExit(f"{options.world} is not there: run `make -C benches world-program`")
    return options


def main():
    options = options_of_command_line()
    pin()
    results = {part: PARTS[part](options) for part in options.parts}
    if options.bounds:
        show_bounds(results, options.tracker, load(options.throughput))
    if options.json:  # parts that were not run keep their last results
        save(options.json, {**load(options.json), **results})


if __name__ == "__main__":
    main()
