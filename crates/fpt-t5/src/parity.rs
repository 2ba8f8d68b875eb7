//! Whether a device computes what the processor does: each fused operation and its gradients, on small random inputs.
//!
//! On the processor the operations are proven against Burn's own and against transformers; here a device is held against
//! the processor, with inputs that are rounded alike on both.

use burn::tensor::{Device, FloatDType, Int, Shape, Tensor, TensorData};

use crate::{AttentionBias, IGNORED_LABEL, fused};

/// One operation, compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Parity {
    /// What was computed, and its shape.
    pub operation: String,
    /// Largest difference of result or gradients, relative to the largest number of each; NaN if either has one that is
    /// not finite.
    pub error: f64,
    /// What rounding may amount to.
    pub bound: f64,
}

impl Parity {
    /// Whether the difference is one of rounding.
    pub fn holds(&self) -> bool {
        self.error <= self.bound
    }
}

/// Compares every operation on `device` with the processor, in products of type `dtype`, f32 or bf16, on shapes and
/// numbers that follow from `seed`: rows of length 1, odd sizes, a row without visible keys, a single head, heads left
/// out.
pub fn check(device: &Device, dtype: FloatDType, seed: u64) -> Vec<Parity> {
    let mut check = Check {
        device: device.clone().inner().autodiff(),
        dtype,
        state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5851_F42D_4C95_7F2D,
        found: Vec::new(),
    };
    check.norms();
    check.products();
    check.gates();
    check.attentions();
    check.cross_entropy();
    check.found
}

/// Numbers for a tensor of three dimensions at most, and whether they are rounded to the type of products.
#[derive(Clone)]
struct Input {
    values: Vec<f32>,
    shape: Vec<usize>,
    rounded: bool,
}

struct Check {
    /// With autodiff.
    device: Device,
    dtype: FloatDType,
    state: u64,
    found: Vec<Parity>,
}

impl Check {
    /// A number from 1 to `most`.
    fn size(&mut self, most: usize) -> usize {
        1 + (self.next() >> 33) as usize % most
    }

    /// Knuth's linear congruential generator.
    fn next(&mut self) -> u64 {
        let state = self.state.wrapping_mul(6_364_136_223_846_793_005);
        self.state = state.wrapping_add(1_442_695_040_888_963_407);
        self.state
    }

    /// Numbers from -2 to 2.
    fn numbers(&mut self, shape: &[usize], rounded: bool) -> Input {
        let count = shape.iter().product();
        let mut number = || (self.next() >> 40) as f32 / (1 << 22) as f32 - 2.0;
        Input {
            values: (0..count).map(|_| number()).collect(),
            shape: shape.to_vec(),
            rounded,
        }
    }

    /// Numbers of the type of products.
    fn operand(&mut self, shape: &[usize]) -> Input {
        self.numbers(shape, true)
    }

    /// Numbers in f32.
    fn plain(&mut self, shape: &[usize]) -> Input {
        self.numbers(shape, false)
    }

    /// Compare `operation` on `inputs`, whose last `frozen` ones get no gradient.
    fn compare(
        &mut self,
        name: String,
        inputs: &[Input],
        frozen: usize,
        operation: impl Fn(&[Tensor<4>], FloatDType) -> Tensor<3>,
    ) {
        let of_device = self.device.clone();
        let ours = run(
            &of_device, self.dtype, self.dtype, inputs, frozen, &operation,
        );
        let processor = Device::flex().autodiff();
        let (f32, dtype) = (FloatDType::F32, self.dtype);
        let theirs = run(&processor, f32, dtype, inputs, frozen, &operation);
        let error = ours
            .iter()
            .zip(&theirs)
            .map(|(ours, theirs)| relative(ours, theirs))
            .fold(0.0, |a: f64, b| if b.is_nan() { b } else { a.max(b) });
        let bound = match self.dtype {
            FloatDType::BF16 => 0.03,
            _ => 2e-4,
        };
        self.found.push(Parity {
            operation: name,
            error,
            bound,
        });
    }

    fn norms(&mut self) {
        let random = [self.size(3), self.size(7), self.size(300)];
        // More rows than a device takes in one dimension of its grid.
        let many = [1, 33_000, 2];
        for [batch, length, width] in [[1, 1, 1], [2, 3, 37], [1, 5, 513], many, random] {
            let inputs = [
                self.plain(&[1, batch, length, width]),
                self.plain(&[1, 1, 1, width]),
            ];
            let name = format!("norm {batch} x {length} x {width}");
            self.compare(name, &inputs, 1, move |inputs, dtype| {
                let x = inputs[0].clone().reshape([batch, length, width]);
                fused::rms_norm(x, inputs[1].clone().reshape([width]), 1e-6, dtype)
            });
        }
    }

