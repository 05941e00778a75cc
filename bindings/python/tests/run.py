#!/usr/bin/env python3
"""Runs the tests of the package that is installed, and ends with `N passed, N failed`.

    run.py [NAME...]        modules, classes or tests, as unittest names them
"""

import faulthandler
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(names):
    faulthandler.enable()
    sys.path.insert(0, str(HERE))
    loader = unittest.defaultTestLoader
    names = names or [path.stem for path in sorted(HERE.glob("test_*.py"))]
    result = unittest.TextTestRunner(verbosity=1).run(loader.loadTestsFromNames(names))
    failed = len({str(test).split(" [")[0] for test, _ in result.failures + result.errors})
    print(f"{result.testsRun - failed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
