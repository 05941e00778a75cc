#!/usr/bin/env python3
"""Makes a site of the documents, and of include/rlua.h.

    site.py OUT         the site, in OUT/html: `make site`; mdbook is built where it is not there
    site.py --check     without mdbook: the pages can be made, the reference has all that the
                        header declares, and every link leads somewhere

The pages are the repository's own, in the same folders, so that their links hold; the table of
contents is docs/README.md. Behind the pages come those of reference.py, and names of functions in
the text lead there. When the site is made, each link of its HTML is followed.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import reference

ROOT = Path(__file__).resolve().parents[2]
CONTENTS = "docs/README.md"
REFERENCE = "docs/reference"
MDBOOK = "0.5.4"
BOOK = """\
[book]
title = "librlua"
description = "Lua 5.4 whose whole state can go back in time"
language = "en"
src = "src"

[build]
build-dir = "html"
create-missing = false

[output.html]
default-theme = "light"
preferred-dark-theme = "navy"
additional-css = ["wide.css"]
smart-punctuation = false
"""
# Tables of four columns fit.
CSS = """\
:root { --content-max-width: 880px; }
table td, table th { padding: 3px 10px; }
"""
# A link, or code, in which there is none.
LINK = re.compile(r"(!?\[(?:`[^`\n]*`|[^\]`\n])*\]\()([^)\s]+)(\))|`[^`\n]*`")


def outside_code(text):
    """(text, whether it is prose) of a document: fences are not."""
    parts = re.split(r"(^```.*?^```[ \t]*$)", text, flags=re.MULTILINE | re.DOTALL)
    return [(part, index % 2 == 0) for index, part in enumerate(parts)]


def joined(folder, target):
    return os.path.normpath(os.path.join(folder, target)).replace(os.sep, "/")


def place_in_book(path):
    """README.md is a folder's index.html."""
    return re.sub(r"(^|/)README\.md$", r"\1index.md", path)


def chapters():
    """[(part, [(title, path)])] of docs/README.md."""
    text = (ROOT / CONTENTS).read_text(encoding="utf-8")
    parts = []
    for line in text.splitlines():
        if line.startswith("## "):
            parts.append((line[3:], []))
        elif found := re.match(r"- \[(.+)\]\((.+)\)$", line):
            parts[-1][1].append((found.group(1), joined("docs", found.group(2))))
    return parts


def with_links_to_reference(text, path, places):
    """`rlua_snap` in prose leads to its place; headings and what is a link already stay."""
    up = os.path.relpath(REFERENCE, os.path.dirname(path) or ".").replace(os.sep, "/")

    def name(found):
        page = places.get(found.group(2))
        return f"[{found.group(0)}]({up}/{page}.md#{found.group(2)})" if page else found.group(0)
    lines = []
    for line in text.split("\n"):
        if not line.startswith("#") and "[`" not in line:
            line = re.sub(r"(`)(rlua_\w+)(?:\([^`]*\))?`", name, line)
        lines.append(line)
    return "\n".join(lines)


def page(path, places, copied):
    """A document as it is in the book; what it shows and is no page is noted in `copied`."""
    folder = os.path.dirname(path)

    def link(found):
        if found.group(2) is None:
            return found.group(0)
        target, _, heading = found.group(2).partition("#")
        if "://" in target or not target:
            return found.group(0)
        if not target.endswith(".md"):
            copied.add(joined(folder, target))
        heading = f"#{heading}" if heading else ""
        return found.group(1) + place_in_book(target) + heading + found.group(3)
    text = (ROOT / path).read_text(encoding="utf-8")
    return "".join(with_links_to_reference(LINK.sub(link, part), path, places) if prose else part
                   for part, prose in outside_code(text))


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def make_sources(src):
    """The book's sources; answers what is wrong with the reference."""
    files, places = reference.reference()
    summary, copied = ["# Summary", ""], set()
    summary += ["[What it is](index.md)", "[Documents](docs/index.md)"]
    pages = ["README.md", CONTENTS]
    for part, on_it in chapters():
        summary += ["", f"# {part}", ""]
        for title, path in on_it:
            summary.append(f"- [{title}]({place_in_book(path)})")
            pages.append(path)
    for path in pages:
        write(src / place_in_book(path), page(path, places, copied))
    summary += ["", "# Reference", "", f"- [The C API]({REFERENCE}/index.md)"]
    for name, text in files.items():
        write(src / REFERENCE / name, text)
        if name != "index.md":
            title = text.splitlines()[0].removeprefix("# ")
            summary.append(f"  - [{title}]({REFERENCE}/{name})")
    for path in sorted(copied):
        target = src / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, target)
    write(src / "SUMMARY.md", "\n".join(summary) + "\n")
    return list(reference.complaints(files, places))


