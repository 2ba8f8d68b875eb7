//! Scores of a model's parts, measured on examples.

use std::collections::BTreeMap;

use burn::tensor::{Bool, DType, Device, FloatDType, Gradients, Tensor};
use fpt_t5::{AttentionKind, IGNORED_LABEL, Lm, LmBatch, StackKind, T5, Taps, prepend_visible};

use crate::{PartialError, Scores, StackScores};

/// Scores the parts of a model on examples: what the layers do to the residual stream, how active neurons and
/// heads are, and, if asked for, how much the loss depends on each head.
pub struct Scorer<'a> {
    model: &'a T5,
    /// An autodiff device, where gradients are asked for.
    gates: Option<Device>,
    sums: Sums,
    /// Real positions seen, of encoder and decoder.
    positions: [f64; 2],
    examples: usize,
}

/// Where a head output comes from: stack, layer, self- or cross-attention.
type Place = (StackKind, usize, AttentionKind);

#[derive(Default)]
struct Sums {
    layers: BTreeMap<(StackKind, usize), f64>,
    neurons: BTreeMap<(StackKind, usize), Vec<f64>>,
    outputs: BTreeMap<Place, Vec<f64>>,
    gradients: BTreeMap<Place, Vec<f64>>,
}

impl<'a> Scorer<'a> {
    /// A scorer that has seen nothing. With `gradients`, every batch takes a backward pass, too.
    pub fn new(model: &'a T5, gradients: bool) -> Self {
        Self {
            model,
            gates: gradients.then(|| model.device().autodiff()),
            sums: Sums::default(),
            positions: [0.0; 2],
            examples: 0,
        }
    }

    /// Take in a batch, teacher-forced, with `prefix`, `[n, d_model]`, before every row of its source, as a prompt is.
    /// The prefix counts as the source does, padding for nothing.
    pub fn add(&mut self, prefix: Option<Tensor<2>>, batch: &LmBatch) {
        let [rows, _] = batch.labels.dims();
        let mask = match &prefix {
            Some(prefix) => prepend_visible(batch.mask.clone(), prefix.dims()[0]),
            None => batch.mask.clone(),
        };
        let ignored: Tensor<2, Bool> = batch.labels.clone().equal_scalar(IGNORED_LABEL);
        let target_mask = ignored.bool_not().float();
        let count = |mask: &Tensor<2>| mask.clone().sum().into_scalar::<f64>();
        self.positions[0] += count(&mask);
        let counted = count(&target_mask);
        self.positions[1] += counted;
        self.examples += rows;

        let mut taps = ScoreTaps {
            sums: &mut self.sums,
            masks: [mask, target_mask],
            before: None,
            gates: self.gates.as_ref().map(|device| (device, Vec::new())),
        };
        let loss = self.model.loss(prefix, batch, &mut taps);
        if let Some((_, gates)) = taps.gates {
            // Of the summed loss, so that an example counts the same in every batch. Not `loss.sum`, which may have
            // another last bit: scores that were kept stay those that are measured.
            let sum = loss.mean() * counted;
            self.sums.add_gradients(&gates, &sum.backward());
        }
    }

    /// The scores of everything seen.
    ///
    /// # Errors
    /// [`PartialError::NoSample`] if that is nothing.
    pub fn finish(self) -> Result<Scores, PartialError> {
        if self.examples == 0 {
            return Err(PartialError::NoSample);
        }
        let (encoder, decoder) = (&self.model.encoder.block, &self.model.decoder.block);
        Ok(Scores {
            encoder: self.stack(StackKind::Encoder, encoder.len(), self.positions[0]),
            decoder: self.stack(StackKind::Decoder, decoder.len(), self.positions[1]),
        })
    }

    fn stack(&self, stack: StackKind, layers: usize, positions: f64) -> StackScores {
        let sums = &self.sums;
        let mean = |sum: Option<&Vec<f64>>, count: f64| -> Vec<f64> {
            sum.into_iter().flatten().map(|sum| sum / count).collect()
        };
        let heads = |sums: &BTreeMap<Place, Vec<f64>>, kind: AttentionKind, count: f64| {
            let found = (0..layers).filter_map(|layer| sums.get(&(stack, layer, kind)));
            found.map(|sum| mean(Some(sum), count)).collect()
        };
        let (own, cross) = (AttentionKind::SelfAttention, AttentionKind::CrossAttention);
        let components = positions * self.model.config().d_kv as f64;
        // The loss is the mean over all labels of the sample.
        let examples = self.examples as f64 * self.positions[1].max(1.0);
        StackScores {
            layers: (0..layers)
                .map(|layer| {
                    let cosines = sums
                        .layers
                        .get(&(stack, layer))
                        .copied()
                        .unwrap_or_default();
                    1.0 - cosines / positions
                })
                .collect(),
            neurons: (0..layers)
                .map(|layer| mean(sums.neurons.get(&(stack, layer)), positions))
                .collect(),
            heads_output: heads(&sums.outputs, own, components),
            heads_gradient: heads(&sums.gradients, own, examples),
            cross_heads_output: heads(&sums.outputs, cross, components),
            cross_heads_gradient: heads(&sums.gradients, cross, examples),
        }
    }
}

