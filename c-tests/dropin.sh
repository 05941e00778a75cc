#!/bin/sh
# The library stands in for Debian's liblua5.4.so.0: a program that was linked against that runs on
# librlua, without a warning of the loader, with the modules that Debian installs.
# Usage: dropin.sh ROOT; CC from the environment. Needs liblua5.4-0 and lua-cjson.
#
# Method: alias.sh makes the alias; a small program is linked against Debian's library, and run
# with the alias before it in the search path. LD_DEBUG tells which library each symbol comes from.
# A second program refers to all that Debian's library exports, and is bound when it starts.
# Not here: liblua5.4-c++.so.0, whose errors are C++ exceptions, and Debian's lua5.4, which has Lua
# inside.
set -u
root=$(cd "$1" && pwd)
release=$root/target/release
cc=${CC:-cc}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$(dirname "$0")/check.sh"

multiarch=$($cc -print-multiarch 2>/dev/null)
stock=
for folder in "/usr/lib/$multiarch" /usr/lib /usr/lib64; do
    [ ! -e "$folder/liblua5.4.so.0" ] || stock=$folder/liblua5.4.so.0
done
if [ -z "$stock" ]; then
    printf '\n*** NOT RUN: dropin: no liblua5.4.so.0; '
    printf 'on Debian: apt-get install liblua5.4-0 ***\n\n'
    echo "1 not run, see above"
    [ "${RLUA_REQUIRE_ALL:-0}" != 1 ] || failed=1
    end
fi

cat >"$work/host.c" <<'C'
#include <lua.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
int main(int argc, char **argv) {
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    if (argc < 2 || luaL_dostring(L, argv[1]) != LUA_OK) {
        printf("%s\n", lua_tostring(L, -1));
        return 1;
    }
    lua_close(L);
    return 0;
}
C
"$cc" "$work/host.c" "-I$root/include" -o "$work/host" "$stock" || exit 1
CC="$cc" "$root/c-tests/alias.sh" "$release" "$work/alias" || exit 1

run() { LD_LIBRARY_PATH="$work/alias" "$work/host" "$1" 2>&1; }

check runs_without_a_warning "Lua 5.4" "$(run 'print(_VERSION)')"
bound=$(LD_DEBUG=bindings LD_LIBRARY_PATH="$work/alias" "$work/host" 'x = 1' 2>&1 |
    sed -n 's/.*to .*\/\(lib[^ ]*\) .*symbol `luaL_newstate.*/\1/p' | head -n 1)
check symbols_come_from_the_library librlua.so.0 "$bound"
# Each symbol of the stock library, with its version, from the one in its place.
symbols=$(nm -D --defined-only --without-symbol-versions "$stock" | awk '$2 ~ /[TRDB]/ {print $3}')
{
    printf 'extern char %s[];\n' $symbols
    printf 'const void *volatile all[] = {'
    printf '%s, ' $symbols
    printf '0};\nint main(void) { int n = 0; while (all[n]) n++; return n < 150; }\n'
} >"$work/all.c"
"$cc" -w -fno-builtin -fPIC -pie "$work/all.c" -o "$work/all" "$stock" || exit 1
check every_function_is_there 0 "$(LD_BIND_NOW=1 LD_LIBRARY_PATH="$work/alias" "$work/all" 2>&1
    echo $?)"
# What ldd finds missing, and what the loader would warn of.
wrong() { LD_LIBRARY_PATH="$work/alias" ldd -r "$1" 2>&1 | grep -E 'undefined|not found|version'; }
check ldd_finds_nothing_missing "" "$(wrong "$work/host"; wrong "$work/all"
    wrong "$work/alias/liblua5.4.so.0")"
# The stock program looks where Debian puts modules; so must the library in its place.
paths='local t = {}
    for p in (package.path .. ";" .. package.cpath):gmatch "[^;]+" do t[p] = true end
    local missing = {} for p in (want):gmatch "[^;]+" do
    if not t[p] then missing[#missing + 1] = p end end print(table.concat(missing, " "))'
want=$("$work/host" 'io.write(package.path, ";", package.cpath)')
check debians_places_are_searched "" "$(run "want = '$want' $paths")"
modules='for name in ("cjson lpeg lfs socket luv rex_pcre2 openssl cqueues yaml zlib lxp term " ..
    "luasql.sqlite3 system"):gmatch "%S+" do if pcall(require, name) then print(name) end end'
loaded=$("$work/host" "$modules")
if [ -z "$loaded" ]; then
    printf '\n*** NOT RUN: debians_modules_load: no C module of Debian; '
    printf 'apt-get install lua-cjson ***\n\n'
    echo "1 not run, see above"
    [ "${RLUA_REQUIRE_ALL:-0}" != 1 ] || failed=$((failed + 1))
else
    check debians_modules_load "$loaded" "$(run "$modules")"
fi
end
