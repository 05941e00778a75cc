#!/usr/bin/env python3
"""Checks that the binding declares what rlua.h declares, and the package is whole.

    check_header.py PACKAGE COMMAND...      PACKAGE is pack.py's folder; COMMAND prints the layout:
                                            mono tests.exe layout

- enumerations, constants, structs and functions have the header's values, offsets and sizes
  (bindings/header.py); a wrong one, one that is missing, and one that the header has not, fail;
- src/Declarations.cs and src/Arities.cs are what their generators write;
- each public function of the library is called, or left out with a reason; of lua.h only
  functions are called that never raise;
- the package is a zip that has what a NuGet client looks for.

What it does not verify: signedness, floating point against integers, what a pointer points to.
"""

import re
import subprocess
import sys
import xml.etree.ElementTree as xml
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
BINDING = HERE.parent
sys.path[:0] = [str(BINDING), str(BINDING.parent)]
import declarations  # noqa: E402 pylint: disable=wrong-import-position
import header  # noqa: E402 pylint: disable=wrong-import-position

# Facts that need not be declared, and why.
UNDECLARED = {
    "RLUA_TRACEBACK": "its own handler leaves the error value as it is",
    "RLUA_VERSION_MAJOR": "Library.Version tells", "RLUA_VERSION_MINOR": "the same",
    "RLUA_VERSION_PATCH": "the same",
    "RLUA_SYNC_PATH": "a length that RawSyncReport has", "RLUA_SYNC_VALUE": "the same",
    "RLUA_ERRBUDGET": "what lua_pcall answers, which it does not call",
}
LEFT_OUT = {
    "rlua_new_rollback": "rlua_open does the same with every option",
    "rlua_snapshot_count": "rlua_info tells", "rlua_newest_frame": "rlua_info tells",
    "rlua_dostring": "Lua.Execute loads and calls", "rlua_dofile": "Lua.LoadFile, and a call",
    "rlua_tolstring": "lua_tolstring of a string raises nothing",
    "rlua_pushinteger": "what lua.h has raises nothing", "rlua_pushnumber": "the same",
    "rlua_pushboolean": "the same", "rlua_pushnil": "the same", "rlua_pushvalue": "the same",
    "rlua_recover": "no exception unwinds through Lua's frames",
    "rlua_newuserdata": "objects of the host are resources",
    "rlua_pushcclosure": "it takes functions that may raise",
    "rlua_concat": "a script's work", "rlua_compare": "lua_rawequal tells of one object",
    "rlua_arith": "a script's work", "rlua_getsubtable": "it would replace what is no table",
    "rlua_newmetatable": "Table.Metatable", "rlua_getmetatable": "Table.Metatable",
    "rlua_setmetatable": "Table.Metatable", "rlua_testudata": "Userdata is opaque",
    "rlua_settop": "nothing on the stack is to be closed", "rlua_toclose": "the same",
    "rlua_closeslot": "the same",
    "rlua_save_buffer": "Lua.Save: rlua_save",
    "rlua_load_buffer": "Lua.Load: rlua_load",
    "rlua_clone": "its threads would lead to the Lua that was cloned; Lua.Clone loads a Save",
}


def differences(facts, module):
    """One line for each fact that is not the same."""
    for name, value in module.items():
        if name not in facts:
            yield f"{name} is {value}, but not in the header"
        elif facts[name] != value:
            yield f"{name} is {value}, in the header it is {facts[name]}"
    for name, value in facts.items():
        if name not in module and name not in UNDECLARED:
            yield f"{name} is missing, in the header it is {value}"


def overlooked(facts):
    """Wrong layouts that differences() does not see: the check of the check."""
    for name in facts:
        wrong = list(differences(facts, {**facts, name: "77"}))
        without = list(differences(facts, {key: facts[key] for key in facts if key != name}))
        if not any(name in line for line in wrong):
            yield f"a wrong {name} is not seen"
        if not any(name in line for line in without) and name not in UNDECLARED:
            yield f"that {name} is missing is not seen"
    if not list(differences(facts, {**facts, "RLUA_ODD": "1"})):
        yield "a name that the header has not is not seen"


def drift():
    for script in ("declarations.py", "arities.py"):
        done = subprocess.run([sys.executable, str(BINDING / script), "--check"], check=False,
                              capture_output=True, text=True)
        if done.returncode != 0:
            yield f"{script} would write something else:\n{done.stdout}{done.stderr}"


