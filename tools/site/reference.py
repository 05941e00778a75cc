"""The reference of the C API as Markdown, from include/rlua.h: a page for each of its sources.

A declaration of a shape that is not known here is an error, not overlooked. What its comment says
is taken as it is; names of the API in it become links.

Not here: what the header says (src/ffi, src/lua), and what becomes of the pages (site.py).
"""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEADER = ROOT / "include" / "rlua.h"
CONSTANTS = "constants"
GENERATED, ABOUT = "Generated from", "librlua:"
# A page for each source that declares something, in this order.
PAGES = {
    CONSTANTS: (None, "Constants"),
    "status": (["error/status.rs", "ffi/status.rs"], "Statuses and sentences"),
    "life": (["ffi/life.rs"], "Opening a VM, what it holds"),
    "snapshots": (["ffi/snapshots.rs"], "Snapshots"),
    "scripts": (["lua/calls.h"], "Scripts, values, host functions, budgets"),
    "objects": (["lua/objects.h"], "Objects and the stack"),
    "memory": (["ffi/memory.rs"], "Memory in the VM"),
    "references": (["ffi/references.rs"], "References"),
    "resources": (["ffi/resources.rs"], "Resources"),
    "participants": (["ffi/participants.rs"], "Participants"),
    "determinism": (["ffi/determinism.rs"], "Names, the clock, the config's digest"),
    "images": (["ffi/images.rs", "ffi/deltas.rs", "ffi/objects.rs"],
               "Images, deltas, checksums, clones"),
    "diff": (["ffi/diff.rs"], "Differences"),
    "synctest": (["ffi/synctest.rs"], "The sync test"),
}
# Tests that compare what a binding calls with the header, and say what it leaves out and why.
BINDINGS = {"C++": "c-tests/cxx/checks.py", "Python": "bindings/python/tests/test_header.py",
            "C#": "bindings/csharp/tests/check_header.py"}


class Declaration:
    """A function, a type or a group of constants."""

    def __init__(self, name, code, comment):
        self.name, self.code, self.comment = name, code, comment


def text_of(comment):
    """A comment's lines, without its stars."""
    lines = comment.strip("\n").splitlines()
    return "\n".join(re.sub(r"^\s*\*(?: |$)", "", line).rstrip() for line in lines).strip()


def name_of(code):
    for shape in (r"typedef (?:struct|enum) (rlua_\w+) \{", r"typedef .*?\(\*(rlua_\w+)\)",
                  r"typedef \w+ (rlua_\w+);", r"[\w ]+?[ *]+(rlua_\w+)\("):
        found = re.match(shape, code, re.DOTALL)
        if found:
            return found.group(1)
    raise ValueError(f"rlua.h has a declaration of a shape that is not known here:\n{code}")


def declarations(header):
    """Each Declaration, in the header's order; comments of their own stand without a name."""
    found, at = [], 0
    mark = re.compile(r"^/\*(\*?)(.*?)\*/[ \t]*\n+", re.MULTILINE | re.DOTALL)
    while (comment := mark.search(header, at)) is not None:
        at = comment.end()
        rest = header[at:]
        text = text_of(comment.group(2))
        if constants := re.match(r"(?:#define RLUA_\w+ .*\n)+", rest):
            found.append(Declaration(CONSTANTS, constants.group(0).rstrip(), text))
            at += constants.end()
        elif comment.group(1):
            body = re.match(r"typedef (?:struct|enum) \w+ \{.*?\n\} \w+;|.*?;", rest, re.DOTALL)
            found.append(Declaration(name_of(body.group(0)), body.group(0), text))
            at += body.end()
        else:
            found.append(Declaration("", "", text))
    return found


def sources():
    """{page: the text that declares what is on it}"""
    def of_file(name):
        text = (ROOT / "src" / name).read_text(encoding="utf-8")
        if name.endswith(".rs"):
            return re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE)
        return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    return {page: "".join(map(of_file, files)) for page, (files, _) in PAGES.items() if files}


def page_of(name, texts):
    short = name.removeprefix("rlua_")
    declares = re.compile(rf"\b(?:fn|struct|enum|type) {name}\b|\(\*{name}\)|"
                          rf"^[\w ]+[ *]{name}\(|\benum {short} \{{", re.MULTILINE)
    pages = [page for page, text in texts.items() if declares.search(text)]
    if not pages:
        raise ValueError(f"{name}: name the file that declares it in tools/site/reference.py")
    return pages[0]


def sorted_into_pages(found):
    """{page: Declarations}; a comment of its own goes to the page of what follows."""
    texts = sources()
    pages = {page: [] for page in PAGES}
    waiting = []
    for declaration in found:
        if not declaration.name:
            if not declaration.comment.startswith((GENERATED, ABOUT)):
                waiting.append(declaration)
            continue
        constant = declaration.name == CONSTANTS
        page = CONSTANTS if constant else page_of(declaration.name, texts)
        pages[page] += [*waiting, declaration]
        waiting = []
    return pages


def linked(text, places, here):
    """Names of the API outside of code as code, and as links where they have a place."""
    def name(found):
        plain = found.group(1)
        if plain not in places:
            return f"`{found.group(0)}`"
        page = "" if places[plain] == here else f"{places[plain]}.md"
        return f"[`{found.group(0)}`]({page}#{plain})"
    parts = re.split(r"(`[^`]*`)", text)
    for index in range(0, len(parts), 2):
        part = parts[index].replace("<", "&lt;").replace("*", r"\*")
        part = re.sub(r"\bdocs/([A-Z-]+\.md)\b", r"[\1](../\1)", part)
        parts[index] = re.sub(r"\b((?:rlua_|RLUA_|lua_|luaL_)\w+)(?:\(\))?", name, part)
    for index in range(1, len(parts), 2):
        plain = parts[index].strip("`")
        if plain in places:
            page = "" if places[plain] == here else f"{places[plain]}.md"
            parts[index] = f"[{parts[index]}]({page}#{plain})"
    return "".join(parts)