    fn products(&mut self) {
        let random = [self.size(40), self.size(90), self.size(90)];
        for size in [[1, 1, 1], [1, 64, 33], [19, 33, 64], random] {
            for turned in [false, true] {
                for to_f32 in [false, true] {
                    self.product(size, turned, to_f32);
                }
            }
        }
        if cfg!(feature = "autotune") {
            // Large enough for its kernel to be chosen by trying several, which takes long: so only one.
            self.product([1024, 1024, 1024], false, false);
        }
    }

    fn product(&mut self, [rows, width, columns]: [usize; 3], turned: bool, to_f32: bool) {
        let lies = if turned {
            [columns, width]
        } else {
            [width, columns]
        };
        let inputs = [
            self.operand(&[1, 1, rows, width]),
            self.operand(&[1, 1, lies[0], lies[1]]),
        ];
        let name = format!(
            "product {rows} x {width} x {columns}{}{}",
            if turned { ", turned" } else { "" },
            if to_f32 { ", to f32" } else { "" }
        );
        self.compare(name, &inputs, 1, move |inputs, dtype| {
            let x = inputs[0].clone().reshape([1, rows, width]);
            let weight = inputs[1].clone().reshape(lies);
            let weight = if turned { weight.transpose() } else { weight };
            let dtype = if to_f32 { FloatDType::F32 } else { dtype };
            fused::linear(x, weight, dtype)
        });
    }

    fn gates(&mut self) {
        let random = [self.size(3), self.size(7), self.size(200)];
        for shape in [[1, 1, 1], [2, 3, 37], random] {
            let [batch, length, width] = shape;
            let inputs = [(); 2].map(|()| self.operand(&[1, batch, length, width]));
            let name = format!("gated GELU {batch} x {length} x {width}");
            self.compare(name, &inputs, 0, move |inputs, _| {
                let [gate, value] = [0, 1].map(|i: usize| inputs[i].clone().reshape(shape));
                fused::gated_gelu(gate, value)
            });
            let name = format!("ReLU {batch} x {length} x {width}");
            self.compare(name, &inputs[..1], 0, move |inputs, _| {
                burn::tensor::activation::relu(inputs[0].clone().reshape(shape))
            });
        }
    }

    fn attentions(&mut self) {
        let random = [
            self.size(3),
            self.size(4),
            self.size(12),
            self.size(20),
            self.size(16),
        ];
        let shapes = [
            ([1, 1, 1, 1, 1], true, true),
            ([2, 3, 5, 5, 8], true, true),
            ([2, 1, 7, 11, 9], false, true),
            ([2, 2, 6, 6, 8], true, false),
            ([1, 4, 1, 9, 8], true, false),
            // As many rows of scores.
            ([3, 4, 2_750, 3, 1], true, true),
            (random, true, true),
        ];
        for (shape, position, padding) in shapes {
            self.attention(shape, position, padding);
        }
    }

    /// Attention with a bias in parts and whole, with probabilities that are kept and that are computed again.
    fn attention(&mut self, shape: [usize; 5], position: bool, padding: bool) {
        let [batch, heads, queries, keys, d_kv] = shape;
        let mut hidden = self.plain(&[1, 1, batch, keys]);
        for (place, value) in hidden.values.iter_mut().enumerate() {
            // The first row sees nothing; in others keys are hidden here and there.
            let hide = place < keys || *value > 1.2;
            *value = if hide { -1e9 } else { 0.0 };
        }
        let inputs = [
            self.operand(&[batch, heads, queries, d_kv]),
            self.operand(&[batch, heads, keys, d_kv]),
            self.operand(&[batch, heads, keys, d_kv]),
            // One head more than there are queries of: it is left out.
            self.plain(&[1, 1, heads + 1, queries + keys - 1]),
            hidden,
        ];
        for (whole, recompute) in [(false, false), (false, true), (true, false)] {
            let name = format!(
                "attention {batch} x {heads} x {queries} x {keys} x {d_kv}{}{}{}{}",
                if position { ", positions" } else { "" },
                if padding { ", padding" } else { "" },
                if whole { ", bias whole" } else { "" },
                if recompute { ", recomputed" } else { "" },
            );
            self.compare(name, &inputs, 2, move |inputs, _| {
                let [q, k, v] = [0, 1, 2].map(|i: usize| inputs[i].clone());
                let table = inputs[3].clone().reshape([heads + 1, queries + keys - 1]);
                let heads = crate::index(&(1..=heads).collect::<Vec<_>>(), &table.device());
                let table = position.then(|| table.select(0, heads));
                let hidden = padding.then(|| inputs[4].clone().reshape([batch, keys]));
                let bias = if whole {
                    AttentionBias::Whole(sum(table, hidden, shape, &q.device().inner()))
                } else {
                    AttentionBias::Parts {
                        by_distance: table,
                        hidden,
                    }
                };
                fused::attention(q, k, v, bias, recompute)
            });
        }
    }

