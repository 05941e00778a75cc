#!/usr/bin/env bash
# official.sh BINARY FOLDER: brings lua.org's test suite to FOLDER, and runs BINARY in it.
#
# None of the suite is in this repository. The source package of the Python module lupa, which the
# examples use too, has it beside its copy of Lua; pip gets that once. Where it cannot, nothing runs
# and a line says so, which is a failure under RLUA_REQUIRE_ALL=1.
#
# PYTHON   the interpreter whose pip is asked
set -eu
binary=$(realpath "$1")
folder=$2
version=2.8
inside=lupa-$version/third-party/lua54/testes
if [ ! -e "$folder/testes/files.lua" ]; then
    mkdir -p "$folder"
    if ! "${PYTHON:-python3}" -m pip download --quiet --no-deps --no-binary lupa --dest "$folder" \
        "lupa==$version" >"$folder/log" 2>&1
    then
        echo "*** NOT RUN: pip cannot download the suite (lupa $version); see $folder/log ***"
        if [ "${RLUA_REQUIRE_ALL:-0}" = 1 ]; then echo "0 passed, 1 failed"; exit 1; fi
        printf '0 passed, 0 failed\n1 not run, see above\n'
        exit 0
    fi
    tar -xzf "$folder/lupa-$version.tar.gz" -C "$folder" --strip-components=3 "$inside"
fi
cd "$folder/testes"
exec "$binary"
