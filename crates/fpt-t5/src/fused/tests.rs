//! The operations against the same mathematics in Burn's tensor operations and Burn's own backward pass, on random
//! shapes; and the portable form against both.

use burn::tensor::{
    DType, Device, Distribution, FloatDType, Int, Tensor, TensorData, Tolerance, activation,
};
use proptest::prelude::*;

use super::{AttentionBias, AttentionOptions};

const F32: FloatDType = FloatDType::F32;

/// One of a series of numbers from -0.5 to 0.5, always the same.
pub(super) fn number(i: usize, seed: u32) -> f32 {
    (i as u32 ^ seed).wrapping_mul(2_654_435_761) as f32 / u32::MAX as f32 - 0.5
}

/// The first of a series.
pub(super) fn numbers(count: usize, seed: u32) -> Vec<f32> {
    (0..count).map(|i| number(i, seed)).collect()
}

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

fn tracked<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    random(shape, &Device::flex().autodiff()).require_grad()
}

/// Result and gradients of `fused` and `plain` on the same inputs agree.
fn same<const D: usize, const N: usize>(
    inputs: [Tensor<D>; N],
    fused: impl Fn([Tensor<D>; N]) -> Tensor<3>,
    plain: impl Fn([Tensor<D>; N]) -> Tensor<3>,
) {
    let (ours, theirs) = (fused(inputs.clone()), plain(inputs.clone()));
    close(&ours, &theirs);
    let weights = random(ours.dims(), &Device::flex());
    let gradients = |out: Tensor<3>| (out * weights.clone()).sum().backward();
    let (ours, theirs) = (gradients(ours), gradients(theirs));
    for input in inputs {
        let (ours, theirs) = (input.grad(&ours), input.grad(&theirs));
        match (ours, theirs) {
            (Some(ours), Some(theirs)) => close(&ours, &theirs),
            (ours, theirs) => assert_eq!(ours.is_some(), theirs.is_some()),
        }
    }
}

fn close<const D: usize>(ours: &Tensor<D>, theirs: &Tensor<D>) {
    let data = |x: &Tensor<D>| x.clone().into_data();
    data(ours).assert_approx_eq::<f32>(&data(theirs), Tolerance::absolute(3e-5).set_relative(1e-4));
}

fn plain_norm(x: Tensor<3>, weight: Tensor<3>) -> Tensor<3> {
    let mean = x.clone().square().mean_dim(2);
    x / (mean + 1e-6).sqrt() * weight
}

fn plain_gelu(x: Tensor<3>) -> Tensor<3> {
    let u = (x.clone() + x.clone().powi_scalar(3) * 0.044715) * (2.0 / std::f64::consts::PI).sqrt();
    x * 0.5 * (u.tanh() + 1.0)
}

fn plain_attention([q, k, v, bias]: [Tensor<4>; 4]) -> Tensor<3> {
    let [batch, heads, length, d_kv] = q.dims();
    let p = activation::softmax(q.matmul(k.transpose()) + bias, 3);
    let joined = p.matmul(v).swap_dims(1, 2);
    joined.reshape([batch, length, heads * d_kv])
}