    fn cross_entropy(&mut self) {
        let random = [self.size(9), self.size(400)];
        for [rows, width] in [[1, 1], [7, 37], random] {
            let logits = self.plain(&[1, 1, rows, width]);
            let labels: Vec<i32> = (0..rows)
                .map(|row| match row % 3 {
                    2 => IGNORED_LABEL,
                    _ => (self.size(width) - 1) as i32,
                })
                .collect();
            let name = format!("cross-entropy {rows} x {width}");
            self.compare(name, &[logits], 0, move |inputs, _| {
                let logits = inputs[0].clone().reshape([rows, width]);
                let labels = TensorData::new(labels.clone(), [rows]);
                let labels = Tensor::<1, Int>::from_data(labels, &logits.device());
                fused::negative_log_likelihood(logits, labels).reshape([1, 1, rows])
            });
        }
    }
}

/// A bias as one tensor, from its parts.
fn sum(
    by_distance: Option<Tensor<2>>,
    hidden: Option<Tensor<2>>,
    [batch, _, queries, keys, _]: [usize; 5],
    device: &Device,
) -> Tensor<4> {
    let mut bias = Tensor::<4>::zeros([1, 1, queries, keys], device);
    if let Some(table) = by_distance {
        let [heads, _] = table.dims();
        let row = |query: usize| table.clone().narrow(1, queries - 1 - query, keys);
        let rows = (0..queries).map(|query| row(query).reshape([1, heads, 1, keys]));
        bias = bias + Tensor::cat(rows.collect(), 2);
    }
    match hidden {
        Some(hidden) => bias + hidden.reshape([batch, 1, 1, keys]),
        None => bias,
    }
}

/// Result and gradients of `operation` on `device` in products of type `dtype`, with inputs of products rounded to
/// `rounding`.
fn run(
    device: &Device,
    dtype: FloatDType,
    rounding: FloatDType,
    inputs: &[Input],
    frozen: usize,
    operation: impl Fn(&[Tensor<4>], FloatDType) -> Tensor<3>,
) -> Vec<Vec<f32>> {
    let plain = device.clone().inner();
    let mut tensors: Vec<Tensor<4>> = Vec::new();
    for (place, input) in inputs.iter().enumerate() {
        let dims: [usize; 4] = std::array::from_fn(|i| input.shape[i]);
        let frozen = place + frozen >= inputs.len();
        let place = if frozen { &plain } else { device };
        let data = TensorData::new(input.values.clone(), Shape::new(dims));
        let x = Tensor::<4>::from_data(data, place);
        let x = if input.rounded && rounding != FloatDType::F32 {
            x.cast(rounding).cast(dtype)
        } else {
            x
        };
        tensors.push(if frozen { x } else { x.require_grad() });
    }
    let out = to_f32(operation(&tensors, dtype));
    let [a, b, c] = out.dims();
    // Upstream gradients of either sign, none of which is lost where rows are summed.
    let weights = (0..a * b * c).map(|i| ((i * 37 + 11) % 64) as f32 / 32.0 - 0.98);
    let weights = TensorData::new(weights.collect::<Vec<_>>(), [a, b, c]);
    let weights = Tensor::<3>::from_data(weights, &plain);
    let gradients = (out.clone() * weights).sum().backward();
    let mut all = vec![values(out.inner())];
    for x in &tensors[..inputs.len() - frozen] {
        if let Some(gradient) = x.grad(&gradients) {
            all.push(values(to_f32(gradient)));
        }
    }
    all
}

fn to_f32<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    match x.dtype().into() {
        FloatDType::F32 => x,
        _ => x.cast(FloatDType::F32),
    }
}

fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().iter::<f32>().collect()
}

/// Largest difference, relative to the largest number; NaN where one is not finite or the counts differ.
fn relative(ours: &[f32], theirs: &[f32]) -> f64 {
    let all = || ours.iter().chain(theirs);
    if ours.len() != theirs.len() || !all().all(|x| x.is_finite()) {
        return f64::NAN;
    }
    let scale = theirs.iter().fold(1e-3_f32, |a, b| a.max(b.abs()));
    let difference = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs());
    f64::from(difference.fold(0.0, f32::max) / scale)
}