def anchor(heading):
    if given := re.search(r"\{#(\w+)\}$", heading):
        return given.group(1)
    kept = re.sub(r"[^\w\- ]", "", heading.replace("`", "").strip().lower())
    return kept.replace(" ", "-")


def wrong_links(src):
    """Links of the book's sources that lead nowhere."""
    texts = {path.relative_to(src).as_posix(): "".join(
        part for part, prose in outside_code(path.read_text(encoding="utf-8")) if prose)
        for path in src.rglob("*.md")}
    anchors = {name: [anchor(line) for line in re.findall(r"^#+ (.*)$", text, re.MULTILINE)]
               for name, text in texts.items()}
    for name, text in texts.items():
        for _, target, _ in LINK.findall(text):
            path, _, heading = target.partition("#")
            if "://" in target or not target:
                continue
            path = joined(os.path.dirname(name), path) if path else name
            if not (src / path).is_file():
                yield f"{name}: {target} leads to no page"
            elif heading and heading not in anchors.get(path, []):
                yield f"{name}: {target} leads to no heading"


class Links(HTMLParser):
    """What a page refers to, and what can be referred to in it."""

    def __init__(self, text):
        super().__init__()
        self.targets, self.ids = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.targets.append(value)
            elif name in ("id", "name") and value:
                self.ids.add(value)


def wrong_links_of_html(html):
    pages = {path.relative_to(html).as_posix(): Links(path.read_text(encoding="utf-8"))
             for path in html.rglob("*.html")}
    for name, links in pages.items():
        if name in ("404.html", "print.html", "toc.html"):
            continue
        for target in links.targets:
            path, _, heading = unquote(target).partition("#")
            if "://" in target or target.startswith(("mailto:", "data:", "javascript:")):
                continue
            path = joined(os.path.dirname(name), path.split("?")[0]) if path else name
            if not (html / path).is_file():
                yield f"{name}: {target} leads to no file"
            elif heading and path in pages and heading not in pages[path].ids:
                yield f"{name}: {target} leads to no place in it"
    if len(pages) < 30:
        yield f"only {len(pages)} pages were made"


def unseen(src):
    """The check of the check: links that lead nowhere, on purpose."""
    first = src / "docs" / "ADD-ROLLBACK.md"
    text = first.read_text(encoding="utf-8")
    for wrong in ("[a](NO.md)", "[a](HOST.md#no-heading)", "[a](reference/snapshots.md#rlua_no)"):
        first.write_text(text + f"\n{wrong}\n", encoding="utf-8")
        if len(list(wrong_links(src))) != 1:
            yield f"not seen: {wrong}"
    first.write_text(text, encoding="utf-8")
    files, places = reference.reference()
    for name in ("rlua_snap", "rlua_Config", "rlua_Writer"):
        without = {key: each.replace(f"## {name} ", "") for key, each in files.items()}
        if not list(reference.complaints(without, places)):
            yield f"not seen: a reference without {name}"
    linked = (src / "docs" / "NETCODE.md").read_text(encoding="utf-8")
    if "(reference/snapshots.md#rlua_snap_frame)" not in linked:
        yield "names in the text lead nowhere"


def check():
    with tempfile.TemporaryDirectory() as folder:
        src = Path(folder)
        checks = [make_sources(src), list(wrong_links(src)), list(unseen(src))]
    for line in sum(checks, []):
        print(line)
    failed = sum(bool(lines) for lines in checks)
    print(f"{len(checks) - failed} passed, {failed} failed")
    return failed != 0


def mdbook():
    """mdbook's command: the one on the path, or one in target/, built once."""
    own = ROOT / "target" / "mdbook" / "bin" / "mdbook"
    found = os.environ.get("MDBOOK") or shutil.which("mdbook") or (own.exists() and str(own))
    if not found:
        print("mdbook is built, once: some minutes", flush=True)
        subprocess.run([os.environ.get("CARGO", "cargo"), "install", "mdbook", "--version", MDBOOK,
                        "--locked", "--no-default-features", "--features", "search", "--root",
                        str(ROOT / "target" / "mdbook")], check=True)
        found = str(own)
    return found


def make(out):
    shutil.rmtree(out, ignore_errors=True)
    wrong = make_sources(out / "src")
    write(out / "book.toml", BOOK)
    write(out / "wide.css", CSS)
    subprocess.run([mdbook(), "build", str(out)], check=True)
    wrong += [*wrong_links(out / "src"), *wrong_links_of_html(out / "html")]
    for line in wrong:
        print(line)
    print(f"{out / 'html' / 'index.html'}: {len(list((out / 'html').rglob('*.html')))} pages")
    return bool(wrong)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(check() if sys.argv[1] == "--check" else make(Path(sys.argv[1]).resolve()))
