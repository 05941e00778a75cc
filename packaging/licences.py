#!/usr/bin/env python3
"""Collects the licences of everything that is inside librlua, from where each was taken.

    licences.py FOLDER [TARGET]     TARGET is rustc's name for a platform, by default this one

- the crates that the library is compiled with, as cargo resolves them for it: the licence files
  that they ship, with their names and versions;
- Lua, whose licence stands at the end of its lua.h; CORE-MATH, beside its sources;
- Rust's standard library, from the toolchain; what it is made of itself is a page of the
  toolchain's;
- for Windows, what mingw-w64 links into each DLL.

FOLDER gets THIRD-PARTY and, where the toolchain has that page, RUST-STANDARD-LIBRARY.html.

A crate without a licence file, or a licence that is none of ALLOWED, is an error: somebody has to
look at it. Packages that only build the library or test it are not in it, and not listed.
"""

import json
import os
import re
import shutil
import subprocess
import sys

import platforms

ROOT = platforms.ROOT
# Source packages that build.rs compiles, though cargo thinks that only the build needs them.
COMPILED_IN = ["lua-src", "core-math-sys"]
ALLOWED = {"MIT", "Apache-2.0 OR MIT", "MIT OR Apache-2.0", "BSL-1.0", "BSD-2-Clause",
           "CC0-1.0 OR Apache-2.0 OR Apache-2.0 WITH LLVM-exception",
           "CC0-1.0 OR MIT-0 OR Apache-2.0"}


# Where a distribution tells what mingw-w64's runtime consists of.
MINGW = "/usr/share/doc/mingw-w64-x86-64-dev/copyright"


def host():
    return re.search(r"^host: (.*)$", output("rustc", "-vV"), re.MULTILINE).group(1)


def metadata(target):
    """Cargo's answer, with the condition under which Cargo.toml has CORE-MATH (build.rs)."""
    flags = {**os.environ, "CARGO_ENCODED_RUSTFLAGS": "--cfg\x1frlua_sources"}
    return json.loads(output("cargo", "metadata", "--format-version=1", "--offline",
                             "--filter-platform", target, env=flags))


def output(*command, env=None):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT,
                          env=env).stdout


def linked(found):
    """The packages whose code is in the library."""
    nodes = {node["id"]: node for node in found["resolve"]["nodes"]}
    packages = {package["id"]: package for package in found["packages"]}
    root, seen = found["resolve"]["root"], set()
    waiting = [root]
    while waiting:
        node = nodes[waiting.pop()]
        for dependency in node["deps"]:
            normal = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            compiled_in = packages[dependency["pkg"]]["name"] in COMPILED_IN
            # A source package is taken for its sources; what builds them elsewhere is not ours.
            if (normal or compiled_in and node["id"] == root) and dependency["pkg"] not in seen:
                seen.add(dependency["pkg"])
                if not compiled_in:
                    waiting.append(dependency["pkg"])
    return sorted((packages[id] for id in seen), key=lambda package: package["name"])


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read().strip() + "\n"


def files_of(folder):
    names = sorted(name for name in os.listdir(folder)
                   if re.match(r"(?i)(licen[cs]e|copying|notice|copyright)", name))
    return [(name, read(os.path.join(folder, name))) for name in names
            if os.path.isfile(os.path.join(folder, name))]


def lua_licence(header):
    text = re.search(r"\*{20,}\n(\* Copyright .*?)\*{20,}/", read(header), re.DOTALL).group(1)
    return re.sub(r"^\* ?", "", text, flags=re.MULTILINE)


def sections(target):
    for package in linked(metadata(target)):
        title = f"{package['name']} {package['version']}"
        if package["license"] not in ALLOWED:
            sys.exit(f"licences.py: {title} has the licence {package['license']}: look at it")
        folder = os.path.dirname(package["manifest_path"])
        texts = files_of(folder)
        if not texts:
            sys.exit(f"licences.py: {title} has no licence file")
        for name, text in texts:
            yield f"{title}: {name} ({package['license']})", text
        if package["name"] == "lua-src":
            lua = re.search(r'LUA_FOLDER: &str = "(.*)"', read(os.path.join(ROOT, "build.rs")))
            yield lua.group(1), lua_licence(os.path.join(folder, lua.group(1), "lua.h"))
        if package["name"] == "core-math-sys":
            for name, text in files_of(os.path.join(folder, "vendor")):
                yield f"CORE-MATH: {name}", text
    yield from standard_library()
    if "-windows-" in target:
        if not os.path.isfile(MINGW):
            sys.exit(f"licences.py: there is no {MINGW}, with the licences of mingw-w64's runtime")
        yield "mingw-w64's runtime", read(MINGW)


def toolchain():
    return os.path.join(output("rustc", "--print", "sysroot").strip(), "share/doc/rust")


def standard_library():
    found = False
    for name in ["COPYRIGHT", "LICENSE-MIT", "LICENSE-APACHE", "licenses/MIT.txt",
                 "licenses/Apache-2.0.txt"]:
        path = os.path.join(toolchain(), name)
        if os.path.isfile(path):
            found = True
            version = output("rustc", "--version").strip()
            yield f"Rust's standard library ({version}): {name} (MIT OR Apache-2.0)", read(path)
    if not found:
        sys.exit(f"licences.py: {toolchain()} has no licence of Rust's standard library")


def main(folder, target=None):
    parts = list(sections(target or host()))
    text = "librlua has code of these in it. The licence of each, as it came with it:\n\n"
    text += "".join(f"- {title}\n" for title, _ in parts)
    for title, body in parts:
        text += f"\n{'=' * 78}\n{title}\n{'=' * 78}\n\n{body}"
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "THIRD-PARTY"), "w", encoding="utf-8") as file:
        file.write(text)
    page = os.path.join(toolchain(), "COPYRIGHT-library.html")
    if os.path.isfile(page):
        shutil.copy(page, os.path.join(folder, "RUST-STANDARD-LIBRARY.html"))


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(*sys.argv[1:])
