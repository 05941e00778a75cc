#!/usr/bin/env python3
"""Lists every store to an object's fields, and sees that each is marked or has a reason.

    stores.py SOURCES LIST       SOURCES is the folder of Lua's patched sources (build.rs)

In a copy of Lua's headers the fields of objects are `const`, and so are the pointers to them: the
compiler then names each place that writes there, in Lua and in our C, in both copies of the virtual
machine. `const` does not reach values behind pointers: for those each use of a macro that sets one
is looked at, but where it sets a slot of a stack (s2v).

A store is marked where its line, or one of the two before it, or a macro that it comes from, has a
`card_` mark. All others are in LIST: a line `file: source line`, behind a line with the reason. An
entry that occurs no more fails, too.

Not here: whether the mark is the right one. Those are left out one by one (mutants.py).
"""

import collections
import glob
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
OURS = os.path.normpath(os.path.join(HERE, "../../src/lua"))
COMPILER = os.environ.get("CC", "cc").split()

# Fields in lobject.h, as they are and as the check has them. Opaque memory (userdata, threads) and
# the global state need no marks.
FIELDS = [
    ("struct GCObject *next; lu_byte tt; lu_byte marked",
     "struct GCObject *const next; const lu_byte tt; const lu_byte marked"),
    # strings
    ("  lu_byte extra;  /* reserved", "  const lu_byte extra;  /* reserved"),
    ("  lu_byte shrlen;  /* length", "  const lu_byte shrlen;  /* length"),
    ("  unsigned int hash;\n", "  const unsigned int hash;\n"),
    ("    size_t lnglen;  /*", "    const size_t lnglen;  /*"),
    ("    struct TString *hnext;", "    struct TString *const hnext;"),
    # upvalues, closures, prototypes
    ("    TValue *p;  /* points to stack", "    TValue *const p;  /* points to stack"),
    ("    ptrdiff_t offset;  /* used while the stack is being reallocated */\n  } v;",
     "    const ptrdiff_t offset;\n  } v;"),
    ("      struct UpVal *next;", "      struct UpVal *const next;"),
    ("      struct UpVal **previous;", "      struct UpVal *const *const previous;"),
    ("    TValue value;  /* the value (", "    const TValue value;  /* the value ("),
    ("CommonHeader; lu_byte nupvalues; GCObject *gclist",
     "CommonHeader; const lu_byte nupvalues; GCObject *const gclist"),
    ("  lua_CFunction f;\n  TValue upvalue[1];",
     "  const lua_CFunction f;\n  const TValue upvalue[1];"),
    ("  struct Proto *p;\n  UpVal *upvals[1];",
     "  struct Proto *const p;\n  UpVal *const upvals[1];"),
    ("  TString  *source;  /* used for debug information */\n  GCObject *gclist;",
     "  TString  *source;\n  GCObject *const gclist;"),
    # tables
    ("    lu_byte key_tt;  /* key type", "    const lu_byte key_tt;  /* key type"),
    ("    int next;  /* for chaining", "    const int next;  /* for chaining"),
    ("    Value key_val;  /* key value", "    const Value key_val;  /* key value"),
    ("  TValue i_val;  /* direct access", "  const TValue i_val;  /* direct access"),
    ("  lu_byte flags;  /* 1<<p", "  const lu_byte flags;  /* 1<<p"),
    ("  lu_byte lsizenode;  /* log2", "  const lu_byte lsizenode;  /* log2"),
    ("  unsigned int alimit;", "  const unsigned int alimit;"),
    ("  TValue *array;  /* array part */", "  const TValue *const array;"),
    ("  Node *node;\n  Node *lastfree;", "  Node *const node;\n  Node *const lastfree;"),
    ("  struct Table *metatable;\n  GCObject *gclist;\n} Table;",
     "  struct Table *const metatable;\n  GCObject *const gclist;\n} Table;"),
]
# Pointers to fields, wherever they are declared.
POINTERS = re.compile(r"\b(GCObject|UpVal|TString) \*\*(?!\*)")
# Macros that set a value, and what else writes through a pointer to one. Those that mark
# (setobj2t, setempty, setdeadkey) are stores to fields.
VALUES = re.compile(r"\b(set[a-z]*value|chg[a-z]*value|setobj|setobj2n|setempty_|settt_|setnilkey)"
                    r"\s*\(")
RAW = re.compile(r"\bval_\([^=]*\)\s*(\.\w+)?\s*=[^=]|\b\w*(->|\.)(value_|tt_)\b[\w.]*\s*=[^=]")
TO_STACK = re.compile(r"\((L1?, ?)?(s2v|&?tv\b)")