def sources():
    return {path.name: path.read_text(encoding="utf-8") for path in (BINDING / "src").glob("*.cs")
            if path.name != "Declarations.cs"}


def coverage(facts):
    public = {name[:-2] for name in facts if re.fullmatch(r"rlua_\w+\(\)", name)}
    code = "".join(re.sub(r"//[^\n]*", "", text) for text in sources().values())
    called = set(re.findall(r"\b(rlua_[a-z0-9_]+)\(", code))
    yield from (f"{name} is neither called nor left out" for name in
                sorted(public - called - set(LEFT_OUT)))
    yield from (f"{name} is called, and said to be left out" for name in
                sorted(called & set(LEFT_OUT)))
    yield from (f"{name} is left out, but not in the header" for name in
                sorted(set(LEFT_OUT) - public))
    yield from (f"{name} has no reason" for name, reason in LEFT_OUT.items() if not reason)


def never_raise():
    """The list of declarations.py against the one that the library's sources have."""
    listed = (BINDING.parents[1] / "src/lua/objects.h").read_text(encoding="utf-8").split("*/")[0]
    documented = set(re.findall(r"\blua_[a-z]+\b", listed)) - {"lua_tolstring"}
    # The manual's entries of these say `-`; a string is read, not converted, by lua_tolstring;
    # lua_close is the end.
    documented |= {"lua_pushnil", "lua_pushboolean", "lua_pushinteger", "lua_pushnumber",
                   "lua_pushvalue", "lua_settop", "lua_getstack", "lua_close", "lua_tolstring"}
    for name in declarations.NEVER_RAISE:
        if name not in documented and not re.match("lua_(is|to)", name):
            yield f"{name} is not known to raise nothing"
    for file, text in sources().items():
        for name in re.findall(r"\bNative\.(luaL?_\w+)\(", text):
            if name not in declarations.NEVER_RAISE:
                yield f"{file} calls {name}"


def package(folder):
    archives = list(folder.glob("*.nupkg"))
    if len(archives) != 1:
        yield f"{folder} has {len(archives)} packages"
        return
    with zipfile.ZipFile(archives[0]) as archive:
        if archive.testzip() is not None:
            yield "the package is damaged"
        names = archive.namelist()
        parts = {name: archive.read(name) for name in names if name.endswith((".xml", ".nuspec",
                                                                              ".rels"))}
    if names[0] != "[Content_Types].xml" or len(set(names)) != len(names):
        yield "the package's first part is not [Content_Types].xml, or a name is there twice"
    for name in ("Rlua.nuspec", "lib/netstandard2.0/Rlua.dll", "lib/netstandard2.0/Rlua.xml",
                 "README.md", "LICENSE", "_rels/.rels"):
        if name not in names:
            yield f"the package lacks {name}"
    if not any(re.fullmatch(r"runtimes/linux-\w+/native/librlua\.so", name) for name in names):
        yield "the package has no library"
    texts = {name: xml.fromstring(data) for name, data in parts.items()}
    space = "{http://schemas.microsoft.com/packaging/2013/05/nuspec.xsd}"
    told = {each.tag.removeprefix(space): each.text for each in texts["Rlua.nuspec"][0]}
    for name in ("id", "version", "authors", "description", "license", "readme"):
        if not told.get(name):
            yield f"the package's {name} is not told"
    if archives[0].name != f"{told['id']}.{told['version']}.nupkg":
        yield f"{archives[0].name} is not the name of {told['id']} {told['version']}"
    target = texts["_rels/.rels"][0].get("Target")
    if target.lstrip("/") not in names:
        yield f"the package has no {target}"
    types = {each.get("Extension") for each in texts["[Content_Types].xml"]}
    parts = {each.get("PartName") for each in texts["[Content_Types].xml"]}
    for name in names[1:]:
        if name.rsplit(".", 1)[-1] not in types and "/" + name not in parts:
            yield f"{name} has no content type"


def main(folder, command):
    facts = header.facts_of_header(declarations.NEVER_RAISE)
    checks = {
        "this check": list(overlooked(facts)),
        "declarations": list(differences(facts, header.facts_of_command(command))),
        "drift": list(drift()),
        "coverage": list(coverage(facts)),
        "functions that raise": list(never_raise()),
        "package": list(package(Path(folder))),
    }
    for name, lines in checks.items():
        for line in lines:
            print(f"{name}: {line}")
    failed = sum(bool(lines) for lines in checks.values())
    print(f"{len(checks) - failed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2:]))
