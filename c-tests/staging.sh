#!/bin/sh
# What `make library` puts where, and that the link lines of docs/INSTALL.md lead to a program.
# Usage: staging.sh ROOT; CC and MAKE from the environment.
#
# The link lines are read from that page: each `cc game.c ...` in it builds the C snippet, in a
# folder that sees include/ and target/ as the root does, and has to print what the snippet prints.
set -u
root=$(cd "$1" && pwd)
include=$root/include
release=$root/target/release
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$(dirname "$0")/check.sh"

library() { "${MAKE:-make}" --no-print-directory -C "$root/c-tests" library 2>&1; }

# A header as it is staged.
staged() { cksum "$include/lualib.h"; }

library >"$work/log" || cat "$work/log"
before=$(staged)
rm "$include/lualib.h"
output=$(library)
check deleted_header_comes_back_as_it_was "$before" "$(staged)"
check nothing_is_compiled_for_it "" "$(echo "$output" | grep Compiling)"
echo "/* edited */" >>"$include/lualib.h"
library >"$work/log"
check edited_header_is_put_right "$before" "$(staged)"
before=$(ls -l "$include" "$release"/librlua.*)
library >"$work/log"
check second_run_writes_nothing "$before" "$(ls -l "$include" "$release"/librlua.*)"

soname=$(LC_ALL=C readelf -dW "$release/librlua.so" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
major=$(sed -n 's/^#define RLUA_VERSION_MAJOR //p' "$include/rlua.h")
check soname_has_the_major_version_of_the_header "librlua.so.$major" "$soname"
check the_soname_leads_to_the_library librlua.so "$(readlink "$release/$soname")"

cp "$root/examples/snippets/rollback.c" "$work/game.c"
ln -s "$include" "$root/target" "$work"
grep -o '`cc game\.c [^`]*`' "$root/docs/INSTALL.md" | tr -d '`' >"$work/lines"
check link_lines_of_the_page 2 "$(wc -l <"$work/lines" | tr -d ' ')"
while read -r line; do
    rm -f "$work/a.out"
    output=$(cd "$work" && eval "${line%%(*}" 2>&1 && ./a.out 2>&1)
    check "INSTALL.md: $line" "$(cat "$root/examples/snippets/expected.txt")" "$output"
done <"$work/lines"
end
