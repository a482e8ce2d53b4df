//! The families' forward pass.

use tch::{Device, Kind, TchError, Tensor};

use super::batch::{Batch, Run, together};
use super::forward_error;
use crate::teacher::architecture::{Activation, Architecture, rotary_table};
use crate::teacher::weights::{self, Weights};
use crate::{Result, teacher::weights::LayerWeights};

type Torch<T> = std::result::Result<T, TchError>;

/// An encoder's weights on a device.
pub(super) struct Encoder {
    architecture: Architecture,
    device: Device,
    /// `vocab_size × hidden`
    words: Tensor,
    /// `rows × hidden`, with the token type's vector added, which every token has alike.
    positions: Option<Tensor>,
    embedding_norm: Norm,
    /// `heads × (2 · positions - 1)`, the farthest to the left first.
    distance_bias: Option<Tensor>,
    /// `positions × 1 × width/2` of cosines and of sines, one pair for each base that layers have.
    rotary: Vec<(f64, Tensor, Tensor)>,
    layers: Vec<Layer>,
    final_norm: Option<Norm>,
}

struct Norm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f64,
}

struct Dense {
    /// `outputs × inputs`
    weight: Tensor,
    bias: Option<Tensor>,
}

struct Layer {
    query_key_value: Dense,
    attention_output: Dense,
    attention_norm: Option<Norm>,
    intermediate: Dense,
    output: Dense,
    output_norm: Norm,
}

impl Norm {
    fn share(&self) -> Self {
        Self {
            weight: self.weight.shallow_clone(),
            bias: self.bias.shallow_clone(),
            epsilon: self.epsilon,
        }
    }

    fn new(norm: &weights::Norm, architecture: &Architecture, device: Device) -> Torch<Self> {
        Ok(Self {
            weight: Tensor::f_from_slice(&norm.weight)?.f_to_device(device)?,
            bias: Tensor::f_from_slice(&norm.bias)?.f_to_device(device)?,
            epsilon: f64::from(architecture.epsilon),
        })
    }

    fn apply(&self, rows: &Tensor) -> Torch<Tensor> {
        let (weight, bias) = (Some(&self.weight), Some(&self.bias));
        rows.f_layer_norm(self.weight.size(), weight, bias, self.epsilon, true)
    }
}

impl Dense {
    fn share(&self) -> Self {
        Self {
            weight: self.weight.shallow_clone(),
            bias: self.bias.as_ref().map(Tensor::shallow_clone),
        }
    }

    fn new(dense: &weights::Dense, device: Device) -> Torch<Self> {
        let shape = [dense.outputs as i64, dense.inputs as i64];
        let bias = dense.bias.as_ref().map(|bias| Tensor::f_from_slice(bias));
        Ok(Self {
            weight: matrix(&dense.weight, shape, device)?,
            bias: bias.map(|bias| bias?.f_to_device(device)).transpose()?,
        })
    }

    fn apply(&self, rows: &Tensor) -> Torch<Tensor> {
        rows.f_linear(&self.weight, self.bias.as_ref())
    }
}

fn matrix(values: &[f32], shape: [i64; 2], device: Device) -> Torch<Tensor> {
    Tensor::f_from_slice(values)?
        .f_reshape(shape)?
        .f_to_device(device)
}

impl Layer {
    fn share(&self) -> Self {
        Self {
            query_key_value: self.query_key_value.share(),
            attention_output: self.attention_output.share(),
            attention_norm: self.attention_norm.as_ref().map(Norm::share),
            intermediate: self.intermediate.share(),
            output: self.output.share(),
            output_norm: self.output_norm.share(),
        }
    }

