#!/usr/bin/env python3
"""Runs the tests of the package that is installed, and ends with `N passed, N failed`; before that
line it tells what cannot run here, and why.

    run.py [NAME...]        modules, classes or tests, as unittest names them
"""

import faulthandler
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent


class Result(unittest.TextTestResult):
    passed = 0

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1


def main(names):
    faulthandler.enable()
    sys.path.insert(0, str(HERE))
    loader = unittest.defaultTestLoader
    names = names or [path.stem for path in sorted(HERE.glob("test_*.py"))]
    runner = unittest.TextTestRunner(verbosity=1, resultclass=Result)
    result = runner.run(loader.loadTestsFromNames(names))
    failed = len({str(test).split(" [")[0] for test, _ in result.failures + result.errors})
    for test, reason in result.skipped:
        print(f"not run: {test.id()}: {reason}")
    if result.skipped:
        print(f"{len(result.skipped)} not run, see above")
    print(f"{result.passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
