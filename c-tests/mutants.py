#!/usr/bin/env python3
"""Leaves out each mark of Lua's patched sources, one at a time, and sees that a net catches it.

    mutants.py LIBRARY PROGRAM...      LIBRARY is a build with RLUA_ORACLE (src/lua/oracle.c)

First the programs run as they are: the marks that they make are the mutants, and none of the
programs may fail. Then each mutant runs with the programs that made its mark, until one is stopped.
A mutant that none catches is listed: in these programs other marks cover its line, or the line
behind it, each time. So the list is no proof against a mark, and its shrinking is one for the nets.
Fails where fewer than a quarter of the mutants are caught: then the nets are not on.
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
    with tempfile.NamedTemporaryFile("r") as made:
        status, text = run(library, program, RLUA_MARKS=made.name)
        if status != 0:
            sys.exit(f"{program}: status {status} without a mutant\n{text}")
        return {tuple(line.split()) for line in made}


def main(library, *programs):
    makers = collections.defaultdict(list)
    for program in programs:
        for mark in marks_of(library, program):
            makers[mark].append(program)
    missed = []
    for number, place in sorted(makers, key=lambda mark: int(mark[0])):
        caught = any("C1:" in run(library, program, RLUA_MUTANT=number)[1]
                     for program in makers[number, place])
        if not caught:
            missed.append(number)
            place = re.sub("^.*/out/lua/", "", place)
            print(f"not caught: mark {number}, {place}", flush=True)
    print(f"{len(makers)} marks, {len(missed)} not caught")
    if len(missed) * 4 >= len(makers) * 3:
        sys.exit(1)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
