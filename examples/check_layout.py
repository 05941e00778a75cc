#!/usr/bin/env python3
"""Checks that the C# module declares what include/rlua.h declares.

    check_layout.py [COMMAND...]        COMMAND prints the layout of Rlua.cs: mono tests.exe layout

Method: the names are read from the header; a C program that is compiled against it prints the
value of every enumerator and RLUA_ constant, the size of every struct, the offset and the size of
each of its fields, and the sizes of each function's result and parameters. All must be the same in
a module: a wrong value, one that is missing, and one that the header has not, are failures.
Functions may be missing. Needs a C compiler, in CC or as cc. The tests of the Python package take
the header's facts from here too.

What it does not verify: signedness, floating point against integers, what a pointer points to.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
INCLUDE = HERE.parent / "include"
LUA_CONSTANTS = ["LUA_MULTRET", "LUA_GCCOLLECT", "LUA_TNIL", "LUA_TBOOLEAN", "LUA_TNUMBER",
                 "LUA_TSTRING", "LUA_TTABLE", "LUA_TUSERDATA"]

# What a module need not declare, and why.
CSHARP_DOES_WITHOUT = {
    "RLUA_TRACEBACK": "its own handler leaves the error value as it is",
    "RLUA_VERSION": "rlua_version() tells",
    "RLUA_ERRBUDGET": "what lua_pcall answers, which it does not call",
    "rlua_Method": "resource types have no methods there",
}


# The header's side

class Header:
    """The names that rlua.h declares, found by their shape. What has none of the known shapes is an
    error, not overlooked."""

    def __init__(self, text):
        text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.DOTALL)
        self.macros = [name for name, value in re.findall(r"^#define (RLUA_\w+)[ \t]*(.*)$", text,
                                                           re.MULTILINE) if value.strip()]
        self.numbers = [name for name in self.macros if not self.is_text(text, name)]
        text = re.sub(r"^#.*$", "", text, flags=re.MULTILINE)
        self.enumerators = re.findall(r"\b(RLUA_\w+) *= *-?\d+", text)
        self.structs = {name: [self.field(part) for part in body.split(";") if part.strip()]
                        for name, body in re.findall(r"typedef struct (\w+) \{(.*?)\} \1;", text,
                                                     re.DOTALL)}
        text = re.sub(r"typedef .*?\{.*?\}.*?;|typedef .*?;", "", text, flags=re.DOTALL)
        self.functions = {}
        for result, name, parameters in re.findall(r"([\w \n*]+?)\b(rlua_\w+)\((.*?)\);", text,
                                                   re.DOTALL):
            types = [] if parameters.strip() == "void" else parameters.split(",")
            self.functions[name] = [result.strip()] + [self.type_of(each) for each in types]
        if len(self.functions) != len(re.findall(r"\brlua_\w+\(", text)):
            raise ValueError("rlua.h has a prototype of a shape that is not known here")

    @staticmethod
    def is_text(text, name):
        return re.search(rf'^#define {name}[ \t]+"', text, re.MULTILINE) is not None

    @staticmethod
    def field(declaration):
        pointer = re.search(r"\(\*(\w+)\)", declaration)
        return pointer.group(1) if pointer else re.search(r"(\w+)\s*$", declaration).group(1)

    @staticmethod
    def type_of(parameter):
        return re.sub(r"\w+\s*$", "", parameter.strip()).strip()

    def program(self):
        """A C program that prints one "name value" a line."""
        lines = ["#include <stdio.h>", '#include "rlua.h"', "int main(void) {"]

        def say(name, form, *values):
            lines.append(f'    printf("{name} {form}\\n", {", ".join(values)});')
        for name in self.enumerators + self.numbers + LUA_CONSTANTS:
            say(name, "%lld", f"(long long){name}")
        for name, fields in self.structs.items():
            say(f"sizeof({name})", "%zu", f"sizeof({name})")
            for field in fields:
                say(f"{name}.{field}", "%zu+%zu", f"offsetof({name}, {field})",
                    f"sizeof((({name} *)0)->{field})")
        for name, types in self.functions.items():
            say(f"{name}()", ",".join(["%zu"] * len(types)),
                *("(size_t)0" if each == "void" else f"sizeof({each})" for each in types))
        return "\n".join([*lines, "    return 0;", "}", ""])


def facts_of_header():
    header = Header((INCLUDE / "rlua.h").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        source, binary = Path(folder) / "layout.c", Path(folder) / "layout"
        source.write_text(header.program(), encoding="utf-8")
        subprocess.run([*os.environ.get("CC", "cc").split(), "-std=c11", f"-I{INCLUDE}",
                        str(source), "-o", str(binary)], check=True)
        return facts_of_command([str(binary)])


def facts_of_command(command):
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return dict(line.split(" ", 1) for line in printed.splitlines())


# Comparing

def differences(header, module, does_without):
    """One line for each fact that is not the same."""
    for name, value in module.items():
        if name not in header:
            yield f"{name} is {value}, but not in rlua.h"
        elif header[name] != value:
            yield f"{name} is {value}, in rlua.h it is {header[name]}"
    for name, value in header.items():
        optional = name.endswith("()") or any(each in name for each in does_without)
        if name not in module and not optional:
            yield f"{name} is missing, in rlua.h it is {value}"


def overlooked(header, module):
    """Wrong layouts that differences() does not see: the check of the check."""
    assert "rlua_Info.tracker" in header and "rlua_snap()" in header and "RLUA_BUSY" in header
    for name in module:
        if len(list(differences(header, {**module, name: "77"}, {}))) != \
                len(list(differences(header, module, {}))) + 1:
            yield f"a wrong {name} is not seen"
        without = {key: value for key, value in module.items() if key != name}
        if name in header and not name.endswith("()") and \
                not any(name in line for line in differences(header, without, {})):
            yield f"that {name} is missing is not seen"
    if not any("RLUA_ODD" in line for line in differences(header, {**module, "RLUA_ODD": "1"}, {})):
        yield "a name that rlua.h has not is not seen"


def main(command):
    header = facts_of_header()
    checks = {"this check": list(overlooked(header, dict(header)))}
    if command:
        csharp = facts_of_command(command)
        checks["Rlua.cs"] = list(differences(header, csharp, CSHARP_DOES_WITHOUT))
    for name, lines in checks.items():
        for line in lines:
            print(f"{name}: {line}")
    failed = sum(bool(lines) for lines in checks.values())
    print(f"{len(checks) - failed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
