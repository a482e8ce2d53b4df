//! Integer rows added with the widest vectors of the machine, found when the program runs.
//!
//! Sums wrap as two's complement, so these are the bits that [`integers`](super::integers) gives.

#[cfg(target_arch = "x86_64")]
use core::arch::x86_64::{__m128i, __m256i, __m512i};

use pulp::Arch;
#[cfg(target_arch = "x86_64")]
use pulp::{
    cast,
    x86::{V3, V4},
};

use crate::image::ProductQuantizer;

/// Dimensions that all ways of adding take at once.
pub(super) const UNIT: usize = 32;

/// A row of 8-bit integers, and its scale.
pub(super) type Row<'a> = (&'a [u8], i32);

/// Largest scale that vectors multiply by.
pub(super) const LARGEST_SCALE: u32 = i16::MAX as u32;

/// Adds rows of 8-bit integers, as far as whole units go. Scales are at most [`LARGEST_SCALE`].
pub(super) fn add_int8(arch: Arch, sums: &mut [[u32; UNIT]], values: &[&[u8]], scales: &[i32]) {
    let rows = values.iter().copied().zip(scales.iter().copied());
    match arch {
        #[cfg(target_arch = "x86_64")]
        Arch::V4(simd) => vectorize(
            arch,
            #[inline(always)]
            || simd.add_rows(Units::new(sums), rows),
        ),
        #[cfg(target_arch = "x86_64")]
        Arch::V3(simd) => vectorize(
            arch,
            #[inline(always)]
            || simd.add_rows(Units::new(sums), rows),
        ),
        _ => vectorize(
            arch,
            #[inline(always)]
            || Plain.add_rows(Units::new(sums), rows),
        ),
    }
}

/// [`add_int8`] where the caller has the vectors.
#[inline(always)]
pub(super) fn add_rows<'a>(
    adder: impl Adder,
    sums: &mut [[u32; UNIT]],
    rows: impl Iterator<Item = Row<'a>> + Clone,
) {
    adder.add_rows(Units::new(sums), rows);
}

/// Runs a closure, which must be inlined, with the instructions of an architecture.
#[inline(always)]
pub(crate) fn vectorize(arch: Arch, f: impl FnOnce()) {
    match arch {
        #[cfg(target_arch = "x86_64")]
        Arch::V4(simd) => simd.vectorize(f),
        #[cfg(target_arch = "x86_64")]
        Arch::V3(simd) => simd.vectorize(f),
        _ => arch.dispatch(f),
    }
}

/// Adds rows of packed fields, `PER_BYTE` a byte of `LEN` a unit, each times its scale, and takes
/// off `less`.
pub(super) fn add_packed<const PER_BYTE: usize, const LEN: usize>(
    arch: Arch,
    sums: &mut [[u32; UNIT]],
    values: &[&[u8]],
    scales: &[i32],
    less: u32,
) {
    vectorize(
        arch,
        #[inline(always)]
        || {
            for (at, unit) in sums.iter_mut().enumerate() {
                // All first fields of bytes, all second ones, and so on.
                let mut fields = [[0_u32; LEN]; PER_BYTE];
                for (values, &scale) in values.iter().zip(scales) {
                    let Some(bytes) = values.as_chunks::<LEN>().0.get(at) else {
                        continue;
                    };
                    for (place, sums) in fields.iter_mut().enumerate() {
                        let shift = place * (8 / PER_BYTE);
                        for (sum, &byte) in sums.iter_mut().zip(bytes) {
                            let field = u32::from(byte) >> shift & ((1 << (8 / PER_BYTE)) - 1);
                            *sum = sum.wrapping_add(field.wrapping_mul(scale as u32));
                        }
                    }
                }
                for (place, fields) in fields.iter().enumerate() {
                    for (sums, field) in unit.as_chunks_mut::<PER_BYTE>().0.iter_mut().zip(fields) {
                        if let Some(sum) = sums.get_mut(place) {
                            *sum = sum.wrapping_add(*field).wrapping_sub(less);
                        }
                    }
                }
            }
        },
    );
}

/// Dimensions of sub-vectors that are added at once; a sub-vector has a multiple of this.
pub(super) const SUB_UNIT: usize = 8;

/// Adds the codebook entries that rows of codes name.
pub(super) fn add_sub_vectors(
    arch: Arch,
    sums: &mut [u32],
    values: &[&[u8]],
    scales: &[i32],
    pq: ProductQuantizer,
    codebooks: &[u8],
) {
    let entries = codebooks.as_chunks::<SUB_UNIT>().0;
    let entry_len = usize::from(pq.sub_dims) / SUB_UNIT;
    let step = if pq.shared {
        0
    } else {
        pq.codebook_len() / SUB_UNIT
    };
    vectorize(
        arch,
        #[inline(always)]
        || {
            let units = sums.as_chunks_mut::<SUB_UNIT>().0;
            for (at, units) in units.chunks_mut(entry_len.max(1)).enumerate() {
                for (place, unit) in units.iter_mut().enumerate() {
                    let mut sums = [0_i32; SUB_UNIT];
                    for (codes, &scale) in values.iter().zip(scales) {
                        let entry = at * step + pq.code(codes, at) * entry_len + place;
                        let Some(entry) = entries.get(entry) else {
                            continue;
                        };
                        for (sum, &value) in sums.iter_mut().zip(entry) {
                            *sum = sum.wrapping_add(scale.wrapping_mul(i32::from(value as i8)));
                        }
                    }
                    for (to, sum) in unit.iter_mut().zip(sums) {
                        *to = to.wrapping_add_signed(sum);
                    }
                }
            }
        },
    );
}

