#!/bin/sh
# Every public header compiles alone, as C11 and as C++11 (rlua.hpp and its parts: as C++17).
# Usage: headers.sh include-folder; CC and CXX from the environment.
. "$(dirname "$0")/check.sh"

compile() { # language standard header compiler
    if printf '#include "%s"\nint main(void) { return 0; }\n' "$3" |
        $4 -x "$1" "-std=$2" -Wall -Wextra -Wpedantic -Werror -fsyntax-only "-I$folder" -; then
        passed=$((passed + 1))
        echo "ok   $3 as $2"
    else
        failed=$((failed + 1))
        echo "FAIL $3 as $2"
    fi
}

folder=$1
for path in "$folder"/*.h "$folder"/*.hpp "$folder"/rlua/*.hpp; do
    [ -f "$path" ] || continue
    header=${path#"$folder"/}
    case $header in *.h) compile c c11 "$header" "${CC:-cc}" ;; esac
    case $header in *.hpp) standard=c++17 ;; *) standard=c++11 ;; esac
    compile c++ "$standard" "$header" "${CXX:-c++}"
done
[ -f "$folder/rlua.h" ] || { echo "FAIL no rlua.h in $folder"; failed=$((failed + 1)); }
end
