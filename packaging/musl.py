#!/usr/bin/env python3
"""What cargo has to be told to build a shared library for musl on a system with glibc.

    musl.py FOLDER TARGET       prints it for a shell: NAME='VALUE' ...

By itself rustc makes no shared library for musl; and Rust's standard library takes libgcc_s, which
is glibc's here: in its place is the unwinder that comes with Rust for static programs.

Not here: what is built (dist.py, c-tests/Makefile).
"""

import os
import shlex
import subprocess
import sys


def environment(folder, target):
    """By their names; FOLDER gets what the linker finds in place of libgcc_s."""
    folder = os.path.abspath(folder)
    sysroot = subprocess.run(["rustc", "--print", "sysroot"], check=True, text=True,
                             stdout=subprocess.PIPE).stdout.strip()
    unwinder = os.path.join(sysroot, "lib/rustlib", target, "lib/self-contained/libunwind.a")
    if not os.path.exists(unwinder):
        sys.exit(f"no Rust for musl: rustup target add {target}")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "libgcc_s.so"), "w", encoding="utf-8") as file:
        file.write(f"INPUT({unwinder})\n")
    name = f"CARGO_TARGET_{target.upper().replace('-', '_')}"
    return {f"{name}_LINKER": "musl-gcc",
            f"{name}_RUSTFLAGS": f"-C target-feature=-crt-static -L native={folder}"}


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    print(" ".join(f"{name}={shlex.quote(value)}"
                   for name, value in environment(*sys.argv[1:]).items()))
