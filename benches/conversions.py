"""What a function, a conversion or a key costs in a Lua loop: stock Lua over glibc, and librlua.

Method: as throughput.py: processes of their own, CPU time, pairs in alternating order, the ratio
of a row is the median of its pairs' ratios. The time of the loop itself is measured by a row of its
own and subtracted from both.
"""
import argparse
import os
import re
import tempfile

from table import geometric_mean, median, pin, save, show
from throughput import run_pairs

LOOPS = 400_000
# (kind, name, what stands before the loop, the statement in it)
CASES = [("loop", "empty", "", "local x = i * 0.00137")]
for function, argument in [
        ("sin", "i * 0.00137"), ("cos", "i * 0.00137"), ("tan", "i * 0.00137"),
        ("asin", "(i % 2001 - 1000) * 0.001"), ("acos", "(i % 2001 - 1000) * 0.001"),
        ("atan", "i * 0.00137"), ("exp", "(i % 1400 - 700) * 0.5"), ("log", "i * 0.00137"),
        ("sinh", "(i % 1400 - 700) * 0.01"), ("cosh", "(i % 1400 - 700) * 0.01"),
        ("tanh", "(i % 1400 - 700) * 0.01"), ("sqrt", "i * 0.00137"), ("floor", "i * 0.00137")]:
    CASES.append(("math", function, f"local f = math.{function}", f"local x = f({argument})"))
CASES += [
    ("math", "sin, large", "local f = math.sin", "local x = f(i * 1e19)"),
    ("math", "atan2", "local f = math.atan", "local x = f(i * 0.00137, 100 - i * 0.001)"),
    ("math", "log2", "local f = math.log", "local x = f(i * 0.00137, 2)"),
    ("math", "log10", "local f = math.log", "local x = f(i * 0.00137, 10)"),
    ("math", "x ^ y", "local y = 1.37", "local x = (i * 0.00137) ^ y"),
    ("math", "x ^ 0.5", "local y = 0.5", "local x = (i * 0.00137) ^ y"),
    ("math", "x ^ 2", "local y = 2", "local x = (i * 0.00137) ^ y"),
    ("math", "x % y", "local y = 0.7", "local x = (i * 0.00137) % y"),
    ("math", "x % y, far", "local y = 0.7", "local x = (i * 1e290) % y"),
    ("math", "x // y", "local y = 0.7", "local x = (i * 0.00137) // y"),
    ("math", "fmod", "local f, y = math.fmod, 0.7", "local x = f(i * 0.00137, y)"),
    ("text", "tostring, float", "local f = tostring", "local x = f(i * 0.00137)"),
    ("text", "tostring, integral float", "local f = tostring", "local x = f(i + 0.0)"),
    ("text", ".. integer", "", "local x = i .. ''"),
]
for conversion, argument in [("%d", "i"), ("%5d", "i"), ("%x", "i"), ("%.2f", "i * 0.00137"),
                             ("%g", "i * 0.00137"), ("%.14g", "i * 0.00137"),
                             ("%.17g", "i * 0.00137"), ("%e", "i * 0.00137"),
                             ("%a", "i * 0.00137"), ("%10s", "'text'")]:
    CASES.append(("text", f"format {conversion}", "local f = string.format",
                  f"local x = f('{conversion}', {argument})"))
for numeral in ["12", "12.5", "0.1234567890123456", "1.5e-200", "0x1.8p3", "0xff"]:
    CASES.append(("text", f"tonumber {numeral}", "local f = tonumber", f"local x = f('{numeral}')"))
CASES += [
    ("text", "upper", "local s, f = ('Some text. '):rep(10), string.upper", "local x = f(s)"),
    ("text", "find %a+%d+", "local s, f = ('text '):rep(10) .. '9', string.find",
     "local x = f(s, '%a+%d+')"),
    ("text", "a < b", "local a, b = ('x'):rep(50) .. 'a', ('x'):rep(50) .. 'b'", "local x = a < b"),
]
# Tables whose keys are of one kind, with what makes the i-th. Of userdata scripts make only files.
for keys, count, key in [
        ("tables", 20, "{}"), ("functions", 20, "function() return i end"),
        ("coroutines", 20, "coroutine.create(print)"), ("strings", 20, "'key' .. i"),
        ("floats", 20, "i + 0.5"), ("C functions", 10, "functions[i]"),
        ("userdata", 20, "io.open('/dev/null')"), ("mixed", 20, "i % 2 == 0 and {} or 'key' .. i")]:
    table = ("local functions = {print, next, pairs, type, select, math.sin, math.exp, string.rep,"
             " table.concat, coroutine.wrap} local t, last = {} "
             f"for i = 1, {count} do last = {key} t[last] = i end")
    CASES.append(("keys", f"pairs, {keys}", table,
                  "if i % 20 == 0 then for k in pairs(t) do end end"))
    CASES.append(("keys", f"get, {keys}", table, "local x = t[last]"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stock", required=True, help="host linked with stock Lua")
    parser.add_argument("--subject", required=True, help="host linked with librlua")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of runs for each row")
    parser.add_argument("--only", default="", help="regular expression on names")
    parser.add_argument("--json", help="file for the results")
    options = parser.parse_args()
    pin()
    measured = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, name, before, statement in CASES:
            if kind != "loop" and not re.search(options.only, name):
                continue
            path = os.path.join(folder, "case.lua")
            with open(path, "w", encoding="utf-8") as file:
                file.write(f"{before}\nfor i = 1, {LOOPS} do {statement} end\n")
            measured[kind, name] = run_pairs(options, ["run", path])
    loop = measured.pop(("loop", "empty"))
    rows, results = [], []
    for (kind, name), pairs in measured.items():
        stock, subject = ([max(t - median(empty), 0.0) / LOOPS * 1e9 for t in times]
                          for times, empty in zip(pairs, loop))
        ratio = median([b / max(a, 0.1) for a, b in zip(stock, subject)])
        results.append({"kind": kind, "name": name, "stock_ns": median(stock),
                        "rlua_ns": median(subject), "ratio": ratio})
        rows.append([f"{kind}/{name}", f"{median(stock):.1f} ns", f"{median(subject):.1f} ns",
                     f"{ratio:.2f}"])
    show(f"Functions and conversions in Lua loops, {options.rounds} pairs, less the loop's time",
         ["row", "stock", "rlua", "ratio"], rows)
    for kind in ("math", "text", "keys"):
        ratios = [row["ratio"] for row in results if row["kind"] == kind and row["ratio"] > 0]
        if ratios:
            print(f"{kind}: geometric mean {geometric_mean(ratios):.2f} over {len(ratios)}")
    if options.json and not options.only:
        save(options.json, results)


if __name__ == "__main__":
    main()