impl Sums {
    fn add_gradients(&mut self, gates: &[(Place, Tensor<4>)], gradients: &Gradients) {
        for (place, gate) in gates {
            if let Some(gradient) = gate.grad(gradients) {
                let [batch, _, heads, _] = gradient.dims();
                let sum = gradient.reshape([batch, heads]).abs().sum_dim(0);
                add(
                    self.gradients.entry(*place).or_default(),
                    sum.into_data().iter(),
                );
            }
        }
    }
}

/// Adds up what one batch shows.
struct ScoreTaps<'a> {
    sums: &'a mut Sums,
    /// Real positions of encoder and decoder, `[batch, length]`.
    masks: [Tensor<2>; 2],
    /// What entered the layer that is being computed.
    before: Option<Tensor<3>>,
    gates: Option<(&'a Device, Vec<(Place, Tensor<4>)>)>,
}

impl ScoreTaps<'_> {
    fn mask(&self, stack: StackKind) -> Tensor<2> {
        self.masks[match stack {
            StackKind::Encoder => 0,
            StackKind::Decoder => 1,
        }]
        .clone()
    }
}

/// A tensor without its history, where it has one, in f32.
fn plain<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let x = if x.device().is_autodiff() {
        x.inner()
    } else {
        x
    };
    match x.dtype() {
        DType::F32 => x,
        _ => x.cast(FloatDType::F32),
    }
}

impl Taps for ScoreTaps<'_> {
    fn residual(&mut self, stack: StackKind, layer: usize, x: &Tensor<3>) {
        let x = plain(x.clone());
        if let Some(before) = self.before.replace(x.clone())
            && layer > 0
        {
            let product = |a: &Tensor<3>, b: &Tensor<3>| (a.clone() * b.clone()).sum_dim(2);
            let norms = product(&x, &x) * product(&before, &before);
            let cosine = product(&x, &before) / norms.sqrt().clamp_min(f32::MIN_POSITIVE);
            let sum = (cosine.squeeze_dim::<2>(2) * self.mask(stack)).sum();
            *self.sums.layers.entry((stack, layer - 1)).or_default() += sum.into_scalar::<f64>();
        }
    }

    fn feed_forward(&mut self, stack: StackKind, layer: usize, activation: Tensor<3>) -> Tensor<3> {
        let mask = self.mask(stack).unsqueeze_dim::<3>(2);
        let sum = (plain(activation.clone()).abs() * mask)
            .sum_dim(0)
            .sum_dim(1);
        add(
            self.sums.neurons.entry((stack, layer)).or_default(),
            sum.into_data().iter(),
        );
        activation
    }

    fn heads(
        &mut self,
        stack: StackKind,
        layer: usize,
        kind: AttentionKind,
        heads: Tensor<4>,
    ) -> Tensor<4> {
        let place = (stack, layer, kind);
        let mask = self.mask(stack).unsqueeze_dim::<3>(2).unsqueeze_dim::<4>(3);
        let sum = (plain(heads.clone()).abs() * mask)
            .sum_dim(0)
            .sum_dim(1)
            .sum_dim(3);
        add(
            self.sums.outputs.entry(place).or_default(),
            sum.into_data().iter(),
        );
        match &mut self.gates {
            // The gradient at a gate of ones is the sum of output times gradient over all that it multiplies.
            Some((device, gates)) => {
                let [batch, _, count, _] = heads.dims();
                let gate = Tensor::<4>::ones([batch, 1, count, 1], &**device).require_grad();
                gates.push((place, gate.clone()));
                match heads.dtype() {
                    DType::F32 => heads * gate,
                    dtype => heads * gate.cast(dtype),
                }
            }
            None => heads,
        }
    }
}

fn add(sums: &mut Vec<f64>, values: impl Iterator<Item = f64>) {
    let values: Vec<f64> = values.collect();
    sums.resize(values.len(), 0.0);
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += value;
    }
}
