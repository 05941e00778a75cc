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

For Windows PREFIX/bin/rlua.dll takes the place of librlua.so, and lib has librlua.dll.a and
rlua.def for linkers.

Nothing in it names PREFIX, so it may be moved. A file that would stay the same is not written.
Not here: building (library.py), what a platform calls the library (platforms.py), the release
archive (dist.py).
"""

import argparse
import os
import re
import shutil
import subprocess
import sys

import platforms

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = platforms.ROOT
OURS = [*(f"rlua/{part}.hpp" for part in ("bindings", "core", "functions", "handles", "result",
                                          "state", "usertypes", "values")),
        "rlua.h", "rlua.hpp", "lua.hpp"]
LUAS = ["lua.h", "luaconf.h", "lauxlib.h", "lualib.h"]


def fill(template, options):
    names, version = options.platform, platforms.version()
    pkgconfig = os.path.join(options.libdir, "pkgconfig")
    values = {
        "VERSION": version,
        "MAJOR": version.split(".")[0],
        "LIBDIR": options.libdir,
        "INCLUDEDIR": options.includedir,
        "SHARED": names.shared(options.libdir),
        "SHARED_FOR_LINKERS": names.cmake(options.libdir),
        "STATIC": names.static,
        "SYSTEM_LIBS": " ".join(f"-l{library}" for library in names.system),
        "SYSTEM_LIBRARIES": ";".join(names.system),
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
    names, libdir = options.platform, options.libdir
    found = {names.shared(libdir): os.path.join(options.library, names.built)}
    for name in [names.static, *names.beside]:
        found[os.path.join(libdir, name)] = os.path.join(options.library, name)
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


def run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def stripped(path, strip):
    """A library's bytes, without the tables that a debugger reads if `strip` is given."""
    if strip:
        target = path + ".stripped"
        shutil.copyfile(path, target)
        # Of Rust's archives for Windows, where strip refuses what has no sections.
        archiver = re.sub("strip$", "ar", strip)
        tables = [name for name in run(archiver, "t", target).splitlines()
                  if name.endswith(".dwo")] if path.endswith(".a") else []
        if tables:
            run(archiver, "d", target, *tables)
        run(strip, "--strip-debug", target)
        path = target
    with open(path, "rb") as file:
        data = file.read()
    if strip:
        os.remove(path)
    return data


def install(options):
    root, names = place(options), options.platform
    shared = names.shared(options.libdir)
    for target, source in copies(options).items():
        library = target in (shared, os.path.join(options.libdir, names.static))
        if not os.path.isfile(source):
            if os.path.basename(source) == "RUST-STANDARD-LIBRARY.html":
                continue
            sys.exit(f"install.py: there is no {source}: run make first")
        mode = 0o755 if target == shared else 0o644
        write(os.path.join(root, target), stripped(source, options.strip if library else ""), mode)
    for target, leads_to in names.links(options.libdir).items():
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
    ours = [*copies(options), *options.platform.links(options.libdir), *metadata(options)]
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
    parser.add_argument("--target", help="rustc's name for the platform; this one by default")
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
    options.platform = platforms.of(options.target) if options.target else platforms.here()
    options.cmakedir = options.cmakedir or os.path.join(options.libdir, "cmake/rlua")
    {"install": install, "metadata": write_metadata, "uninstall": uninstall}[options.what](options)


if __name__ == "__main__":
    main()
