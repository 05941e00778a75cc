#!/usr/bin/env python3
"""Packs the libraries of release archives for Python and for C#. The archives are made before.

    packages.py wheel FOLDER [TARGET [PYTHON]]  FOLDER/rlua-VERSION-cp3N-cp3N-PLATFORM.whl
    packages.py nuget FOLDER                    FOLDER/Rlua.VERSION.nupkg, with all that are there

FOLDER is where dist.py has left the trees. A wheel has an extension that is compiled for one
version of Python: the one that runs this. For another machine PYTHON is a folder in which that
machine's Python lies, of the same version, as distributions have it: PYTHON/usr/include with its
headers, and PYTHON/usr/lib/python3.N with its _sysconfigdata. There are none for Windows: no
Python of it has been at hand to run one.

Not here: how a wheel is built (bindings/python/backend), what is in the other (bindings/csharp).
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import licences
import platforms

BINDINGS = Path(platforms.ROOT) / "bindings"


def tree(folder, platform):
    return Path(folder).resolve() / f"rlua-{platforms.version()}-{platform.target}"


def library(folder, platform):
    return tree(folder, platform) / platform.shared("lib")


def of_another_machine(platform, python, folder):
    """What tells Python's own tools that they build for another machine, and the headers."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    found = sorted((python / "usr/lib" / version).glob("_sysconfigdata_*.py"))
    if not found:
        sys.exit(f"packages.py: there is no {python}/usr/lib/{version}/_sysconfigdata_*.py")
    (Path(folder) / found[0].name).write_bytes(found[0].read_bytes())
    machine = platform.target.split("-")[0]
    headers = f"-I{python}/usr/include/{version} -I{python}/usr/include"
    return {"_PYTHON_SYSCONFIGDATA_NAME": found[0].stem, "PYTHONPATH": folder,
            "_PYTHON_HOST_PLATFORM": f"linux-{machine}", "CC": f"{platform.prefix}gcc"}, headers


def wheel(folder, target=None, python=None):
    platform = platforms.of(target or licences.host())
    if not platform.lowers:
        sys.exit(f"packages.py: there is no wheel for {platform.target}")
    if not tree(folder, platform).is_dir():
        sys.exit(f"packages.py: there is no {tree(folder, platform)}: make dist first")
    if not python and platform.target != licences.host():
        sys.exit(f"packages.py: a wheel for {platform.target} needs that machine's Python")
    environment = {"RLUA_LIBRARY": str(library(folder, platform))}
    flags = f"-I{tree(folder, platform)}/include/rlua"
    with tempfile.TemporaryDirectory() as data:
        if python:
            more, headers = of_another_machine(platform, Path(python).resolve(), data)
            environment, flags = {**environment, **more}, f"{flags} {headers}"
        flags = f"{flags} {os.environ.get('CFLAGS', '')}"
        build = f"import sys; sys.path.insert(0, {str(BINDINGS / 'python/backend')!r})\n" \
                f"import build_rlua; print(build_rlua.build_wheel({str(folder)!r}))"
        name = subprocess.run([sys.executable, "-c", build], check=True, text=True,
                              stdout=subprocess.PIPE,
                              env={**os.environ, **environment, "CFLAGS": flags}).stdout.strip()
    print(Path(folder).resolve() / name)


def nuget(folder):
    known = [platforms.of(target) for target in platforms.TARGETS]
    given = [f"{platform.rid}={library(folder, platform)}" for platform in known
             if tree(folder, platform).is_dir()]
    if not given:
        sys.exit(f"packages.py: no archive was made in {folder}: make dist first")
    pack = str(BINDINGS / "csharp/pack.py")
    subprocess.run([sys.executable, pack, str(Path(folder).resolve()), *given], check=True)


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in ("wheel", "nuget"):
        sys.exit(__doc__)
    {"wheel": wheel, "nuget": nuget}[sys.argv[1]](*sys.argv[2:])