fn fused_attention([q, k, v, bias]: [Tensor<4>; 4]) -> Tensor<3> {
    super::attention(q, k, v, AttentionBias::Whole(bias), false)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn rms_norm(batch in 1..4_usize, length in 1..9_usize, width in 1..70_usize) {
        let inputs = [tracked([batch, length, width]), tracked([1, 1, width])];
        let fused = |[x, w]: [Tensor<3>; 2]| super::rms_norm(x, w.reshape([width]), 1e-6, F32);
        same(inputs, fused, |[x, w]| plain_norm(x, w));
    }

    #[test]
    fn linear(batch in 1..4_usize, length in 1..9_usize, input in 1..70_usize, output in 1..70_usize) {
        let inputs = [tracked([batch, length, input]), tracked([1, input, output])];
        let fused = |[x, w]: [Tensor<3>; 2]| super::linear(x, w.reshape([input, output]), F32);
        same(inputs, fused, |[x, w]| x.matmul(w));
    }

    /// Weights that are no view. The gradients' sums are scaled to the size of their summands, as their rounding is.
    #[test]
    fn linear_of_wide_weights(rows in 1..40_usize, input in 1..12_usize, output in 200..800_usize) {
        let inputs = [tracked([rows, 1, input]), tracked([1, input, output])];
        let scale = (output as f64).sqrt().recip();
        let fused = |[x, w]: [Tensor<3>; 2]| super::linear(x, w.reshape([input, output]), F32);
        let plain = |[x, w]: [Tensor<3>; 2]| x.matmul(w);
        close(&fused(inputs.clone()), &plain(inputs.clone()));
        same(inputs, |inputs| fused(inputs) * scale, |inputs| plain(inputs) * scale);
    }

    /// Weights as they lie in a checkpoint, small and large, for few rows and many; sums scaled as above.
    #[test]
    fn linear_of_checkpoint_weights(rows in 1..80_usize, input in 1..1200_usize, output in 1..160_usize) {
        let inputs = [tracked([rows, 1, input]), tracked([1, output, input])];
        let scale = (input as f64).sqrt().recip();
        let fused = |[x, w]: [Tensor<3>; 2]| {
            super::linear(x, w.reshape([output, input]).transpose(), F32) * scale
        };
        same(inputs, fused, |[x, w]| x.matmul(w.transpose()) * scale);
    }

    /// A product on top of a part of a tensor, which stays as it was; sums scaled as above.
    #[test]
    fn linear_onto(rows in 1..80_usize, input in 1..600_usize, output in 1..160_usize, lies in any::<bool>()) {
        let inputs = [
            tracked([rows, 1, input]),
            tracked([1, output, input]),
            tracked([rows, 2, output]),
        ];
        let scale = (input as f64).sqrt().recip();
        let fused = |[x, w, residual]: [Tensor<3>; 3]| {
            let weight = w.reshape([output, input]).transpose();
            let weight = if lies { weight } else { weight + 0.0 };
            let part = residual.slice([0..rows, 1..2, 0..output]);
            super::linear_onto(part, x, weight) * scale
        };
        let [_, _, residual] = inputs.each_ref().map(|input| input.clone().into_data());
        same(inputs.clone(), fused, |[x, w, residual]| {
            (x.matmul(w.transpose()) + residual.slice([0..rows, 1..2, 0..output])) * scale
        });
        prop_assert_eq!(residual, inputs[2].clone().into_data());
    }

    /// Onto numbers that nothing else has, and that something has, with weights of any kind.
    #[test]
    fn linear_onto_what_there_is(rows in 1..80_usize, input in 1..600_usize, output in 1..160_usize) {
        let device = Device::flex();
        let x: Tensor<3> = random([rows, 1, input], &device);
        let weight = random::<2>([output, input], &device).transpose();
        let numbers = random::<3>([rows, 1, output], &device).into_data();
        let rounded = super::rounded(weight.clone());
        for weight in [weight.clone(), weight.cast(FloatDType::BF16), rounded] {
            let alone = || Tensor::<3>::from_data(numbers.clone(), &device);
            let shared = alone();
            let sums = [
                super::linear_onto(alone(), x.clone(), weight.clone()),
                super::linear_onto(shared.clone(), x.clone(), weight.clone()),
            ];
            let plain = super::linear(x.clone(), weight, F32) + shared.clone();
            let scale = (input as f64).sqrt().recip();
            for sum in sums {
                close(&(sum * scale), &(plain.clone() * scale));
            }
            prop_assert_eq!(shared.into_data(), numbers.clone());
        }
    }

    /// Weights in bf16, as they lie and not, for few rows and many. What they multiply, and gradients, are rounded to bf16:
    /// of numbers that have been nothing is lost.
    #[test]
    fn linear_of_weights_in_bf16(
        rows in 1..140_usize, input in 1..700_usize, output in 1..160_usize, lies in any::<bool>(),
    ) {
        let device = Device::flex();
        let weight = if lies {
            random::<2>([output, input], &device).cast(FloatDType::BF16).transpose()
        } else {
            random::<2>([input, output], &device).cast(FloatDType::BF16)
        };
        let wide = weight.clone().cast(F32).reshape([1, input, output]);
        let wide = Tensor::<3>::from_inner(wide);
        let halved = |x: Tensor<3>| x.cast(FloatDType::BF16).cast(F32);
        let number = random([rows, 1, input], &device);
        let x = Tensor::<3>::from_inner(halved(number.clone())).require_grad();
        let direction = Tensor::from_inner(halved(random([rows, 1, output], &device)));
        let gradient = |out: Tensor<3>| {
            let gradients = (out * direction.clone()).sum().backward();
            x.grad(&gradients).expect("a gradient")
        };
        let ours = super::linear(x.clone(), weight.clone(), F32);
        let rounds = super::linear(number, weight, F32);
        prop_assert_eq!(rounds.into_data(), ours.clone().inner().into_data());
        let theirs = x.clone().matmul(wide);
        let scale = (input.max(output) as f64).sqrt().recip();
        close(&(ours.clone().inner() * scale), &(theirs.clone().inner() * scale));
        close(&(gradient(ours) * scale), &(gradient(theirs) * scale));
    }

    /// Of integers the gradient is that of the numbers that they stand for; what they multiply is rounded by less than a
    /// hundredth of the largest of a block.
    #[test]
    fn linear_of_integers(rows in 1..140_usize, input in 1..700_usize, output in 1..160_usize) {
        let device = Device::flex();
        let weight = super::rounded(random::<2>([output, input], &device).transpose());
        // Each row of an identity is rounded to itself.
        let identity = Tensor::<2>::eye(input, &device).reshape([input, 1, input]);
        let wide = super::linear(identity, weight.clone(), F32).reshape([1, input, output]);
        let wide = Tensor::from_inner(wide);
        let x = tracked([rows, 1, input]);
        let (ours, theirs) = (super::linear(x.clone(), weight, F32), x.clone().matmul(wide));
        let values = |x: &Tensor<3>| -> Vec<f32> { x.clone().into_data().iter().collect() };
        let (a, b) = (values(&ours), values(&theirs));
        let length = |x: &mut dyn Iterator<Item = f32>| x.map(|x| x * x).sum::<f32>().sqrt();
        let difference = length(&mut a.iter().zip(&b).map(|(a, b)| a - b));
        prop_assert!(difference <= 0.03 * length(&mut b.iter().copied()), "{difference}");
        let scale = (output as f64).sqrt().recip();
        let weights = random(ours.dims(), &device);
        let gradient = |out: Tensor<3>| {
            let gradients = (out * Tensor::from_inner(weights.clone()) * scale).sum().backward();
            x.grad(&gradients).expect("a gradient")
        };
        close(&gradient(ours), &gradient(theirs));
    }

    #[test]
    fn gated_gelu(batch in 1..4_usize, length in 1..9_usize, width in 1..70_usize) {
        let inputs = [tracked([batch, length, width]), tracked([batch, length, width])];
        let fused = |[gate, value]: [Tensor<3>; 2]| super::gated_gelu(gate, value);
        same(inputs, fused, |[gate, value]| plain_gelu(gate) * value);
    }

    #[test]
    fn attention(
        (batch, heads, d_kv) in (1..4_usize, 1..5_usize, 1..20_usize),
        (queries, keys) in (1..20_usize, 1..40_usize),
        (of_batch, of_heads, of_queries) in any::<(bool, bool, bool)>(),
    ) {
        let size = |all: bool, size: usize| if all { size } else { 1 };
        let bias = [size(of_batch, batch), size(of_heads, heads), size(of_queries, queries), keys];
        let inputs = [
            tracked([batch, heads, queries, d_kv]),
            tracked([batch, heads, keys, d_kv]),
            tracked([batch, heads, keys, d_kv]),
            tracked(bias),
        ];
        same(inputs, fused_attention, plain_attention);
    }

    /// Parts of a bias are its sum, and probabilities that are computed again are those that were kept.
    #[test]
    fn attention_in_parts(
        (batch, heads, d_kv) in (1..4_usize, 1..5_usize, 1..20_usize),
        (queries, keys) in (1..20_usize, 1..40_usize),
        (position, padding) in any::<(bool, bool)>(),
    ) {
        let device = Device::flex();
        let q = || tracked([batch, heads, queries, d_kv]);
        let kv = || tracked([batch, heads, keys, d_kv]);
        let by_distance = position.then(|| random([heads, queries + keys - 1], &device));
        let hidden = padding.then(|| random([batch, keys], &device));
        let parts = AttentionBias::Parts { by_distance: by_distance.clone(), hidden: hidden.clone() };
        let mut bias = Tensor::<4>::zeros([1, 1, queries, keys], &device);
        if let Some(table) = by_distance {
            let rows = (0..queries).map(|query| {
                table.clone().narrow(1, queries - 1 - query, keys).reshape([1, heads, 1, keys])
            });
            bias = bias + Tensor::cat(rows.collect(), 2);
        }
        if let Some(hidden) = hidden {
            bias = bias + hidden.reshape([batch, 1, 1, keys]);
        }
        let whole = |bias| AttentionBias::Whole(bias);
        let whole_bias = bias.clone();
        for (bias, recompute) in [(parts.clone(), false), (parts, true), (whole(bias.clone()), true)] {
            same(
                [q(), kv(), kv()],
                |[q, k, v]| super::attention(q, k, v, bias.clone(), recompute),
                |[q, k, v]| super::attention(q, k, v, whole(whole_bias.clone()), false),
            );
        }
    }

    /// Projections and attention are one operation, of a sequence to itself or to another, where weights are frozen.
    #[test]
    fn attention_of_projections(
        (batch, heads, d_kv) in (1..4_usize, 1..5_usize, 1..20_usize),
        (queries, keys, d_model) in (1..20_usize, 1..40_usize, 1..40_usize),
        (is_of_itself, is_frozen, recompute) in any::<(bool, bool, bool)>(),
    ) {
        let keys = if is_of_itself { queries } else { keys };
        let by_distance = random([heads, queries + keys - 1], &Device::flex());
        let hidden = random([batch, keys], &Device::flex());
        let bias = |dtype: DType| {
            let part = |part: &Tensor<2>| Some(part.clone().cast(dtype));
            AttentionBias::Parts { by_distance: part(&by_distance), hidden: part(&hidden) }
        };
        let weight = || tracked([1, d_model, heads * d_kv]);
        let inputs = [
            tracked([batch, queries, d_model]),
            tracked([batch, keys, d_model]),
            weight(),
            weight(),
            weight(),
        ];
        // Queries and keys so small that not one key has it all.
        let scale = 1.0 / (d_model as f64).sqrt();
        let parts = |[x, source, weights @ ..]: [Tensor<3>; 5]| {
            let source = if is_of_itself { x.clone() } else { source };
            let weights = weights.map(|w| {
                let weight = w.reshape([d_model, heads * d_kv]) * scale;
                if is_frozen { weight.detach() } else { weight }
            });
            (x, source, weights)
        };
        let options = AttentionOptions { d_kv, dtype: F32, recompute };
        let fused = |inputs| {
            let (x, source, weights) = parts(inputs);
            let bias = bias(x.dtype());
            super::attention_of(x, source, weights, bias, options)
        };
        let plain = |inputs| {
            let (x, source, [q, k, v]) = parts(inputs);
            let heads = |x: Tensor<3>, w: Tensor<2>| super::split(x.matmul(w.unsqueeze()), d_kv);
            let (q, k, v) = (heads(x, q), heads(source.clone(), k), heads(source, v));
            super::attention(q, k, v, bias(DType::F32), false)
        };
        same(inputs.clone(), fused, plain);
        let double = |inputs: [Tensor<3>; 5]| fused(inputs.map(|x| x.cast(DType::F64)));
        same(inputs, |inputs| double(inputs).cast(DType::F32), plain);
    }

    #[test]
    fn gated_gelu_of_projections(
        (batch, length) in (1..4_usize, 1..9_usize),
        (d_model, d_ff) in (1..40_usize, 1..70_usize),
        is_frozen in any::<bool>(),
    ) {
        let weight = || tracked([1, d_model, d_ff]);
        let inputs = [tracked([batch, length, d_model]), weight(), weight()];
        let scale = 1.0 / (d_model as f64).sqrt();
        let weights = |weights: [Tensor<3>; 2]| {
            weights.map(|w| {
                let weight = w.reshape([d_model, d_ff]) * scale;
                if is_frozen { weight.detach() } else { weight }
            })
        };
        let out_scale = 1.0 / (d_ff as f64).sqrt();
        let fused = |[x, gate, value]: [Tensor<3>; 3]| {
            super::gated_gelu_of(x, weights([gate, value]), F32) * out_scale
        };
        let plain = |[x, gate, value]: [Tensor<3>; 3]| {
            let [gate, value] = weights([gate, value]).map(|w| x.clone().matmul(w.unsqueeze()));
            plain_gelu(gate) * value * out_scale
        };
        same(inputs, fused, plain);
    }

    #[test]
    fn cross_entropy(labels in prop::collection::vec(-1..12_i32, 1..30)) {
        let rows = labels.len();
        let logits = tracked([1, rows, 12]);
        let labels: Vec<i32> = labels.iter().map(|&l| if l < 0 { -100 } else { l }).collect();
        let ids = |device: &Device| {
            Tensor::<1, Int>::from_data(TensorData::new(labels.clone(), [rows]), device)
        };
        let fused = |[x]: [Tensor<3>; 1]| {
            super::negative_log_likelihood(x.reshape([rows, 12]), ids(&Device::flex())).reshape([1, rows, 1])
        };
        let plain = |[x]: [Tensor<3>; 1]| {
            let ids = ids(&x.device());
            let counted = ids.clone().greater_equal_scalar(0).float().reshape([rows, 1]);
            let target = ids.clamp_min(0).reshape([rows, 1]);
            let log = activation::log_softmax(x.reshape([rows, 12]), 1);
            (log.gather(1, target) * counted).neg().reshape([1, rows, 1])
        };
        same([logits], fused, plain);
    }
}

