#!/bin/sh
# Builds the accelerator probe: freestanding, assembler and linker only.   usage: build.sh OUT
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
gcc -c -m64 -o "$1/probe.o" "$here/probe.S"
ld -m elf_x86_64 -static --build-id=none -z max-page-size=4096 -z noexecstack --no-warn-rwx-segments -T "$here/probe.ld" -o "$1/probe.elf.tmp" "$1/probe.o"
rm "$1/probe.o"
mv "$1/probe.elf.tmp" "$1/probe.elf"
