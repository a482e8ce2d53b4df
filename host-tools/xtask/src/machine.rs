//! The emulated parts: which QEMU machine runs which target's code, and how the device firmware is run there.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::shell::{self, Result, fail};
use crate::toolchain::Toolchain;

/// A microcontroller core that QEMU emulates.
pub struct Part {
    pub target: &'static str,
    pub core: &'static str,
    machine: &'static str,
    /// Where 16 MiB of memory lie that the firmware's linker script leaves alone.
    input: u32,
}

/// QEMU has no M0+ with room for an image: thumbv6m code, which is all that an M0+ executes, runs on the M3.
pub const PARTS: [Part; 5] = [
    Part {
        target: "thumbv6m-none-eabi",
        core: "Cortex-M0+ code",
        machine: "mps2-an385",
        input: 0x2100_0000,
    },
    Part {
        target: "thumbv7m-none-eabi",
        core: "Cortex-M3",
        machine: "mps2-an385",
        input: 0x2100_0000,
    },
    Part {
        target: "thumbv7em-none-eabihf",
        core: "Cortex-M4F",
        machine: "mps2-an386",
        input: 0x2100_0000,
    },
    Part {
        target: "thumbv8m.main-none-eabihf",
        core: "Cortex-M33",
        machine: "mps2-an505",
        input: 0x8000_0000,
    },
    Part {
        target: "riscv32imc-unknown-none-elf",
        core: "RV32IMC",
        machine: "virt",
        input: 0x8400_0000,
    },
];

/// Must equal the distances in tests/device/src/board.rs.
const TEXTS_AT: u32 = 0x00e0_0000;
const IMAGE_LEN_AT: u32 = 0x00ff_fffc;

/// What one text cost.
pub struct Cost {
    pub instructions: u64,
    pub tokens: u64,
    pub bytes: u64,
}

/// Bytes of RAM that the calls used.
pub struct Ram {
    pub from_bytes_stack: u64,
    pub call_stack: u64,
    pub scratch: u64,
    pub model: u64,
}

impl Ram {
    /// All that must be there during a call on a text.
    pub fn call(&self) -> u64 {
        self.call_stack + self.scratch + self.model
    }
}

/// What the device firmware printed.
pub struct Run {
    /// A line a text: the bits of the embedding or classification, or the error.
    pub results: Vec<String>,
    pub costs: Vec<Cost>,
    pub ram: Ram,
}

impl Run {
    /// What the calls cost, over all texts.
    pub fn instructions_a_token(&self) -> u64 {
        let tokens: u64 = self.costs.iter().map(|cost| cost.tokens).sum();
        self.instructions() / tokens.max(1)
    }

    /// What a call costs, of all texts.
    pub fn instructions_a_text(&self) -> u64 {
        self.instructions() / self.costs.len().max(1) as u64
    }

    fn instructions(&self) -> u64 {
        self.costs.iter().map(|cost| cost.instructions).sum()
    }
}

/// What a firmware does with every text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Call {
    Encode,
    Classify,
    /// Learns, forgets, saves, restores and classifies.
    FewShot,
}

impl Call {
    /// The program that does it with every text, and the smallest that does it at all.
    pub fn programs(self) -> (&'static str, &'static str) {
        match self {
            Self::Encode => ("encode", "minimal"),
            Self::Classify => ("classify", "minimal_classify"),
            Self::FewShot => ("few_shot", "minimal_few_shot"),
        }
    }
}

/// Builds the firmware binaries of a call for a target and returns the folder they are in.
pub fn build(toolchain: &Toolchain, part: &Part, call: Call) -> Result<PathBuf> {
    let (all, minimal) = call.programs();
    let mut build = toolchain.cargo("build", "tests/device", part.target)?;
    build.args(["--bin", all, "--bin", minimal, "--bin", "empty"]);
    if call == Call::FewShot {
        // What it adds is added to encoding.
        build.args(["--bin", "minimal"]);
    }
    if call == Call::Classify {
        // What only encodes is built, and measured, without.
        build.args(["--features", "classify"]);
    }
    shell::run(&mut build)?;
    Ok(shell::target_dir()
        .join("firmware")
        .join(part.target)
        .join("release"))
}

/// Runs a firmware on an image and texts.
pub fn run(part: &Part, firmware: &Path, image: &Path, texts: &Path) -> Result<Run> {
    let image_len = shell::read(image)?.len();
    let texts_len = shell::read(texts)?.len();
    if image_len > TEXTS_AT as usize || texts_len > (IMAGE_LEN_AT - TEXTS_AT) as usize {
        return fail("the emulated parts have room for an image of 14 MiB and texts of 2 MiB");
    }
    let riscv = part.machine == "virt";
    let mut qemu = Command::new(if riscv {
        "qemu-system-riscv32"
    } else {
        "qemu-system-arm"
    });
    qemu.args([
        "-M",
        part.machine,
        "-nographic",
        "-monitor",
        "none",
        "-serial",
        "none",
    ]);
    if riscv {
        qemu.args(["-bios", "none"]);
    }
    // The Arm firmware counts ticks of a timer, exactly at 64 ns an instruction. RISC-V has a counter of its
    // own, which QEMU before 8 counts in nanoseconds.
    qemu.args(["-icount", if riscv { "shift=0" } else { "shift=6" }]);
    qemu.args(["-semihosting-config", "enable=on,target=native"]);
    qemu.arg("-kernel").arg(firmware);
    let load = |file: &Path, at: u32| {
        // QEMU's option syntax writes a comma in a value as two.
        let file = file.display().to_string().replace(',', ",,");
        format!("loader,file={file},addr={at:#x},force-raw=on")
    };
    qemu.arg("-device").arg(load(image, part.input));
    qemu.arg("-device").arg(load(texts, part.input + TEXTS_AT));
    let at = part.input + IMAGE_LEN_AT;
    qemu.arg("-device")
        .arg(format!("loader,addr={at:#x},data={image_len},data-len=4"));
    parse(&shell::capture(&mut qemu, Duration::from_secs(600))?)
}

fn parse(printed: &str) -> Result<Run> {
    let mut run = Run {
        results: Vec::new(),
        costs: Vec::new(),
        ram: Ram {
            from_bytes_stack: 0,
            call_stack: 0,
            scratch: 0,
            model: 0,
        },
    };
    let mut ended = false;
    for line in printed.lines() {
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        let numbers: Vec<u64> = rest
            .split(' ')
            .map_while(|number| number.parse().ok())
            .collect();
        match (kind, numbers.as_slice()) {
            ("bits" | "error", _) => run.results.push(line.to_owned()),
            ("cost", &[instructions, tokens, bytes]) => run.costs.push(Cost {
                instructions,
                tokens,
                bytes,
            }),
            ("ram", &[from_bytes_stack, call_stack, scratch, model]) => {
                run.ram = Ram {
                    from_bytes_stack,
                    call_stack,
                    scratch,
                    model,
                };
                ended = true;
            }
            _ => return fail(format!("the firmware printed an unexpected line: {line}")),
        }
    }
    if ended {
        Ok(run)
    } else {
        fail("the firmware stopped before its last line")
    }
}
