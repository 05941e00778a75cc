#!/usr/bin/env python3
"""Builds librlua, and puts beside the library and rlua.h what a host needs to use them.

    library.py INCLUDE CARGO_BUILD...      library.py ../include cargo build --release

- Lua's public headers, from the folder into which this very build staged them, to INCLUDE.
- A link named by the library's SONAME (librlua.so.0) beside librlua.so: programs linked with
  -lrlua look for that name. Only where libraries are ELF.
- Beside rlua.dll the list of exports, rlua.def, and the import library that linkers of MSVC's kind
  take, rlua.lib, which Rust's own lld makes of it.

Cargo runs each time, and decides whether there is anything to build. Files are written only where
they differ and keep the time of their source, so nothing is rebuilt for them.
Not here: how the library is compiled (build.rs).
"""

import filecmp
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile


def build(command):
    """Runs cargo; returns the build script's folder and the library's path."""
    command = [*command, "--message-format=json-render-diagnostics"]
    out_dir = library = None
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as cargo:
        for line in cargo.stdout:
            message = json.loads(line) if line.startswith("{") else {}
            reason = message.get("reason")
            # ".../rlua#0.1.0" where the folder has the package's name, else "...#rlua@0.1.0".
            if not re.search(r"(/rlua#|#rlua@)[0-9][^ ]*$", message.get("package_id", "")):
                continue
            if reason == "build-script-executed":
                out_dir = message["out_dir"]
            if reason == "compiler-artifact" and "cdylib" in message["target"]["crate_types"]:
                kinds = (".so", ".dll", ".dylib")
                library = next(f for f in message["filenames"] if f.endswith(kinds))
    if cargo.returncode != 0:
        sys.exit(cargo.returncode)
    if out_dir is None or library is None:
        sys.exit("library.py: cargo did not say where it put the library")
    return out_dir, library


def stage(source, folder):
    target = os.path.join(folder, os.path.basename(source))
    if not os.path.exists(target) or not filecmp.cmp(source, target, shallow=False):
        shutil.copy2(source, target)


def stage_headers(out_dir, include):
    source = os.path.join(out_dir, "include")
    for name in sorted(os.listdir(source)):
        stage(os.path.join(source, name), include)


def link_soname(library):
    dynamic = subprocess.run(["readelf", "-dW", library], capture_output=True, text=True,
                             check=True, env={**os.environ, "LC_ALL": "C"}).stdout
    soname = re.search(r"\(SONAME\).*\[(.*)\]", dynamic).group(1)
    link = os.path.join(os.path.dirname(library), soname)
    if not os.path.islink(link) or os.readlink(link) != os.path.basename(library):
        if os.path.lexists(link):
            os.remove(link)
        os.symlink(os.path.basename(library), link)


def import_library(definition, folder):
    sysroot = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True,
                             check=True).stdout.strip()
    found = glob.glob(os.path.join(sysroot, "lib/rustlib/*/bin/rust-lld*"))
    if not found:
        sys.exit("library.py: this Rust came without rust-lld, of which rlua.lib is made")
    with tempfile.TemporaryDirectory() as place:
        made = os.path.join(place, "rlua.lib")
        subprocess.run([found[0], "-flavor", "link", "/lib", f"/def:{definition}", "/machine:x64",
                        f"/out:{made}"], check=True)
        stage(made, folder)


def main(include, *command):
    out_dir, library = build(command)
    stage_headers(out_dir, include)
    if library.endswith(".so"):
        link_soname(library)
    if library.endswith(".dll"):
        definition = os.path.join(out_dir, "rlua.def")
        stage(definition, os.path.dirname(library))
        import_library(definition, os.path.dirname(library))


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
