//! `device_texts OUT [FILE]`: writes the texts of the device runs, or the lines of FILE, as the firmware reads them.

use std::{env, fs};

use flashvec_host::texts;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (out, texts) = match arguments.as_slice() {
        [out] => (out, texts::texts()),
        [out, lines] => {
            let bytes = fs::read(lines)?;
            let lines = bytes
                .strip_suffix(b"\n")
                .unwrap_or(&bytes)
                .split(|&byte| byte == b'\n');
            (out, lines.map(<[u8]>::to_vec).collect())
        }
        _ => return Err("usage: device_texts OUT [FILE]".into()),
    };
    fs::write(out, texts::to_file(&texts))?;
    Ok(())
}