def sources_of(lua):
    files = glob.glob(os.path.join(lua, "*.[ch]")) + glob.glob(os.path.join(OURS, "**/*.[ch]"),
                                                             recursive=True)
    return {os.path.basename(path): path for path in sorted(files)}


def prepare(lua, copy):
    for path in glob.glob(os.path.join(lua, "*.[ch]")):
        with open(path, encoding="latin-1") as file:
            text = file.read()
        if os.path.basename(path) == "lobject.h":
            for old, new in FIELDS:
                if text.count(old) != 1:
                    sys.exit(f"lobject.h has not once: {old}")
                text = text.replace(old, new)
        text = POINTERS.sub(r"\1 *const *", text)
        with open(os.path.join(copy, os.path.basename(path)), "w", encoding="latin-1") as file:
            file.write(text)


def const_places(lua):
    """The places of each store that the compiler refuses: the innermost first."""
    with tempfile.TemporaryDirectory() as copy:
        prepare(lua, copy)
        done = subprocess.run(
            [*COMPILER, "-std=gnu11", "-fsyntax-only", "-fmax-errors=0", "-w", "-I", copy,
             "-I", OURS, "-I", os.path.join(lua, "..", "generated"),
             "-Werror=discarded-qualifiers", "-Werror=incompatible-pointer-types",
             "-DLUA_USE_LINUX", "-DLUA_COMPAT_5_3", "-fno-diagnostics-show-caret",
             os.path.join(OURS, "unit.c")],
            capture_output=True, check=False, text=True, env={**os.environ, "LC_ALL": "C"})
    stores, unexpected = [], []
    for line in done.stderr.split("\n"):
        found = re.match(r"(.*?):(\d+):\d+: (fatal error|error|warning|note): (.*)", line)
        if not found:
            continue
        place = (os.path.basename(found[1]), int(found[2]))
        if found[3] != "note":
            if not re.search(r"read-only|discards .const. qualifier|incompatible pointer type",
                             found[4]):
                unexpected.append(line)
            stores.append([place])
        elif "in expansion of macro" in found[4] or "in definition of macro" in found[4]:
            stores[-1].append(place)
    if unexpected:
        sys.exit("the check does not compile:\n" + "\n".join(unexpected))
    return stores


def value_places(texts):
    for name, lines in texts.items():
        defines = False
        for number, line in enumerate(lines, 1):
            code = re.sub(r"/\*.*?\*/", "", line)
            defines = code.startswith("#define") or (defines and lines[number - 2].endswith("\\"))
            # The macros themselves.
            if re.match(r"\s*(\*|/\*)", code) or (defines and name == "lobject.h"):
                continue
            for found in [*VALUES.finditer(code), *RAW.finditer(code)]:
                if not TO_STACK.match(code[found.end() - 1:]):
                    yield [(name, number)]


def marked(place, texts):
    name, number = place
    lines = texts[name]
    for at in range(number - 1, max(number - 4, -1), -1):
        if at < number - 1 and lines[at].startswith("}"):
            return False
        if "card_" in lines[at] or "set_integer(" in lines[at]:
            return True
    return lines[number - 1].rstrip().endswith("\\") and "card_" in lines[number]


def main(lua, list_path):
    texts = {}
    for name, path in sources_of(lua).items():
        with open(path, encoding="latin-1") as file:
            texts[name] = file.read().split("\n")
    counts = {"const": 0, "values": 0}
    unmarked = collections.Counter()
    for kind, places in (("const", const_places(lua)), ("values", value_places(texts))):
        for chain in places:
            counts[kind] += 1
            if not any(marked(place, texts) for place in chain if place[0] in texts):
                name, number = chain[-1]
                unmarked[f"{name}: {' '.join(texts[name][number - 1].split())}"] += 1
    with open(list_path, encoding="utf-8") as file:
        accepted = [line.strip() for line in file if re.match(r"\w+\.[ch]: ", line)]
    wrong = [f"not marked: {text}" for text in unmarked if text not in accepted]
    wrong += [f"in {list_path}, but not in the sources: {text}" for text in accepted
              if text not in unmarked]
    wrong += [f"twice in {list_path}: {text}"
              for text, count in collections.Counter(accepted).items() if count > 1]
    print("\n".join(wrong))
    print(f"{counts['const']} stores to fields, {counts['values']} to values; "
          f"{sum(unmarked.values())} without a mark, on {len(accepted)} lines with a reason")
    seen = counts["const"] > 50 and counts["values"] > 50 # else it does not look
    print(f"{int(seen and not wrong)} passed, {len(wrong) + (not seen)} failed")
    sys.exit(0 if seen and not wrong else 1)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
