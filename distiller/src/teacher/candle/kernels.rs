//! What an encoder's layer does between its matrix products, each in one pass over the rows.
//!
//! The loops are compiled for every vector width that pulp knows and picked at run time, so the
//! elementwise functions are polynomials that a compiler can vectorise.

use candle_core::{CpuStorage, CustomOp1, InplaceOp1, InplaceOp2, Layout, Result, Shape};
use rayon::prelude::*;

use crate::teacher::architecture::Activation;

/// Rows that one task of the thread pool takes.
const TASK_ROWS: usize = 32;

/// Independent partial sums, as wide as the widest vector.
const LANES: usize = 16;

/// Adds a bias to every row, then applies the activation.
pub(super) struct BiasActivation {
    pub bias: Vec<f32>,
    pub activation: Activation,
}

impl InplaceOp1 for BiasActivation {
    fn name(&self) -> &'static str {
        "bias-activation"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let rows = contiguous_mut(storage, layout)?;
        let arch = pulp::Arch::new();
        rows.par_chunks_mut(self.bias.len() * TASK_ROWS)
            .for_each(|rows| {
                for row in rows.chunks_exact_mut(self.bias.len()) {
                    match self.activation {
                        Activation::Gelu => arch.dispatch(|| map_biased(row, &self.bias, gelu)),
                        Activation::GeluTanh => {
                            arch.dispatch(|| map_biased(row, &self.bias, gelu_tanh))
                        }
                        Activation::Relu => {
                            arch.dispatch(|| map_biased(row, &self.bias, |x| x.max(0.0)))
                        }
                    }
                }
            });
        Ok(())
    }
}

#[inline(always)]
fn map_biased(row: &mut [f32], bias: &[f32], function: impl Fn(f32) -> f32) {
    for (value, bias) in row.iter_mut().zip(bias) {
        *value = function(*value + bias);
    }
}

/// The same of a gated part: the first half of every row activated, times the second half.
pub(super) struct GatedActivation<'a>(pub &'a BiasActivation);

impl CustomOp1 for GatedActivation<'_> {
    fn name(&self) -> &'static str {
        "gated-activation"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let rows = contiguous(storage, layout)?;
        let BiasActivation { bias, activation } = self.0;
        let width = bias.len() / 2;
        let mut products = vec![0.0; rows.len() / 2];
        let arch = pulp::Arch::new();
        products
            .par_chunks_mut(width * TASK_ROWS)
            .zip(rows.par_chunks(2 * width * TASK_ROWS))
            .for_each(|(products, rows)| {
                for (product, row) in products
                    .chunks_exact_mut(width)
                    .zip(rows.chunks_exact(2 * width))
                {
                    match activation {
                        Activation::Gelu => arch.dispatch(|| gate(product, row, bias, gelu)),
                        Activation::GeluTanh => {
                            arch.dispatch(|| gate(product, row, bias, gelu_tanh))
                        }
                        Activation::Relu => {
                            arch.dispatch(|| gate(product, row, bias, |x| x.max(0.0)))
                        }
                    }
                }
            });
        let shape = Shape::from((products.len() / width, width));
        Ok((CpuStorage::F32(products), shape))
    }
}

#[inline(always)]
fn gate(product: &mut [f32], row: &[f32], bias: &[f32], function: impl Fn(f32) -> f32) {
    let (inputs, gates) = row.split_at(product.len());
    let (input_bias, gate_bias) = bias.split_at(product.len());
    let sides = inputs
        .iter()
        .zip(input_bias)
        .zip(gates.iter().zip(gate_bias));
    for (product, ((input, input_bias), (gate, gate_bias))) in product.iter_mut().zip(sides) {
        *product = function(input + input_bias) * (gate + gate_bias);
    }
}

#[inline(always)]
fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    let inner = 0.797_884_6 * (x + 0.044_715 * x * x * x);
    // x/2 · (1 + tanh u) = x / (1 + e^(-2u)), on the side where the exponential cannot overflow.
    let small = exp_of_negative(-2.0 * inner.abs());
    let sigmoid = 1.0 / (1.0 + small);
    x * if inner < 0.0 {
        small * sigmoid
    } else {
        sigmoid
    }
}

/// The error function as a quotient of polynomials in `x²`, fitted so that the largest error is
/// least (2e-8 exact, 5e-7 with f32 rounding). Beyond the clamp `erf` is 1 in f32.
#[inline(always)]
fn erf(x: f32) -> f32 {
    let x = x.clamp(-3.925, 3.925);
    let t = x * x;
    let p = 2.030_790_3e-6;
    let p = p * t + 0.000_287_472_97;
    let p = p * t + 0.003_875_953_4;
    let p = p * t + 0.053_083_2;
    let p = p * t + 0.192_965_34;
    let p = p * t + std::f32::consts::FRAC_2_SQRT_PI;
    let q = 3.802_960_8e-5;
    let q = q * t + 0.001_189_638_4;
    let q = q * t + 0.015_187_63;
    let q = q * t + 0.115_164_295;
    let q = q * t + 0.504_342_73;
    let q = q * t + 1.0;
    x * p / q
}

