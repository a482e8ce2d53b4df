//! Memory of a host in large pages, so that reading here and there does not wait for page tables.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Deref;
use std::path::Path;

use memmap2::MmapMut;

/// Size of a large page on most systems.
const LARGE_PAGE: usize = 2 << 20;

/// Zeroed memory of at least `len` bytes, in large pages where the system has them and as far as they are filled.
pub(crate) fn zeroed(len: usize) -> io::Result<MmapMut> {
    // No mapping is empty. Whole large pages are placed where large pages can be.
    let whole = if len < LARGE_PAGE { 1 } else { LARGE_PAGE };
    let all = len.max(1).checked_next_multiple_of(whole);
    let map = MmapMut::map_anon(all.ok_or(io::ErrorKind::OutOfMemory)?)?;
    // Ordinary pages do as well, only slower.
    #[cfg(target_os = "linux")]
    let _ = map.advise_range(memmap2::Advice::HugePage, 0, len - len % LARGE_PAGE);
    Ok(map)
}

/// An image read from a file, to encode many texts with.
///
/// It lies in large pages where the system has them: rows are read from all over an image, and a tenth of
/// the time would go into page tables. The file may change afterwards, or go.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let image = flashvec::ImageFile::read("minilm.fvec")?;
/// let model = flashvec::Model::from_bytes(&image)?;
/// # let _ = model;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ImageFile {
    map: MmapMut,
    len: usize,
}

impl ImageFile {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// Those of opening and reading. Never panics.
    pub fn read(path: impl AsRef<Path>) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let len = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        let mut map = zeroed(len)?;
        file.read_exact(map.get_mut(..len).unwrap_or(&mut []))?;
        Ok(Self { map, len })
    }
}

impl Deref for ImageFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.map.get(..self.len).unwrap_or(&[])
    }
}
