#!/usr/bin/env python3
"""The oldest glibc that a library runs on: measured, and lowered for release archives.

    glibc.py floor LIBRARY      prints it (2.17), and on stderr which symbols ask for it
    glibc.py linker FOLDER      makes a linker in FOLDER that asks for little; prints its path

A linker notes for each symbol the version that the glibc beside it prefers. Most of what is new
are functions that moved: dlopen was in libdl.so.2 until 2.34, and every glibc still answers to
that old name and version. So the linker made here is the C compiler with two files before its own
libraries: stubs that offer the old names and versions, and a shim in C for what was an inline
function of the headers. They decide names alone: the code that runs is the same, and so is its
speed. What Rust's standard library asks for weakly (statx, gettid) is found without a version, or
not at all, and the library does without, as it was written to.

(`zig cc -target x86_64-linux-gnu.2.17` as the linker offers old names too, but refuses
-Bsymbolic-functions and --push-state, which build.rs gives.)

A normal build needs nothing of this, and links against the glibc that is there. Not lowered:
librlua.a, whose symbols get their versions where the program is linked.
"""

import os
import re
import subprocess
import sys

# Each old place of what moved.
MOVED = {
    "libdl.so.2": ["dladdr", "dlopen", "dlsym", "dlclose", "dlerror"],
    "libpthread.so.0": ["pthread_key_create", "pthread_key_delete", "pthread_setspecific",
                        "pthread_getspecific"],
}
# Offered by a stub without a version.
WEAK = ["statx", "gettid", "__cxa_thread_atexit_impl"]
# The first version that glibc has on a machine.
BASE = {"x86_64": "GLIBC_2.2.5", "aarch64": "GLIBC_2.17"}
STAT_VERSION = {"x86_64": 1, "aarch64": 0}

SHIM = """/* What glibc's headers had as inline functions, or under another name. */
#include <stdarg.h>
struct stat64;
int old_xstat(int version, const char *path, struct stat64 *buffer);
int old_fxstat(int version, int file, struct stat64 *buffer);
int old_fcntl(int file, int command, ...);
__asm__(".symver old_xstat, __xstat64@" BASE);
__asm__(".symver old_fxstat, __fxstat64@" BASE);
__asm__(".symver old_fcntl, fcntl@" BASE);
#define OURS __attribute__((visibility("hidden")))
OURS int stat64(const char *path, struct stat64 *buffer) {
    return old_xstat(STAT_VERSION, path, buffer);
}
OURS int fstat64(int file, struct stat64 *buffer) {
    return old_fxstat(STAT_VERSION, file, buffer);
}
OURS int fcntl64(int file, int command, ...) {
    va_list list;
    va_start(list, command);
    void *argument = va_arg(list, void *);
    va_end(list);
    return old_fcntl(file, command, argument);
}
"""


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True,
                          env={**os.environ, "LC_ALL": "C"}).stdout


def number(version):
    return tuple(int(part) for part in version.split("."))


def floor(library):
    """The floor as text, and the symbols that ask for it; no text where nothing does."""
    needs = re.findall(r"Name: GLIBC_([0-9.]+)", run("readelf", "-VW", library))
    highest = max(needs, key=number, default="")
    symbols = re.findall(r" UND (\S+)@GLIBC_" + re.escape(highest) + r" ",
                         run("readelf", "--dyn-syms", "-W", library)) if highest else []
    return highest, sorted(symbols)


def stub(folder, cc, soname, symbols, version, weak):
    """A library without code that offers these symbols under this name; returns its path."""
    base = os.path.join(folder, soname)
    with open(base + ".c", "w", encoding="utf-8") as file:
        file.writelines(f"void {symbol}(void) {{}}\n" for symbol in symbols + weak)
    with open(base + ".map", "w", encoding="utf-8") as file:
        file.write(f"{version} {{ global: {'; '.join(symbols)}; }};\n")
    run(*cc, "-w", "-fno-builtin", "-shared", "-nostdlib", "-fPIC", base + ".c", "-o", base,
        f"-Wl,-soname,{soname}", f"-Wl,--version-script={base}.map")
    return base


def linker(folder, cc):
    """Makes the stubs, the shim and the linker out of this compiler; returns the linker's path."""
    folder = os.path.abspath(folder)
    os.makedirs(folder, exist_ok=True)
    machine = run(*cc, "-dumpmachine").split("-")[0]
    if machine not in BASE:
        sys.exit(f"glibc.py: the first version of glibc on {machine} is not known here")
    inputs = []
    for soname, symbols in MOVED.items():
        weak = WEAK if soname == "libdl.so.2" else []
        inputs.append(stub(folder, cc, soname, symbols, BASE[machine], weak))
    shim = os.path.join(folder, "shim.c")
    with open(shim, "w", encoding="utf-8") as file:
        file.write(SHIM)
    run(*cc, "-O2", "-fPIC", f"-DSTAT_VERSION={STAT_VERSION[machine]}",
        f'-DBASE="{BASE[machine]}"', "-c", shim, "-o", shim[:-1] + "o")
    path = os.path.join(folder, "linker")
    libraries = " ".join(f"'{name}'" for name in inputs)
    with open(path, "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\n# The C compiler, with old names of glibc before its own.\n"
                   f"exec {' '.join(cc)} '{shim[:-1]}o' -Wl,--push-state,--no-as-needed "
                   f"{libraries} -Wl,--pop-state \"$@\"\n")
    os.chmod(path, 0o755)
    return path


def main(command, argument):
    if command == "floor":
        version, symbols = floor(argument)
        if not version:
            sys.exit(f"glibc.py: {argument} asks for no version of glibc")
        print(version)
        print("asked for by:", *symbols, file=sys.stderr)
    elif command == "linker":
        print(linker(argument, os.environ.get("CC", "cc").split()))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
