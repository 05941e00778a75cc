#!/bin/sh
# stock.sh ROOT OUT: builds stock Lua into OUT/liblua.a from the sources librlua is built from, and
# links OUT/lua to them. CC and CFLAGS come from the environment.
set -eu
root=$1
out=$2
mkdir -p "$out"
host=$(rustc -vV | sed -n 's/^host: //p')
metadata() {
  (cd "$root" && cargo metadata --format-version 1 --filter-platform "$host" "$@")
}
metadata --offline > "$out/metadata.json" 2> /dev/null || metadata > "$out/metadata.json"
lua=$(python3 - "$out/metadata.json" << 'PYTHON'
import json, os, sys
packages = json.load(open(sys.argv[1]))["packages"]
manifest = next(p["manifest_path"] for p in packages if p["name"] == "lua-src")
print(os.path.join(os.path.dirname(manifest), "lua-5.4.9"))
PYTHON
)
ln -sfn "$lua" "$out/lua"
rm -f "$out"/*.o "$out/liblua.a"
for file in "$lua"/*.c; do
  $CC $CFLAGS -c "$file" -o "$out/$(basename "$file" .c).o"
done
ar rcs "$out/liblua.a" "$out"/*.o
