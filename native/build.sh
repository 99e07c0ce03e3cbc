#!/bin/sh
# Builds the native programs into OUT: `berth-native` (host), `berth-agent` (guest), `probe.elf` (accelerator probe).
# A directory whose `source.sha256` matches the sources is left alone.   usage: build.sh OUT
set -eu
out=$1; here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
sum=$(cd "$here" && find . -type f | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -d' ' -f1)
[ -f "$out/source.sha256" ] && [ "$(cat "$out/source.sha256")" = "$sum" ] && exit 0
mkdir -p "$out"
# What is broken off in between is of no one source.
rm -f "$out/source.sha256"
flags='-std=gnu17 -O2 -Wall -Wextra -Werror -fstack-protector-strong -D_FORTIFY_SOURCE=2 -D_GNU_SOURCE'
# shellcheck disable=SC2086
gcc $flags -static -s -o "$out/berth-native.tmp" "$here"/*.c -lz -lzstd -lpthread
mv "$out/berth-native.tmp" "$out/berth-native"
# shellcheck disable=SC2086
if [ -d "$here/agent" ]; then gcc $flags -static -s -o "$out/berth-agent.tmp" "$here"/agent/*.c "$here"/os-*.c; mv "$out/berth-agent.tmp" "$out/berth-agent"; fi
if [ -d "$here/probe" ]; then sh "$here/probe/build.sh" "$out"; fi
echo "$sum" >"$out/source.sha256"
