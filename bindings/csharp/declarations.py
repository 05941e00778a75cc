#!/usr/bin/env python3
"""What the binding takes from rlua.h and lua.h: enumerations, options, structs and P/Invokes.

    declarations.py             writes src/Declarations.cs
    declarations.py --check     says whether src/Declarations.cs is what would be written

Everything is blittable: pointers and numbers, no marshalling. Enumerations and options have the
header's comments. Of lua.h only functions are taken that never raise (NEVER_RAISE), so that no
longjmp crosses a managed frame. A type that is not known here is an error, not overlooked. Needs
Lua's headers in include/, which `make` puts there.
"""

import re
import sys
import textwrap
from pathlib import Path

import generated

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
# pylint: disable-next=wrong-import-position
from header import INCLUDE, Header, body_of, plain  # noqa: E402

TARGET = HERE / "src/Declarations.cs"
# The library's own business: sizes of structs, and room for later.
HIDDEN = ("size", "reserved")
CONSTANTS = {"Raise": "RLUA_RAISE", "MultipleResults": "LUA_MULTRET", "CollectAll": "LUA_GCCOLLECT"}
LUA_TYPES = ("Nil", "Boolean", "LightUserData", "Number", "String", "Table", "Function", "UserData",
             "Thread")

# As the manual and src/lua/objects.h list them. lua_tolstring is called for strings alone, which
# it does not convert; lua_close is the end; what pushes needs room.
NEVER_RAISE = """lua_close lua_gettop lua_settop lua_checkstack lua_rotate lua_type lua_typename
    lua_toboolean lua_isinteger lua_tointegerx lua_tonumberx lua_tolstring lua_topointer
    lua_touserdata lua_tothread lua_tocfunction lua_rawlen lua_rawequal lua_getmetatable
    lua_setmetatable lua_pushnil lua_pushboolean lua_pushinteger lua_pushnumber lua_pushvalue
    lua_pushlightuserdata lua_status lua_closethread lua_setupvalue lua_getstack""".split()

TYPES = {
    "void": "void", "int": "int", "unsigned": "uint", "unsigned int": "uint", "int32_t": "int",
    "uint32_t": "uint", "int64_t": "long", "uint64_t": "ulong", "size_t": "UIntPtr",
    "lua_Integer": "long", "lua_Number": "double", "lua_Unsigned": "ulong", "rlua_Ref": "ulong",
    "lua_CFunction": "IntPtr",
    "lua_State *": "IntPtr", "void *": "IntPtr", "char *": "byte*", "int *": "int*",
    "lua_State **": "IntPtr*", "void **": "IntPtr*", "char **": "byte**", "size_t *": "UIntPtr*",
    "uint8_t *": "byte*", "int64_t *": "long*", "uint64_t *": "ulong*", "lua_Debug *": "IntPtr",
}
LENGTHS = {}
KEYWORDS = {"ref", "object", "event", "in", "out", "is", "as", "params", "base", "this"}


def version(header):
    return re.search(r'^#define RLUA_VERSION "(.*)"$', header, re.MULTILINE).group(1)


def camel(name):
    return "".join(part.capitalize() for part in name.split("_"))


def lower(name):
    found = camel(name)
    found = found[0].lower() + found[1:]
    return "@" + found if found in KEYWORDS else found


def named(kind, header):
    return re.findall(rf"^typedef {kind} rlua_(\w+) \{{", header, re.MULTILINE)


def know_functions(header):
    """Pointers to functions are pointers; what arrays are long is a number."""
    for name in re.findall(r"^typedef [\w *]+\(\*(rlua_\w+)\)", header, re.MULTILINE):
        TYPES[name] = "IntPtr"
    LENGTHS.update(re.findall(r"^#define (RLUA_\w+) (\d+)$", header, re.MULTILINE))


def type_of(declared):
    text = re.sub(r"\b(const|struct)\b", "", declared)
    text = re.sub(r"\s*(\*+)\s*", r" \1", re.sub(r"\s+", " ", text)).strip()
    struct = re.fullmatch(r"rlua_(\w+) \*( \*)?", text)
    if struct:
        return f"Raw{struct.group(1)}*" + ("*" if struct.group(2) else "")
    if text not in TYPES and re.fullmatch(r"rlua_\w+", text):
        return f"Raw{text.removeprefix('rlua_')}"
    return TYPES[text]


