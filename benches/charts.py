#!/usr/bin/env python3
"""Draws the charts of the documents as SVG, from results that were published.

    charts.py                   draws results/ into ../docs
    charts.py --take FOLDER     first takes from FOLDER, where a run left its results, what is drawn
    charts.py --check           whether the charts are what would be drawn, and each result stands
                                in docs/BENCHMARKS.md

A chart has one panel, and a title that says what is to be seen. Each bar has its name and its
value, so there is no legend. The colours follow the reader's preference for dark or light; the
ground is the chart's own, since an image cannot know the page's.

Not here: any measuring (world.py, throughput.py), and what a figure means (docs/BENCHMARKS.md).
"""
import argparse
import json
import math
import sys
from pathlib import Path
from xml.sax.saxutils import escape

HERE = Path(__file__).resolve().parent
RESULTS, DOCS = HERE / "results", HERE.parent / "docs"
PAGE = DOCS / "BENCHMARKS.md"
NAMES = {"auto": "librlua", "copy_best": "best copy", "copy_ring": "ring of copies"}
COLOURS = {"auto": "good", "copy_best": "dark", "copy_ring": "grey"}
WORLDS = ["1MiB", "4MiB", "16MiB"]
TOUCHED = ["0.1%", "1%", "5%", "100%"]
PATTERNS = ["scattered", "same"]
# One frame at 60 Hz.
FRAME_MS = 1000 / 60
STYLE = """\
text { font: 17px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328; }
.title { font-size: 20px; font-weight: 600; }
.note { font-size: 15px; fill: #59636e; }
.value { font-variant-numeric: tabular-nums; paint-order: stroke; stroke-width: 5px; }
.end { text-anchor: end; }
.value { stroke: #ffffff; }
.ground { fill: #ffffff; stroke: #d1d9e0; }
.line { stroke: #cf222e; stroke-width: 2; }
.limit { fill: #cf222e; font-weight: 600; }
.good { fill: #1a7f64; }
.bad { fill: #bc4c00; }
.dark { fill: #59636e; }
.grey { fill: #818b98; }
text.inside { fill: #ffffff; stroke: none; font-weight: 600; }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc; }
.note { fill: #9198a1; }
.value { stroke: #0d1117; }
.ground { fill: #0d1117; stroke: #3d444d; }
.line { stroke: #ff7b72; }
.limit { fill: #ff7b72; }
.good { fill: #3fb992; }
.bad { fill: #f0883e; }
.dark { fill: #9198a1; }
.grey { fill: #656c76; }
text.inside { fill: #0d1117; }
}
"""
WIDTH, MARGIN, BAR, STEP = 640, 20, 17, 23
LEFT, RIGHT = 175, 600  # of a bar's ground


class Chart:
    """Horizontal bars, one below the other."""

    def __init__(self, title, notes, most):
        self.title, self.most, self.parts, self.y = title, most, [], MARGIN + 2
        for line in title:
            self.y += 24
            self.text(MARGIN, self.y, line, "title")
        for line in notes:
            self.y += 21
            self.text(MARGIN, self.y, line, "note")
        self.y += 20

    def text(self, x, y, text, kind=""):
        self.parts.append(f'<text x="{x:g}" y="{y:g}" class="{kind}">{escape(text)}</text>')

    def place(self, value):
        return LEFT + (RIGHT - LEFT) * value / self.most

    def group(self, name):
        self.y += 6
        self.text(MARGIN - 4, self.y + 14, name)

    def bar(self, name, value, label, colour, inside=False):
        end = max(self.place(value), LEFT + 2)
        self.text(LEFT - 8, self.y + 14, name, "note end")
        self.parts.append(f'<rect x="{LEFT}" y="{self.y}" width="{end - LEFT:.1f}" '
                          f'height="{BAR}" class="{colour}"/>')
        # Inside also where it would run out of the chart.
        outside = not inside and end + 8 + 9 * len(label) < WIDTH - MARGIN
        within = min(end, self.limit_x) if end - self.limit_x < 40 else end
        self.text(end + 6 if outside else within - 6, self.y + 14, label,
                  "value" if outside else "value end inside")
        self.y += STEP

    def limit(self, value, label):
        """A line at a value, over all bars, and what it means, above it."""
        x = round(self.place(value), 1)
        right = x > WIDTH / 2
        self.text(x - 6 if right else x + 6, self.y + 2, label, "limit end" if right else "limit")
        self.y += 14
        self.from_y, self.limit_x = self.y - 26, x

    def svg(self):
        height = self.y + 12
        line = (f'<line x1="{self.limit_x}" x2="{self.limit_x}" y1="{self.from_y}" '
                f'y2="{self.y}" class="line"/>')
        texts = [part for part in self.parts if part.startswith("<text")]
        bars = [part for part in self.parts if part not in texts]
        return "\n".join([
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}" role="img">',
            f"<title>{escape(' '.join(self.title))}</title>",
            f"<style>\n{STYLE}</style>",
            f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8" '
            'class="ground"/>',
            *bars, line, *texts, "</svg>", ""])


