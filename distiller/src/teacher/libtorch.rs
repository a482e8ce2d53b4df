//! Teachers on libtorch: the same encoders as candle's and any other as TorchScript, on the CPU or a GPU.

mod batch;
mod encoder;
mod script;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;
use tch::{Cuda, TchError, Tensor};

use self::batch::Batch;
use self::encoder::Encoder;
use self::script::Script;
use super::architecture::Architecture;
use super::pooled::batch_len;
use super::weights::{WeightFiles, Weights};
use super::{Device, Pending, Pooling, Teacher};
use crate::{Error, Result, TeacherSource};

/// Tokens that one thread of the CPU takes at a time: products are as fast as they get, and activations stay near the
/// caches.
const PART_POSITIONS: usize = 384;
/// Parts of a batch for each thread, so that none waits long for another.
const PARTS: usize = 16;
/// Tokens in the first batch on a GPU; they double as long as its memory does.
const FIRST_CUDA_POSITIONS: usize = 8192;
/// Tokens that keep the largest GPU busy.
const MOST_CUDA_POSITIONS: usize = 1 << 17;

/// A teacher on libtorch: BERT, RoBERTa, XLM-R, DistilBERT, MPNet and ModernBERT, or a TorchScript file.
///
/// The forward pass of a TorchScript file takes token ids and an attention mask, both `sequences × tokens` of i64, or
/// the ids alone, and gives hidden states, `sequences × tokens × hidden`: as a tensor, first in a tuple, or as
/// `last_hidden_state` in a dictionary. Its `config.json` has `hidden_size`, `vocab_size` and
/// `max_position_embeddings` (512 if it is not there).
///
/// Sequences are packed one after another with no padding: everything but attention works on a matrix of one row a
/// token, and attention on all sequences of one length at once. Computes in f32 whatever the weights were saved
/// as; on a GPU without the shorter mantissas of TF32, which libtorch has off unless told otherwise.
pub struct LibtorchTeacher {
    hidden_size: usize,
    max_positions: usize,
    vocab_size: usize,
    device: tch::Device,
    batch_positions: AtomicUsize,
    /// Whether larger batches may fit; not on the CPU, and not once one did not.
    grows: AtomicBool,
    /// On a GPU one. On the CPU one for each thread, all on the same weights: threads that share out sequences
    /// wait for each other once a batch, those that share out products dozens of times.
    networks: Vec<Mutex<Network>>,
}

enum Network {
    Encoder(Box<Encoder>),
    Script(Script),
}

impl LibtorchTeacher {
    /// Loads the teacher that `source` found: an encoder of one of the families from its safetensors, or its
    /// TorchScript file.
    ///
    /// # Errors
    /// [`Error::Backend`] if the device is not there, saying what to install; else what
    /// [`CandleTeacher::load`](super::CandleTeacher::load) gives; for TorchScript [`Error::Config`] if `config.json`
    /// lacks a size or the file is no TorchScript, [`Error::Forward`] if its forward pass takes or gives something else.
    pub fn load(source: &TeacherSource, device: Device) -> Result<Self> {
        let device = available(device)?;
        match &source.script {
            None => Self::load_encoder(&source.folder, device),
            Some(path) => {
                tch::set_num_threads(rayon::current_num_threads() as i32);
                let (script, sizes) = Script::load(path, &source.folder, device)?;
                Ok(Self::new(vec![Network::Script(script)], sizes, device))
            }
        }
    }

    fn load_encoder(folder: &Path, device: tch::Device) -> Result<Self> {
        let architecture = Architecture::read(folder)?;
        let files = WeightFiles::open(folder)?;
        let weights = Weights::new(&files, &architecture)?;
        let encoder = Encoder::new(&weights, &architecture, device)?;
        let sizes = Sizes {
            hidden_size: architecture.hidden_size,
            max_positions: architecture.max_positions,
            vocab_size: architecture.vocab_size,
        };
        let mut networks = Vec::new();
        if !device.is_cuda() {
            tch::set_num_threads(1);
            networks.extend((1..rayon::current_num_threads()).map(|_| encoder.share()));
        }
        networks.push(encoder);
        let networks = networks
            .into_iter()
            .map(|encoder| Network::Encoder(Box::new(encoder)));
        Ok(Self::new(networks.collect(), sizes, device))
    }

    fn new(networks: Vec<Network>, sizes: Sizes, device: tch::Device) -> Self {
        let positions = if device.is_cuda() {
            FIRST_CUDA_POSITIONS
        } else {
            PART_POSITIONS * PARTS * networks.len()
        };
        Self {
            hidden_size: sizes.hidden_size,
            max_positions: sizes.max_positions,
            vocab_size: sizes.vocab_size,
            device,
            batch_positions: AtomicUsize::new(positions),
            grows: AtomicBool::new(device.is_cuda()),
            networks: networks.into_iter().map(Mutex::new).collect(),
        }
    }

    /// The one of the thread that asks.
    fn network(&self) -> MutexGuard<'_, Network> {
        let own = rayon::current_thread_index().unwrap_or(0) % self.networks.len();
        // A panic elsewhere leaves the weights as they were.
        self.networks[own]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What `of` makes of each part of a batch, shared out among threads and put together in order.
    fn in_parts(
        &self,
        sequences: &[&[u32]],
        of: impl Fn(&[&[u32]]) -> Result<Vec<f32>> + Send + Sync,
    ) -> Result<Vec<f32>> {
        let parts = parts(sequences);
        let made = parts.into_par_iter().with_max_len(1).map(of);
        Ok(made.collect::<Result<Vec<_>>>()?.concat())
    }

