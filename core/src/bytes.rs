//! Little-endian reads at alignment 1; past the end they give zero, never a panic.

/// Two bytes at `at`.
#[inline]
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    match bytes.get(at..).and_then(|b| b.first_chunk::<2>()) {
        Some(chunk) => u16::from_le_bytes(*chunk),
        None => 0,
    }
}

/// Three bytes at `at`.
#[inline]
pub(crate) fn u24_at(bytes: &[u8], at: usize) -> u32 {
    match bytes.get(at..).and_then(|b| b.first_chunk::<3>()) {
        Some(chunk) => u24(*chunk),
        None => 0,
    }
}

/// Four bytes at `at`.
#[inline]
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    match bytes.get(at..).and_then(|b| b.first_chunk::<4>()) {
        Some(chunk) => u32::from_le_bytes(*chunk),
        None => 0,
    }
}

/// A number of three bytes.
#[inline]
pub(crate) fn u24([a, b, c]: [u8; 3]) -> u32 {
    u32::from_le_bytes([a, b, c, 0])
}
