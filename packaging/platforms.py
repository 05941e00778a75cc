"""How each platform calls the library, and what tools a build for it takes.

A target is one of rustc's. A tree (install.py) has on each the same folders, but for a DLL, which
lies in bin.

Not here: where everything else goes (install.py), what is packed (dist.py).
"""

import os
import platform
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def version():
    with open(os.path.join(ROOT, "Cargo.toml"), encoding="utf-8") as file:
        return re.search(r'^version = "(.*)"', file.read(), re.MULTILINE).group(1)


class Linux:
    """The file has the whole version in its name, the SONAME the major one."""

    built = "librlua.so"
    static = "librlua.a"
    beside = []     # what else cargo leaves, for lib
    archive = ".tar.gz"
    # What librlua.a needs of the system: `rustc --print native-static-libs`, without libc and
    # without libgcc_s, which the compiler links by itself, or its static part in a program that
    # is all static.
    system = ["util", "rt", "pthread", "m", "dl"]

    def __init__(self, target, prefix):
        machine = target.split("-")[0]
        self.target, self.prefix = target, prefix
        self.rid = {"x86_64": "linux-x64", "aarch64": "linux-arm64"}.get(machine)
        self.soname = f"librlua.so.{version().split('.')[0]}"
        self.lowers = target.endswith("-gnu")   # glibc has a version (glibc.py)
        self.python = f"linux-{machine}" if self.lowers else None   # None: there are no wheels

    def shared(self, libdir):
        return f"{libdir}/librlua.so.{version()}"

    def links(self, libdir):
        """What each link leads to."""
        return {f"{libdir}/{self.soname}": f"librlua.so.{version()}",
                f"{libdir}/librlua.so": self.soname}

    def cmake(self, libdir):    # pylint: disable=unused-argument
        return f'IMPORTED_SONAME "{self.soname}"'

    def tool(self, name):
        """A compiler or one of its tools, for another machine than this."""
        return self.prefix + {"cc": "gcc"}.get(name, name)


class Musl(Linux):
    """Linux with musl: of this machine, with another C library."""

    def __init__(self, target, prefix):
        super().__init__(target, prefix)
        self.rid = None     # no .NET with musl has been at hand

    def tool(self, name):
        return {"cc": "musl-gcc"}.get(name, name)


class Windows:
    """A DLL, and what linkers take in its place: mingw's, MSVC's."""

    built = "rlua.dll"
    static = "librlua.a"
    beside = ["librlua.dll.a", "rlua.lib", "rlua.def"]
    archive = ".zip"
    system = ["kernel32", "ntdll", "userenv", "ws2_32", "dbghelp"]
    lowers = False
    rid = "win-x64"
    python = "win-amd64"

    def __init__(self, target, prefix):
        self.target, self.prefix = target, prefix

    def shared(self, libdir):   # pylint: disable=unused-argument
        return "bin/rlua.dll"

    def links(self, libdir):    # pylint: disable=unused-argument
        return {}

    def cmake(self, libdir):
        return f'IMPORTED_IMPLIB "${{_rlua_prefix}}/{libdir}/${{_rlua_implib}}"'

    tool = Linux.tool


# With what the names of the compiler and its tools begin, where another machine builds.
TARGETS = {
    "x86_64-unknown-linux-gnu": (Linux, "x86_64-linux-gnu-"),
    "aarch64-unknown-linux-gnu": (Linux, "aarch64-linux-gnu-"),
    "x86_64-unknown-linux-musl": (Musl, ""),
    "x86_64-pc-windows-gnu": (Windows, "x86_64-w64-mingw32-"),
}


def of(target):
    """The platform of a target of rustc's."""
    if target in TARGETS:
        kind, prefix = TARGETS[target]
        return kind(target, prefix)
    if "-linux-" in target:
        return Linux(target, "")
    sys.exit(f"nothing is installed or packed for {target} yet")


def here():
    """This machine's, also where rustc is not at hand."""
    return of(f"{platform.machine()}-unknown-{sys.platform}-gnu")