    fn new(layer: &LayerWeights, architecture: &Architecture, device: Device) -> Torch<Self> {
        let norm = layer.attention_norm.as_ref();
        Ok(Self {
            query_key_value: Dense::new(&layer.query_key_value, device)?,
            attention_output: Dense::new(&layer.attention_output, device)?,
            attention_norm: norm
                .map(|norm| Norm::new(norm, architecture, device))
                .transpose()?,
            intermediate: Dense::new(&layer.intermediate, device)?,
            output: Dense::new(&layer.output, device)?,
            output_norm: Norm::new(&layer.output_norm, architecture, device)?,
        })
    }
}

/// What all layers' attention to a run's sequences has in common.
struct Seen {
    run: Run,
    /// Added to scores: `heads × tokens × tokens`.
    distance_bias: Option<Tensor>,
    /// Which tokens see which, where layers look only so far: `tokens × tokens`.
    within_reach: Vec<(usize, Tensor)>,
}

impl Encoder {
    pub fn new(weights: &Weights<'_>, architecture: &Architecture, device: Device) -> Result<Self> {
        let mut embeddings = weights.embeddings()?;
        let hidden = architecture.hidden_size;
        for position in embeddings.positions.chunks_exact_mut(hidden) {
            position
                .iter_mut()
                .zip(&embeddings.token_type)
                .for_each(|(value, of_type)| *value += of_type);
        }
        let rows = |values: &[f32]| [(values.len() / hidden) as i64, hidden as i64];
        let made = || -> Torch<Self> {
            let positions = &embeddings.positions;
            Ok(Self {
                words: matrix(&embeddings.words, rows(&embeddings.words), device)?,
                positions: (!positions.is_empty())
                    .then(|| matrix(positions, rows(positions), device))
                    .transpose()?,
                embedding_norm: Norm::new(&embeddings.norm, architecture, device)?,
                distance_bias: (!embeddings.distance_bias.is_empty())
                    .then(|| by_distance(&embeddings.distance_bias, architecture, device))
                    .transpose()?,
                rotary: rotary_tables(architecture, device)?,
                layers: Vec::with_capacity(architecture.layers.len()),
                final_norm: None,
                architecture: architecture.clone(),
                device,
            })
        };
        let mut encoder = made().map_err(forward_error)?;
        for index in 0..architecture.layers.len() {
            let layer = Layer::new(&weights.layer(index)?, architecture, device);
            encoder.layers.push(layer.map_err(forward_error)?);
        }
        let norm = weights.final_norm()?;
        let norm = norm.map(|norm| Norm::new(&norm, architecture, device));
        encoder.final_norm = norm.transpose().map_err(forward_error)?;
        Ok(encoder)
    }

    /// Another one on the same weights, for another thread: tensors can be sent between threads but not shared.
    pub fn share(&self) -> Self {
        let share = |tensor: &Option<Tensor>| tensor.as_ref().map(Tensor::shallow_clone);
        let rotary = self
            .rotary
            .iter()
            .map(|(base, cos, sin)| (*base, cos.shallow_clone(), sin.shallow_clone()));
        Self {
            architecture: self.architecture.clone(),
            device: self.device,
            words: self.words.shallow_clone(),
            positions: share(&self.positions),
            embedding_norm: self.embedding_norm.share(),
            distance_bias: share(&self.distance_bias),
            rotary: rotary.collect(),
            layers: self.layers.iter().map(Layer::share).collect(),
            final_norm: self.final_norm.as_ref().map(Norm::share),
        }
    }

