#!/bin/bash
# `cargo run` calls this with the program: QEMU runs it, and defmt-print decodes what it logs.
set -o pipefail
# shift=6 makes an instruction take 64 ns of the emulated clock.
qemu-system-arm -M mps2-an386 -nographic -monitor none -serial none \
    -semihosting-config enable=on,target=native -icount shift=6 -kernel "$1" |
    defmt-print --log-format '{s}' -e "$1"
