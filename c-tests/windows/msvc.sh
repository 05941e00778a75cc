#!/bin/sh
# Builds msvc.c with the ABI of MSVC, and runs it under Wine.
# Usage: msvc.sh LANGUAGE BUILD LIBRARY INCLUDE WINE
#     LANGUAGE: c or c++; BUILD: a folder for what is made; LIBRARY: rlua.lib;
#     INCLUDE: the folder of the headers
# Not here: what is tested (msvc.c).
set -eu
cd "$(dirname "$0")"
language=$1 build=$2 library=$3 include=$4 wine=$5

not_run() {
    printf '\n*** NOT RUN: msvc: %s ***\n\n1 not run, see above\n' "$1"
    [ -z "${RLUA_REQUIRE_ALL:-}" ] && echo '0 passed, 0 failed' && exit 0
    echo '0 passed, 1 failed'
    exit 1
}

command -v clang >/dev/null || not_run 'no clang; on Debian: apt-get install clang'
# Rust brings LLVM's linker along, which is link.exe and lib.exe as well.
lld=$(find "$(rustc --print sysroot)/lib/rustlib" -name rust-lld | head -n 1)
[ -n "$lld" ] || not_run 'this Rust came without rust-lld'

mkdir -p "$build"

import_library() { # name; on standard input: the list of exports
    cat >"$build/$1.def"
    "$lld" -flavor link /lib "/def:$build/$1.def" /machine:x64 "/out:$build/$1.lib"
}

printf '%s\n' 'LIBRARY kernel32.dll' EXPORTS ExitProcess GetStdHandle WriteFile |
    import_library kernel32
printf '%s\n' 'LIBRARY vcruntime140.dll' EXPORTS _CxxThrowException __CxxFrameHandler3 |
    import_library vcruntime140

program=$build/$language
options=
[ "$language" = c++ ] && options='-fexceptions -fcxx-exceptions'
# shellcheck disable=SC2086 # options are words
clang --target=x86_64-pc-windows-msvc -x "$language" $options -O2 -fno-builtin \
    -Wall -Wextra -Werror -I"$include" -c msvc.c -o "$program.obj"
"$lld" -flavor link /entry:start /subsystem:console /nodefaultlib "/out:$program.exe" \
    "$program.obj" "$library" "$build/kernel32.lib" "$build/vcruntime140.lib"
$wine "$program.exe"