/// Of more queries than are attended to at once.
#[test]
fn attention_of_many_queries() {
    let device = Device::flex();
    let [batch, heads, queries, keys] = [2, 3, 300, 140];
    let x = |length| tracked([batch, heads, length, 8]);
    same(
        [
            x(queries),
            x(keys),
            x(keys),
            tracked([1, heads, queries, keys]),
        ],
        fused_attention,
        plain_attention,
    );
    let by_distance = random([heads, queries + keys - 1], &device);
    let row = |query| by_distance.clone().narrow(1, queries - 1 - query, keys);
    let rows = (0..queries).map(|query| row(query).reshape([1, heads, 1, keys]));
    let bias: Tensor<4> = Tensor::cat(rows.collect(), 2);
    let parts = AttentionBias::Parts {
        by_distance: Some(by_distance),
        hidden: None,
    };
    for recompute in [false, true] {
        same(
            [x(queries), x(keys), x(keys)],
            |[q, k, v]| super::attention(q, k, v, parts.clone(), recompute),
            |[q, k, v]| plain_attention([q, k, v, bias.clone().autodiff()]),
        );
    }
}

/// Views whose heads or rows do not follow each other, as projections give them.
#[test]
fn attention_of_views() {
    let [batch, heads, length, d_kv] = [2, 3, 17, 8];
    let view = |x: Tensor<4>| x.reshape([batch, length, heads, d_kv]).swap_dims(1, 2);
    let flat = || tracked([batch, length, 1, heads * d_kv]);
    let on_views = |f: fn([Tensor<4>; 4]) -> Tensor<3>| {
        move |[q, k, v]: [Tensor<4>; 3]| {
            let bias =
                Tensor::<4>::zeros([1, 1, length, 1], &q.device()).expand([1, 1, length, length]);
            f([view(q), view(k), view(v), bias])
        }
    };
    same(
        [flat(), flat(), flat()],
        on_views(fused_attention),
        on_views(plain_attention),
    );
    let flipped = |f: fn([Tensor<4>; 4]) -> Tensor<3>| {
        move |[q, k, v]: [Tensor<4>; 3]| {
            let bias = Tensor::<4>::zeros([1, 1, 1, length], &q.device());
            f([
                view(q).flip([2]),
                view(k).flip([2, 3]),
                view(v).flip([0]),
                bias,
            ])
        }
    };
    same(
        [flat(), flat(), flat()],
        flipped(fused_attention),
        flipped(plain_attention),
    );
}

