"""Draws the results of throughput.py and world.py as SVG files for the README.

Needs matplotlib (`make charts` puts it into a venv under target/). Not here: any measuring.
"""
import argparse
import json
import os

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402  (the backend is chosen first)

BETTER, WORSE, NEUTRAL = "#2a7f62", "#b5482f", "#8a8f98"
COLOURS = {"copy_fresh": "#c9ccd1", "copy_ring": "#a5a9b0", "copy_reused": "#7b8089",
          "copy_best": "#4a4f57", "compare": "#3b7dd8", "auto": "#2a7f62"}
LABELS = {"copy_fresh": "copy, fresh block", "copy_ring": "copy, ring of blocks",
          "copy_reused": "copy, one block", "copy_best": "best copy",
          "compare": "comparing all", "auto": "librlua"}


def load(folder, name):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def finish(figure, path):
    figure.tight_layout()
    # No date and fixed ids: the file changes only when a figure does.
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    print(os.path.relpath(path))


def draw_throughput(results, path):
    rows = sorted(results["rows"], key=lambda row: row["ratio"], reverse=True)
    names = [row["name"].split("/kind=")[0].replace("script/run/", "") for row in rows]
    ratios = [row["ratio"] for row in rows]
    figure, axes = plt.subplots(figsize=(7, 0.27 * len(rows) + 1.2))
    colours = [BETTER if r < 0.97 else NEUTRAL if r <= 1.03 else WORSE for r in ratios]
    bars = axes.barh(names, ratios, color=colours)
    axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("time, stock Lua 5.4 = 1 (less is better)")
    mean = results["summaries"]["all"]
    if mean:
        axes.set_title(f"librlua against stock Lua: geometric mean {mean['geometric_mean']:.2f}")
    axes.spines[["top", "right"]].set_visible(False)
    finish(figure, path)


def fields_of(name):
    """`a/b/way/x=1,y=2` -> {'x': '1', 'y': '2'}"""
    return dict(pair.split("=") for pair in name.split("/", 3)[3].split(","))


PATTERNS = {"scattered": "other entities in each frame", "same": "the same in each frame"}


def draw_capture(results, path, allocate):
    """Added time of a frame with a snapshot, over the touched part: a row of plots for each
    pattern, in it a plot for each world."""
    lines = {}
    for row in results["capture"]:
        fields = fields_of(row["name"])
        untouched = fields["touched"] == "0%"
        if fields["allocate"] != allocate and not untouched:
            continue
        for pattern in PATTERNS if untouched else [fields["pattern"]]:
            points = lines.setdefault((pattern, fields["world"]), {}).setdefault(row["way"], [])
            points.append((fields["touched"], max(row["cost_ns"], 100) / 1e3))
    worlds = list(dict.fromkeys(world for _, world in lines))
    figure, plots = plt.subplots(len(PATTERNS), len(worlds), squeeze=False, sharex=True,
                                 sharey="col", figsize=(3.1 * len(worlds), 3 * len(PATTERNS)))
    for places, (pattern, title) in zip(plots, PATTERNS.items()):
        for axes, world in zip(places, worlds):
            for way, points in lines.get((pattern, world), {}).items():
                axes.plot([p[0] for p in points], [p[1] for p in points], marker="o",
                          markersize=3, color=COLOURS[way], label=LABELS[way])
            axes.set_yscale("log")
            axes.set_title(f"{world}, {title}", fontsize=9)
            axes.tick_params(labelsize=8)
            axes.spines[["top", "right"]].set_visible(False)
        places[0].set_ylabel("capture and slower frame, µs", fontsize=9)
    for axes in plots[-1]:
        axes.set_xlabel("entities touched in a frame", fontsize=8)
    plots[0][-1].legend(fontsize=7, frameon=False)
    finish(figure, path)


def draw_bars(rows, label_of, title, path):
    """Grouped bars of µs on a log scale: a group a label, a bar a way."""
    labels, ways = [], []
    for row in rows:
        if label_of(row) not in labels:
            labels.append(label_of(row))
        if row["way"] not in ways:
            ways.append(row["way"])
    figure, axes = plt.subplots(figsize=(1.6 * len(labels) + 2, 3.4))
    width = 0.8 / len(ways)
    for i, way in enumerate(ways):
        bars = {label_of(row): row["cost_ns"] / 1e3 for row in rows if row["way"] == way}
        places = [place + i * width for place in range(len(labels))]
        axes.bar(places, [max(bars.get(label, 0), 0.1) for label in labels], width,
                 color=COLOURS[way], label=LABELS[way])
    axes.set_xticks([place + 0.4 - width / 2 for place in range(len(labels))], labels, fontsize=8)
    axes.set_yscale("log")
    axes.set_ylabel("µs")
    axes.set_title(title, fontsize=10)
    axes.legend(fontsize=7, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    finish(figure, path)


def allocating(rows):
    return [row for row in rows if fields_of(row["name"])["allocate"] == "1"]


def draw_world(results, docs):
    if results.get("capture"):
        draw_capture(results, os.path.join(docs, "bench-capture.svg"), "0")
        draw_capture(results, os.path.join(docs, "bench-capture-allocating.svg"), "1")
    rollback = results.get("rollback")
    if rollback:
        rows = [row for row in allocating(rollback["rollback"])
                if fields_of(row["name"])["world"] == "4MiB"]
        if rows:
            draw_bars(rows, lambda row: f"n = {fields_of(row['name'])['n']}",
                      "rollback(n), 4 MiB world, 1 % touched a frame",
                      os.path.join(docs, "bench-rollback.svg"))
        draw_bars(allocating(rollback["netcode"]), lambda row: fields_of(row["name"])["world"],
                  "rollback by 8, then 8 frames with a snapshot each, less the frames",
                  os.path.join(docs, "bench-netcode.svg"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", required=True, help="folder of the JSON files")
    parser.add_argument("--docs", required=True, help="folder for the charts")
    options = parser.parse_args()
    plt.rcParams.update({"font.size": 9, "svg.hashsalt": "rlua", "svg.fonttype": "none"})
    throughput = load(options.results, "throughput.json")
    world = load(options.results, "world.json")
    if throughput:
        draw_throughput(throughput, os.path.join(options.docs, "bench-throughput.svg"))
    if world:
        draw_world(world, options.docs)
    if not throughput and not world:
        raise SystemExit("no results yet: run `make bench` first")


if __name__ == "__main__":
    main()
