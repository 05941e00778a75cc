#!/bin/sh
# Every way to install the library, and to build a host with what was installed.
# Usage: install.sh ROOT; CC, CXX and PYTHON from the environment. Needs pkg-config and cmake.
#
# Method: each host is the README's snippet, copied to a temporary folder, built there with what
# docs/INSTALL.md says, and has to print what the snippet prints. The installed tree was moved
# before. The release archive (packaging/dist.py) is made, unpacked and used the same way.
# Not here: archives for other platforms, and packages of other languages (packages.sh), the
# library's own build (staging.sh), vcpkg and conan, which need networks of their own.
set -u
root=$(cd "$1" && pwd)
cc=${CC:-cc} cxx=${CXX:-c++} python=${PYTHON:-python3}
# cargo is run with what make's first run gave it: nothing is compiled twice.
[ "$cc" != cc ] || unset CC
unset CXX MAKEFLAGS MFLAGS MAKELEVEL PKG_CONFIG_PATH LD_LIBRARY_PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$(dirname "$0")/check.sh"

snippets=$root/examples/snippets
expected=$(cat "$snippets/expected.txt")
version=$(sed -n 's/^#define RLUA_VERSION "\(.*\)"/\1/p' "$root/include/rlua.h")
not_run=0

cannot_run() { # what, what to install
    printf '\n*** NOT RUN: %s; on Debian: apt-get install %s ***\n\n' "$1" "$2"
    not_run=$((not_run + 1))
    [ "${RLUA_REQUIRE_ALL:-0}" != 1 ] || failed=$((failed + 1))
}

quietly() { # a command, whose output matters only if it fails
    "$@" >"$work/log" 2>&1 || { cat "$work/log"; return 1; }
}

needs_librlua() { LC_ALL=C readelf -dW "$1" | grep -c 'NEEDED.*librlua\.so\.0\]'; }
tree() { (cd "$1" && find . ! -type d | sort); }
older() { # two versions; whether the first is there, and no later than the second
    [ -n "$1" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ] && echo yes
}

# DESTDIR: only what is listed, only there.
make() { command make --no-print-directory -s -C "$root" "$@"; }
quietly make install "DESTDIR=$work/stage" PREFIX=/opt/rlua LIBDIR=lib64
files=$(tree "$work/stage")
check destdir_has_the_tree "$(
    for file in include/rlua/lauxlib.h include/rlua/lua.h include/rlua/lua.hpp \
        include/rlua/luaconf.h include/rlua/lualib.h include/rlua/rlua.h include/rlua/rlua.hpp \
        include/rlua/rlua/bindings.hpp include/rlua/rlua/core.hpp include/rlua/rlua/functions.hpp \
        include/rlua/rlua/handles.hpp include/rlua/rlua/result.hpp include/rlua/rlua/state.hpp \
        include/rlua/rlua/usertypes.hpp include/rlua/rlua/values.hpp \
        lib64/cmake/rlua/rlua-config-version.cmake lib64/cmake/rlua/rlua-config.cmake \
        lib64/librlua.a lib64/librlua.so lib64/librlua.so.0 "lib64/librlua.so.$version" \
        lib64/pkgconfig/rlua.pc share/doc/rlua/LICENSE share/doc/rlua/THIRD-PARTY
    do echo "./opt/rlua/$file"; done)" "$(echo "$files" | grep -v RUST-STANDARD-LIBRARY)"
check nothing_names_the_prefix "" "$(grep -rIl "/opt/rlua\|$work" "$work/stage")"
check rlua_pc_leads_from_lib64_to_the_tree "$work/stage/opt/rlua/include/rlua" "$(realpath \
    "$(sed -n 's/^prefix=//p' "$work/stage/opt/rlua/lib64/pkgconfig/rlua.pc" |
    sed "s:\\\${pcfiledir}:$work/stage/opt/rlua/lib64/pkgconfig:")/include/rlua")"