    /// Hidden states, one row a token.
    pub fn forward(&self, batch: &Batch) -> Torch<Tensor> {
        let seen = batch.runs.iter().map(|run| self.see(*run));
        let seen = seen.collect::<Torch<Vec<_>>>()?;
        let rotary = self.rotary_of(batch)?;
        let mut states = self.embed(batch)?;
        for (layer, of_layer) in self.layers.iter().zip(&self.architecture.layers) {
            let turn = rotary
                .iter()
                .find(|(base, ..)| Some(*base) == of_layer.rotary_base);
            let turn = turn.map(|(_, cos, sin)| (cos, sin));
            let attend = |rows: &Tensor| -> Torch<Tensor> {
                let rows = layer.query_key_value.apply(rows)?;
                let context = self.attend(&rows, &seen, turn, of_layer.reach)?;
                layer.attention_output.apply(&context)
            };
            states = if self.architecture.pre_norm {
                let mut attended = match &layer.attention_norm {
                    Some(norm) => attend(&norm.apply(&states)?)?,
                    None => attend(&states)?,
                };
                let attended = attended.f_add_(&states)?;
                let mut fed = self.feed_forward(layer, &layer.output_norm.apply(&attended)?)?;
                fed.f_add_(&attended)?
            } else {
                let mut attended = attend(&states)?.f_add_(&states)?;
                if let Some(norm) = &layer.attention_norm {
                    attended = norm.apply(&attended)?;
                }
                let mut fed = self.feed_forward(layer, &attended)?;
                layer.output_norm.apply(&fed.f_add_(&attended)?)?
            };
        }
        match &self.final_norm {
            Some(norm) => norm.apply(&states),
            None => Ok(states),
        }
    }

    /// Word, position and type embeddings summed and normalised.
    fn embed(&self, batch: &Batch) -> Torch<Tensor> {
        let mut rows = self.words.f_index_select(0, &batch.ids)?;
        if let (Some(table), Some(positions)) = (&self.positions, self.architecture.positions) {
            let places: Vec<i64> = batch
                .sequences
                .iter()
                .flat_map(|ids| positions.rows(ids).map(|row| row as i64))
                .collect();
            let places = Tensor::f_from_slice(&places)?.f_to_device(self.device)?;
            rows = rows.f_add_(&table.f_index_select(0, &places)?)?;
        }
        self.embedding_norm.apply(&rows)
    }

    /// Cosines and sines for every token of the batch: `tokens × 1 × width/2`.
    fn rotary_of(&self, batch: &Batch) -> Torch<Vec<(f64, Tensor, Tensor)>> {
        if self.rotary.is_empty() {
            return Ok(Vec::new());
        }
        let places: Vec<i64> = batch
            .sequences
            .iter()
            .flat_map(|ids| 0..ids.len() as i64)
            .collect();
        let places = Tensor::f_from_slice(&places)?.f_to_device(self.device)?;
        let tables = self.rotary.iter().map(|(base, cos, sin)| {
            Ok((
                *base,
                cos.f_index_select(0, &places)?,
                sin.f_index_select(0, &places)?,
            ))
        });
        tables.collect()
    }

    fn see(&self, run: Run) -> Torch<Seen> {
        let length = run.length;
        let bias = self.distance_bias.as_ref().map(|bias| {
            let positions = self.architecture.max_positions as i64;
            // A row for each token, the last one's first: what it sees begins farthest to the left.
            bias.f_narrow(1, positions - length, 2 * length - 1)?
                .f_unfold(1, length, 1)?
                .f_flip([1])
        });
        let mut within_reach: Vec<(usize, Tensor)> = Vec::new();
        for reach in self
            .architecture
            .layers
            .iter()
            .filter_map(|layer| layer.reach)
        {
            let is_known = within_reach.iter().any(|(known, _)| *known == reach);
            // Where every token sees every other there is nothing to mask.
            if !is_known && (reach as i64) < length - 1 {
                let all = Tensor::f_ones([length, length], (Kind::Bool, self.device))?;
                let band = all.f_triu(-(reach as i64))?.f_tril(reach as i64)?;
                within_reach.push((reach, band));
            }
        }
        Ok(Seen {
            run,
            distance_bias: bias.transpose()?,
            within_reach,
        })
    }

