//! What is in a firmware binary: bytes of flash, and whether panicking code is among them.

use std::path::Path;

use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, elf};

use crate::shell::{self, Failure, Result};

/// Bytes of flash: code, constants and the initial values of variables.
pub fn flash(path: &Path) -> Result<u64> {
    let data = shell::read(path)?;
    let file = parse(path, &data)?;
    let sections = file.sections().filter(|section| match section.flags() {
        SectionFlags::Elf { sh_flags, .. } => sh_flags.contains(elf::SHF_ALLOC),
        _ => false,
    });
    // Sections without data in the file are RAM only.
    Ok(sections
        .filter(|section| section.file_range().is_some())
        .map(|section| section.size())
        .sum())
}

/// Functions of `core::panicking` in the binary.
pub fn panics(path: &Path) -> Result<Vec<String>> {
    let data = shell::read(path)?;
    let file = parse(path, &data)?;
    let names = file
        .symbols()
        .filter_map(|symbol| symbol.name().ok().map(str::to_owned));
    let mut names: Vec<String> = names.filter(|name| name.contains("9panicking")).collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// Whether a program needs nothing beside itself: no interpreter and no shared library.
pub fn is_static(path: &Path) -> Result<bool> {
    let data = shell::read(path)?;
    let file = parse(path, &data)?;
    let mut libraries = file
        .import_libraries()
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    Ok(file.section_by_name(".interp").is_none() && libraries.next().is_none())
}

fn parse<'d>(path: &Path, data: &'d [u8]) -> Result<object::File<'d>> {
    object::File::parse(data)
        .map_err(|error| Failure::new(format!("{} is not an ELF file: {error}", path.display())))
}
