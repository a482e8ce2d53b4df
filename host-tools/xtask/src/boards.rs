//! The command line for small Linux boards, built on this machine and run in emulation.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::shell::{self, Result, fail, find_program, say};
use crate::toolchain::{self, DEBIAN_PACKAGES, DEBIAN_RUSTC};
use crate::{elf, inputs, package, setup};

/// A family of boards.
pub struct Board {
    /// Debian's name of the architecture.
    pub debian: &'static str,
    /// With musl all comes from rustup: nothing of C is compiled, and Rust's own linker links.
    musl: &'static str,
    /// Where rustup has no musl for it: static glibc and the linker of Debian's cross compiler.
    gnu: &'static str,
    gcc: &'static str,
    gcc_packages: [&'static str; 2],
    /// Runs its programs here.
    pub qemu: &'static str,
}

pub const BOARDS: [Board; 2] = [
    Board {
        debian: "arm64",
        musl: "aarch64-unknown-linux-musl",
        gnu: "aarch64-unknown-linux-gnu",
        gcc: "aarch64-linux-gnu-gcc",
        gcc_packages: ["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
        qemu: "qemu-aarch64-static",
    },
    Board {
        debian: "armhf",
        musl: "armv7-unknown-linux-musleabihf",
        gnu: "armv7-unknown-linux-gnueabihf",
        gcc: "arm-linux-gnueabihf-gcc",
        gcc_packages: ["gcc-arm-linux-gnueabihf", "libc6-dev-armhf-cross"],
        qemu: "qemu-arm-static",
    },
];

/// Bytes that the program may have.
const LARGEST: u64 = 4_000_000;

/// The profile that it is built with.
const PROFILE: &str = "small";

/// What builds for a board.
enum Compiler {
    Musl,
    Gnu,
    /// Debian's compiler, which builds the library from source.
    Debian,
}

/// A program for a board.
pub struct Built {
    pub program: PathBuf,
    pub target: &'static str,
}

/// What cargo needs to make of the command line what a board runs.
pub const FEATURES: [&str; 3] = ["--package", "flashvec-cli", "--no-default-features"];

impl Board {
    /// Builds the program, a static one of a bounded size; installs what that needs.
    pub fn build(&self) -> Result<Built> {
        let compiler = self.compiler()?;
        let target = match compiler {
            Compiler::Musl => self.musl,
            Compiler::Gnu | Compiler::Debian => self.gnu,
        };
        say(
            &format!("cargo build flashvec for {target}"),
            "the command line without what makes models, as a static program",
        );
        let mut build = shell::cargo();
        let variable = |name: &str| {
            format!(
                "CARGO_TARGET_{}_{name}",
                target.to_uppercase().replace('-', "_")
            )
        };
        match compiler {
            Compiler::Musl => {
                build.env(variable("LINKER"), "rust-lld");
            }
            Compiler::Gnu | Compiler::Debian => {
                build.env(variable("LINKER"), self.gcc);
                build.env(variable("RUSTFLAGS"), "-Ctarget-feature=+crt-static");
            }
        }
        if matches!(compiler, Compiler::Debian) {
            build.env("RUSTC", DEBIAN_RUSTC);
            build.env("RUSTC_BOOTSTRAP", "1");
            build.env("CARGO_UNSTABLE_BUILD_STD", "std,panic_abort");
        }
        build.args(["build", "--quiet", "--profile", PROFILE, "--target", target]);
        shell::run(build.args(FEATURES))?;
        let folder = shell::target_dir().join(target).join(PROFILE);
        let program = folder.join("flashvec");
        let size = shell::read(&program)?.len() as u64;
        println!("    {}: {size} bytes", program.display());
        if size > LARGEST {
            return fail(format!(
                "{} has {size} bytes, more than {LARGEST}",
                program.display()
            ));
        }
        if !elf::is_static(&program)? {
            return fail(format!("{} is not static", program.display()));
        }
        Ok(Built { program, target })
    }

    /// What is ready, else what can be installed.
    fn compiler(&self) -> Result<Compiler> {
        let has_gcc = find_program(self.gcc).is_some();
        if !toolchain::wants_debian() {
            if toolchain::has_target(self.musl)? {
                return Ok(Compiler::Musl);
            }
            let has_gnu = toolchain::has_target(self.gnu)?;
            if !(has_gnu && has_gcc) && add_target(self.musl) {
                return Ok(Compiler::Musl);
            }
            if has_gnu || add_target(self.gnu) {
                if !has_gcc {
                    setup::install(&self.gcc_packages)?;
                }
                return Ok(Compiler::Gnu);
            }
        }
        let mut packages = Vec::new();
        if !has_gcc {
            packages.extend(self.gcc_packages);
        }
        if !Path::new(DEBIAN_RUSTC).exists() {
            packages.extend(DEBIAN_PACKAGES);
        }
        setup::install(&packages)?;
        Ok(Compiler::Debian)
    }

    /// A command that runs a program for this board here.
    pub fn command(&self, program: &Path) -> Result<Command> {
        let Some(qemu) = find_program(self.qemu) else {
            return fail(format!("no {}: install qemu-user-static", self.qemu));
        };
        let mut command = Command::new(qemu);
        command.arg(program);
        Ok(command)
    }
}

/// Whether rustup could add the library for a target.
fn add_target(target: &str) -> bool {
    if find_program("rustup").is_none() {
        return false;
    }
    println!("    {target}: `rustup target add {target}`");
    let mut command = Command::new("rustup");
    command
        .args(["target", "add", target])
        .current_dir(shell::root());
    match shell::capture(&mut command, Duration::from_secs(180)) {
        Ok(_) => true,
        Err(error) => {
            println!("    {error}; looking for another way");
            false
        }
    }
}

/// Installs what the boards' tests need: compilers, QEMU, what makes packages.
pub fn set_up() -> Result<()> {
    say(
        "set-up for Linux boards",
        "their programs are built and packaged here, and run in emulation",
    );
    set_up_qemu()?;
    package::set_up()?;
    BOARDS
        .iter()
        .try_for_each(|board| board.compiler().map(drop))
}

/// Installs QEMU's emulation of other machines' programs.
pub fn set_up_qemu() -> Result<()> {
    for board in &BOARDS {
        match find_program(board.qemu) {
            Some(path) => println!("    {}: {}", board.qemu, path.display()),
            None => return setup::install(&["qemu-user-static"]),
        }
    }
    Ok(())
}

/// Builds the program and its package for every board, and compares what it says with what this machine's says.
pub fn test() -> Result<()> {
    set_up()?;
    say(
        "cargo test flashvec without a distiller",
        "what it runs must work, and it must say what it lacks",
    );
    shell::run(&mut package::with_manual("test"))?;
    let program = inputs::command_line()?;
    let cases = Cases::write(&shell::scratch_dir()?.join("cases"))?;
    for board in &BOARDS {
        let built = board.build()?;
        say(
            &format!("classify and encode as {}", board.debian),
            "every digit must be that of this machine",
        );
        cases.compare(&program, || board.command(&built.program))?;
        let package = package::make(board, &built)?;
        package::check(board, &package)?;
    }
    Ok(())
}

/// Command lines, in a folder with what they name.
pub struct Cases {
    folder: PathBuf,
}

impl Cases {
    const COMMANDS: [&[&str]; 12] = [
        &["classify", "classifier0.fvec", "--input", "bytes.txt"],
        &["classify", "classifier1.fvec", "--input", "bytes.txt"],
        &["classify", "classifier2.fvec", "--input", "bytes.txt"],
        &["classify", "classifier3.fvec", "--input", "bytes.txt"],
        &[
            "classify",
            "classifier0.fvec",
            "--input",
            "bytes.txt",
            "--json",
            "--all",
        ],
        &[
            "classify",
            "classifier1.fvec",
            "--input",
            "bytes.txt",
            "--json",
            "--all",
        ],
        &[
            "classify",
            "classifier2.fvec",
            "--input",
            "bytes.txt",
            "--json",
            "--all",
        ],
        &[
            "classify",
            "classifier3.fvec",
            "--input",
            "bytes.txt",
            "--json",
            "--all",
        ],
        &[
            "classify",
            "base.fvec",
            "--head",
            "base.fvhead",
            "--input",
            "bytes.txt",
            "--json",
        ],
        &["encode", "english.fvec", "--input", "texts.txt"],
        &["tokenize", "english.fvec", "--ids", "--input", "texts.txt"],
        &["inspect", "english.fvec"],
    ];

    /// Makes the folder: golden classifiers, a model, and some hundred texts, a few of which are no UTF-8.
    pub fn write(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|error| shell::unwritable(folder, &error))?;
        let copy = |from: &str, to: &str| {
            let bytes = shell::read(&shell::root().join(from))?;
            shell::write(&folder.join(to), bytes)
        };
        for number in 0..4 {
            let name = format!("classifier{number}.fvec");
            copy(&format!("tests/data/tiny-v4-{name}"), &name)?;
        }
        copy("tests/data/tiny-v3-int8.fvec", "base.fvec")?;
        copy("tests/data/tiny-head1-int8.fvhead", "base.fvhead")?;
        copy("firmware-examples/models/english-256k.fvec", "english.fvec")?;
        let mut texts = Vec::new();
        for file in [
            "README.md",
            "CHANGELOG.md",
            "core/FORMAT.md",
            "tests/README.md",
        ] {
            texts.extend(shell::read(&shell::root().join(file))?);
        }
        shell::write(&folder.join("texts.txt"), &texts)?;
        texts.extend(b"turn on the \xFF light\n\xC3\n\0\r\nkitchen \xE4\xB8 lamp");
        shell::write(&folder.join("bytes.txt"), &texts)?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// Fails unless the command that `other` begins prints what this machine's program does.
    pub fn compare(&self, program: &Path, other: impl Fn() -> Result<Command>) -> Result<()> {
        for arguments in Self::COMMANDS {
            let print = |mut command: Command| {
                command.args(arguments).current_dir(&self.folder);
                shell::capture(&mut command, Duration::from_secs(300))
            };
            let (here, there) = (print(Command::new(program))?, print(other()?)?);
            if here != there {
                let lines = here.lines().zip(there.lines());
                let first = lines.take_while(|(here, there)| here == there).count();
                return fail(format!(
                    "`flashvec {}` prints another line {}",
                    arguments.join(" "),
                    first + 1
                ));
            }
            println!(
                "    flashvec {}: the same {} lines",
                arguments.join(" "),
                here.lines().count()
            );
        }
        Ok(())
    }
}