def summary(text, indent):
    text = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return textwrap.fill(f"<summary>{text}</summary>", 96, initial_indent=f"{indent}/// ",
                         subsequent_indent=f"{indent}/// ", break_on_hyphens=False)


def enumeration(header, name):
    comment, members = body_of(header, "enum", name)
    yield summary(comment.split("\n *\n")[0], "    ")
    yield f"    public enum {name}\n    {{"
    prefix = re.sub("(?<=[a-z])(?=[A-Z])", "_", name).upper() + "_"
    for doc, declaration in members:
        entry, value = re.fullmatch(r"RLUA_(\w+) = (-?\d+)", declaration.strip()).groups()
        yield summary(doc, "        ")
        yield f"        {camel(entry.removeprefix(prefix))} = {value},"
    yield "    }\n"


def flags(header):
    found = re.findall(r"^#define RLUA_LIB_(\w+) (0x[0-9a-f]+)u$", header, re.MULTILINE)
    yield summary("RLUA_LIB_... of rlua.h: libraries, and what is taken from them.", "    ")
    yield "    [Flags]\n    public enum Libs : uint\n    {"
    yield summary("No library.", "        ")
    yield "        None = 0,"
    for name, value in found:
        yield summary(f"RLUA_LIB_{name}.", "        ")
        yield f"        {camel(name)} = {value},"
    yield "    }\n"


def field(declaration):
    """(name, type) of a struct's member; an array is a fixed buffer."""
    array = re.fullmatch(r"(.*?)(\w+)\[(\w+)\]", declaration.strip(), re.DOTALL)
    if array:
        kind, name, size = array.groups()
        return f"{name}[{LENGTHS.get(size, size)}]", f"fixed {type_of(kind + '*')[:-1]}"
    pointer = re.search(r"\(\*(\w+)\)", declaration)
    if pointer:
        return pointer.group(1), "IntPtr"
    kind, name = re.fullmatch(r"(.*?)(\w+)", declaration.strip(), re.DOTALL).groups()
    return name, type_of(kind)


def raw_struct(header, name):
    yield f"    /// <summary>The C struct rlua_{name}.</summary>"
    yield f"    [StructLayout(LayoutKind.Sequential)]\n    internal unsafe struct Raw{name}\n    {{"
    for _, declaration in body_of(header, "struct", name)[1]:
        member, kind = field(declaration)
        yield f"        internal {kind} {camel(member)};"
    yield "    }\n"


def shown(header, name):
    """(doc, field, C#'s name, C#'s type) of each field that people see."""
    enums = named("enum", header)
    for doc, declaration in body_of(header, "struct", name)[1]:
        member, kind = field(declaration)
        if member in HIDDEN or kind == "IntPtr" or kind.endswith("*"):
            continue        # pointers are the binding's own business
        kind = "long" if kind == "UIntPtr" else kind
        yield doc, member, camel(member), camel(member) if camel(member) in enums else kind


def options(header):
    comment = "How a VM is made; 0 and null are the defaults. rlua_Config of rlua.h."
    fields, enums = list(shown(header, "Config")), named("enum", header)
    yield summary(comment, "    ")
    yield "    public sealed partial class Config\n    {"
    for doc, _, name, kind in fields:
        yield summary(doc, "        ")
        yield f"        public {kind} {name} {{ get; set; }}"
    yield "\n        internal unsafe RawConfig Raw()\n        {"
    yield "            return new RawConfig {\n                Size = (UIntPtr)sizeof(RawConfig),"
    for _, member, name, kind in fields:
        size = kind == "long" and member != "seed"
        value = f"Native.Size({name}, \"{name}\")" if size else name
        yield f"                {name} = {'(int)' if kind in enums else ''}{value},"
    yield "            };\n        }\n    }\n"


def information(header):
    fields, enums = list(shown(header, "Info")), named("enum", header)
    yield summary("What a VM holds: rlua_Info of rlua.h.", "    ")
    yield "    public sealed class Info\n    {"
    yield "        internal Info(RawInfo raw)\n        {"
    for _, member, name, kind in fields:
        size = kind == "long" and not member.endswith("_frame")
        cast = "(long)" if size else f"({kind})" if kind in enums else ""
        yield f"            {name} = {cast}raw.{name};"
    yield "        }\n"
    for doc, _, name, kind in fields:
        yield summary(doc, "        ")
        yield f"        public {kind} {name} {{ get; private set; }}"
    yield "    }\n"


