# check.sh: what the test programs in shell share; they read it by `.`.
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

end() { # the closing line, and the status that goes with it
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
    exit
}
