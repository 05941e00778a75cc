#!/usr/bin/env python3
"""What a compiler has to say of rlua.hpp, and what its sources may call.

    checks.py LIBRARY_FOLDER        CXX from the environment

- negative/dropped.cpp: a warning for exactly the lines that drop an error.
- negative/refused.cpp: each case fails to compile, with the sentence that it names.
- docs/CXX.md: its snippets compile, run, and show what they say that they show.
- include/rlua: each public function of rlua.h is called, or left out with a reason; of lua.h only
  what cannot raise a Lua error is called.

Not here: what rlua.hpp does when it runs (the programs beside this file).
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
INCLUDE = ROOT / "include"
COMPILER = [*os.environ.get("CXX", "c++").split(), "-std=c++17", f"-I{INCLUDE}"]

LEFT_OUT = {
    "rlua_save_buffer": "rlua_save",
    "rlua_load": "rlua_load_buffer",
    "rlua_version": "it is one call, and needs no VM",
    "rlua_new_rollback": "rlua_open does the same with every option",
    "rlua_dostring": "state_view::run loads and calls",
    "rlua_dofile": "state_view::run_file loads and calls",
    "rlua_getglobal": "the globals are a table: rlua_getfield",
    "rlua_setglobal": "the same: rlua_setfield",
    "rlua_pushinteger": "what lua.h has raises nothing", "rlua_pushnumber": "the same",
    "rlua_pushboolean": "the same", "rlua_pushnil": "the same", "rlua_pushvalue": "the same",
    "rlua_concat": "a script's work", "rlua_arith": "a script's work",
    "rlua_rawgeti": "lua_rawgeti raises nothing",
    "rlua_testudata": "an object is told by its block and its metatable",
    "rlua_xmove": "lua_xmove raises nothing where there is room",
    "rlua_getsubtable": "place::get and place::set",
    "rlua_newmetatable": "the metatable of a usertype is stored when it is whole",
    "rlua_setmetatable": "a usertype's metatable has no __gc: lua_setmetatable raises nothing",
    "rlua_settop": "nothing on the stack is to be closed", "rlua_toclose": "the same",
    "rlua_closeslot": "the same",
}
# Beside those that src/lua/objects.h lists. The manual's entries of these say `-`; lua_error is the
# one raise; a string is read, not converted, by lua_tolstring; lua_close is the end.
RAISE_NOTHING = {
    "lua_pushnil", "lua_pushboolean", "lua_pushinteger", "lua_pushnumber", "lua_pushvalue",
    "lua_settop", "lua_getstack", "lua_upvalueindex", "lua_close", "lua_error", "lua_tolstring",
    "lua_rawgeti", "lua_xmove", "lua_pushcclosure"}
LIGHT = re.compile(r"lua_pushcclosure\(\w+, \w+, 0\)") # allocates nothing

passed = failed = 0


def check(name, condition, told=""):
    global passed, failed
    passed, failed = passed + bool(condition), failed + (not condition)
    print(f"ok   {name}" if condition else f"FAIL {name}\n{str(told)[-4000:]}")


def compiled(source, *flags):
    """The compiler's status and what it said."""
    done = subprocess.run([*COMPILER, str(source), *flags], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def dropped():
    source = HERE / "negative/dropped.cpp"
    expected = {number for number, line in enumerate(source.read_text().splitlines(), 1)
                if line.endswith("// dropped")}
    status, said = compiled(source, "-fsyntax-only", "-Wunused-result", "-Wunused-value")
    # Clang counts a type's [[nodiscard]] to -Wunused-value.
    found = {int(number) for number in re.findall(
        r"^[^:\n]*dropped\.cpp:(\d+):.*unused-(?:result|value)", said, re.MULTILINE)}
    check("dropped errors are warnings", status == 0 and found == expected and len(expected) > 20,
          f"warned {sorted(found)}, expected {sorted(expected)}\n{said}")


def refused():
    source = HERE / "negative/refused.cpp"
    cases = re.findall(r"^#(?:if|elif) CASE == (\d+) // (.*)$", source.read_text(), re.MULTILINE)
    status, said = compiled(source, "-fsyntax-only", "-DCASE=0")
    check("what is around the refused cases compiles", status == 0 and len(cases) >= 6, said)
    for number, sentence in cases:
        status, said = compiled(source, "-fsyntax-only", f"-DCASE={number}")
        check(f"refused: {sentence}", status != 0 and sentence in " ".join(said.split()), said)


def snippets(library):
    """One program of all blocks: those with types stand outside of functions."""
    text = (ROOT / "docs/CXX.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```cpp\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    types = [block for block in blocks if re.search(r"^(struct|template) ", block, re.MULTILINE)]
    bodies = [block for block in blocks if block not in types]
    lines = ['#include "rlua.hpp"', "#include <iostream>",
             "template <class T> void show(const T &v) { std::cout << v << '\\n'; }", *types]
    for number, block in enumerate(bodies):
        lines.append(f"void snippet_{number}(rlua::state &lua);")
        lines.append(f"void snippet_{number}(rlua::state &lua) {{ (void)lua;\n{block}}}")
    lines.append("int main() { std::cout << std::boolalpha;")
    for number in range(len(bodies)):
        lines.append("{ auto lua = rlua::state::open(1 << 20, 8).value();")
        lines.append(f"snippet_{number}(lua); }}")
    lines.append("}")
    with tempfile.TemporaryDirectory() as folder:
        source, binary = Path(folder) / "snippets.cpp", Path(folder) / "snippets"
        source.write_text("\n".join(lines), encoding="utf-8")
        status, said = compiled(source, "-Wall", "-Wextra", "-Werror", "-o", str(binary),
                                f"-L{library}", "-lrlua", f"-Wl,-rpath,{library}", "-pthread")
        check(f"the {len(blocks)} snippets of docs/CXX.md compile", status == 0 and len(blocks) > 8,
              said)
        if status != 0:
            return
        run = subprocess.run([str(binary)], capture_output=True, text=True)
    expected = re.findall(r"\bshow\(.*\);\s+// (.*)", "\n".join(bodies))
    shown = re.findall(r"\bshow\(", "\n".join(bodies))
    found = run.stdout.splitlines()
    check("the snippets show what they say", run.returncode == 0 and found == expected and
          len(expected) == len(shown) and len(expected) > 8,
          f"expected {expected}\nfound    {found}\n{run.stderr}")


def calls():
    header = re.sub(r"/\*.*?\*/", " ", (INCLUDE / "rlua.h").read_text(encoding="utf-8"),
                    flags=re.DOTALL)
    public = set(re.findall(r"\b(rlua_[a-z0-9_]+)\(", header))
    files = sorted((INCLUDE / "rlua").iterdir())
    source = "".join(re.sub(r"//.*", "", path.read_text(encoding="utf-8")) for path in files)
    used = set(re.findall(r"\brlua_[a-z0-9_]+\b", source)) & public
    reasons = {name for name, reason in LEFT_OUT.items() if reason}
    check("public functions are used or left out, not both", not used & reasons, used & reasons)
    check("public functions are used or left out with a reason", public - used == reasons,
          (public - used) ^ reasons)
    objects_h = (ROOT / "src/lua/objects.h").read_text(encoding="utf-8")
    listed = set(re.findall(r"\blua_[a-z]+\b", objects_h.split("*/")[0])) - {"lua_tolstring"}
    raising = {name for name in re.findall(r"\b(luaL?_[a-z]+)\(", source)
               if name not in listed | RAISE_NOTHING and not re.match("lua_(is|to)", name)}
    check("only functions that cannot raise are called", not raising and listed, raising)
    check("C closures by lua.h have no upvalues",
          len(re.findall(r"\blua_pushcclosure\(", source)) == len(LIGHT.findall(source)))
    names = set(re.findall(r"\bRLUA_(?:LIB|GUARD|TRACKER|PROFILE)_\w+", source))
    check("no declaration is repeated", "extern" not in source.replace('extern "C" {\n#include', "")
          and names, names)


def main(library):
    dropped()
    refused()
    snippets(os.path.abspath(library))
    calls()
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