def prototypes(text):
    """(name, result, [(type, name)], answers a status) of each function of rlua.h."""
    for doc, result, name, parameters in re.findall(
            r"/\*\*((?:(?!\*/).)*)\*/\s*([\w *]+?)\b(rlua_\w+)\(([^;]*?)\);", text, re.DOTALL):
        pairs = [] if parameters.strip() == "void" else \
            [re.fullmatch(r"(.*?)(\w+)", each.strip(), re.DOTALL).groups()
             for each in parameters.split(",")]
        status = result.strip() == "int" and re.search(r"@return\s+(RLUA_OK|As rlua_)", doc)
        yield name, result, pairs, bool(status)


def prototypes_of_lua(text):
    for result, name, parameters in re.findall(
            r"LUA_API\s+([\w\s*]+?)\s*\((lua_\w+)\)\s*\((.*?)\);", text, re.DOTALL):
        if name in NEVER_RAISE:
            pairs = [re.fullmatch(r"(.*?)(\w+)", each.strip(), re.DOTALL).groups()
                     for each in parameters.split(",")]
            yield name, result, pairs, False


def declared(name, result, pairs, status):
    kind = "Status" if status else type_of(result)
    parameters = ", ".join(f"{type_of(each)} {lower(called)}" for each, called in pairs)
    line = f"internal static extern {kind} {name}({parameters});"
    yield "        [DllImport(Name, CallingConvention = C)]"
    yield textwrap.fill(line, 100, initial_indent="        ", subsequent_indent="            ")


def native(header, lua):
    yield f"    /// <summary>{'The functions of rlua.h, and of lua.h those that never raise.'}"
    yield "    /// </summary>\n    internal static unsafe partial class Native\n    {"
    yield f'        internal const string Name = "librlua.so.{version(header).split(".")[0]}";'
    yield "        private const CallingConvention C = CallingConvention.Cdecl;\n"
    for name, macro in CONSTANTS.items():
        value = re.search(rf"^#define {macro}[ \t]+\(?(-?\d+)\)?$", header + lua,
                          re.MULTILINE).group(1)
        yield f"        internal const int {name} = {value};"
    for name in LUA_TYPES:
        value = re.search(rf"^#define LUA_T{name.upper()}[ \t]+(\d+)$", lua, re.MULTILINE).group(1)
        yield f"        internal const int {name} = {value};"
    unlimited = re.search(r"^#define RLUA_NO_BUDGET (0x[0-9A-F]+)u$", header, re.MULTILINE).group(1)
    yield f"        internal const ulong NoBudget = {unlimited};\n"
    functions = list(prototypes(header))
    if [name for name, *_ in functions] != list(Header(header).functions):
        raise ValueError("rlua.h has a prototype of a shape that is not known here")
    of_lua = list(prototypes_of_lua(lua))
    if sorted(name for name, *_ in of_lua) != sorted(NEVER_RAISE):
        raise ValueError("lua.h lacks some of NEVER_RAISE")
    for function in functions + of_lua:
        yield from declared(*function)
    yield "    }"


def text():
    header = (INCLUDE / "rlua.h").read_text(encoding="utf-8")
    lua = (INCLUDE / "lua.h").read_text(encoding="utf-8")
    lines = ["// Generated from rlua.h and lua.h by declarations.py: do not edit.", "",
             "using System;", "using System.Reflection;",
             "using System.Runtime.InteropServices;", "",
             f'[assembly: AssemblyVersion("{version(header)}.0")]',
             '[assembly: AssemblyTitle("Lua 5.4 whose whole state can go back in time")]', "",
             "namespace Rlua", "{"]
    for name in named("enum", header):
        lines += enumeration(header, name)
    lines += flags(header)
    know_functions(header)
    lines += options(header)
    lines += information(header)
    for name in named("struct", header):
        lines += raw_struct(header, name)
    lines += native(header, lua)
    return "\n".join([*lines, "}", ""])


if __name__ == "__main__":
    sys.exit(generated.main(sys.argv[1:], __doc__, TARGET, "rlua.h", text))
