#!/usr/bin/env python3
"""Packs the libraries of release archives for Python and for C#. The archives are made before.

    packages.py wheel FOLDER [TARGET [PYTHON]]  FOLDER/rlua-VERSION-cp3N-cp3N-PLATFORM.whl
    packages.py nuget FOLDER                    FOLDER/Rlua.VERSION.nupkg, with all that are there

FOLDER is where dist.py has left the trees. A wheel has an extension that is compiled for one
version of Python: the one that runs this. For another machine PYTHON is a folder in which that
machine's Python lies, of the same version. For Linux as distributions have it: PYTHON/usr/include
with its headers, and PYTHON/usr/lib/python3.N with its _sysconfigdata. For Windows it is the folder
of python3N.dll; the headers are those of the Python that runs this, but for pyconfig.h.

Not here: how a wheel is built (bindings/python/backend), what is in the other (bindings/csharp).
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import licences
import platforms

BINDINGS = Path(platforms.ROOT) / "bindings"


def tree(folder, platform):
    return Path(folder).resolve() / f"rlua-{platforms.version()}-{platform.target}"


def library(folder, platform):
    return tree(folder, platform) / platform.shared("lib")


def another_python(platform, folder, data):
    """What tells Python's own tools that they build for another machine."""
    return {"_PYTHON_SYSCONFIGDATA_NAME": data, "PYTHONPATH": folder,
            "_PYTHON_HOST_PLATFORM": platform.python, "CC": f"{platform.prefix}gcc"}


def linux_python(platform, python, folder):
    """That, and the compiler's flags."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    found = sorted((python / "usr/lib" / version).glob("_sysconfigdata_*.py"))
    if not found:
        sys.exit(f"packages.py: there is no {python}/usr/lib/{version}/_sysconfigdata_*.py")
    (Path(folder) / found[0].name).write_bytes(found[0].read_bytes())
    headers = f"-I{python}/usr/include/{version} -I{python}/usr/include"
    return another_python(platform, folder, found[0].stem), headers


def windows_python(platform, python, folder):
    """The same for Windows, whose Python may have no headers: those of this one will do."""
    version = f"{sys.version_info.major}{sys.version_info.minor}"
    dll, headers = python / f"python{version}.dll", Path(folder) / "include"
    if not dll.is_file():
        sys.exit(f"packages.py: there is no {dll}")
    shutil.copytree(sysconfig.get_paths()["include"], headers)
    shutil.copy(Path(__file__).with_name("pyconfig.h"), headers)
    data = Path(folder) / "_sysconfigdata_windows.py"
    data.write_text(f"build_time_vars = {{'EXT_SUFFIX': '.cp{version}-win_amd64.pyd'}}\n",
                    encoding="utf-8")
    return another_python(platform, folder, data.stem), f"-I{headers} {dll}"


def wheel(folder, target=None, python=None):
    platform = platforms.of(target or licences.host())
    if not platform.python:
        sys.exit(f"packages.py: there is no wheel for {platform.target}")
    if not tree(folder, platform).is_dir():
        sys.exit(f"packages.py: there is no {tree(folder, platform)}: make dist first")
    if not python and platform.target != licences.host():
        sys.exit(f"packages.py: a wheel for {platform.target} needs that machine's Python")
    environment = {"RLUA_LIBRARY": str(library(folder, platform))}
    flags = f"-I{tree(folder, platform)}/include/rlua"
    with tempfile.TemporaryDirectory() as data:
        if python:
            other = windows_python if isinstance(platform, platforms.Windows) else linux_python
            more, its_flags = other(platform, Path(python).resolve(), data)
            environment, flags = {**environment, **more}, f"{flags} {its_flags}"
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
             if platform.rid and tree(folder, platform).is_dir()]
    if not given:
        sys.exit(f"packages.py: no archive was made in {folder}: make dist first")
    pack = str(BINDINGS / "csharp/pack.py")
    subprocess.run([sys.executable, pack, str(Path(folder).resolve()), *given], check=True)


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in ("wheel", "nuget"):
        sys.exit(__doc__)
    {"wheel": wheel, "nuget": nuget}[sys.argv[1]](*sys.argv[2:])