/// A way to add rows of 8-bit integers.
pub(crate) trait Adder: Copy {
    /// The sums of a unit, in whatever order.
    type Sums: Copy;

    fn zero(self) -> Self::Sums;
    /// Adds the values of two rows, each times its half of `scales`.
    fn add(self, sums: Self::Sums, a: &[u8; UNIT], b: &[u8; UNIT], scales: i32) -> Self::Sums;
    /// Adds the sums, in order, to others.
    fn finish(self, sums: Self::Sums, to: &mut [u32; UNIT]);
    /// Adds all rows, as many units at a time as the registers hold.
    fn add_rows<'a>(self, units: Units<'_>, rows: impl Iterator<Item = Row<'a>> + Clone);
}

/// Sums to which rows are not added yet.
pub(crate) struct Units<'s> {
    sums: &'s mut [[u32; UNIT]],
    /// The dimension where they begin.
    from: usize,
}

impl<'s> Units<'s> {
    fn new(sums: &'s mut [[u32; UNIT]]) -> Self {
        Self { sums, from: 0 }
    }

    /// Adds rows to blocks of `LEN` units; what is left.
    #[inline(always)]
    fn add<'a, A: Adder, const LEN: usize>(
        mut self,
        adder: A,
        rows: impl Iterator<Item = Row<'a>> + Clone,
    ) -> Self {
        let (blocks, rest) = self.sums.as_chunks_mut::<LEN>();
        for block in blocks {
            let mut sums = [adder.zero(); LEN];
            let mut rows = rows.clone();
            while let Some((a, of_a)) = rows.next() {
                // After an odd row its own, zero times.
                let (b, of_b) = rows.next().unwrap_or((a, 0));
                let scales = of_a | of_b << 16;
                if let (Some(a), Some(b)) = (a.get(self.from..), b.get(self.from..))
                    && let Some(a) = a.as_chunks::<UNIT>().0.first_chunk::<LEN>()
                    && let Some(b) = b.as_chunks::<UNIT>().0.first_chunk::<LEN>()
                {
                    for ((sums, a), b) in sums.iter_mut().zip(a).zip(b) {
                        *sums = adder.add(*sums, a, b, scales);
                    }
                }
            }
            for (sums, to) in sums.into_iter().zip(block) {
                adder.finish(sums, to);
            }
            self.from += LEN * UNIT;
        }
        Self {
            sums: rest,
            from: self.from,
        }
    }
}

/// What the compiler makes of plain code.
#[derive(Clone, Copy)]
pub(crate) struct Plain;

impl Adder for Plain {
    type Sums = [i32; UNIT];

    #[inline(always)]
    fn zero(self) -> Self::Sums {
        [0; UNIT]
    }

