#!/bin/bash
# `cargo run` calls this with the program: QEMU runs it, and defmt-print decodes what it logs.
set -o pipefail
# -icount makes the count of instructions the same on every run.
qemu-system-riscv32 -M virt -bios none -nographic -monitor none -serial none \
    -semihosting-config enable=on,target=native -icount shift=6 -kernel "$1" |
    defmt-print --log-format '{s}' -e "$1"