quietly make uninstall "DESTDIR=$work/stage" PREFIX=/opt/rlua LIBDIR=lib64
check uninstall_leaves_no_file "" "$(tree "$work/stage")"
check uninstall_leaves_no_folder_of_ours "" "$(find "$work/stage/opt/rlua" -name rlua \
    -mindepth 1)"

debug_tables() { readelf -SW "$1" | grep -c '\.debug_line '; }
quietly make install-strip "DESTDIR=$work/strip" PREFIX=/usr
check install_strip_leaves_no_debug_tables 0 "$(debug_tables \
    "$work/strip/usr/lib/librlua.so.$version")"

# The tree for the rest, moved after it was installed.
quietly make install "PREFIX=$work/first"
mv "$work/first" "$work/moved"
prefix=$work/moved
check install_keeps_debug_tables 1 "$(debug_tables "$prefix/lib/librlua.so")"
check a_link_by_the_soname "librlua.so.$version" "$(readlink "$prefix/lib/librlua.so.0")"
check soname librlua.so.0 "$(LC_ALL=C readelf -dW "$prefix/lib/librlua.so.$version" |
    sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')"
system=$("$python" -c "import sys; sys.path.insert(0, '$root/packaging'); import platforms
print(*('-l' + name for name in platforms.here().system))")
check system_libraries_are_what_rustc_says "$(: | rustc --crate-type staticlib \
    --print native-static-libs - -o "$work/empty.a" 2>&1 |
    sed -n 's/.*native-static-libs: //p' | sed 's/-lgcc_s //; s/ -lc$//')" "$system"

run_pkg_config() {
    export PKG_CONFIG_PATH="$prefix/lib/pkgconfig"
    check pkg_config_tells_the_version "$version" "$(pkg-config --modversion rlua)"
    check lua_h_is_this_one "$prefix/include/rlua/lua.h" "$(echo '#include <lua.h>' |
        $cc $(pkg-config --cflags rlua) -H -fsyntax-only -x c - 2>&1 | sed -n 's/^\. //p' |
        xargs realpath)"
    rpath=-Wl,-rpath,$prefix/lib
    host shared "$cc" rollback.c "$(pkg-config --cflags --libs rlua) $rpath"
    check shared_needs_the_library 1 "$(needs_librlua "$work/host/shared")"
    host c++_shared "$cxx -std=c++17" rollback.cpp "$(pkg-config --cflags --libs rlua) $rpath"
    host static "$cc" rollback.c \
        "$(pkg-config --cflags rlua) $(pkg-config --variable=static_libs rlua)"
    check static_needs_no_library 0 "$(needs_librlua "$work/host/static")"
    host all_static "$cc -static -Wno-cpp" rollback.c "$(pkg-config --cflags --static --libs rlua)"
}

host() { # name compiler source flags
    mkdir -p "$work/host"
    cp "$snippets/$3" "$work/host"
    check "pkg_config: $1" "$expected" "$(cd "$work/host" &&
        quietly $2 $3 $4 -o $1 && "./$1" 2>&1)"
}

project() { # name arguments of cmake; builds it and runs the four hosts of install/CMakeLists.txt
    name=$1
    shift
    mkdir -p "$work/$name"
    cp "$root/c-tests/install/CMakeLists.txt" "$snippets"/rollback.c* "$work/$name"
    quietly env CC="$cc" CXX="$cxx" cmake -S "$work/$name" -B "$work/$name/build" "$@" &&
        quietly cmake --build "$work/$name/build"
    for binary in c-shared c-static cpp-shared cpp-static; do
        check "cmake $name: $binary" "$expected" "$("$work/$name/build/$binary" 2>&1)"
    done
    check "cmake $name: static needs no library" 0 "$(needs_librlua "$work/$name/build/c-static")"
}

found() { # a version; whether find_package takes it
    cmake -S "$work/find" -B "$work/find/again" -DWAY=find "-DWANTED=$1" \
        "-DCMAKE_PREFIX_PATH=$prefix" >/dev/null 2>&1 && echo yes || echo no
}

