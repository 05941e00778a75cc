"""The build backend (PEP 517): compiles the extension, and packs it with the library into a wheel.

Needs a C compiler, Python's headers and Rust; no package and no network. The library is the one
that RLUA_LIBRARY names, else target/release/librlua.so of the repository, built where it is absent.

CC            the compiler
CFLAGS        more flags
RLUA_LIBRARY  another build of the library

On Linux the wheel's tag says which glibc the library and the extension ask for, as they are
(packaging/glibc.py). The extension asks for the oldest.

Licences of what is in the library are those of the tree that it lies in (packaging/dist.py), else
those that `make` collects (packaging/licences.py). Without them a wheel is none to hand on.

Not here: sdists. The wheel needs the repository around it.
"""

import base64
import hashlib
import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path

import declarations

HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "packaging"))
import glibc  # noqa: E402 pylint: disable=wrong-import-position
INCLUDE = ROOT / "include"
SONAME = "librlua.so.0"
LICENCES = ["THIRD-PARTY", "RUST-STANDARD-LIBRARY.html"]
# The oldest glibc that Rust's standard library runs on, whatever it asks for by name.
FLOOR = "2.17"
FLAGS = "-std=c11 -O2 -fPIC -fvisibility=hidden -Wall -Wextra -Wno-missing-field-initializers"


def get_requires_for_build_wheel(config_settings=None):
    return []


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    with tempfile.TemporaryDirectory() as folder:
        version = declarations.write(INCLUDE / "rlua.h", folder)
    info = Path(metadata_directory) / f"rlua-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(metadata(version), encoding="utf-8")
    return info.name


def build_sdist(sdist_directory, config_settings=None):
    raise RuntimeError("rlua is built from its repository: pip install bindings/python")


def library():
    given = os.environ.get("RLUA_LIBRARY")
    if given:
        return Path(given)
    built = ROOT / "target" / "release" / "librlua.so"
    if not built.exists() or not (INCLUDE / "lua.h").exists():
        subprocess.run(["make", "-C", str(ROOT / "c-tests"), "library"], check=True)
    return built


def is_dll(binary):
    return binary.suffix in (".dll", ".pyd")


def floor(binary):
    return "" if is_dll(binary) else glibc.floor(binary)[0]


def compile_extension(target, folder, binary):
    python_h = sysconfig.get_paths()["include"]
    if not (Path(python_h) / "Python.h").exists():
        raise RuntimeError(f"no {python_h}/Python.h; on Debian: apt-get install python3-dev")
    compiler = shlex.split(os.environ.get("CC", "cc"))
    # Windows looks beside the extension by itself, and knows no libgcc.
    link = ["-static-libgcc"] if is_dll(binary) else ["-Wl,-rpath,$ORIGIN"]
    if floor(binary):
        compiler = [glibc.linker(folder / "glibc", compiler)]
    more = shlex.split(os.environ.get("CFLAGS", ""))
    sources = sorted(str(path) for path in (HERE / "src").glob("*.c"))
    subprocess.run([*compiler, *FLAGS.split(), *more, "-shared", f"-I{python_h}", f"-I{INCLUDE}",
                    f"-I{folder}", *sources, str(binary), *link, "-o", str(target)], check=True)


def tag(*binaries):
    version = f"cp{sys.version_info.major}{sys.version_info.minor}"
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    floors = [FLOOR, *filter(None, map(floor, binaries))]
    if platform.startswith("linux_") and len(floors) > 1:
        newest = max(floors, key=glibc.number)
        platform = platform.replace("linux", f"manylinux_{newest.replace('.', '_')}", 1)
    return f"{version}-{version}-{platform}"


def licences(binary):
    for folder in (binary.parent.parent / "share/doc/rlua", ROOT / "target/licences"):
        if (folder / LICENCES[0]).exists():
            return [folder / name for name in LICENCES if (folder / name).exists()]
    return []


def metadata(version):
    head = ["Metadata-Version: 2.1", "Name: rlua", f"Version: {version}",
            "Summary: Lua 5.4 whose whole state can go back in time", "License: MIT",
            "Requires-Python: >=3.10", "Description-Content-Type: text/markdown", "", ""]
    return "\n".join(head) + (HERE / "README.md").read_text(encoding="utf-8")


class Wheel:
    """A zip whose RECORD lists what is in it."""

    def __init__(self, path):
        self.zip = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED)
        self.record = []

    def add(self, name, data, mode=0o644):
        data = data.encode() if isinstance(data, str) else data
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        self.record.append(f"{name},sha256={digest},{len(data)}")
        entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
        entry.external_attr = (0o100000 | mode) << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        self.zip.writestr(entry, data)

    def close(self, record):
        self.zip.writestr(record, "\n".join([*self.record, f"{record},,", ""]))
        self.zip.close()


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    binary = library()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        version = declarations.write(INCLUDE / "rlua.h", folder)
        suffix = sysconfig.get_config_var("EXT_SUFFIX")
        named = folder / (binary.name if is_dll(binary) else SONAME)
        named.write_bytes(binary.read_bytes())
        extension = folder / f"_core{suffix}"
        compile_extension(extension, folder, named)
        tags = tag(named, extension)
        name = f"rlua-{version}-{tags}.whl"
        wheel = Wheel(Path(wheel_directory) / name)
        for path in sorted((HERE / "rlua").iterdir()):
            if path.suffix in (".py", ".pyi", ".typed"):
                wheel.add(f"rlua/{path.name}", path.read_bytes())
        wheel.add("rlua/_declarations.py", (folder / "_declarations.py").read_bytes())
        wheel.add(f"rlua/_core{suffix}", extension.read_bytes(), 0o755)
        wheel.add(f"rlua/{named.name}", named.read_bytes(), 0o755)
    info = f"rlua-{version}.dist-info"
    wheel.add(f"{info}/METADATA", metadata(version))
    for path in [ROOT / "LICENSE", *licences(binary)]:
        wheel.add(f"{info}/{path.name}", path.read_bytes())
    wheel.add(f"{info}/WHEEL", f"Wheel-Version: 1.0\nGenerator: build_rlua\n"
                               f"Root-Is-Purelib: false\nTag: {tags}\n")
    wheel.close(f"{info}/RECORD")
    return name