/// A row that may look nowhere looks everywhere alike, and stays free of NaN.
#[test]
fn attention_of_a_fully_masked_row() {
    let device = Device::flex();
    let x = |length| random([1, 2, length, 4], &device);
    let bias = Tensor::<4>::full([1, 1, 1, 9], -1e9, &device);
    let inputs = [x(5), x(9), x(9), bias];
    let out = fused_attention(inputs.clone());
    close(&out, &plain_attention(inputs));
    assert!(out.into_data().iter::<f32>().all(f32::is_finite));
}

/// Trained weights get gradients, frozen ones are no part of the graph: both on one graph.
#[test]
fn frozen_inputs_may_lie_on_the_inner_device() {
    let x = tracked([2, 3, 8]);
    let weight = random([8], &Device::flex());
    let loss = super::rms_norm(x.clone(), weight, 1e-6, F32).sum();
    assert!(x.grad(&loss.backward()).is_some());
}

/// Parallel threads share the work without changing a bit.
#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let device = Device::flex();
    let [q, k, v] = [(); 3].map(|()| random([5, 4, 33, 16], &device));
    let bias = random([1, 4, 33, 33], &device);
    let (gate, value) = (random([9, 65, 96], &device), random([9, 65, 96], &device));
    let (large, small) = (random([96, 700], &device), random([96, 680], &device));
    let all = || {
        let attended = fused_attention([q.clone(), k.clone(), v.clone(), bias.clone()]);
        let gated = super::gated_gelu(gate.clone(), value.clone());
        let normed = super::rms_norm(
            gated.clone(),
            value.clone().slice([0..1, 0..1]).reshape([96]),
            1e-6,
            F32,
        );
        let linear = |rows: std::ops::Range<usize>, weight: &Tensor<2>| {
            let x = normed
                .clone()
                .reshape([1, 9 * 65, 96])
                .narrow(1, rows.start, rows.len());
            let product = super::linear(x, weight.clone(), F32);
            let back = super::linear(product.clone(), weight.clone().transpose(), F32);
            [product, back]
        };
        let products = [0..1, 0..20, 0..31, 3..67, 0..585]
            .into_iter()
            .flat_map(|rows| {
                [&large, &small]
                    .map(|weight| linear(rows.clone(), weight))
                    .into_iter()
                    .flatten()
            });
        let products: Vec<_> = products.collect();
        let others = [attended, gated, normed.clone()];
        others
            .into_iter()
            .chain(products)
            .map(Tensor::into_data)
            .collect::<Vec<_>>()
    };
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("a pool").install(all)
    };
    let one = with(1);
    for threads in [2, 3, 7, 30] {
        assert!(with(threads) == one, "{threads} threads");
    }
}

