#!/bin/sh
# The library stands in for Debian's liblua5.4.so.0: a program that was linked against that runs on
# librlua, without a warning of the loader, with the modules that Debian installs.
# Usage: dropin.sh ROOT; CC from the environment. Needs liblua5.4-0 and lua-cjson.
#
# Method: alias.sh makes the alias; a small program is linked against Debian's library, and run
# with the alias before it in the search path. LD_DEBUG tells which library each symbol comes from.
set -u
root=$(cd "$1" && pwd)
release=$root/target/release
cc=${CC:-cc}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

check() { # name expected actual
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
        echo "ok   $1"
    else
        failed=$((failed + 1))
        printf 'FAIL %s: expected\n%s\nbut got\n%s\n' "$1" "$2" "$3"
    fi
}

end() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
    exit
}

multiarch=$($cc -print-multiarch 2>/dev/null)
stock=
for folder in "/usr/lib/$multiarch" /usr/lib /usr/lib64; do
    [ ! -e "$folder/liblua5.4.so.0" ] || stock=$folder/liblua5.4.so.0
done
if [ -z "$stock" ]; then
    printf '\n*** NOT RUN: dropin: no liblua5.4.so.0; '
    printf 'on Debian: apt-get install liblua5.4-0 ***\n\n'
    echo "1 not run, see above"
    [ -z "${RLUA_REQUIRE_ALL:-}" ] || failed=1
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
# The stock program looks where Debian puts modules; so must the library in its place.
paths='local t = {}
    for p in (package.path .. ";" .. package.cpath):gmatch "[^;]+" do t[p] = true end
    local missing = {} for p in (want):gmatch "[^;]+" do
    if not t[p] then missing[#missing + 1] = p end end print(table.concat(missing, " "))'
want=$("$work/host" 'io.write(package.path, ";", package.cpath)')
check debians_places_are_searched "" "$(run "want = '$want' $paths")"
if [ "$("$work/host" 'print((pcall(require, "cjson")))')" = true ]; then
    check debians_modules_load "[1,2]" "$(run 'print(require "cjson".encode {1, 2})')"
fi
end
