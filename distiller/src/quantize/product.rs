//! Product quantisation (Jégou, Douze, Schmid, "Product Quantization for Nearest Neighbor Search",
//! 2011): a row's direction is cut into sub-vectors, each named by its nearest codebook entry.

use flashvec::ProductQuantizer;
use linfa::DatasetBase;
use linfa::traits::Fit;
use linfa_clustering::{KMeans, KMeansInit};
use ndarray::Array2;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand::distributions::{Distribution, WeightedIndex};
use ndarray_rand::rand::seq::index;
use rand_xoshiro::Xoshiro256Plus;
use rayon::prelude::*;

use super::{Quantization, Quantized, RowScale, Scales, Table};
use crate::Progress;
use crate::error::{Error, Result};

/// Most sub-vectors that a codebook is trained on.
const MAX_SAMPLES: usize = 1 << 15;
/// Most rounds of k-means; what later ones gain does not show in scores.
const ROUNDS: u64 = 15;
const SEED: u64 = 0x7665_6373;
/// Largest magnitude of a codebook's values.
const VALUE_MAX: f32 = 127.0;

/// Codebooks of floats, one after the other.
pub(super) struct Codebooks(Vec<f32>);

/// Quantises rows: trains codebooks on the rows' directions, rounds them to 8 bits, finds every
/// row's codes and the scale at which they come nearest. With [`RowScale::Shared`], on the rows as
/// they are, at a scale for all.
pub(super) fn quantize(
    table: Table<'_>,
    pq: ProductQuantizer,
    quantization: &Quantization,
    max_tokens: u32,
    progress: &dyn Progress,
) -> Result<Quantized> {
    let directions = match quantization.row_scale {
        RowScale::Own => directions(table),
        RowScale::Shared => table.values.to_vec(),
    };
    let directions = Table {
        values: &directions,
        dims: table.dims,
    };
    let weights = quantization.row_weights.as_deref();
    let mut codebooks = train(directions, pq, weights, progress)?;
    let largest = codebooks.0.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    let step = if largest > 0.0 {
        largest / VALUE_MAX
    } else {
        1.0
    };
    for value in &mut codebooks.0 {
        *value = (*value / step).round();
    }
    let bytes = codebooks.0.iter().map(|&value| value as i8 as u8).collect();

    let scaled: Vec<f32> = directions.values.iter().map(|v| v / step).collect();
    let coded: Vec<(Vec<u8>, f32)> = table
        .values
        .par_chunks_exact(table.dims)
        .zip(scaled.par_chunks_exact(table.dims))
        .map(|(row, direction)| {
            let codes = codes(direction, pq, &codebooks);
            let entries = entries(&codes, pq, &codebooks);
            let (mut product, mut square) = (0.0, 0.0);
            for (value, entry) in row.iter().zip(entries) {
                product += value * entry;
                square += entry * entry;
            }
            let scale = match quantization.row_scale {
                // Least squares; a row that its codes point away from is better left out.
                RowScale::Own if square > 0.0 => (product / square).max(0.0),
                RowScale::Own => 0.0,
                RowScale::Shared => step,
            };
            (codes, scale)
        })
        .collect();
    let scales = Scales::new(128, max_tokens);
    let unit = scales.unit(coded.iter().map(|(_, scale)| *scale).fold(0.0, f32::max));
    let mut rows = Vec::new();
    for (codes, scale) in coded {
        rows.push(scales.nearest(scale / unit));
        if pq.code_bits == 4 {
            rows.extend(
                codes
                    .chunks(2)
                    .map(|pair| pair[0] | pair.get(1).copied().unwrap_or(0) << 4),
            );
        } else {
            rows.extend(codes);
        }
    }
    Ok(Quantized {
        rows,
        codebooks: bytes,
        unit,
    })
}

/// The rows at unit length; rows of zeros as they are.
pub(super) fn directions(table: Table<'_>) -> Vec<f32> {
    let mut values = table.values.to_vec();
    values.par_chunks_exact_mut(table.dims).for_each(|row| {
        let length = row.iter().map(|v| v * v).sum::<f32>().sqrt();
        if length > 0.0 {
            row.iter_mut().for_each(|v| *v /= length);
        }
    });
    values
}