/// What runs on other backends, run here on the CPU: it has the vectorised form for f32 only.
#[test]
fn portable_forms_are_the_same_function() {
    fn double<const D: usize, const N: usize>(
        f: impl Fn([Tensor<D>; N]) -> Tensor<3>,
    ) -> impl Fn([Tensor<D>; N]) -> Tensor<3> {
        move |inputs| f(inputs.map(|x| x.cast(DType::F64))).cast(DType::F32)
    }
    let x = || tracked([2, 3, 37]);
    let norm = |[x, w]: [Tensor<3>; 2]| super::rms_norm(x, w.reshape([37]), 1e-6, F32);
    same([x(), tracked([1, 1, 37])], double(norm), |[x, w]| {
        plain_norm(x, w)
    });
    let gated = |[gate, value]: [Tensor<3>; 2]| super::gated_gelu(gate, value);
    same([x(), x()], double(gated), |[gate, value]| {
        plain_gelu(gate) * value
    });
    let (q, kv) = (|| tracked([2, 3, 5, 8]), || tracked([2, 3, 7, 8]));
    let inputs = [q(), kv(), kv(), tracked([1, 3, 5, 7])];
    same(inputs, double(fused_attention), plain_attention);
    let labels = || Tensor::<1, Int>::from_ints([3, -100, 36, 0, -100, 5], &Device::flex());
    let nll = |[x]: [Tensor<3>; 1]| {
        super::negative_log_likelihood(x.reshape([6, 37]), labels()).reshape([2, 3, 1])
    };
    same([x()], double(nll), nll);
}
