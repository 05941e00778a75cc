#!/bin/sh
# The demo programs in C, as tests: what they print and how they end.
# Usage: demos.sh folder-of-the-programs
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

check seed_prints_1_2_1 "$(printf '1\n2\n1\nstatus 0')" "$("$1/seed"; echo "status $?")"
output=$("$1/netcode")
check netcode_succeeds 0 $?
check netcode_ends_in_the_same_game "the same game" "$(echo "$output" | tail -n 1)"
check netcode_was_rolled_back 3 "$(echo "$output" | grep -c 'roll back, run again')"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
