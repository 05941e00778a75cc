#!/bin/sh
# Makes liblua5.4.so.0 out of librlua: the alias under which Debian's programs look for Lua.
# Usage: alias.sh FOLDER_OF_LIBRLUA TARGET_FOLDER; CC from the environment.
#
# The alias has no code: it needs librlua.so.0, which has the functions, and it defines the version
# LUA_5.4, which the loader looks for in the file of that name. (A symbolic link works too, but for
# one line of warning a program. The version cannot be put into librlua.so itself with every linker:
# rustc gives the linker an anonymous version script, and GNU ld takes no second one.)
# Not here: installing it. `dpkg-divert`, LD_LIBRARY_PATH or a folder in ld.so.conf are the host's.
set -eu
library=$(cd "$1" && pwd)
target=$2
mkdir -p "$target"
cp "$library/librlua.so" "$target/librlua.so.0"
echo 'LUA_5.4 { };' >"$target/lua54.map"
"${CC:-cc}" -shared -nostdlib -Wl,-soname,liblua5.4.so.0 "-Wl,--version-script=$target/lua54.map" \
    -Wl,--no-as-needed "-Wl,-rpath,\$ORIGIN" "$target/librlua.so.0" -o "$target/liblua5.4.so.0"
rm "$target/lua54.map"