    /// Vectors of a batch: `sequences × hidden`, on the device, where they may still be being computed.
    fn pooled(&self, sequences: &[&[u32]], pooling: Pooling) -> Result<Tensor> {
        let begun = tch::no_grad(|| {
            let batch = Batch::new(sequences, self.device)?;
            batch.pool(&self.network().forward(&batch)?, pooling)
        });
        match begun {
            Ok(vectors) => {
                self.grow(sequences);
                Ok(vectors)
            }
            // In two halves instead, and so from now on.
            Err(error) if is_out_of_memory(&error) && sequences.len() > 1 => {
                let tokens = sequences.iter().map(|ids| ids.len()).sum::<usize>();
                self.batch_positions
                    .store((tokens / 2).max(1), Ordering::Relaxed);
                self.grows.store(false, Ordering::Relaxed);
                let (first, second) = sequences.split_at(sequences.len() / 2);
                let halves = [self.pooled(first, pooling)?, self.pooled(second, pooling)?];
                Tensor::f_cat(&halves, 0).map_err(forward_error)
            }
            Err(error) => Err(forward_error(error)),
        }
    }

    /// Lets the next batch be larger, if this one was as large as it might be.
    fn grow(&self, sequences: &[&[u32]]) {
        let tokens = sequences.iter().map(|ids| ids.len()).sum::<usize>();
        let most = self.batch_positions();
        if self.grows.load(Ordering::Relaxed) && 2 * tokens > most {
            let larger = (2 * most).min(MOST_CUDA_POSITIONS);
            self.batch_positions.store(larger, Ordering::Relaxed);
        }
    }
}

impl Teacher for LibtorchTeacher {
    fn hidden_size(&self) -> usize {
        self.hidden_size
    }

    fn max_positions(&self) -> usize {
        self.max_positions
    }

    fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    fn hidden_states(&self, batch: &[&[u32]]) -> Result<Vec<f32>> {
        super::check_batch(batch, self.max_positions, self.vocab_size)?;
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let states = |sequences: &[&[u32]]| {
            tch::no_grad(|| {
                let batch = Batch::new(sequences, self.device)?;
                to_host(&self.network().forward(&batch)?)
            })
            .map_err(forward_error)
        };
        if self.device.is_cuda() {
            return states(batch);
        }
        self.in_parts(batch, states)
    }

    fn batch_positions(&self) -> usize {
        self.batch_positions.load(Ordering::Relaxed)
    }

    fn begin_pooled<'a>(&'a self, batch: &[&[u32]], pooling: Pooling) -> Result<Pending<'a>> {
        super::check_batch(batch, self.max_positions, self.vocab_size)?;
        if batch.is_empty() {
            return Ok(Box::new(|| Ok(Vec::new())));
        }
        if !self.device.is_cuda() {
            let vectors = self.in_parts(batch, |sequences| {
                to_host(&self.pooled(sequences, pooling)?).map_err(forward_error)
            })?;
            return Ok(Box::new(|| Ok(vectors)));
        }
        let vectors = self.pooled(batch, pooling)?;
        Ok(Box::new(move || to_host(&vectors).map_err(forward_error)))
    }
}

/// What a teacher takes and gives.
struct Sizes {
    hidden_size: usize,
    max_positions: usize,
    vocab_size: usize,
}

impl Network {
    /// Hidden states, one row a token.
    fn forward(&self, batch: &Batch) -> std::result::Result<Tensor, TchError> {
        match self {
            Self::Encoder(encoder) => encoder.forward(batch),
            Self::Script(script) => script.forward(batch),
        }
    }
}

/// The device, if it is there.
fn available(device: Device) -> Result<tch::Device> {
    let Device::Cuda(number) = device else {
        return Ok(tch::Device::Cpu);
    };
    let fail = |what: String| Err(Error::Backend { what });
    if !tch::utils::has_cuda() {
        return fail(
            "this libtorch is for the CPU alone, or has no GPU driver; install the NVIDIA driver, \
             `pip install torch==2.11.0`, and build with LIBTORCH_USE_PYTORCH=1"
                .to_owned(),
        );
    }
    match Cuda::device_count() {
        count if Cuda::is_available() && (number as i64) < count => Ok(tch::Device::Cuda(number)),
        0 => fail(
            "no CUDA device is there; install a GPU and NVIDIA's driver for CUDA 13".to_owned(),
        ),
        count => fail(format!(
            "no CUDA device {number}; this machine has {count}, counted from 0"
        )),
    }
}

/// Neighbours with [`PART_POSITIONS`] tokens together, or the one that has more.
fn parts<'a, 'b>(mut sequences: &'a [&'b [u32]]) -> Vec<&'a [&'b [u32]]> {
    let mut parts = Vec::new();
    while !sequences.is_empty() {
        let lengths = sequences.iter().map(|ids| ids.len());
        let (part, rest) = sequences.split_at(batch_len(lengths, PART_POSITIONS));
        parts.push(part);
        sequences = rest;
    }
    parts
}

fn is_out_of_memory(error: &TchError) -> bool {
    error.to_string().contains("out of memory")
}

fn forward_error(error: TchError) -> Error {
    // Behind its first line, libtorch says where in its own code it was.
    let text = error.to_string();
    Error::Forward {
        what: text.lines().next().unwrap_or_default().to_owned(),
    }
}

/// All values of a tensor, in order.
fn to_host(tensor: &Tensor) -> std::result::Result<Vec<f32>, TchError> {
    let tensor = tensor
        .f_to_device(tch::Device::Cpu)?
        .f_to_kind(tch::Kind::Float)?;
    Vec::try_from(&tensor.f_reshape([-1])?)
}

#[cfg(test)]
mod tests;
