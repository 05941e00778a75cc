#!/usr/bin/env python3
"""Looks at a library for macOS, where nothing of it can run.

    macho.py DYLIB MACHINE LIBRARY      MACHINE is arm64 or x86_64; LIBRARY is Linux's

- it exports what Linux's library exports, and nothing else;
- its name is @rpath/librlua.dylib, and it needs what every Mac has: libSystem, libiconv;
- it is for the machine, for macOS 11 and later on arm64, where these begin, 10.12 on x86-64;
- on arm64 it is signed, ad hoc at least: the system runs nothing else there.

Not here: whether it works.
"""

import struct
import subprocess
import sys

MACHINES = {"arm64": 0x0100000C, "x86_64": 0x01000007}
FLOORS = {"arm64": (11, 0), "x86_64": (10, 12)}
SYSTEM = {"/usr/lib/libSystem.B.dylib", "/usr/lib/libiconv.2.dylib"}
ID_DYLIB, LOAD_DYLIB, SYMTAB, SIGNATURE, BUILD_VERSION, VERSION_MIN = \
    0xD, 0xC, 0x2, 0x1D, 0x32, 0x24
EXTERNAL, DEFINED_IN_SECTION, PRIVATE, KIND = 0x01, 0x0E, 0x10, 0x0E


class Dylib:
    """What is looked at, by the load commands."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        magic, self.machine, _, kind, count = struct.unpack_from("<5I", self.data)
        if (magic, kind) != (0xFEEDFACF, 6):
            sys.exit(f"macho.py: {path} is no library of 64 bits for macOS")
        self.name, self.needs, self.exports, self.floor, self.signed = "", set(), set(), (), False
        at = 32
        for _ in range(count):
            command, size = struct.unpack_from("<2I", self.data, at)
            self.read(command & 0x7FFFFFFF, at)
            at += size

    def text(self, at):
        return self.data[at:self.data.index(b"\0", at)].decode()

    def word(self, at):
        return struct.unpack_from("<I", self.data, at)[0]

    def read(self, command, at):
        if command == ID_DYLIB:
            self.name = self.text(at + self.word(at + 8))
        elif command == LOAD_DYLIB:
            self.needs.add(self.text(at + self.word(at + 8)))
        elif command == SIGNATURE:
            self.signed = True
        elif command in (BUILD_VERSION, VERSION_MIN):
            version = self.word(at + (12 if command == BUILD_VERSION else 8))
            self.floor = (version >> 16, version >> 8 & 0xFF)
        elif command == SYMTAB:
            symbols, count, strings = struct.unpack_from("<3I", self.data, at + 8)
            for place in range(symbols, symbols + 16 * count, 16):
                name, kind = struct.unpack_from("<IB", self.data, place)
                if kind & EXTERNAL and not kind & PRIVATE and kind & KIND == DEFINED_IN_SECTION:
                    self.exports.add(self.text(strings + name))


def exports_of_linux(library):
    names = subprocess.run(["nm", "-D", "--defined-only", "--format=posix", library], check=True,
                           stdout=subprocess.PIPE, text=True).stdout
    return {"_" + line.split()[0] for line in names.splitlines()}


def main(path, machine, library):
    dylib, expected = Dylib(path), exports_of_linux(library)
    results = {
        "machine": dylib.machine == MACHINES[machine],
        "name": dylib.name == "@rpath/librlua.dylib",
        "needs what every Mac has": bool(dylib.needs) and dylib.needs <= SYSTEM,
        f"runs on macOS {FLOORS[machine]}": dylib.floor == FLOORS[machine],
        "exports nothing else": not dylib.exports - expected,
        "exports everything": "_rlua_snap" in expected and not expected - dylib.exports,
        "signed where that is asked for": dylib.signed or machine != "arm64",
    }
    for name, passed in results.items():
        print("ok  " if passed else "FAIL", f"{machine}: {name}")
    failed = list(results.values()).count(False)
    if failed:
        print(dylib.name, dylib.needs, dylib.floor, dylib.signed)
        print("too many:", sorted(dylib.exports - expected)[:20])
        print("missing:", sorted(expected - dylib.exports)[:20])
    print(f"{len(results) - failed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
