#!/usr/bin/env python3
"""Makes the release archive: the installed tree, for machines without Rust.

    dist.py FOLDER      FOLDER/rlua-VERSION-TARGET.tar.gz, and beside it its .sha256

Built in FOLDER with the linker of glibc.py, so that it runs on glibc 2.17 and later, where Rust's
own standard library begins; RLUA_NATIVE_GLIBC=1 links against the glibc that is here instead.
Debug tables are stripped, licences collected (licences.py). The archive's bytes depend on what is
in it alone: its times are SOURCE_DATE_EPOCH, or the last commit's.

Not here: signing, and uploading.
"""

import gzip
import hashlib
import os
import re
import subprocess
import sys
import tarfile

import glibc
import install

ROOT = install.ROOT
FLOOR = "2.17"
DOCUMENTS = ["CHANGELOG.md", "docs/INSTALL.md"]


def run(*command, **options):
    subprocess.run(command, check=True, **options)


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout


def host():
    return re.search(r"^host: (.*)$", output("rustc", "-vV"), re.MULTILINE).group(1)


def native():
    return os.environ.get("RLUA_NATIVE_GLIBC", "0") != "0"


def build(folder, target):
    """Builds the library; returns where it is, and where Lua's headers are."""
    headers, environment = os.path.join(folder, "headers"), dict(os.environ)
    os.makedirs(headers, exist_ok=True)
    if not native():
        variable = f"CARGO_TARGET_{target.upper().replace('-', '_')}_LINKER"
        environment[variable] = glibc.linker(os.path.join(folder, "glibc"))
    # Linked anew each time: cargo does not know what the linker is made of.
    linked = os.path.join(folder, "release/deps", install.names()["built"])
    if os.path.exists(linked):
        os.remove(linked)
    run(sys.executable, os.path.join(ROOT, "c-tests/library.py"), headers,
        os.environ.get("CARGO", "cargo"), "build", "--release", "--lib", "--locked",
        "--manifest-path", os.path.join(ROOT, "Cargo.toml"), "--target-dir", folder,
        env=environment)
    return os.path.join(folder, "release"), headers


def check_floor(library):
    floor, symbols = glibc.floor(library)
    print(f"runs on glibc {floor} and later (asked for by {' '.join(symbols)})")
    if not native() and glibc.number(floor) > glibc.number(FLOOR):
        sys.exit(f"dist.py: it has to run on glibc {FLOOR}: teach glibc.py about these symbols")


def stage(folder, name, library, headers):
    """The installed tree, in a folder that has the archive's name."""
    tree = os.path.join(folder, name)
    licences = os.path.join(folder, "licences")
    run("rm", "-rf", tree)
    run(sys.executable, os.path.join(install.HERE, "licences.py"), licences)
    run(sys.executable, os.path.join(install.HERE, "install.py"), "install", "--prefix", tree,
        "--library", library, "--headers", headers, "--licences", licences,
        "--strip", os.environ.get("STRIP", "strip"))
    for document in DOCUMENTS:
        with open(os.path.join(ROOT, document), "rb") as file:
            target = os.path.join(tree, "share/doc/rlua", os.path.basename(document))
            install.write(target, file.read(), 0o644)
    return tree


def date():
    return int(os.environ.get("SOURCE_DATE_EPOCH") or output("git", "log", "-1", "--format=%ct"))


def pack(tree, archive):
    def owned_by_nobody(entry):
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        entry.mtime = time
        return entry

    time = date()
    paths = [os.path.join(folder, name) for folder, folders, files in os.walk(tree)
             for name in folders + files]
    with open(archive, "wb") as raw:
        with gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=time) as packed:
            with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar:
                for path in [tree, *sorted(paths)]:
                    name = os.path.relpath(path, os.path.dirname(tree))
                    tar.add(path, name, recursive=False, filter=owned_by_nobody)


def main(folder):
    folder = os.path.abspath(folder)
    target = host()
    name = f"rlua-{install.version()}-{target}"
    library, headers = build(folder, target)
    check_floor(os.path.join(library, install.names()["built"]))
    tree = stage(folder, name, library, headers)
    archive = tree + ".tar.gz"
    pack(tree, archive)
    with open(archive, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    with open(archive + ".sha256", "w", encoding="utf-8") as file:
        file.write(f"{digest}  {os.path.basename(archive)}\n")
    print(archive)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