run_cmake() {
    project find -DWAY=find "-DCMAKE_PREFIX_PATH=$prefix"
    check same_minor_is_found yes "$(found "${version%.*}")"
    check later_minor_is_refused no "$(found "${version%%.*}.999")"
    check other_major_is_refused no "$(found "$((${version%%.*} + 1)).0")"
    sources="-DRLUA_SOURCE=$root -DRLUA_CARGO_TARGET_DIR=$root/target"
    project subdirectory -DWAY=subdirectory $sources
    project fetch -DWAY=fetch $sources
    # The same tree as make's, whether its own project or not.
    quietly cmake -S "$root" -B "$work/own" "-DRLUA_CARGO_TARGET_DIR=$root/target" \
        "-DCMAKE_INSTALL_PREFIX=$work/by cmake" -DCMAKE_INSTALL_LIBDIR=lib &&
        quietly cmake --build "$work/own" && quietly cmake --install "$work/own"
    check cmake_installs_what_make_installs "" "$(diff -r "$prefix" "$work/by cmake" 2>&1)"
}

run_archive() {
    archive=$(cd "$root" && "$python" packaging/dist.py target/dist 2>"$work/log" | tail -n 1)
    [ -f "$archive" ] || cat "$work/log"
    check archive_has_its_checksum yes "$(cd "$(dirname "$archive")" &&
        sha256sum -c --quiet "$archive.sha256" && echo yes)"
    mkdir "$work/unpacked"
    tar -xzf "$archive" -C "$work/unpacked"
    prefix=$(echo "$work/unpacked"/*)
    library=$prefix/lib/librlua.so.$version
    floor=$("$python" "$root/packaging/glibc.py" floor "$library" 2>/dev/null)
    echo "     the archive's library runs on glibc $floor and later"
    check floor_is_2.17_or_older yes "$(older "$floor" 2.17)"
    cp "$snippets/rollback.c" "$work"
    check archive_runs "$expected" "$(cd "$work" && quietly "$cc" rollback.c \
        "-I$prefix/include/rlua" "-L$prefix/lib" -lrlua "-Wl,-rpath,$prefix/lib" -o archived &&
        ./archived 2>&1)"
    # Under old names, or without a version, and found all the same.
    LD_DEBUG=bindings LD_LIBRARY_PATH="$prefix/lib" "$work/archived" 2>"$work/bindings" >&2
    for symbol in gettid statx __cxa_thread_atexit_impl dlopen pthread_key_create __xstat64; do
        check "$symbol is found" yes "$(grep 'file [^ ]*librlua' "$work/bindings" |
            grep -q "libc\.so.*symbol .$symbol'" && echo yes)"
    done
    check archive_runs_static "$expected" "$(cd "$work" && quietly "$cc" rollback.c \
        "-I$prefix/include/rlua" "$prefix/lib/librlua.a" $system -o archived && ./archived 2>&1)"
    check nothing_of_the_builder_in_it 0 "$(grep -c "$root" "$library")"
    crates=$(cd "$root" && cargo tree --offline -e normal --prefix none -f '{p}' | tail -n +2 |
        sed 's/ v\([^ ]*\).*/ \1/' | sort -u)
    check each_crate_has_its_licence "" "$(echo "$crates" | while read -r crate; do
        grep -q "^- $crate: " "$prefix/share/doc/rlua/THIRD-PARTY" || echo "$crate"; done)"
    for text in 'Lua.org, PUC-Rio' 'CORE-MATH: ' "Rust's standard library"; do
        check "licences have $text" yes "$(grep -q "$text" \
            "$prefix/share/doc/rlua/THIRD-PARTY" && echo yes)"
    done
}

if command -v pkg-config >/dev/null; then run_pkg_config
else cannot_run "install by pkg-config" pkg-config; fi
if command -v cmake >/dev/null; then run_cmake
else cannot_run "install by CMake" cmake; fi
run_archive
[ "$not_run" -eq 0 ] || echo "$not_run not run, see above"
end
