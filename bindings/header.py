"""What include/rlua.h declares, for the bindings: their generators, and the tests of them.

Names and comments are read from the header by their shape; what has none of the known shapes is an
error, not overlooked. Facts are the compiler's: a C program that is compiled against the header
prints the value of every enumerator and RLUA_ constant, the size of every struct, the offset and
the size of each of its fields, and the sizes of each function's result and parameters. For that a
C compiler is needed, in CC or as cc.

What the facts do not tell: signedness, floating point against integers, what a pointer points to.
"""

import os
import re
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
INCLUDE = HERE.parent / "include"
LUA_CONSTANTS = ["LUA_MULTRET", "LUA_GCCOLLECT", "LUA_TNIL", "LUA_TBOOLEAN",
                 "LUA_TLIGHTUSERDATA", "LUA_TNUMBER", "LUA_TSTRING", "LUA_TTABLE", "LUA_TFUNCTION",
                 "LUA_TUSERDATA", "LUA_TTHREAD", "LUA_EXTRASPACE"]


# Names and comments

def plain(comment):
    """A comment's text, without its stars, on one line."""
    lines = [re.sub(r"^\s*\*? ?", "", line) for line in comment.strip().splitlines()]
    return " ".join(line.strip() for line in lines if line.strip())


def body_of(header, kind, name):
    """(comment, members) of a typedef; a member is (comment, declaration)."""
    found = re.search(rf"(?:/\*\*((?:(?!\*/).)*)\*/\s*)?typedef {kind} rlua_{name} \{{(.*?)\n\}} "
                      rf"rlua_{name};", header, re.DOTALL)
    if found is None:
        raise ValueError(f"rlua.h has no {kind} rlua_{name}")
    separator = "," if kind == "enum" else ";"
    members = re.findall(
        rf"/\*\*((?:(?!\*/).)*)\*/\s*([^/{separator}][^{separator}/]*?){separator}",
        found.group(2), re.DOTALL)
    if len(members) != found.group(2).count("/**"):
        raise ValueError(f"rlua_{name} has a member of a shape that is not known here")
    return found.group(1) or "", members


def field_name(declaration):
    pointer = re.search(r"\(\*(\w+)\)", declaration)
    plain_name = re.search(r"(\w+)(?:\[\w+\])?\s*$", declaration)
    return (pointer or plain_name).group(1)


class Header:
    """The names that rlua.h declares."""

    def __init__(self, text):
        text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.DOTALL)
        self.macros = [name for name, value in re.findall(r"^#define (RLUA_\w+)[ \t]*(.*)$", text,
                                                           re.MULTILINE) if value.strip()]
        self.numbers = [name for name in self.macros if not self.is_text(text, name)]
        text = re.sub(r"^#.*$", "", text, flags=re.MULTILINE)
        self.enumerators = re.findall(r"\b(RLUA_\w+) *= *-?\d+", text)
        self.structs = {name: [field_name(part) for part in body.split(";") if part.strip()]
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
    def type_of(parameter):
        return re.sub(r"\w+\s*$", "", parameter.strip()).strip()

    def add_functions_of_lua(self, names):
        """Functions of lua.h, by their prototypes."""
        text = (INCLUDE / "lua.h").read_text(encoding="utf-8")
        for result, name, parameters in re.findall(
                r"LUA_API\s+([\w\s*]+?)\s*\((lua_\w+)\)\s*\((.*?)\);", text, re.DOTALL):
            if name in names:
                self.functions[name] = [result.strip()] + [self.type_of(each) for each in
                                                           parameters.split(",")]

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


def facts_of_header(functions_of_lua=()):
    header = Header((INCLUDE / "rlua.h").read_text(encoding="utf-8"))
    header.add_functions_of_lua(functions_of_lua)
    with tempfile.TemporaryDirectory() as folder:
        source, binary = Path(folder) / "layout.c", Path(folder) / "layout"
        source.write_text(header.program(), encoding="utf-8")
        subprocess.run([*os.environ.get("CC", "cc").split(), "-std=c11", f"-I{INCLUDE}",
                        str(source), "-o", str(binary)], check=True)
        return facts_of_command([str(binary)])


def facts_of_command(command):
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return dict(line.split(" ", 1) for line in printed.splitlines())
