#!/usr/bin/env python3
"""Leaves out each mark of Lua and of our C, one at a time, and sees that a net catches it.

    mutants.py LIBRARY LIST PROGRAM...     LIBRARY is a build with RLUA_ORACLE (src/lua/oracle.c)

First the programs run as they are, and none may fail: the library tells which of its marks they
make. Then each mark is left out of the programs that make it, until the oracle stops one. A mark
that no program makes, or whose lack none shows, has to be in LIST: a line `file: source line`,
behind a line with the reason. An entry that is not needed fails, too.
"""

import collections
import os
import re
import subprocess
import sys
import tempfile


def run(library, program, **more):
    environment = {**os.environ, "LD_PRELOAD": library, "RLUA_TRACKER": "checked",
                   "RLUA_TEST_DIRECT": "1", "RLUA_TEST_SCALE": "16", **more}
    try:
        done = subprocess.run(program.split(), env=environment, capture_output=True, check=False,
                              text=True, timeout=120)
    except subprocess.TimeoutExpired:
        return 0, ""
    return done.returncode, done.stderr


def marks_of(library, program):
    """All marks: number, whether the program makes it, and its place."""
    with tempfile.NamedTemporaryFile("r") as listed:
        status, text = run(library, program, RLUA_MARKS=listed.name)
        if status != 0:
            sys.exit(f"{program}: status {status} without a mutant\n{text}")
        return [line.split() for line in listed]


def source(place):
    """`file: line as it is there`."""
    path, line = place.rsplit(":", 1)
    with open(os.path.join(os.path.dirname(__file__), "../..", path), encoding="utf-8") as file:
        text = file.read().split("\n")[int(line) - 1]
    return f"{os.path.basename(path)}: {' '.join(text.split())}"


def read_list(path):
    with open(path, encoding="utf-8") as file:
        lines = [line.strip() for line in file]
    return [line for line in lines if re.match(r"\w+\.[ch]: ", line)]


def main(library, list_path, *programs):
    makers = collections.defaultdict(list)
    places = {}
    for program in programs:
        for number, made, place in marks_of(library, program):
            places[number] = place
            if made == "1":
                makers[number].append(program)
    accepted, needed, failed, caught = read_list(list_path), set(), 0, 0
    for number, place in sorted(places.items(), key=lambda mark: int(mark[0])):
        if any("C1:" in run(library, program, RLUA_MUTANT=number)[1] for program in makers[number]):
            caught += 1
            continue
        text = source(place)
        needed.add(text)
        if text not in accepted:
            failed += 1
            why = "not caught" if makers[number] else "not made"
            print(f"{why}: {text}   ({place})", flush=True)
    for text in accepted:
        if text not in needed:
            failed += 1
            print(f"in {list_path}, but not needed there: {text}")
    print(f"{len(places)} marks: {caught} caught, {len(places) - caught} not, "
          f"{len(accepted)} lines of those listed")
    # Two lines that run.sh counts.
    print(f"{1 if failed == 0 and caught > 0 else 0} passed, {failed or int(caught == 0)} failed")
    sys.exit(1 if failed or not caught else 0)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
