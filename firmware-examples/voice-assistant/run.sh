#!/bin/bash
# `cargo run` calls this with QEMU's name of the board and the program: what conversation.txt says is typed into it.
# `cargo run --release -- FILE` types another file; with - for FILE you type yourself, and end with Ctrl-D.
# shift=6 makes an instruction take 64 ns of the emulated clock; -no-reboot ends QEMU at the reset that Ctrl-D causes.
set -o pipefail
emulate() {
    qemu-system-arm -M "$1" -display none -monitor none -serial stdio -no-reboot -icount shift=6 -kernel "$2"
}
if [ "$3" = - ]; then
    emulate "$1" "$2"
else
    { cat "${3:-conversation.txt}" && printf '\004'; } | emulate "$1" "$2" | tr -d '\r'
fi