/// `e^x` for `x <= 0`, to a few units in the last place; 1e-38 or less below -87.
#[inline(always)]
fn exp_of_negative(x: f32) -> f32 {
    // Adding 1.5 · 2^23 rounds to a whole number and leaves it in the low mantissa bits.
    const ROUND: f32 = 12_582_912.0;
    let scaled = x.max(-87.0) * std::f32::consts::LOG2_E;
    let shifted = scaled + ROUND;
    let whole = shifted - ROUND;
    let r = (scaled - whole) * std::f32::consts::LN_2;
    let series = 1.0 / 5040.0;
    let series = series * r + 1.0 / 720.0;
    let series = series * r + 1.0 / 120.0;
    let series = series * r + 1.0 / 24.0;
    let series = series * r + 1.0 / 6.0;
    let series = series * r + 0.5;
    let series = series * r + 1.0;
    let series = series * r + 1.0;
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    series * power
}

/// Brings every row to mean 0 and variance 1, then scales and shifts it.
pub(super) struct LayerNorm {
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
    pub epsilon: f32,
}

impl LayerNorm {
    /// Normalises `rows`, row-major.
    pub fn apply(&self, rows: &mut [f32]) {
        let arch = pulp::Arch::new();
        rows.par_chunks_mut(self.weight.len() * TASK_ROWS)
            .for_each(|rows| {
                rows.chunks_exact_mut(self.weight.len())
                    .for_each(|row| arch.dispatch(|| self.normalize(row)));
            });
    }

    #[inline(always)]
    fn normalize(&self, row: &mut [f32]) {
        let scale = 1.0 / row.len() as f32;
        let mean = sum_of(row, |x| x) * scale;
        let variance = sum_of(row, |x| (x - mean) * (x - mean)) * scale;
        let inverse = 1.0 / (variance + self.epsilon).sqrt();
        for ((value, weight), bias) in row.iter_mut().zip(&self.weight).zip(&self.bias) {
            *value = (*value - mean) * inverse * weight + bias;
        }
    }
}

impl CustomOp1 for LayerNorm {
    fn name(&self) -> &'static str {
        "norm"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut rows = contiguous(storage, layout)?.to_vec();
        self.apply(&mut rows);
        Ok((CpuStorage::F32(rows), layout.shape().clone()))
    }
}

/// Adds the bias and the block's input to a block's output, then normalises if norms come after.
pub(super) struct Residual {
    pub bias: Vec<f32>,
    pub norm: Option<LayerNorm>,
}

impl InplaceOp2 for Residual {
    fn name(&self) -> &'static str {
        "residual-norm"
    }

    fn cpu_fwd(
        &self,
        output: &mut CpuStorage,
        ol: &Layout,
        input: &CpuStorage,
        il: &Layout,
    ) -> Result<()> {
        let output = contiguous_mut(output, ol)?;
        let input = contiguous(input, il)?;
        let arch = pulp::Arch::new();
        let width = self.bias.len();
        let tasks = output
            .par_chunks_mut(width * TASK_ROWS)
            .zip(input.par_chunks(width * TASK_ROWS));
        tasks.for_each(|(outputs, inputs)| {
            for (output, input) in outputs
                .chunks_exact_mut(width)
                .zip(inputs.chunks_exact(width))
            {
                arch.dispatch(|| {
                    for ((value, input), bias) in output.iter_mut().zip(input).zip(&self.bias) {
                        *value += input + bias;
                    }
                    if let Some(norm) = &self.norm {
                        norm.normalize(output);
                    }
                });
            }
        });
        Ok(())
    }
}

/// Rotary positions: `positions × width/2` values each.
pub(super) struct Rotary {
    pub cos: Vec<f32>,
    pub sin: Vec<f32>,
}

impl Rotary {
    /// Turns one head at a position: its first half and its second are the axes.
    #[inline(always)]
    fn turn(&self, head: &mut [f32], position: usize) {
        let half = head.len() / 2;
        let (cos, sin) = (
            &self.cos[position * half..][..half],
            &self.sin[position * half..][..half],
        );
        let (first, second) = head.split_at_mut(half);
        for (((x, y), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
            (*x, *y) = (*x * cos - *y * sin, *y * cos + *x * sin);
        }
    }
}

/// What MPNet adds to scores by how far apart tokens are: `heads × (2 · positions - 1)` values, the
/// farthest to the left first.
pub(super) struct DistanceBias {
    pub values: Vec<f32>,
    pub positions: usize,
}

impl DistanceBias {
    /// For the tokens from the first on, as the token at `row` sees them.
    #[inline(always)]
    fn seen_from(&self, head: usize, row: usize) -> &[f32] {
        &self.values[head * (2 * self.positions - 1) + self.positions - 1 - row..]
    }
}

/// Scaled dot-product attention inside each packed sequence: rows of query, key and value side by
/// side become rows of context.
pub(super) struct Attention<'a> {
    pub heads: usize,
    /// Query, key and value biases, `3 hidden` values.
    pub bias: &'a [f32],
    /// Tokens of each sequence.
    pub lengths: &'a [usize],
    pub rotary: Option<&'a Rotary>,
    pub distance_bias: Option<&'a DistanceBias>,
    /// A token sees those at most so many positions away.
    pub reach: usize,
}

