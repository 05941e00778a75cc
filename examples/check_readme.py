#!/usr/bin/env python3
"""Checks that README.md shows every program of examples/snippets exactly as it is run.

    check_readme.py [README]

A snippet passes when some fenced block of the README has the file's content, whitespace and all,
and is fenced with the file's language. Prints what differs and `N passed, N failed`; exits with 1
on a failure. What it does not verify: that the prose around a block is true.
"""

import difflib
import re
import sys
from pathlib import Path

LANGUAGES = {".c": "c", ".cpp": "cpp", ".py": "python", ".cs": "csharp"}
HERE = Path(__file__).resolve().parent


def fenced_blocks(text):
    """(language, content) of each block between ``` fences at the start of a line."""
    return re.findall(r"^```(\S*)[^\n]*\n(.*?)^```[ \t]*$", text, re.MULTILINE | re.DOTALL)


def difference(snippet, language, blocks):
    """What to do to the README, as text; empty when the snippet is in it."""
    content = snippet.read_text(encoding="utf-8")
    if (language, content) in blocks:
        return ""
    if any(content == block for _, block in blocks):
        return f"its block is not fenced with ```{language}\n"
    same_language = [block for found, block in blocks if found == language]
    nearest = max(same_language, default="",
                  key=lambda block: difflib.SequenceMatcher(None, content, block).ratio())
    lines = difflib.unified_diff(nearest.splitlines(True), content.splitlines(True),
                                 "nearest block of the README", snippet.name)
    return "".join(lines)


def main(arguments):
    readme = Path(arguments[0]) if arguments else HERE.parent / "README.md"
    blocks = fenced_blocks(readme.read_text(encoding="utf-8")) if readme.exists() else []
    if not readme.exists():
        print(f"{readme} does not exist")
    passed = failed = 0
    for snippet in sorted((HERE / "snippets").iterdir()):
        if snippet.suffix not in LANGUAGES:
            continue
        found = difference(snippet, LANGUAGES[snippet.suffix], blocks)
        if found:
            print(f"DIFFERS examples/snippets/{snippet.name}\n{found}")
        failed += bool(found)
        passed += not found
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
