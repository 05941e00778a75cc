#!/usr/bin/env python3
"""Compiles the binding and packs it with the library, as NuGet has packages. Needs no NuGet.

    pack.py FOLDER [RID=LIBRARY...]     FOLDER/Rlua.VERSION.nupkg, and what is in it in
                                        FOLDER/package, as NuGet would unpack it

    lib/netstandard2.0/Rlua.dll         and its documentation, Rlua.xml
    runtimes/RID/native/librlua.so      linux-x64, linux-arm64, and win-x64 with rlua.dll: one for
                                        each given; by default the library that RLUA_LIBRARY names,
                                        else target/release's
    Rlua.nuspec, README.md, LICENSE, licences/

The compiler is the one of MCS, by default mcs: Mono's, of C# 7. Its output names mscorlib, which
.NET, Mono and Unity have; that nothing outside netstandard2.0 is used, the tests see by compiling
every method under .NET Core 2.0 as well.

Licences of what is in the library are those of the tree that it lies in (packaging/dist.py), else
those that `make` collects (packaging/licences.py); where there are none, they are left out with a
word, as such a package is none to hand on.

Not here: signing, and uploading.
"""

import os
import platform
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ID = "Rlua"
SUMMARY = "Lua 5.4 whose whole state can go back in time: for rollback netcode, undo, replays."
FLAGS = "-langversion:7 -unsafe -optimize -debug- -warnaserror -nowarn:1573 -target:library"
LICENCES = ["THIRD-PARTY", "RUST-STANDARD-LIBRARY.html"]
RIDS = {"x86_64": "linux-x64", "aarch64": "linux-arm64"}

NUSPEC = """<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://schemas.microsoft.com/packaging/2013/05/nuspec.xsd">
  <metadata>
    <id>{id}</id>
    <version>{version}</version>
    <authors>rlua</authors>
    <description>{summary}</description>
    <license type="expression">MIT</license>
    <readme>README.md</readme>
    <tags>lua rollback netcode scripting gamedev</tags>
    <dependencies>
      <group targetFramework=".NETStandard2.0" />
    </dependencies>
  </metadata>
</package>
"""

CONTENT_TYPES = """<?xml version="1.0" encoding="utf-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
{defaults}
{overrides}
</Types>
"""

RELATIONSHIPS = """<?xml version="1.0" encoding="utf-8"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
  <Relationship Type="http://schemas.microsoft.com/packaging/2010/07/manifest" \
Target="/{id}.nuspec" Id="manifest" />
</Relationships>
"""


def version():
    header = (ROOT / "include/rlua.h").read_text(encoding="utf-8")
    return re.search(r'^#define RLUA_VERSION "(.*)"$', header, re.MULTILINE).group(1)


def compiled(folder):
    """Rlua.dll and its documentation."""
    folder.mkdir(parents=True, exist_ok=True)
    compiler = shlex.split(os.environ.get("MCS", "mcs"))
    sources = sorted(str(path) for path in (HERE / "src").glob("*.cs"))
    subprocess.run([*compiler, *FLAGS.split(), f"-out:{folder / 'Rlua.dll'}",
                    f"-doc:{folder / 'Rlua.xml'}", *sources], check=True)


def libraries(given):
    """{rid: file}"""
    if given:
        return dict(each.split("=", 1) for each in given)
    machine = platform.machine()
    if machine not in RIDS:
        sys.exit(f"pack.py: no RID is known for {machine}; give RID=LIBRARY")
    return {RIDS[machine]: os.environ.get("RLUA_LIBRARY") or ROOT / "target/release/librlua.so"}


def licences(library):
    for folder in (library.parent.parent / "share/doc/rlua", ROOT / "target/licences"):
        if (folder / "THIRD-PARTY").exists():
            return [folder / name for name in LICENCES if (folder / name).exists()]
    print("pack.py: no licences of what is in the library: run make first, to hand it on")
    return []


def fill(package, given):
    """Writes what is in the package, as files."""
    compiled(package / "lib/netstandard2.0")
    for rid, library in libraries(given).items():
        name = "rlua.dll" if rid.startswith("win-") else "librlua.so"
        target = package / "runtimes" / rid / "native" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(Path(library).read_bytes())
    copies = {"README.md": HERE / "README.md", "LICENSE": ROOT / "LICENSE"}
    for rid, library in libraries(given).items():
        copies.update({f"licences/{rid}/{path.name}": path for path in licences(Path(library))})
    for name, source in copies.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_bytes(source.read_bytes())
    nuspec = NUSPEC.format(id=ID, version=version(), summary=escape(SUMMARY))
    (package / f"{ID}.nuspec").write_text(nuspec, encoding="utf-8")


def content_types(names):
    """The package format wants a type for each name; one without an extension by itself."""
    extensions = sorted({Path(name).suffix[1:] for name in names} - {""} | {"rels"})
    known = {"rels": "application/vnd.openxmlformats-package.relationships+xml"}
    defaults = [f'  <Default Extension="{each}" ContentType="'
                f'{known.get(each, "application/octet")}" />' for each in extensions]
    overrides = [f'  <Override PartName="/{name}" ContentType="application/octet" />'
                 for name in names if not Path(name).suffix]
    return CONTENT_TYPES.format(defaults="\n".join(defaults), overrides="\n".join(overrides))


def packed(package, target):
    """A zip whose bytes depend on what is in it alone."""
    names = sorted(str(path.relative_to(package)) for path in package.rglob("*")
                   if path.is_file())
    parts = {"[Content_Types].xml": content_types(names).encode(),
             "_rels/.rels": RELATIONSHIPS.format(id=ID).encode()}
    parts.update({name: (package / name).read_bytes() for name in names})
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)


def main(arguments):
    if not arguments or arguments[0].startswith("-"):
        sys.exit(__doc__)
    folder = Path(arguments[0])
    package = folder / "package"
    for path in sorted(package.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    fill(package, arguments[1:])
    target = folder / f"{ID}.{version()}.nupkg"
    packed(package, target)
    print(target)


if __name__ == "__main__":
    main(sys.argv[1:])