    /// Attention inside each sequence: rows of query, key and value become rows of context.
    fn attend(
        &self,
        rows: &Tensor,
        seen: &[Seen],
        turn: Option<(&Tensor, &Tensor)>,
        reach: Option<usize>,
    ) -> Torch<Tensor> {
        let (heads, width) = (
            self.architecture.heads as i64,
            self.architecture.head_width() as i64,
        );
        let rows = match turn {
            Some((cos, sin)) => turned(rows, heads, width, cos, sin)?,
            None => rows.shallow_clone(),
        };
        let contexts = seen.iter().map(|seen| {
            let Run { count, length, .. } = seen.run;
            let parts = seen
                .run
                .of(&rows)?
                .f_reshape([count, length, 3, heads, width])?
                .f_permute([2, 0, 3, 1, 4])?;
            let (query, key, value) = (
                parts.f_select(0, 0)?,
                parts.f_select(0, 1)?,
                parts.f_select(0, 2)?,
            );
            let band = seen
                .within_reach
                .iter()
                .find(|(of, _)| Some(*of) == reach)
                .map(|(_, band)| band);
            let mask = seen.distance_bias.as_ref().or(band);
            Tensor::f_scaled_dot_product_attention(
                &query, &key, &value, mask, 0.0, false, None, false,
            )?
            .f_transpose(1, 2)?
            .f_reshape([count * length, heads * width])
        });
        together(contexts.collect::<Torch<_>>()?)
    }

    fn feed_forward(&self, layer: &Layer, rows: &Tensor) -> Torch<Tensor> {
        let mut wide = layer.intermediate.apply(rows)?;
        let activate = |rows: &mut Tensor| match self.architecture.activation {
            Activation::Gelu => rows.f_gelu_("none"),
            Activation::GeluTanh => rows.f_gelu_("tanh"),
            Activation::Relu => rows.f_relu_(),
        };
        if self.architecture.gated {
            let half = self.architecture.intermediate_size as i64;
            let mut input = wide.f_narrow(1, 0, half)?;
            let mut input = activate(&mut input)?;
            wide = input.f_mul_(&wide.f_narrow(1, half, half)?)?;
        } else {
            wide = activate(&mut wide)?;
        }
        layer.output.apply(&wide)
    }
}

/// Rows of query, key and value with the heads of the first two turned by their positions.
fn turned(rows: &Tensor, heads: i64, width: i64, cos: &Tensor, sin: &Tensor) -> Torch<Tensor> {
    let turning = rows
        .f_narrow(1, 0, 2 * heads * width)?
        .f_reshape([-1, 2 * heads, width])?;
    let (x, y) = (
        turning.f_narrow(2, 0, width / 2)?,
        turning.f_narrow(2, width / 2, width / 2)?,
    );
    let turned = Tensor::f_cat(
        &[
            x.f_mul(cos)?.f_sub(&y.f_mul(sin)?)?,
            y.f_mul(cos)?.f_add(&x.f_mul(sin)?)?,
        ],
        2,
    )?;
    let values = rows.f_narrow(1, 2 * heads * width, heads * width)?;
    Tensor::f_cat(&[turned.f_reshape([-1, 2 * heads * width])?, values], 1)
}

fn by_distance(table: &[f32], architecture: &Architecture, device: Device) -> Torch<Tensor> {
    let shape = [
        architecture.heads as i64,
        2 * architecture.max_positions as i64 - 1,
    ];
    matrix(&architecture.biases_by_distance(table), shape, device)
}

fn rotary_tables(architecture: &Architecture, device: Device) -> Torch<Vec<(f64, Tensor, Tensor)>> {
    let (positions, width) = (architecture.max_positions, architecture.head_width());
    let tensor = |values: &[f32]| {
        Tensor::f_from_slice(values)?
            .f_reshape([positions as i64, 1, width as i64 / 2])?
            .f_to_device(device)
    };
    let tables = architecture.rotary_bases().into_iter().map(|base| {
        let (cos, sin) = rotary_table(base, positions, width);
        Ok((base, tensor(&cos)?, tensor(&sin)?))
    });
    tables.collect()
}
