//! Debian packages for small boards: how they are made, what is in them, and whether they run in a clean Debian.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::boards::{self, BOARDS, Board, Built, Cases, FEATURES};
use crate::inputs;
use crate::setup;
use crate::shell::{self, Failure, Result, fail, find_program, say};

const CARGO_DEB: &str = "3.8.0";

const DEBIAN: &str = "bookworm";
const DEBIAN_ARCHIVE: &str = "http://deb.debian.org/debian";

const MINUTES: Duration = Duration::from_secs(600);

/// What every package must have.
const CONTENTS: [&str; 16] = [
    "/usr/bin/flashvec",
    "/usr/share/man/man1/flashvec.1",
    "/usr/share/man/man1/flashvec-classify.1",
    "/usr/share/bash-completion/completions/flashvec",
    "/usr/share/fish/vendor_completions.d/flashvec.fish",
    "/usr/share/zsh/vendor-completions/_flashvec",
    "/usr/share/flashvec/english-256k.fvec",
    "/usr/lib/systemd/system/flashvec-classify@.service",
    "/usr/share/doc/flashvec/copyright",
    "/usr/share/doc/flashvec/changelog.gz",
    "/usr/share/doc/flashvec/LICENSE-APACHE",
    "/usr/share/doc/flashvec/LICENSE-MIT",
    "/usr/share/doc/flashvec/dependencies.txt",
    "/usr/share/doc/flashvec/english-256k.md",
    "/usr/share/doc/flashvec/examples/alarms.conf",
    "/usr/share/doc/flashvec/README.md",
];

/// `cargo xtask deb`.
pub fn run(architecture: Option<&str>) -> Result<()> {
    set_up()?;
    for board in chosen(architecture)? {
        let package = make(board, &board.build()?)?;
        check(board, &package)?;
        println!("{}", package.display());
    }
    Ok(())
}

fn chosen(architecture: Option<&str>) -> Result<Vec<&'static Board>> {
    let chosen: Vec<&Board> = BOARDS
        .iter()
        .filter(|board| architecture.is_none_or(|name| name == board.debian))
        .collect();
    if chosen.is_empty() {
        let names = BOARDS.map(|board| board.debian).join(", ");
        return fail(format!("no such architecture; there are {names}"));
    }
    Ok(chosen)
}

/// Installs what makes packages.
pub fn set_up() -> Result<()> {
    setup::cargo_install("cargo-deb", CARGO_DEB, "makes Debian packages")?;
    match find_program("dpkg-deb") {
        Some(_) => Ok(()),
        None => setup::install(&["dpkg"]),
    }
}

/// Makes the package of a program that is built.
pub fn make(board: &Board, built: &Built) -> Result<PathBuf> {
    say(
        &format!("cargo deb for {}", board.debian),
        "the program with man pages, completions, a model and a service",
    );
    let folder = built.program.parent().unwrap_or(Path::new(""));
    let manual = folder.join("manual");
    write_manual(&manual)?;
    write_dependencies(&manual.join("dependencies.txt"), built.target)?;
    let out = shell::target_dir().join("debian");
    let mut deb = shell::cargo();
    deb.args([
        "deb",
        "--quiet",
        "--no-build",
        "--no-strip",
        "--package",
        "flashvec-cli",
    ]);
    deb.args(["--profile", "small", "--target", built.target, "--output"])
        .arg(&out);
    let printed = shell::capture(&mut deb, MINUTES)?;
    let made = printed.lines().last().map(PathBuf::from);
    made.filter(|path| path.is_file())
        .ok_or_else(|| Failure::new("`cargo deb` named no package"))
}

/// `cargo SUBCOMMAND` of what is in the package, for this machine and with the hidden command that writes its manual.
pub fn with_manual(subcommand: &str) -> Command {
    let mut cargo = shell::cargo();
    cargo.args([subcommand, "--quiet", "--features", "manual"]);
    cargo.args(FEATURES);
    // Apart from the program that makes models.
    cargo
        .arg("--target-dir")
        .arg(shell::target_dir().join("manual"));
    cargo
}

/// Writes man pages and completions of what is in the package.
fn write_manual(folder: &Path) -> Result<()> {
    shell::run(&mut with_manual("build"))?;
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|error| shell::unwritable(folder, &error))?;
    }
    let program = shell::target_dir().join("manual/debug/flashvec");
    shell::run(Command::new(program).arg("manual").arg(folder))
}

