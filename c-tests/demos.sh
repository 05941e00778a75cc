#!/bin/sh
# The demo programs in C, as tests: what they print and how they end.
# Usage: demos.sh folder-of-the-programs
. "$(dirname "$0")/check.sh"

check seed_prints_1_2_1 "$(printf '1\n2\n1\nstatus 0')" "$("$1/seed"; echo "status $?")"
output=$("$1/netcode")
check netcode_succeeds 0 $?
check netcode_ends_in_the_same_game "the same game" "$(echo "$output" | tail -n 1)"
check netcode_was_rolled_back 3 "$(echo "$output" | grep -c 'roll back, run again')"
end
