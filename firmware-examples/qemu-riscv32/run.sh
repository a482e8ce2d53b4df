#!/bin/bash
# `cargo run` calls this with the program: QEMU runs it, and defmt-print decodes what it logs.
set -o pipefail
# -icount shift=0 makes minstret count instructions; without it QEMU counts the clock of this machine.
qemu-system-riscv32 -M virt -bios none -nographic -monitor none -serial none \
    -semihosting-config enable=on,target=native -icount shift=0 -kernel "$1" |
    defmt-print --log-format '{s}' -e "$1"
