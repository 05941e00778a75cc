#!/usr/bin/env python3
"""Puts the built library where C projects look for one, or takes it away again.

    install.py install     copies everything
    install.py metadata    writes only what tells build systems of it, before it is built
    install.py uninstall   removes what install wrote, and folders of ours that are empty then

It builds nothing: library.py did that. Below DESTDIR and PREFIX:

    PREFIX/lib/librlua.so.0.1.0   and the links librlua.so.0 (the SONAME) and librlua.so
    PREFIX/lib/librlua.a
    PREFIX/lib/pkgconfig/rlua.pc
    PREFIX/lib/cmake/rlua         find_package(rlua): rlua::rlua, rlua::static
    PREFIX/include/rlua           rlua.h, rlua.hpp with its parts in rlua/, and exactly this Lua's
                                  headers
    PREFIX/share/doc/rlua         licences (licences.py)

Nothing in it names PREFIX, so it may be moved. A file that would stay the same is not written.
Not here: building (library.py), the release archive (dist.py).
"""

import argparse
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
OURS = [*(f"rlua/{part}.hpp" for part in ("core", "functions", "handles", "result", "state",
                                          "usertypes", "values")),
        "rlua.h", "rlua.hpp", "lua.hpp"]
LUAS = ["lua.h", "luaconf.h", "lauxlib.h", "lualib.h"]
# What librlua.a needs of the system: `rustc --print native-static-libs`, without libc and without
# libgcc_s, which the compiler links by itself, or its static part in a program that is all static.
SYSTEM = ["util", "rt", "pthread", "m", "dl"]


def version():
    with open(os.path.join(ROOT, "Cargo.toml"), encoding="utf-8") as file:
        return re.search(r'^version = "(.*)"', file.read(), re.MULTILINE).group(1)


def names():
    """How this platform calls the library: its file, its links, the archive."""
    if not sys.platform.startswith("linux"):
        sys.exit(f"install.py: {sys.platform} is not supported yet")
    number = version()
    return {
        "built": "librlua.so",
        "shared": f"librlua.so.{number}",
        "soname": f"librlua.so.{number.split('.')[0]}",
        "link": "librlua.so",
        "static": "librlua.a",
    }


def fill(template, options):
    name = names()
    pkgconfig = os.path.join(options.libdir, "pkgconfig")
    values = {
        "VERSION": version(),
        "MAJOR": version().split(".")[0],
        "LIBDIR": options.libdir,
        "INCLUDEDIR": options.includedir,
        "SHARED": name["shared"],
        "SONAME": name["soname"],
        "STATIC": name["static"],
        "SYSTEM_LIBS": " ".join(f"-l{library}" for library in SYSTEM),
        "SYSTEM_LIBRARIES": ";".join(SYSTEM),
        "PREFIX_FROM_PKGCONFIG": os.path.relpath(".", pkgconfig),
        "PREFIX_FROM_CMAKE": os.path.relpath(".", options.cmakedir),
    }
    with open(os.path.join(HERE, template), encoding="utf-8") as file:
        return re.sub(r"@([A-Z_]+)@", lambda match: values[match.group(1)], file.read())


def metadata(options):
    """Contents by their places."""
    return {
        os.path.join(options.libdir, "pkgconfig/rlua.pc"): fill("rlua.pc.in", options),
        os.path.join(options.cmakedir, "rlua-config.cmake"): fill("rlua-config.cmake.in", options),
        os.path.join(options.cmakedir, "rlua-config-version.cmake"):
            fill("rlua-config-version.cmake.in", options),
    }


def copies(options):
    """Sources by their places."""
    name = names()
    found = {
        os.path.join(options.libdir, name["shared"]): os.path.join(options.library, name["built"]),
        os.path.join(options.libdir, name["static"]): os.path.join(options.library, name["static"]),
    }
    headers = os.path.join(options.includedir, "rlua")
    for header in OURS:
        found[os.path.join(headers, header)] = os.path.join(ROOT, "include", header)
    for header in LUAS:
        found[os.path.join(headers, header)] = os.path.join(options.headers, header)
    documents = "share/doc/rlua"
    found[f"{documents}/LICENSE"] = os.path.join(ROOT, "LICENSE")
    for name in ["THIRD-PARTY", "RUST-STANDARD-LIBRARY.html"]:
        found[f"{documents}/{name}"] = os.path.join(options.licences, name)
    return found