    #[inline(always)]
    fn add(self, mut sums: Self::Sums, a: &[u8; UNIT], b: &[u8; UNIT], scales: i32) -> Self::Sums {
        let (of_a, of_b) = (scales as i16, (scales >> 16) as i16);
        for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
            let a = i32::from(a as i8) * i32::from(of_a);
            let b = i32::from(b as i8) * i32::from(of_b);
            *sum = sum.wrapping_add(a + b);
        }
        sums
    }

    #[inline(always)]
    fn add_rows<'a>(self, units: Units<'_>, rows: impl Iterator<Item = Row<'a>> + Clone) {
        units.add::<_, 1>(self, rows);
    }

    #[inline(always)]
    fn finish(self, sums: Self::Sums, to: &mut [u32; UNIT]) {
        for (to, sum) in to.iter_mut().zip(sums) {
            *to = to.wrapping_add(sum as u32);
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl Adder for V3 {
    /// Dimensions 0 to 3 and 8 to 11, 4 to 7 and 12 to 15, and so on.
    type Sums = [__m256i; 4];

    #[inline(always)]
    fn zero(self) -> Self::Sums {
        [self.avx._mm256_setzero_si256(); 4]
    }

    #[inline(always)]
    fn add(self, sums: Self::Sums, a: &[u8; UNIT], b: &[u8; UNIT], scales: i32) -> Self::Sums {
        let scales = self.avx._mm256_set1_epi32(scales);
        let [a, b]: [[__m128i; 2]; 2] = [cast(*a), cast(*b)];
        let add = |sums, pairs| {
            let products = self.avx2._mm256_madd_epi16(pairs, scales);
            self.avx2._mm256_add_epi32(sums, products)
        };
        let half = |[low, high]: [__m256i; 2], a, b| {
            let a = self.avx2._mm256_cvtepi8_epi16(a);
            let b = self.avx2._mm256_cvtepi8_epi16(b);
            [
                add(low, self.avx2._mm256_unpacklo_epi16(a, b)),
                add(high, self.avx2._mm256_unpackhi_epi16(a, b)),
            ]
        };
        let [s, t, u, v] = sums;
        let ([s, t], [u, v]) = (half([s, t], a[0], b[0]), half([u, v], a[1], b[1]));
        [s, t, u, v]
    }

    #[inline(always)]
    fn add_rows<'a>(self, units: Units<'_>, rows: impl Iterator<Item = Row<'a>> + Clone) {
        units
            .add::<_, 2>(self, rows.clone())
            .add::<_, 1>(self, rows);
    }

    #[inline(always)]
    fn finish(self, sums: Self::Sums, to: &mut [u32; UNIT]) {
        let before: [__m256i; 4] = cast(*to);
        let order = |low, high| {
            [
                self.avx2._mm256_permute2x128_si256::<0x20>(low, high),
                self.avx2._mm256_permute2x128_si256::<0x31>(low, high),
            ]
        };
        let ([a, b], [c, d]) = (order(sums[0], sums[1]), order(sums[2], sums[3]));
        let add = |a, b| self.avx2._mm256_add_epi32(a, b);
        *to = cast([
            add(before[0], a),
            add(before[1], b),
            add(before[2], c),
            add(before[3], d),
        ]);
    }
}

#[cfg(target_arch = "x86_64")]
impl Adder for V4 {
    /// Of every 8 dimensions the first four, and the others.
    type Sums = [__m512i; 2];

    #[inline(always)]
    fn zero(self) -> Self::Sums {
        [self.avx512f._mm512_setzero_si512(); 2]
    }

    #[inline(always)]
    fn add(self, sums: Self::Sums, a: &[u8; UNIT], b: &[u8; UNIT], scales: i32) -> Self::Sums {
        let scales = self.avx512f._mm512_set1_epi32(scales);
        let [a, b]: [__m256i; 2] = [cast(*a), cast(*b)];
        let a = self.avx512bw._mm512_cvtepi8_epi16(a);
        let b = self.avx512bw._mm512_cvtepi8_epi16(b);
        let add = |sums, pairs| {
            let products = self.avx512bw._mm512_madd_epi16(pairs, scales);
            self.avx512f._mm512_add_epi32(sums, products)
        };
        [
            add(sums[0], self.avx512bw._mm512_unpacklo_epi16(a, b)),
            add(sums[1], self.avx512bw._mm512_unpackhi_epi16(a, b)),
        ]
    }

    #[inline(always)]
    fn add_rows<'a>(self, units: Units<'_>, rows: impl Iterator<Item = Row<'a>> + Clone) {
        units
            .add::<_, 8>(self, rows.clone())
            .add::<_, 4>(self, rows.clone())
            .add::<_, 1>(self, rows);
    }

    #[inline(always)]
    fn finish(self, sums: Self::Sums, to: &mut [u32; UNIT]) {
        const FIRST: [i32; 16] = [0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23];
        let first: __m512i = cast(FIRST);
        let second: __m512i = cast(FIRST.map(|lane| lane + 8));
        let before: [__m512i; 2] = cast(*to);
        let add = |before, order| {
            let sums = self
                .avx512f
                ._mm512_permutex2var_epi32(sums[0], order, sums[1]);
            self.avx512f._mm512_add_epi32(before, sums)
        };
        *to = cast([add(before[0], first), add(before[1], second)]);
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::rows::WAITING;

    /// What this machine can run, not only what it would pick.
    fn archs() -> Vec<Arch> {
        let mut archs = Vec::from([Arch::Scalar, Arch::new()]);
        #[cfg(target_arch = "x86_64")]
        archs.extend(V3::try_new().map(Arch::V3));
        archs
    }

    #[test]
    fn every_architecture_adds_the_same() {
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state >> 20
        };
        for units in 1..10 {
            for count in [1, 2, 3, 7, WAITING] {
                let mut row = || -> Vec<u8> { (0..units * UNIT).map(|_| random() as u8).collect() };
                let rows: Vec<Vec<u8>> = (0..count).map(|_| row()).collect();
                let values: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
                let scales: Vec<i32> = (0..count)
                    .map(|_| (random() >> (random() % 16)) as i32 & LARGEST_SCALE as i32)
                    .collect();
                let before: Vec<u32> = (0..units * UNIT).map(|_| random() as u32).collect();
                let mut expected = before.clone();
                for (row, &scale) in rows.iter().zip(&scales) {
                    for (sum, &value) in expected.iter_mut().zip(row) {
                        let product = i32::from(value as i8) * scale;
                        *sum = sum.wrapping_add_signed(product);
                    }
                }
                for arch in archs() {
                    let mut sums = before.clone();
                    add_int8(arch, sums.as_chunks_mut().0, &values, &scales);
                    assert!(sums == expected, "{arch:?}, {units} units, {count} rows");
                }
            }
        }
    }
}
