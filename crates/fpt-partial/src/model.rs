//! The smaller model that a selection makes.

use burn::module::{Module, Param, ParamId};
use burn::nn::Linear;
use burn::tensor::{DType, Device, Int, Tensor};
use fpt_t5::{Attention, FeedForward, T5, index};

use crate::{PartialError, Selection, StackSelection};

/// The partial model that `selection` keeps of `model`: the same type, the same weights.
///
/// Layers are shared; of matrices that lose rows or columns, what stays is copied on the device. Nothing goes
/// through the host, and what is kept whole is not copied. A selection of everything gives the model itself. Gradients of
/// the partial model, where `model` is in training, are those of `model`'s weights.
///
/// # Errors
/// [`PartialError::Selection`] if the selection does not fit the model, [`PartialError::Integers`] if neurons or heads would
/// be left out of one with weights in int8; layers can be.
pub fn partial(model: &T5, selection: &Selection) -> Result<T5, PartialError> {
    selection.check(model)?;
    let device = model.device();
    let mut partial = model.clone();
    partial.encoder.block = kept(&model.encoder.block, &selection.encoder)
        .map(|(mut block, part)| {
            part.narrow_feed_forward(&mut block.feed_forward, &device)?;
            narrow_attention(&mut block.attention, part.heads, &device)?;
            Ok(block)
        })
        .collect::<Result<_, PartialError>>()?;
    partial.decoder.block = kept(&model.decoder.block, &selection.decoder)
        .map(|(mut block, part)| {
            part.narrow_feed_forward(&mut block.feed_forward, &device)?;
            narrow_attention(&mut block.attention, part.heads, &device)?;
            narrow_attention(&mut block.cross_attention, part.cross_heads, &device)?;
            Ok(block)
        })
        .collect::<Result<_, PartialError>>()?;
    Ok(partial)
}

/// What stays of one layer.
struct Part<'a> {
    neurons: &'a [usize],
    heads: &'a [usize],
    cross_heads: &'a [usize],
}

/// The layers that stay, shared, each with what stays of it.
fn kept<'a, B: Module>(
    blocks: &'a [B],
    selection: &'a StackSelection,
) -> impl Iterator<Item = (B, Part<'a>)> {
    selection.layers.iter().enumerate().map(|(place, &layer)| {
        let part = Part {
            neurons: &selection.neurons[place],
            heads: &selection.heads[place],
            cross_heads: selection.cross_heads.get(place).map_or(&[], Vec::as_slice),
        };
        (blocks[layer].clone(), part)
    })
}

impl Part<'_> {
    fn narrow_feed_forward(
        &self,
        network: &mut FeedForward,
        device: &Device,
    ) -> Result<(), PartialError> {
        let [d_ff, _] = network.wo.weight.dims();
        if self.neurons.len() == d_ff {
            return Ok(());
        }
        let neurons = index(self.neurons, device);
        narrow(&mut network.wi_0, 1, &neurons)?;
        if let Some(wi_1) = &mut network.wi_1 {
            narrow(wi_1, 1, &neurons)?;
        }
        narrow(&mut network.wo, 0, &neurons)
    }
}

fn narrow_attention(
    attention: &mut Attention,
    heads: &[usize],
    device: &Device,
) -> Result<(), PartialError> {
    let d_kv = attention.d_kv();
    let [inner, _] = attention.o.weight.dims();
    if heads.len() * d_kv == inner {
        return Ok(());
    }
    let components: Vec<usize> = heads
        .iter()
        .flat_map(|head| head * d_kv..(head + 1) * d_kv)
        .collect();
    let components = index(&components, device);
    for linear in [&mut attention.q, &mut attention.k, &mut attention.v] {
        narrow(linear, 1, &components)?;
    }
    narrow(&mut attention.o, 0, &components)?;
    // Of a model that has lost heads before, the indices are those of what it has left.
    attention.kept_heads = Some(match &attention.kept_heads {
        Some(before) => heads.iter().map(|&head| before[head]).collect(),
        None => heads.to_vec(),
    });
    Ok(())
}

/// Keep rows (axis 0) or columns (axis 1) of a weight, `[d_in, d_out]`, which stays a view of `[d_out, d_in]` as a
/// checkpoint's weights are.
fn narrow(linear: &mut Linear, axis: usize, kept: &Tensor<1, Int>) -> Result<(), PartialError> {
    let weight = linear.weight.val();
    if matches!(weight.dtype(), DType::QFloat(_)) {
        return Err(PartialError::Integers);
    }
    let stored = weight.transpose();
    let weight = stored.select(1 - axis, kept.clone()).transpose();
    // Not `from_tensor`, which asks for gradients of its own: those of a model in training go through to its weights.
    linear.weight = Param::initialized(ParamId::new(), weight);
    Ok(())
}