/// Trains codebooks by k-means on sub-vectors of rows drawn at random, by weight if there are weights.
pub(super) fn train(
    table: Table<'_>,
    pq: ProductQuantizer,
    weights: Option<&[f64]>,
    progress: &dyn Progress,
) -> Result<Codebooks> {
    let (sub_dims, sub_vectors) = (usize::from(pq.sub_dims), pq.sub_vectors(table.dims));
    let count = pq.codebooks(table.dims);
    let weighted = match weights {
        Some(weights) => Some(
            WeightedIndex::new(weights).map_err(|error| Error::Clustering {
                what: error.to_string(),
            })?,
        ),
        None => None,
    };
    progress.begin("Codebooks", count as u64);
    let books: Result<Vec<Vec<f32>>> = (0..count)
        .into_par_iter()
        .map(|book| {
            let mut generator = Xoshiro256Plus::seed_from_u64(SEED + book as u64);
            // A shared codebook is trained on the sub-vectors of all places.
            let places = if pq.shared { sub_vectors } else { 1 };
            let available = table.values.len() / table.dims * places;
            let wanted = available.min(MAX_SAMPLES);
            let samples: Vec<usize> = match &weighted {
                Some(weighted) => (0..wanted)
                    .map(|at| weighted.sample(&mut generator) * places + at % places)
                    .collect(),
                None => index::sample(&mut generator, available, wanted).into_vec(),
            };
            let mut points = Vec::with_capacity(samples.len() * sub_dims);
            for sample in samples {
                let (row, place) = (sample / places, book + sample % places);
                let at = row * table.dims + place * sub_dims;
                points.extend_from_slice(&table.values[at..at + sub_dims]);
            }
            let entries = 1 << pq.code_bits;
            let book = cluster(points, sub_dims, entries, generator)?;
            progress.advance(1);
            Ok(book)
        })
        .collect();
    progress.finish();
    Ok(Codebooks(books?.concat()))
}

/// The centroids of `points`; if there are no more points than `clusters`, the points themselves and
/// zeros.
fn cluster(
    mut points: Vec<f32>,
    dims: usize,
    clusters: usize,
    generator: Xoshiro256Plus,
) -> Result<Vec<f32>> {
    let count = points.len() / dims;
    if count <= clusters {
        points.resize(clusters * dims, 0.0);
        return Ok(points);
    }
    let failed = |what: String| Error::Clustering { what };
    let points =
        Array2::from_shape_vec((count, dims), points).map_err(|error| failed(error.to_string()))?;
    let means = KMeans::params_with_rng(clusters, generator)
        .init_method(KMeansInit::Random)
        .n_runs(1)
        .max_n_iterations(ROUNDS)
        .tolerance(1e-4)
        .fit(&DatasetBase::from(points))
        .map_err(|error| failed(error.to_string()))?;
    Ok(means.centroids().iter().copied().collect())
}

/// The codebook entries nearest to a row's sub-vectors.
fn codes(row: &[f32], pq: ProductQuantizer, codebooks: &Codebooks) -> Vec<u8> {
    row.chunks_exact(usize::from(pq.sub_dims))
        .enumerate()
        .map(|(place, sub_vector)| {
            let distance = |entry: &[f32]| -> f32 {
                entry
                    .iter()
                    .zip(sub_vector)
                    .map(|(a, b)| (a - b) * (a - b))
                    .sum()
            };
            let mut nearest = (f32::INFINITY, 0);
            for (code, entry) in codebooks.book(pq, place).enumerate() {
                let distance = distance(entry);
                if distance < nearest.0 {
                    nearest = (distance, code);
                }
            }
            nearest.1 as u8
        })
        .collect()
}

/// The values that codes stand for, in the row's order.
fn entries<'a>(
    codes: &'a [u8],
    pq: ProductQuantizer,
    codebooks: &'a Codebooks,
) -> impl Iterator<Item = f32> + 'a {
    codes.iter().enumerate().flat_map(move |(place, &code)| {
        let entry = codebooks.book(pq, place).nth(usize::from(code));
        entry.unwrap_or_default().iter().copied()
    })
}

/// Each row as its codes' entries.
pub(super) fn approximate(
    table: Table<'_>,
    pq: ProductQuantizer,
    codebooks: &Codebooks,
) -> Vec<f32> {
    table
        .values
        .par_chunks_exact(table.dims)
        .flat_map_iter(|row| {
            let codes = codes(row, pq, codebooks);
            entries(&codes, pq, codebooks).collect::<Vec<f32>>()
        })
        .collect()
}

impl Codebooks {
    /// The entries of the codebook for the sub-vectors at a place.
    fn book(&self, pq: ProductQuantizer, place: usize) -> std::slice::ChunksExact<'_, f32> {
        let len = pq.codebook_len();
        let start = if pq.shared { 0 } else { place * len };
        self.0[start..start + len].chunks_exact(usize::from(pq.sub_dims))
    }
}
