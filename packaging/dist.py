#!/usr/bin/env python3
"""Makes a release archive: the installed tree, for machines without Rust.

    dist.py FOLDER [TARGET]     FOLDER/rlua-VERSION-TARGET.tar.gz (.zip for Windows), beside it its
                                .sha256, and the tree that is in it

TARGET is one of platforms.py, by default this machine's; another one needs its compiler here.
For Linux it is built in FOLDER with the linker of glibc.py, so that it runs on glibc 2.17 and
later, where Rust's own standard library begins; RLUA_NATIVE_GLIBC=1 links against the glibc that
is here instead. Debug tables are stripped, licences collected (licences.py). The archive's bytes
depend on what is in it alone: its times are SOURCE_DATE_EPOCH, or the last commit's.

Not here: packages for Python and C# (packages.py), signing, and uploading.
"""

import gzip
import hashlib
import os
import subprocess
import sys
import tarfile
import time
import zipfile

import glibc
import install
import licences
import musl
import platforms

ROOT = platforms.ROOT
FLOOR = "2.17"
DOCUMENTS = ["CHANGELOG.md", "docs/INSTALL.md"]


def run(*command, **options):
    # What a script prints is its result, which is made of this; what tools say is not.
    subprocess.run(command, check=True, stdout=sys.stderr, **options)


def tool(platform, name, variable):
    """A compiler or one of its tools: this machine's, or the one for another machine."""
    if platform.target == licences.host():
        return os.environ.get(variable, name)
    return platform.tool(name)


def lowered(platform):
    return platform.lowers and os.environ.get("RLUA_NATIVE_GLIBC", "0") == "0"


def build(folder, platform):
    """Builds the library; returns where it is, and where Lua's headers are."""
    # What is linked as always is where it always is.
    place = folder if lowered(platform) else os.path.join(ROOT, "target")
    headers, environment = os.path.join(folder, "headers"), dict(os.environ)
    os.makedirs(headers, exist_ok=True)
    command = [os.environ.get("CARGO", "cargo"), "build", "--release", "--lib", "--locked",
               "--manifest-path", os.path.join(ROOT, "Cargo.toml"), "--target-dir", place]
    if platform.target != licences.host():
        command += ["--target", platform.target]
        place = os.path.join(place, platform.target)
    if lowered(platform):
        variable = f"CARGO_TARGET_{platform.target.upper().replace('-', '_')}_LINKER"
        compiler = tool(platform, "cc", "CC").split()
        environment[variable] = glibc.linker(os.path.join(place, "glibc"), compiler)
        # Linked anew each time: cargo does not know what the linker is made of.
        linked = os.path.join(place, "release/deps", platform.built)
        if os.path.exists(linked):
            os.remove(linked)
    if isinstance(platform, platforms.Musl):
        environment.update(musl.environment(os.path.join(place, "unwinder"), platform.target))
    run(sys.executable, os.path.join(ROOT, "c-tests/library.py"), headers, *command,
        env=environment)
    library = os.path.join(place, "release")
    if lowered(platform):
        check_floor(os.path.join(library, platform.built))
    return library, headers


def check_floor(library):
    floor, symbols = glibc.floor(library)
    print(f"runs on glibc {floor} and later", file=sys.stderr)
    if glibc.number(floor) > glibc.number(FLOOR):
        sys.exit(f"dist.py: it has to run on glibc {FLOOR}: teach glibc.py about these symbols: "
                 + " ".join(symbols))


def make_tree(folder, platform):
    """The installed tree, in a folder that has the archive's name."""
    library, headers = build(folder, platform)
    tree = os.path.join(folder, f"rlua-{platforms.version()}-{platform.target}")
    texts = os.path.join(folder, f"licences-{platform.target}")
    run("rm", "-rf", tree)
    run(sys.executable, os.path.join(install.HERE, "licences.py"), texts, platform.target)
    run(sys.executable, os.path.join(install.HERE, "install.py"), "install", "--prefix", tree,
        "--target", platform.target, "--library", library, "--headers", headers,
        "--licences", texts, "--strip", tool(platform, "strip", "STRIP"))
    for document in DOCUMENTS:
        with open(os.path.join(ROOT, document), "rb") as file:
            target = os.path.join(tree, "share/doc/rlua", os.path.basename(document))
            install.write(target, file.read(), 0o644)
    return tree


def date():
    return int(os.environ.get("SOURCE_DATE_EPOCH") or
               licences.output("git", "log", "-1", "--format=%ct"))


def contents(tree):
    """Everything in it, with the names that it has in the archive."""
    paths = [os.path.join(folder, name) for folder, folders, files in os.walk(tree)
             for name in folders + files]
    return [(path, os.path.relpath(path, os.path.dirname(tree))) for path in [tree, *sorted(paths)]]


def pack(tree, archive):
    def owned_by_nobody(entry):
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        entry.mtime = moment
        return entry

    moment = date()
    with open(archive, "wb") as raw:
        with gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=moment) as packed:
            with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar:
                for path, name in contents(tree):
                    tar.add(path, name, recursive=False, filter=owned_by_nobody)


def pack_zip(tree, archive):
    moment = time.gmtime(date())[:6]
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path, name in contents(tree):
            if os.path.isfile(path):
                entry = zipfile.ZipInfo(name, moment)
                entry.external_attr = os.stat(path).st_mode << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                with open(path, "rb") as file:
                    packed.writestr(entry, file.read())


def main(folder, target=None):
    platform = platforms.of(target or licences.host())
    tree = make_tree(os.path.abspath(folder), platform)
    archive = tree + platform.archive
    (pack_zip if platform.archive == ".zip" else pack)(tree, archive)
    with open(archive, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    with open(archive + ".sha256", "w", encoding="utf-8") as file:
        file.write(f"{digest}  {os.path.basename(archive)}\n")
    print(archive)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(*sys.argv[1:])