def paragraphs(comment, places, here):
    """A comment as Markdown: prose, parameters as a table, what is returned."""
    prose, tags = re.split(r"\n?^(?=@)", comment, maxsplit=1, flags=re.MULTILINE) \
        if re.search(r"^@", comment, re.MULTILINE) else (comment, "")
    lines = [linked(prose, places, here), ""]
    rows = []
    for tag in re.split(r"^(?=@)", tags, flags=re.MULTILINE):
        words = " ".join(tag.split())
        if words.startswith("@param "):
            name, told = words.removeprefix("@param ").split(" ", 1)
            rows.append(f"| `{name}` | {linked(told, places, here)} |".replace("||", r"\|\|"))
        elif words.startswith("@return "):
            told = words.removeprefix("@return ").strip()
            rows.append(f"| returns | {linked(told, places, here)} |")
        elif words:
            raise ValueError(f"rlua.h has a tag that is not known here: {words}")
    if rows:
        lines += ["| | |", "|---|---|", *rows, ""]
    return "\n".join(lines)


def rendered(page, found, places):
    out = [f"# {PAGES[page][1]}", ""]
    for declaration in found:
        if declaration.name == CONSTANTS:
            names = re.findall(r"#define (RLUA_\w+)", declaration.code)
            out += [f"## {', '.join(names)}" if len(names) < 3 else f"## {names[0]} and others", ""]
        elif declaration.name:
            out += [f"## {declaration.name} {{#{declaration.name}}}", ""]
        if declaration.code:
            out += ["```c", declaration.code, "```", ""]
        comment = declaration.comment
        if declaration.name in ("", CONSTANTS):
            comment = "\n\n".join(
                part if not re.search(r"^  ", part, re.MULTILINE) else
                "```text\n" + part + "\n```" for part in comment.split("\n\n"))
            fenced = re.split(r"(```text\n.*?\n```)", comment, flags=re.DOTALL)
            out += ["".join(part if part.startswith("```") else linked(part, places, page)
                            for part in fenced), ""]
        else:
            out += [paragraphs(comment, places, page), ""]
    return "\n".join(out)


def left_out(path):
    """{function: why} of a binding's test, where "the same" repeats the reason before."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    reasons = next(ast.literal_eval(each.value) for each in tree.body
                   if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == "LEFT_OUT")
    found, last = {}, ""
    for name, reason in reasons.items():
        last = found[name] = last if reason == "the same" else reason
    return found


def of_bindings(places):
    """A page on what the bindings leave out."""
    reasons = {name: left_out(path) for name, path in BINDINGS.items()}
    lines = ["# What the bindings leave out", "",
             "A function that is not listed is reached from C++, Python and C#, most by a method",
             "of another name. The others have a reason, which a test of each binding holds",
             "against its sources and the header.", "", f"| function | {' | '.join(reasons)} |",
             f"|---|{'---|' * len(reasons)}"]
    for name, page in places.items():
        if any(name in each for each in reasons.values()):
            cells = [linked(each.get(name, "reached"), places, "") for each in reasons.values()]
            lines.append(f"| [`{name}`]({page}.md#{name}) | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def reference():
    """{file name: Markdown}, and {name: page}."""
    found = declarations(HEADER.read_text(encoding="utf-8"))
    pages = sorted_into_pages(found)
    places = {each.name: page for page, on_page in pages.items() for each in on_page
              if each.name and each.name != CONSTANTS}
    files = {f"{page}.md": rendered(page, on_page, places) for page, on_page in pages.items()}
    about = next(each.comment for each in found if each.comment.startswith(ABOUT))
    lines = ["# Reference of the C API", "",
             "Made from `include/rlua.h`, whose comments these are. Lua's own functions are in its",
             "[manual](https://www.lua.org/manual/5.4/).", "", linked(about, places, ""), ""]
    for page, on_page in pages.items():
        names = [each.name for each in on_page if each.name and each.name != CONSTANTS]
        links = ", ".join(f"[`{name}`]({page}.md#{name})" for name in names)
        lines.append(f"- [{PAGES[page][1]}]({page}.md){': ' if links else ''}{links}")
    files["bindings.md"] = of_bindings(places)
    lines.append("- [What the bindings leave out](bindings.md)")
    files["index.md"] = "\n".join(lines) + "\n"
    return files, places


def complaints(files, places):
    """What the header declares and the reference has not, or twice."""
    header = re.sub(r"/\*.*?\*/", " ", HEADER.read_text(encoding="utf-8"), flags=re.DOTALL)
    functions = re.findall(r"\b(rlua_[a-z0-9_]+)\(", header)
    types = re.findall(r"^\} (rlua_\w+);|\(\*(rlua_[A-Z]\w+)\)|typedef \w+ (rlua_\w+);", header,
                       re.MULTILINE)
    names = functions + ["".join(each) for each in types]
    text = "\n".join(files.values())
    for name in names:
        headings = len(re.findall(rf"^## {name} \{{#{name}\}}$", text, re.MULTILINE))
        if headings != 1 or name not in places:
            yield f"{name} has {headings} headings"
    for name in re.findall(r"^#define (RLUA_\w+) ", header, re.MULTILINE):
        if f"#define {name} " not in text:
            yield f"{name} is in no page"
    for binding, path in BINDINGS.items():
        for name in left_out(path):
            if f"| [`{name}`](" not in files["bindings.md"]:
                yield f"{name}, which {binding} leaves out, is not listed"
    if len(functions) < 80:
        yield f"only {len(functions)} functions were found"
