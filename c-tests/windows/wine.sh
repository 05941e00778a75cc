# Sourced: Wine in a folder of the project's own, with one server for all programs that run.
#
#     root=...              the project's folder, absolute
#     . .../windows/wine.sh sets WINE, WINEPREFIX and WINEDEBUG
#     wine_begin            before the first program; nothing where it was called before
#     wine_end              behind the last one, in a trap
#
# By itself Wine's server ends three seconds behind the last program, and a program that comes while
# it ends dies of "recvmsg: Connection reset by peer". So it is told to wait for ten minutes.
# Not here: what runs (Makefile, ../packages.sh).
WINE=${WINE:-$(ls /usr/lib/wine/wine64 2>/dev/null || command -v wine64 || command -v wine)}
WINEPREFIX=$root/target/wine
WINEDEBUG=-all
export WINE WINEPREFIX WINEDEBUG
wine_server=$(ls /usr/lib/wine/wineserver64 2>/dev/null || command -v wineserver)

# The first program of all has Wine make its folders, which it tells of.
wine_begin() {
    [ -z "${wine_begun:-}" ] || return 0
    [ -n "$WINE" ] && [ -n "$wine_server" ] ||
        { echo "no Wine; on Debian: apt-get install wine64" >&2; return 1; }
    mkdir -p "$WINEPREFIX"
    "$wine_server" -w
    "$wine_server" -p600 || return 1
    wine_begun=yes
    "$WINE" wineboot -i >/dev/null 2>&1 || true
}

wine_end() { "$wine_server" -k >/dev/null 2>&1 || true; }
