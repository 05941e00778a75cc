#!/bin/sh
# Runs test programs and suites, and sums what their closing lines say.
# Usage: run.sh [--wrapper COMMAND] NAME=COMMAND...
#
# A program's closing line is `N passed, N failed`; cargo's are `test result: ...`. One that
# ends with an error and no failure counted, or without a closing line, died: one failure.
# Not here: what the tests check.
set -u
wrapper=
if [ "${1:-}" = --wrapper ]; then
    wrapper=$2
    shift 2
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
total_passed=0 total_failed=0 total_not_run=0 failed_names=

# Prints "passed failed" from the log, or nothing when there is no closing line.
count() {
    awk '
        /^[0-9]+ passed, [0-9]+ failed$/ { passed = $1; failed = $3; found = 1 }
        /^test result: / {
            for (i = 2; i < NF; i++) {
                if ($(i + 1) == "passed;") cargo_passed += $i
                if ($(i + 1) == "failed;") cargo_failed += $i
            }
            found = 1
        }
        END { if (found) print passed + cargo_passed, failed + cargo_failed }
    ' "$log"
}

run() { # name command
    echo "== $1"
    { sh -c "$2" </dev/null 2>&1; echo "status $?"; } | tee "$log" | sed '/^status [0-9]*$/d'
    status=$(sed -n 's/^status \([0-9]*\)$/\1/p' "$log" | tail -n 1)
    counts=$(count)
    passed=${counts% *} failed=${counts#* }
    if [ -z "$counts" ]; then
        echo "FAIL $1: ended with status $status and without its closing line"
        passed=0 failed=1
    elif [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
        echo "FAIL $1: ended with status $status"
        failed=1
    fi
    not_run=$(awk '/^[0-9]+ not run, see above$/ { n += $1 } END { print n + 0 }' "$log")
    if [ $((passed + failed + not_run)) -eq 0 ]; then
        echo "FAIL $1: has run no test"
        failed=1
    fi
    total_not_run=$((total_not_run + not_run))
    total_passed=$((total_passed + passed))
    total_failed=$((total_failed + failed))
    [ "$failed" -eq 0 ] || failed_names="$failed_names $1"
}

for suite; do
    run "${suite%%=*}" "$wrapper ${suite#*=}"
done
echo "== total"
[ -z "$failed_names" ] || echo "failed in:$failed_names"
[ "$total_not_run" -eq 0 ] || echo "$total_not_run NOT RUN: see the lines above that say why"
echo "$total_passed passed, $total_failed failed"
[ "$total_failed" -eq 0 ]
