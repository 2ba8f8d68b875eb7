//! Partial models of models in training.
#![allow(clippy::unwrap_used)]

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use fpt_partial::{Selection, partial};
use fpt_t5::{Lm, LmBatch, NoTaps, T5, T5Config};

fn loss(model: &T5, device: &Device) -> Tensor<1> {
    let ids = |values: &[i32]| -> Tensor<2, Int> {
        let ids: Tensor<1, Int> = Tensor::from_data(values, device);
        ids.reshape([2, values.len() / 2])
    };
    let source = ids(&[5, 6, 7, 1, 8, 9, 10, 1]);
    let batch = LmBatch {
        mask: Tensor::ones([2, 4], device),
        source,
        labels: ids(&[11, 12, 1, 13, 14, 1]),
    };
    model.loss(None, &batch, &mut NoTaps).mean()
}

type Weight = fn(&T5, usize) -> Tensor<2>;

fn wi(model: &T5, layer: usize) -> Tensor<2> {
    model.encoder.block[layer].feed_forward.wi_0.weight.val()
}

fn query(model: &T5, layer: usize) -> Tensor<2> {
    model.encoder.block[layer].attention.q.weight.val()
}

fn embedding(model: &T5, _layer: usize) -> Tensor<2> {
    model.shared.weight.val()
}

/// `weight`, `[rows, columns]`, whose rows are 0 but for those of `kept` in groups of `width`.
fn zeroed(weight: Tensor<2>, kept: &[usize], width: usize) -> Tensor<2> {
    let [rows, columns] = weight.dims();
    let kept = |i: usize| kept.contains(&(i / columns / width));
    let mask: Vec<f32> = (0..rows * columns)
        .map(|i| f32::from(u8::from(kept(i))))
        .collect();
    let mask = TensorData::new(mask, [rows, columns]);
    weight.clone() * Tensor::from_data(mask, &weight.device())
}

#[test]
fn gradients_go_through_to_the_weights_of_the_whole_model() {
    let config: T5Config = serde_json::from_value(serde_json::json!({
        "vocab_size": 32, "d_model": 8, "d_kv": 2, "d_ff": 6, "num_heads": 3, "num_layers": 3,
        "num_decoder_layers": 2, "feed_forward_proj": "gated-gelu",
    }))
    .unwrap();
    let device = Device::flex();
    let mut model = T5::init(&config, &device);
    let mut selection = Selection::full(&config);
    selection.encoder.layers = vec![0, 2];
    selection.encoder.neurons.pop();
    selection.encoder.heads.pop();
    let layers_only = selection.clone();
    selection.encoder.neurons[1] = vec![0, 2, 5];
    selection.encoder.heads[1] = vec![1];
    // What is left out of layer 2 adds nothing here, so that leaving it out changes nothing.
    let block = &mut model.encoder.block[2];
    let (wo, o) = (
        &mut block.feed_forward.wo.weight,
        &mut block.attention.o.weight,
    );
    *wo = Param::from_tensor(zeroed(wo.val(), &[0, 2, 5], 1));
    *o = Param::from_tensor(zeroed(o.val(), &[1], 2));
    let model = model.map(&mut Trainable);

    let of = |selection: &Selection| {
        let loss = loss(&partial(&model, selection).unwrap(), &device);
        (loss.clone().into_scalar::<f32>(), loss.backward())
    };
    let ((loss, found), (expected_loss, expected)) = (of(&selection), of(&layers_only));
    assert!(
        (loss - expected_loss).abs() < 1e-5,
        "{loss} {expected_loss}"
    );
    for (name, weight) in [("wi", wi as Weight), ("q", query), ("embedding", embedding)] {
        for layer in [0, 2] {
            let values = |gradients| -> Vec<f32> {
                let gradient = weight(&model, layer).grad(gradients).expect(name);
                gradient.into_data().iter::<f32>().collect()
            };
            let (found, expected) = (values(&found), values(&expected));
            assert!(expected.iter().any(|&gradient| gradient != 0.0));
            for (found, expected) in found.iter().zip(&expected) {
                assert!(
                    (found - expected).abs() < 1e-5,
                    "{name}: {found} {expected}"
                );
            }
        }
    }
    // What is left out as a whole has no gradient.
    assert!(wi(&model, 1).grad(&found).is_none());
}

/// Lets every weight be a leaf that asks for its gradient.
struct Trainable;

impl ModuleMapper for Trainable {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, value, _) = param.consume();
        Param::initialized(id, Tensor::from_inner(value).require_grad())
    }
}
