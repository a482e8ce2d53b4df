/// Turns integer sums into their multiples by `factor`, in place, as `f32` bits.
pub(super) fn scale_integers(sums: &mut [u32], factor: f32) {
    for sum in sums {
        *sum = (*sum as i32 as f32 * factor).to_bits();
    }
}
