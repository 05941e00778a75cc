#!/usr/bin/env python3
"""Checks that the documents show programs exactly as they are run.

    check_readme.py [README]

- README.md shows every program of examples/snippets: some fenced block has the file's content,
  whitespace and all, and is fenced with the file's language.
- A page of a task shows parts of its program in examples/tasks: each block of C is some lines of
  it, one behind the other.

Prints what differs and `N passed, N failed`; exits with 1 on a failure. What it does not verify:
that the prose around a block is true.
"""

import difflib
import re
import sys
from pathlib import Path

LANGUAGES = {".c": "c", ".cpp": "cpp", ".py": "python", ".cs": "csharp"}
HERE = Path(__file__).resolve().parent
TASKS = {"ADD-ROLLBACK.md": "rollback.c", "DESYNC.md": "desync.c", "SPECTATOR.md": "spectator.c",
         "SANDBOX.md": "mod.c"}


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


def strange_blocks(page, program):
    """The blocks of C on a page that the program has not, as text."""
    found = [block for language, block in fenced_blocks(page) if language == "c"]
    lines = "\n" + program
    strange = [block for block in found if "\n" + block not in lines]
    return strange or ([] if len(found) > 1 else ["the page shows less than two parts\n"])


def check_tasks():
    """(passed, failed) of the pages of tasks, and of what has to be seen."""
    results = {}
    for page, program in TASKS.items():
        text = (HERE.parent / "docs" / page).read_text(encoding="utf-8")
        code = (HERE / "tasks" / program).read_text(encoding="utf-8")
        results[f"docs/{page}"] = strange_blocks(text, code)
        results[f"an edited docs/{page} is seen"] = [] if strange_blocks(
            text.replace("rlua_", "rlua_x", 1).replace("(L,", "(M,"), code) else ["it is not\n"]
    others = {path.name for path in (HERE / "tasks").glob("*.c")} - set(TASKS.values())
    results["each program has a page"] = [f"{name}\n" for name in sorted(others)]
    for name, found in results.items():
        if found:
            print(f"DIFFERS {name}\n{''.join(found)}")
    failed = sum(bool(found) for found in results.values())
    return len(results) - failed, failed


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
    of_tasks = check_tasks()
    passed, failed = passed + of_tasks[0], failed + of_tasks[1]
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
