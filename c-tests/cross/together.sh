#!/bin/sh
# This machine and another platform have the same states, images, deltas and checksums, and play a
# match with each other.
# Usage: together.sh TITLE N ONLY M
#     an n-th of the round trips and of the frames of scripts whose names have ONLY in them;
#     an m-th of the match
#
# From the environment: PLATFORM, its name in determinism/matrix.py; OTHER, the words of a command
# that runs its programs, whose names end in SUFFIX; HERE and THERE, the folders of this machine's
# programs and of the others; HERE_LIBRARY and THERE_LIBRARY; PYTHON.
# Not here: what each program does; which platforms there are (aarch64.sh, ../windows).
set -u
cd "$(dirname "$0")/.." || exit 1
title=$1 n=$2 only=$3 m=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
here() { echo "$HERE/$1"; }
there() { echo "$OTHER $THERE/$1$SUFFIX"; }
roundtrip=roundtrip/roundtrip match=cross/match p2p=cross/p2p
mkfifo "$work/to" "$work/from" || exit 1

echo
echo "==== $title"
./run.sh \
    "here and there=RLUA_TEST_SCALE=$n ROUNDTRIP_OTHER='$(there $roundtrip)' $(here $roundtrip)" \
    "there and here=ROUNDTRIP_SERVES=1 $(here $roundtrip) <$work/to >$work/from & \
        RLUA_TEST_SCALE=$n ROUNDTRIP_SERVED=1 RLUA_TEST_DIRECT=1 $(there $roundtrip) \
        >$work/to <$work/from" \
    "followed there=$(here $match) play >$work/match && $(there $match) follow <$work/match" \
    "followed here=$(there $match) play >$work/match && $(here $match) follow <$work/match" \
    "a cheat is seen=$(here $match) cheat >$work/match && \
        ! $(there $match) follow <$work/match >$work/out 2>&1 && \
        grep checksum $work/out && echo '1 passed, 0 failed'" \
    "p2p=RLUA_TEST_SCALE=$m $(here $p2p) play $(there $p2p)" \
    "p2p, a cheat is seen=RLUA_TEST_SCALE=$((m * 10)) $(here $p2p) cheat $(there $p2p)" \
    "one digest=$PYTHON determinism/matrix.py --library $HERE_LIBRARY \
        --digest $(here determinism/digest) --cells $PLATFORM --scale $n --only '$only' \
        --made $PLATFORM $THERE_LIBRARY $THERE/determinism/digest$SUFFIX '$OTHER'"