def links(options):
    """What each link leads to."""
    name = names()
    return {
        os.path.join(options.libdir, name["soname"]): name["shared"],
        os.path.join(options.libdir, name["link"]): name["soname"],
    }


def write(path, data, mode):
    """A new file in place of the old, which a running program may have mapped."""
    if os.path.isfile(path) and not os.path.islink(path):
        with open(path, "rb") as file:
            if file.read() == data and os.stat(path).st_mode & 0o777 == mode:
                return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    new = path + ".new"
    with open(new, "wb") as file:
        file.write(data)
    os.chmod(new, mode)
    os.replace(new, path)


def stripped(path, strip):
    """A library's bytes, without the tables that a debugger reads if `strip` is given."""
    if strip:
        target = path + ".stripped"
        subprocess.run([strip, "--strip-debug", "-o", target, path], check=True)
        path = target
    with open(path, "rb") as file:
        data = file.read()
    if strip:
        os.remove(path)
    return data


def install(options):
    root = place(options)
    for target, source in copies(options).items():
        library = target.startswith(options.libdir + "/")
        if not os.path.isfile(source):
            if os.path.basename(source) == "RUST-STANDARD-LIBRARY.html":
                continue
            sys.exit(f"install.py: there is no {source}: run make first")
        mode = 0o755 if ".so" in os.path.basename(target) else 0o644
        write(os.path.join(root, target), stripped(source, options.strip if library else ""), mode)
    for target, leads_to in links(options).items():
        path = os.path.join(root, target)
        if not os.path.islink(path) or os.readlink(path) != leads_to:
            if os.path.lexists(path):
                os.remove(path)
            os.symlink(leads_to, path)
    write_metadata(options)


def write_metadata(options):
    for target, text in metadata(options).items():
        write(os.path.join(place(options), target), text.encode(), 0o644)


def uninstall(options):
    root = place(options)
    ours = [*copies(options), *links(options), *metadata(options)]
    for target in ours:
        path = os.path.join(root, target)
        if os.path.lexists(path):
            os.remove(path)
    for target in ours:
        folder = os.path.dirname(os.path.join(root, target))
        if os.path.basename(folder) == "rlua" and os.path.isdir(folder) and not os.listdir(folder):
            os.rmdir(folder)


def place(options):
    """Where the tree goes: DESTDIR, and PREFIX inside of it."""
    prefix = os.path.abspath(options.prefix)
    return options.destdir + prefix if options.destdir else prefix


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("what", choices=["install", "metadata", "uninstall"])
    parser.add_argument("--prefix", default="/usr/local")
    parser.add_argument("--destdir", default="")
    parser.add_argument("--libdir", default="lib")
    parser.add_argument("--includedir", default="include")
    parser.add_argument("--cmakedir", help="the folder of the CMake package; LIBDIR/cmake/rlua")
    parser.add_argument("--library", default=os.path.join(ROOT, "target/release"))
    parser.add_argument("--headers", default=os.path.join(ROOT, "include"))
    parser.add_argument("--licences", default=os.path.join(ROOT, "target/licences"))
    parser.add_argument("--strip", default="", help="the program that takes debug tables away")
    options = parser.parse_args()
    os.umask(0o022)
    for folder in (options.libdir, options.includedir):
        if os.path.isabs(folder):
            sys.exit(f"install.py: {folder} has to be relative to the prefix")
    options.cmakedir = options.cmakedir or os.path.join(options.libdir, "cmake/rlua")
    {"install": install, "metadata": write_metadata, "uninstall": uninstall}[options.what](options)


if __name__ == "__main__":
    main()
