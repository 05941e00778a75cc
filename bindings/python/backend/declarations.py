"""What the package takes from rlua.h: enumerations, flags, and the fields of structs.

    declarations.py rlua.h FOLDER       writes a Python module and a list for C there

Python's names are written out, with the header's comments, so that editors and type checkers see
them. Fields reach C as lists of names; offsets and sizes are the compiler's, of the header itself.
What has none of the known shapes is an error, not overlooked.
"""

import re
import sys
import textwrap
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from header import body_of, field_name, plain  # noqa: E402 pylint: disable=wrong-import-position

ENUMS = ("Status", "Tracker", "Guard", "Profile", "Trust", "DiffKind")
STRUCTS = ("Config", "Info")
# The library's own business: sizes of structs, and room for later; names, which are given as
# `functions`; types of objects outside, since Python's are not saved.
HIDDEN = ("size", "reserved", "names", "types")
# Bytes, of which C takes the address.
KEYS = ("image_key",)
# Structs whose layout C alone knows; the tests compare all of them with the header.
LAID_OUT = ("Name", "Config", "Info", "Method", "ResourceType", "Participant", "Checksum",
            "Difference", "SyncReport", "ObjectType")


def documented(text, name, indent):
    text = plain(text).replace("\\", "\\\\")
    return textwrap.indent(textwrap.fill(f'"""{text}"""', 96 - len(indent)), indent) \
        if text else f'{indent}"""rlua_{name} of rlua.h."""'


def enumeration(header, name):
    comment, members = body_of(header, "enum", name)
    lines = [f"class {name}(enum.IntEnum):", documented(comment, name, "    "), ""]
    prefix = re.sub("(?<=[a-z])(?=[A-Z])", "_", name).upper() + "_"
    for doc, declaration in members:
        entry, value = re.fullmatch(r"RLUA_(\w+) = (-?\d+)", declaration.strip()).groups()
        lines.append(f"    {entry.removeprefix(prefix)} = {value}")
        lines.append(documented(doc, name, "    "))
    return lines


def dataclass(header, name):
    comment, members = body_of(header, "struct", name)
    lines = ["@dataclasses.dataclass(frozen=True)", f"class {name}:",
             documented(comment.split("\n *\n")[0], name, "    "), ""]
    for doc, declaration in members:
        field = field_name(declaration)
        if field in HIDDEN:
            continue
        kind = field.capitalize() if field.capitalize() in ENUMS else "int"
        if field in KEYS:
            lines += [f'    {field}: bytes = b""', documented(doc, name, "    ")]
            continue
        default = "" if name == "Info" else f" = {kind}(0)" if kind != "int" else " = 0"
        lines.append(f"    {field}: {kind}{default}")
        lines.append(documented(doc, name, "    "))
    return lines


def flags(header):
    lines = ["class Libs(enum.IntFlag):",
             '    """RLUA_LIB_... of rlua.h: libraries, and what is taken from them."""', ""]
    found = re.findall(r"^#define RLUA_LIB_(\w+) (0x[0-9a-f]+)u$", header, re.MULTILINE)
    return lines + [f"    {name} = {value}" for name, value in found]


def python_module(header):
    version = re.search(r'^#define RLUA_VERSION "(.*)"$', header, re.MULTILINE).group(1)
    unlimited = re.search(r"^#define RLUA_NO_BUDGET (0x[0-9A-F]+)u$", header, re.MULTILINE).group(1)
    parts = [['"""Generated from rlua.h by backend/declarations.py: do not edit."""', "",
              "import dataclasses", "import enum", "", f'HEADER_VERSION = "{version}"',
              f"NO_BUDGET = {unlimited}"]]
    parts += [enumeration(header, name) for name in ENUMS]
    parts += [flags(header)]
    parts += [dataclass(header, name) for name in STRUCTS]
    return "\n\n\n".join("\n".join(part) for part in parts) + "\n"


def c_lists(header):
    lines = ["/* Generated from rlua.h by backend/declarations.py: do not edit. */"]
    layout = []
    for name in LAID_OUT:
        fields = [field_name(declaration) for _, declaration in body_of(header, "struct", name)[1]]
        if name in STRUCTS:
            shown = " ".join(f"X({field})" for field in fields if field not in HIDDEN + KEYS)
            lines.append(f"#define RLUA_PY_{name.upper()}_FIELDS(X) {shown}")
        layout.append(f"S(rlua_{name})")
        layout += [f"F(rlua_{name}, {field})" for field in fields]
    lines.append(f"#define RLUA_PY_LAYOUT(S, F) {' '.join(layout)}")
    return "\n".join(lines) + "\n"


def write(header_path, folder):
    header = Path(header_path).read_text(encoding="utf-8")
    folder = Path(folder)
    (folder / "_declarations.py").write_text(python_module(header), encoding="utf-8")
    (folder / "fields.inc").write_text(c_lists(header), encoding="utf-8")
    return re.search(r'^#define RLUA_VERSION "(.*)"$', header, re.MULTILINE).group(1)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    write(*sys.argv[1:])
