"""What a call, a callback and an access cost from Python: the package rlua beside lupa.

Method: both in this process; rounds of each in alternating order, the fastest of a round's loops,
the median of the rounds' ratios. What the loop itself costs (an empty statement) is subtracted from
both. lupa is the wheel of its makers, with lua.org's Lua inside; rlua is State() as it comes.

    python_calls.py [--rounds N]        where both are installed: make python
"""
import argparse
import timeit

import lupa.lua54
import rlua
from table import geometric_mean, median, pin, save, show

SCRIPT = """
function f(x) return x end
function three(a, b, c) return a, b, c end
function calls(f, n) for i = 1, n do f(i) end end
function counts() while true do coroutine.yield(1) end end
t = {x = 1} for i = 1, 1000 do t[i] = i end
"""
# (name, statement, how many of what is measured it does)
CASES = [
    ("call, an integer in and out", "f(1)", 1),
    ("call, a string in and out", "f('some text')", 1),
    ("call, three in and out", "three(1, 2.5, True)", 1),
    ("callback", "calls(one, 1000)", 1000),
    ("call, a table in and out", "f(t)", 1),
    ("call, a callable in and out", "f(one)", 1),
    ("table, read a field", "t['x']", 1),
    ("table, read an element", "t[7]", 1),
    ("table, write a field", "t['x'] = 2", 1),
    ("table, a pair of its iteration", "for pair in t.items(): pass", 1001),
    ("coroutine, resumed", "next(counts)", 1),
]


def one(x):
    return x


def names_of_rlua():
    lua = rlua.State()
    lua.execute(SCRIPT)
    table = lua.globals
    return {"lua": lua, "one": one, "counts": table["counts"].coroutine(),
            **{name: table[name] for name in ("f", "three", "calls", "t")}}


def names_of_lupa():
    lua = lupa.lua54.LuaRuntime(unpack_returned_tuples=True)
    lua.execute(SCRIPT)
    table = lua.globals()
    return {"lua": lua, "one": one, "counts": table["counts"].coroutine(),
            **{name: table[name] for name in ("f", "three", "calls", "t")}}


def fastest_ns(statement, names, per):
    timer = timeit.Timer(statement, globals=names)
    loops = max(1, 20_000 // per)
    return min(timer.repeat(5, loops)) / loops / per * 1e9


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", help="where to save the results")
    arguments = parser.parse_args()
    pin()
    subjects = {"rlua": names_of_rlua(), "lupa": names_of_lupa()}
    empty = fastest_ns("pass", {}, 1)
    rows, results = [], {}
    for name, statement, per in CASES:
        times = {"rlua": [], "lupa": []}
        for index in range(arguments.rounds):
            for subject in ("rlua", "lupa") if index % 2 else ("lupa", "rlua"):
                spent = fastest_ns(statement, subjects[subject], per) - empty / per
                times[subject].append(spent)
        ratio = median([a / b for a, b in zip(times["rlua"], times["lupa"])])
        results[name] = {"rlua_ns": median(times["rlua"]), "lupa_ns": median(times["lupa"]),
                         "ratio": ratio}
        rows.append([name, f"{median(times['lupa']):.0f} ns", f"{median(times['rlua']):.0f} ns",
                     f"{ratio:.2f}"])
    rows.append(["geometric mean", "", "",
                 f"{geometric_mean([each['ratio'] for each in results.values()]):.2f}"])
    show("Python", ["", "lupa", "rlua", "ratio"], rows)
    if arguments.json:
        save(arguments.json, results)


if __name__ == "__main__":
    main()