def fields_of(row):
    """`a/b/way/x=1,y=2` -> {'x': '1', 'y': '2'}"""
    return dict(pair.split("=") for pair in row["name"].split("/", 3)[3].split(","))


def world_of(text):
    return text.replace("MiB", " MiB")


def part_of(text):
    return text.replace("%", " %")


def milliseconds(row):
    value = row["cost_ns"] / 1e6
    digits = 2 if value < 1 else 1 if value < 10 else 0
    return f"{value:.{digits}f} ms"


def netcode(world):
    rows = {(fields_of(row)["world"], row["way"]): row for row in world["rollback"]["netcode"]}
    return {size: {way: rows[size, way] for way in NAMES} for size in WORLDS}


def draw_netcode(world):
    groups = netcode(world)
    last = groups[WORLDS[-1]]
    chart = Chart(["Rolling back 8 frames and running them again",
                   f"adds {milliseconds(last['auto'])} at {world_of(WORLDS[-1])}, where copies add "
                   f"{milliseconds(last['copy_best'])}"],
                  ["Rollback by 8, then 8 frames with a snapshot each, less the frames alone.",
                   "A frame touches 1 % of the entities, and makes three tables for each."], 17.3)
    chart.limit(FRAME_MS, f"one frame at 60 Hz: {FRAME_MS:.1f} ms")
    for size, ways in groups.items():
        chart.group(world_of(size))
        for way, row in ways.items():
            chart.bar(NAMES[way], row["cost_ns"] / 1e6, milliseconds(row), COLOURS[way])
    return chart.svg()


def captures(world, allocate):
    rows = {}
    for row in world["capture"]:
        fields = fields_of(row)
        if row["way"] == "auto" and fields["allocate"] == allocate:
            rows[fields["world"], fields["touched"], fields["pattern"]] = row
    return rows


def microseconds(row):
    value = row["cost_ns"] / 1e3
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"


def draw_capture(world, allocate):
    rows = captures(world, allocate)
    small = [rows[size, "1%", "scattered"]["ratio_copy_best"] for size in WORLDS]
    ratios = [rows[size, part, "scattered"]["ratio_copy_best"] for size in WORLDS
              for part in TOUCHED]
    title = {"0": [f"A snapshot costs {min(small):.2f} to {max(small):.2f} of the best copy",
                   "where a frame touches 1 % of the entities"],
             "1": [f"With new tables for each: {min(small):.2f} to {max(small):.2f} at 1 %,",
                   f"up to {max(ratios):.1f} copies where all are touched"]}
    chart = Chart(title[allocate],
                  ["Added to a frame, over what the best copy adds; other entities in each frame.",
                   "With what it adds in microseconds."], max(max(ratios), 1) * 1.45)
    chart.limit(1, "the best copy")
    for part in TOUCHED:
        chart.group(part_of(part))
        for size in WORLDS:
            row = rows[size, part, "scattered"]
            ratio = row["ratio_copy_best"]
            chart.bar(world_of(size), ratio, f"{ratio:.2f} ({microseconds(row)} µs)",
                      "good" if ratio <= 1 else "bad")
    return chart.svg()


def scripts(throughput):
    """(name, ratio), the slowest first."""
    rows = [(row["name"].split("/")[2], row["ratio"]) for row in throughput["rows"]
            if row["name"].startswith("script/run/")]
    return sorted(rows, key=lambda row: -row[1])


def mean(rows):
    return math.exp(sum(math.log(ratio) for _, ratio in rows) / len(rows))


def draw_throughput(throughput):
    rows = scripts(throughput)
    faster = sum(ratio < 1 for _, ratio in rows)
    chart = Chart([f"{faster} of {len(rows)} scripts run faster than in stock Lua 5.4"],
                  [f"Time, in stock Lua's: {mean(rows):.2f} in the geometric mean."], 1.12)
    chart.limit(1, "stock Lua 5.4")
    for name, ratio in rows:
        chart.bar(name.replace("_", " "), ratio, f"{ratio:.2f}", "good" if ratio < 1 else "bad",
                  inside=True)
    return chart.svg()


def charts(world, throughput):
    return {"bench-netcode.svg": draw_netcode(world),
            "bench-capture.svg": draw_capture(world, "0"),
            "bench-capture-allocating.svg": draw_capture(world, "1"),
            "bench-throughput.svg": draw_throughput(throughput)}