impl CustomOp1 for Attention<'_> {
    fn name(&self) -> &'static str {
        "packed-attention"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let rows = contiguous(storage, layout)?;
        let hidden = self.bias.len() / 3;
        let mut context = vec![0.0; rows.len() / 3];
        let mut tasks = Vec::with_capacity(self.lengths.len());
        let (mut rows, mut free) = (rows, context.as_mut_slice());
        for &length in self.lengths {
            let (own, others) = rows.split_at(length * 3 * hidden);
            let (out, rest) = free.split_at_mut(length * hidden);
            tasks.push((own, out));
            (rows, free) = (others, rest);
        }
        let arch = pulp::Arch::new();
        tasks
            .par_iter_mut()
            .with_min_len(TASK_ROWS / 4)
            .for_each_init(Vec::new, |scratch, (rows, out)| {
                arch.dispatch(|| self.attend(rows, out, scratch));
            });
        let shape = Shape::from((context.len() / hidden, hidden));
        Ok((CpuStorage::F32(context), shape))
    }
}

impl Attention<'_> {
    /// One sequence. `scratch` is any vector; keeping it saves allocations.
    #[inline(always)]
    fn attend(&self, rows: &[f32], context: &mut [f32], scratch: &mut Vec<f32>) {
        let hidden = self.bias.len() / 3;
        let length = context.len() / hidden;
        let width = hidden / self.heads;
        scratch.clear();
        scratch.resize(rows.len() + length, 0.0);
        let (biased, scores) = scratch.split_at_mut(rows.len());
        for (biased, row) in biased
            .chunks_exact_mut(3 * hidden)
            .zip(rows.chunks_exact(3 * hidden))
        {
            for ((biased, value), bias) in biased.iter_mut().zip(row).zip(self.bias) {
                *biased = value + bias;
            }
        }
        if let Some(rotary) = self.rotary {
            for (position, row) in biased.chunks_exact_mut(3 * hidden).enumerate() {
                row[..2 * hidden]
                    .chunks_exact_mut(width)
                    .for_each(|head| rotary.turn(head, position));
            }
        }
        let head = |row: usize, part: usize, head: usize| {
            let start = (row * 3 + part) * hidden + head * width;
            &biased[start..start + width]
        };
        let scale = 1.0 / (width as f32).sqrt();
        for (row, context) in context.chunks_exact_mut(hidden).enumerate() {
            let first = row.saturating_sub(self.reach);
            let last = row.saturating_add(self.reach).min(length - 1);
            for (index, context) in context.chunks_exact_mut(width).enumerate() {
                let query = head(row, 0, index);
                let scores = &mut scores[first..=last];
                for (other, score) in scores.iter_mut().enumerate() {
                    *score = dot(query, head(first + other, 1, index)) * scale;
                }
                if let Some(bias) = self.distance_bias {
                    let bias = &bias.seen_from(index, row)[first..];
                    scores
                        .iter_mut()
                        .zip(bias)
                        .for_each(|(score, bias)| *score += bias);
                }
                let inverse = 1.0 / exponentiate(scores);
                for (other, score) in scores.iter().enumerate() {
                    let share = score * inverse;
                    for (sum, value) in context.iter_mut().zip(head(first + other, 2, index)) {
                        *sum += share * value;
                    }
                }
            }
        }
    }
}

/// Replaces scores by their exponentials, the largest being 1, and gives their sum.
#[inline(always)]
fn exponentiate(scores: &mut [f32]) -> f32 {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    scores
        .iter_mut()
        .for_each(|score| *score = exp_of_negative(*score - largest));
    sum_of(scores, |x| x)
}

#[inline(always)]
fn sum_of(values: &[f32], function: impl Fn(f32) -> f32) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for chunk in chunks {
        sums.iter_mut()
            .zip(chunk)
            .for_each(|(sum, x)| *sum += function(*x));
    }
    sums.iter().sum::<f32>() + rest.iter().map(|x| function(*x)).sum::<f32>()
}

#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0f32; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&values[start..end]),
        _ => candle_core::bail!("expected contiguous f32 rows"),
    }
}

fn contiguous_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&mut values[start..end]),
        _ => candle_core::bail!("expected contiguous f32 rows"),
    }
}
