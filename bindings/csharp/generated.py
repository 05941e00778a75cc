"""A file that one of the generators here writes, or holds against what it would write."""

import difflib
import sys


def main(arguments, usage, target, source, text):
    """Writes `target`; with --check, True where it is not what `text()` says."""
    if arguments == ["--check"]:
        there = target.read_text(encoding="utf-8") if target.exists() else ""
        lines = list(difflib.unified_diff(there.splitlines(), text().splitlines(),
                                          f"src/{target.name}", f"what {source} says",
                                          lineterm=""))
        print("\n".join(lines[:40]))
        return len(lines) > 0
    if arguments:
        sys.exit(usage)
    target.write_text(text(), encoding="utf-8")
    return False