def lines_of_page(world, throughput):
    """What docs/BENCHMARKS.md has to say of the results, line by line."""
    for way, name in NAMES.items():
        cells = [milliseconds(ways[way]) for ways in netcode(world).values()]
        yield f"| {name} | {' | '.join(cells)} |"
    for allocate in ("0", "1"):
        rows = captures(world, allocate)
        for size in WORLDS:
            for part in TOUCHED:
                cells = [world_of(size), part_of(part)]
                for pattern in PATTERNS:
                    row = rows[size, part, pattern]
                    cells += [microseconds(row), f"{row['ratio_copy_ring']:.2f}",
                              f"{row['ratio_copy_best']:.2f}"]
                yield f"| {' | '.join(cells)} |"
    rows = scripts(throughput)
    yield f"| geometric mean of 19 scripts, best, worst | {mean(rows):.2f}, " \
          f"{rows[-1][1]:.2f}, {rows[0][1]:.2f} |"


def load(folder, name):
    with open(folder / name, encoding="utf-8") as file:
        return json.load(file)


def take(folder):
    """Of a run's results those that are drawn, without their rounds."""
    world, throughput = load(folder, "world.json"), load(folder, "throughput.json")
    keys = ["name", "way", "cost_ns", "ratio_copy_ring", "ratio_copy_best"]

    def short(row):
        return {key: row[key] for key in keys if key in row}
    drawn = {
        "capture": [short(row) for row in world["capture"] if row["way"] == "auto"
                    and fields_of(row)["world"] in WORLDS and fields_of(row)["touched"] in TOUCHED
                    and fields_of(row)["pattern"] in PATTERNS],
        "rollback": {"netcode": [short(row) for row in world["rollback"]["netcode"]
                                 if row["way"] in NAMES and fields_of(row)["world"] in WORLDS
                                 and fields_of(row)["allocate"] == "1"]}}
    rows = [{key: row[key] for key in ("name", "kind", "ratio")} for row in throughput["rows"]
            if row["name"].startswith("script/run/")]
    for name, value in (("world.json", drawn), ("throughput.json", {"rows": rows})):
        text = json.dumps(value, indent=1, sort_keys=True) + "\n"
        (RESULTS / name).write_text(text, encoding="utf-8")


def complaints(world, throughput, drawn, page):
    """What differs: charts, by their names, and lines that the page lacks."""
    for name, text in charts(world, throughput).items():
        if drawn.get(name) != text:
            yield f"docs/{name} is not what benches/charts.py draws: make -C benches charts"
    lines = set(page.splitlines())
    for line in lines_of_page(world, throughput):
        if line not in lines:
            yield f"docs/BENCHMARKS.md lacks the line {line}"
    for name in drawn:
        if name not in page:
            yield f"docs/{name} is on no page"


def unseen(world, throughput, drawn, page):
    """The check of the check: what is wrong on purpose, and is not told."""
    other = json.loads(json.dumps(world))
    other["rollback"]["netcode"][0]["cost_ns"] *= 2
    slower = {"rows": [{**row, "ratio": row["ratio"] * 2} for row in throughput["rows"]]}
    first = next(iter(drawn))
    wrong = {"a result that the page has not": (other, throughput, drawn, page),
             "scripts that the page has not": (world, slower, drawn, page),
             "a chart that was edited": (world, throughput, {**drawn, first: "<svg/>"}, page),
             "a chart on no page": (world, throughput, {**drawn, "bench-old.svg": ""}, page),
             "a figure that was edited": (world, throughput, drawn, page.replace("| 0.0", "| 0.9"))}
    for name, arguments in wrong.items():
        if not list(complaints(*arguments)):
            yield f"not seen: {name}"


def check():
    drawn = {path.name: path.read_text(encoding="utf-8") for path in DOCS.glob("bench-*.svg")}
    found = (load(RESULTS, "world.json"), load(RESULTS, "throughput.json"), drawn,
             PAGE.read_text(encoding="utf-8"))
    checks = [list(complaints(*found)), list(unseen(*found))]
    for line in checks[0] + checks[1]:
        print(line)
    failed = sum(bool(lines) for lines in checks)
    print(f"{len(checks) - failed} passed, {failed} failed")
    return failed != 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--take", type=Path, metavar="FOLDER", help="results of a run")
    parser.add_argument("--check", action="store_true", help="compare instead of drawing")
    options = parser.parse_args()
    if options.check:
        return check()
    if options.take:
        take(options.take)
    drawn = charts(load(RESULTS, "world.json"), load(RESULTS, "throughput.json"))
    for name, text in drawn.items():
        (DOCS / name).write_text(text, encoding="utf-8")
        print(f"docs/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