/// Writes which crates are in the program, and their licences.
fn write_dependencies(file: &Path, target: &str) -> Result<()> {
    let mut tree = shell::cargo();
    tree.arg("tree").args(FEATURES).args(["--target", target]);
    tree.args([
        "--edges",
        "normal,no-proc-macro",
        "--prefix",
        "none",
        "--format",
        "{p}: {l}",
    ]);
    let printed = shell::capture(&mut tree, MINUTES)?;
    let lines = printed.lines().map(|line| line.trim_end_matches(" (*)"));
    // Crates of this workspace come with their folder.
    let lines: BTreeSet<&str> = lines.filter(|line| !line.contains(" (")).collect();
    shell::write(
        file,
        lines
            .into_iter()
            .map(|line| format!("{line}\n"))
            .collect::<String>(),
    )
}

/// Fails unless a package is for the board, needs no other and has everything.
pub fn check(board: &Board, package: &Path) -> Result<()> {
    let mut contents = Command::new("dpkg-deb");
    let listed = shell::capture(contents.arg("--contents").arg(package), MINUTES)?;
    for path in CONTENTS {
        if !listed
            .lines()
            .any(|line| line.ends_with(&format!(" .{path}")))
        {
            return fail(format!("{} has no {path}:\n{listed}", package.display()));
        }
    }
    let field = |name: &str| {
        let mut command = Command::new("dpkg-deb");
        command.arg("--field").arg(package).arg(name);
        shell::capture(&mut command, MINUTES)
    };
    let (architecture, depends) = (field("Architecture")?, field("Depends")?);
    if architecture.trim() != board.debian || !depends.trim().is_empty() {
        return fail(format!(
            "{} is for {architecture} and depends on {depends}",
            package.display()
        ));
    }
    Ok(())
}

/// `cargo xtask deb-test`: installs the packages in clean Debian systems and runs what they hold.
pub fn test(architecture: Option<&str>) -> Result<()> {
    set_up()?;
    if find_program("mmdebstrap").is_none() {
        setup::install(&["mmdebstrap"])?;
    }
    boards::set_up_qemu()?;
    let program = inputs::command_line()?;
    for board in chosen(architecture)? {
        let package = make(board, &board.build()?)?;
        test_in_debian(board, &package, &program)?;
    }
    Ok(())
}

/// Installs a package in a new Debian system and compares what the program says there with what `program` says here.
fn test_in_debian(board: &Board, package: &Path, program: &Path) -> Result<()> {
    let root = shell::scratch_dir()?.join(format!("debian-{}", board.debian));
    say(
        &format!("Debian for {}", board.debian),
        "a system without anything of this machine, in which the package must work",
    );
    if root.exists() {
        fs::remove_dir_all(&root).map_err(|error| shell::unwritable(&root, &error))?;
    }
    let mut make = Command::new("mmdebstrap");
    make.arg(format!("--architectures={}", board.debian));
    // None of its programs runs, so nothing of it needs to be configured.
    make.args(["--variant=extract", "--include=?essential", DEBIAN]);
    shell::capture(make.arg(&root).arg(DEBIAN_ARCHIVE), MINUTES)?;
    let cases = Cases::write(&root.join("tmp/cases"))?;
    let Some(qemu) = find_program(board.qemu) else {
        return fail(format!("no {}: install qemu-user-static", board.qemu));
    };
    fs::copy(&qemu, root.join("tmp/qemu")).map_err(|error| shell::unwritable(&root, &error))?;
    // The system's own dpkg would need the kernel's help to run; it shares its database with this one.
    let dpkg = |arguments: &[&str], package: &Path| {
        let mut dpkg = Command::new("dpkg");
        dpkg.arg("--root").arg(&root).args(arguments).arg(package);
        shell::capture(&mut dpkg, MINUTES)
    };
    print!("{}", dpkg(&["--force-architecture", "--install"], package)?);
    cases.compare(program, || {
        let mut command = Command::new("unshare");
        command
            .arg("--root")
            .arg(&root)
            .args(["--wd", "/tmp/cases"]);
        command.args(["/tmp/qemu", "/usr/bin/flashvec"]);
        Ok(command)
    })?;
    print!("{}", dpkg(&["--purge"], Path::new("flashvec"))?);
    if root.join("usr/share/doc/flashvec").exists() {
        return fail("`dpkg --purge flashvec` left files");
    }
    Ok(())
}
