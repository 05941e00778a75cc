#!/bin/sh
# The tests on AArch64, under qemu: with pages of 4, 16 and 64 KiB; and that AArch64 and this
# machine have the same states, images, deltas and checksums.
# Usage: aarch64.sh needs         whether the tools are there
#        aarch64.sh all | short   everything; or a share, for .ci/run
#
# From the environment, by the Makefile's target `aarch64`: TESTS and FUZZERS, the names of
# programs; HERE and THERE, the folders of this machine's programs and of AArch64's; HERE_LIBRARY
# and THERE_LIBRARY; CARGO, PYTHON.
# Not here: times. Under an emulator they say nothing.
set -u
cd "$(dirname "$0")/.." || exit 1
target=aarch64-unknown-linux-gnu
system=/usr/aarch64-linux-gnu

needs() {
    for tool in aarch64-linux-gnu-gcc aarch64-linux-gnu-g++ qemu-aarch64; do
        command -v "$tool" >/dev/null && continue
        echo "no $tool; on Debian: apt-get install g++-aarch64-linux-gnu qemu-user"
        return 1
    done
    [ -d "$(rustc --print sysroot)/lib/rustlib/$target" ] && return 0
    echo "no Rust for AArch64: rustup target add $target"
    return 1
}

# What does not run here, and why.
left_out() {
    cat <<-'END'
	modules    loads Lua modules in C from Debian's packages, which are this machine's
	cmodules   the same
	nomemory   limits the memory of a process, which qemu does not do to its program
	sysmalloc  starts a process for each allocation, which takes too long under qemu
	END
}

is_left_out() { left_out | grep -q "^$1 "; }

groups=0 failed_groups=

group() { # title suites...
    title=$1
    shift
    groups=$((groups + 1))
    echo
    echo "==== $title"
    ./run.sh "$@" || failed_groups="$failed_groups
    $title"
}

emulate() { # KiB of a page
    CROSS_PAGE_BYTES=$(($1 * 1024))
    emulator="qemu-aarch64 -L $system -p $CROSS_PAGE_BYTES"
    RLUA_TEST_EMULATOR=$emulator
    export CROSS_PAGE_BYTES RLUA_TEST_EMULATOR
}

# Each VM takes mappings, and qemu some of its own: half as many as a process may have here. And
# qemu keeps a table for all addresses that were ever in use, so the test with the most runs apart.
tests_of() { sed -n 's/^TEST(\(.*\)) {$/\1/p' "$1"; } # file

# With pages of 64 KiB qemu 7 lacks the end of ld.so's last page, where a small program's
# thread-local data lie: copying a std::string from there fails, also without this library.
lost_by_qemu=vm_that_is_taken_over_is_closed

programs() { # KiB of a page, an n-th, names...
    emulate "$1"
    title="AArch64, pages of $1 KiB, 1/$2 of the heavy tests" scale=$2
    shift 2
    names=$*
    set -- "pages=$emulator $THERE/cross/pages"
    for name in $names; do
        is_left_out "$name" && continue
        command="RLUA_TEST_SCALE=$scale $emulator $THERE/$name"
        if [ "$name" = many ]; then
            command="RLUA_TEST_SCALE=$((scale > 1 ? scale : 2)) $emulator $THERE/many"
            set -- "$@" "many, others=$command $(tests_of many.c | tail -n +2 | tr '\n' ' ')"
            command="$command $(tests_of many.c | head -n 1)"
        elif [ "$name" = cxx/misuse ] && [ "$CROSS_PAGE_BYTES" -eq 65536 ]; then
            command="$command $(tests_of cxx/misuse.cpp | grep -vx $lost_by_qemu | tr '\n' ' ')"
        fi
        set -- "$@" "$name=$command"
    done
    group "$title" "$@"
}

# Each fuzzer from the first seed on, for so many seconds.
fuzzers() { # seconds
    emulate 4
    seconds=$1
    set --
    for name in $FUZZERS; do
        set -- "$@" "fuzz/$name=$emulator $THERE/fuzz/$name --seconds $seconds --frames 60"
    done
    group "AArch64, fuzzers" "$@"
}

# A test of hostile_images measures its process, which is qemu.
rust() { # title, mutants, cargo's arguments...
    emulate 4
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="$emulator" RLUA_IMAGE_MUTANTS="$2"
    title=$1
    shift 2
    group "$title" "cargo=CARGO_TERM_COLOR=never $CARGO test --release --workspace --no-fail-fast \
        --target $target --manifest-path ../Cargo.toml --target-dir ../target $* \
        -- --skip refused_loads_leave_nothing_behind"
}

together() { # an n-th of the round trips and of scripts' frames, whose names have this in them;
             # an n-th of the match
    emulate 4
    unset RLUA_TEST_EMULATOR # of those that run there: the tests here start themselves, too
    groups=$((groups + 1))
    title="AArch64 and this machine, 1/$1"
    PLATFORM=aarch64 OTHER=$emulator SUFFIX= cross/together.sh "$title" "$1" "$2" "$3" ||
        failed_groups="$failed_groups
    $title"
}

all() {
    # shellcheck disable=SC2086 # names are words
    programs 4 1 $TESTS
    fuzzers 20
    # shellcheck disable=SC2086
    programs 16 4 $TESTS
    # shellcheck disable=SC2086
    programs 64 8 $TESTS
    rust "AArch64, Rust" 5000
    together 2 '' 1
}

short() {
    # shellcheck disable=SC2086
    programs 4 12 $TESTS
    programs 16 32 cards frames hostmem images limits many restore stock
    programs 64 32 hostmem images limits restore
    rust "AArch64, Rust, a share" 500 --lib --test exports --test golden --test images \
        --test version
    together 40 math 10
}

case ${1:-} in
    needs) needs && exit 0 || exit 1 ;;
    all | short) $1 ;;
    *) sed -n '2,/^set/s/^# //p' "$0" && exit 2 ;;
esac
echo
echo "==== AArch64: $groups groups; not run at all:"
left_out
echo "refused_loads_leave_nothing_behind (tests/hostile_images.rs) measures its process: qemu's"
echo "$lost_by_qemu (cxx/misuse.cpp), with pages of 64 KiB: a fault of qemu's"
[ -z "$failed_groups" ] || echo "failed in:$failed_groups"
[ -z "$failed_groups" ]
