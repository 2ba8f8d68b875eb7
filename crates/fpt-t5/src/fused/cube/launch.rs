//! Kernels on tensors.

use burn::backend::TensorMetadata;
use burn::backend::cubecl::dtype_to_storage_type;
use burn::tensor::{DType, Shape};
use burn_cubecl::cubecl::prelude::{CubeCount, CubeDim, ElemType};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_dtype;
use burn_cubecl::tensor::CubeTensor;

use super::kernels;

/// Units that share a row, at most: a power of two.
const UNITS: usize = 256;

/// Numbers of a row that one unit should have at least: each doubling of the units is one more step for all of them when
/// they add up what they have.
const NUMBERS_PER_UNIT: usize = 8;

/// Units for rows of `width` numbers on the device of `x`, which may not have as many.
fn units(x: &CubeTensor, width: usize) -> usize {
    let limit = x.client.properties().hardware.max_units_per_cube as usize;
    let most = UNITS.min(1 << limit.max(1).ilog2());
    let wanted = width.div_ceil(NUMBERS_PER_UNIT).next_power_of_two();
    // Fewer than a warp would leave its others idle.
    wanted.clamp(most.min(32), most)
}

/// Units for numbers that have nothing to do with each other.
fn separate_units(x: &CubeTensor) -> usize {
    units(x, UNITS * NUMBERS_PER_UNIT)
}

/// So many cubes, in two dimensions: WebGPU allows 65535 in each.
fn cubes(count: usize) -> CubeCount {
    let across = count.min(1 << 15);
    CubeCount::Static(
        across.max(1) as u32,
        count.div_ceil(across.max(1)).max(1) as u32,
        1,
    )
}

/// A tensor of this shape, with any numbers in it, on the device of `like`.
fn empty(like: &CubeTensor, shape: Shape, dtype: DType) -> CubeTensor {
    empty_device_dtype(like.client.clone(), like.device.clone(), shape, dtype)
}

fn element(x: &CubeTensor) -> ElemType {
    dtype_to_storage_type(x.dtype)
}

/// Rows and width of `x`, taken as a matrix over its last axis.
fn matrix(x: &CubeTensor) -> (usize, usize) {
    let shape = x.shape();
    let width = shape[shape.num_dims() - 1];
    (shape.num_elements() / width.max(1), width)
}

pub(super) fn rms_norm(
    x: CubeTensor,
    weight: CubeTensor,
    epsilon: f32,
    dtype: DType,
) -> CubeTensor {
    let (x, weight) = (into_contiguous(x), into_contiguous(weight));
    let (rows, width) = matrix(&x);
    let out = empty(&x, x.shape(), dtype);
    if rows * width == 0 {
        return out;
    }
    let (client, units) = (x.client.clone(), units(&x, width));
    let dtypes = [element(&x), element(&out)];
    kernels::rms_norm::launch(
        &client,
        cubes(rows),
        CubeDim::new_1d(units as u32),
        x.into_tensor_arg(),
        weight.into_tensor_arg(),
        out.clone().into_tensor_arg(),
        epsilon,
        rows,
        width,
        units,
        dtypes,
    );
    out
}

pub(super) fn rms_norm_backward(
    x: CubeTensor,
    weight: CubeTensor,
    gradient: CubeTensor,
    epsilon: f32,
) -> CubeTensor {
    let (x, weight) = (into_contiguous(x), into_contiguous(weight));
    let gradient = into_contiguous(gradient);
    let (rows, width) = matrix(&x);
    let out = empty(&x, x.shape(), x.dtype);
    if rows * width == 0 {
        return out;
    }
    let (client, units) = (x.client.clone(), units(&x, width));
    let dtypes = [element(&x), element(&gradient)];
    kernels::rms_norm_backward::launch(
        &client,
        cubes(rows),
        CubeDim::new_1d(units as u32),
        x.into_tensor_arg(),
        weight.into_tensor_arg(),
        gradient.into_tensor_arg(),
        out.clone().into_tensor_arg(),
        epsilon,
        rows,
        width,
        units,
        dtypes,
    );
    out
}

pub(super) fn gated_gelu(gate: CubeTensor, value: CubeTensor) -> CubeTensor {
    let (gate, value) = (into_contiguous(gate), into_contiguous(value));
    let count = gate.shape().num_elements();
    let out = empty(&gate, gate.shape(), gate.dtype);
    if count == 0 {
        return out;
    }
    let (client, units) = (gate.client.clone(), separate_units(&gate));
    let dtype = element(&gate);
    kernels::gated_gelu::launch(
        &client,
        cubes(count.div_ceil(units)),
        CubeDim::new_1d(units as u32),
        gate.into_tensor_arg(),
        value.into_tensor_arg(),
        out.clone().into_tensor_arg(),
        count,
        dtype,
    );
    out
}

pub(super) fn gated_gelu_backward(
    gate: CubeTensor,
    value: CubeTensor,
    gradient: CubeTensor,
) -> (CubeTensor, CubeTensor) {
    let (gate, value) = (into_contiguous(gate), into_contiguous(value));
    let gradient = into_contiguous(gradient);
    let count = gate.shape().num_elements();
    let d_gate = empty(&gate, gate.shape(), gate.dtype);
    let d_value = empty(&gate, gate.shape(), gate.dtype);
    if count == 0 {
        return (d_gate, d_value);
    }
    let (client, units) = (gate.client.clone(), separate_units(&gate));
    let dtype = element(&gate);
    kernels::gated_gelu_backward::launch(
        &client,
        cubes(count.div_ceil(units)),
        CubeDim::new_1d(units as u32),
        gate.into_tensor_arg(),
        value.into_tensor_arg(),
        gradient.into_tensor_arg(),
        d_gate.clone().into_tensor_arg(),
        d_value.clone().into_tensor_arg(),
        count,
        dtype,
    );
    (d_gate, d_value)
}

/// `softmax(scores + bias)` over the keys, of the type `dtype`. `by_distance`,
/// `[heads, queries + keys - 1]`, and `hidden`, `[batch, keys]`, are `[1]` where there is none.
pub(super) fn biased_softmax(
    scores: CubeTensor,
    by_distance: CubeTensor,
    hidden: CubeTensor,
    dtype: DType,
) -> CubeTensor {
    let scores = into_contiguous(scores);
    let (by_distance, hidden) = (into_contiguous(by_distance), into_contiguous(hidden));
    let [_, heads, queries, keys]: [usize; 4] = scores.shape().dims();
    let (rows, _) = matrix(&scores);
    let out = empty(&scores, scores.shape(), dtype);
    if rows * keys == 0 {
        return out;
    }
    let (client, units) = (scores.client.clone(), units(&scores, keys));
    let position = !is_absent(&by_distance);
    let padding = !is_absent(&hidden);
    let dtypes = [element(&scores), element(&out)];
    kernels::biased_softmax::launch(
        &client,
        cubes(rows),
        CubeDim::new_1d(units as u32),
        scores.into_tensor_arg(),
        by_distance.into_tensor_arg(),
        hidden.into_tensor_arg(),
        out.clone().into_tensor_arg(),
        rows,
        heads,
        queries,
        keys,
        units,
        position,
        padding,
        dtypes,
    );
    out
}

pub(super) fn softmax_backward(probabilities: CubeTensor, gradient: CubeTensor) -> CubeTensor {
    let probabilities = into_contiguous(probabilities);
    let gradient = into_contiguous(gradient);
    let (rows, keys) = matrix(&probabilities);
    let out = empty(&probabilities, probabilities.shape(), probabilities.dtype);
    if rows * keys == 0 {
        return out;
    }
    let (client, units) = (probabilities.client.clone(), units(&probabilities, keys));
    let dtypes = [element(&gradient), element(&probabilities)];
    kernels::softmax_backward::launch(
        &client,
        cubes(rows),
        CubeDim::new_1d(units as u32),
        probabilities.into_tensor_arg(),
        gradient.into_tensor_arg(),
        out.clone().into_tensor_arg(),
        rows,
        keys,
        units,
        dtypes,
    );
    out
}

/// Losses and logarithms of sums, `[rows]` in f32.
pub(super) fn nll(logits: CubeTensor, labels: CubeTensor) -> (CubeTensor, CubeTensor) {
    let (logits, labels) = (into_contiguous(logits), into_contiguous(labels));
    let (rows, width) = matrix(&logits);
    let nll = empty(&logits, Shape::new([rows]), DType::F32);
    let sums = empty(&logits, Shape::new([rows]), DType::F32);
    if rows * width == 0 {
        return (nll, sums);
    }
    let (client, units) = (logits.client.clone(), units(&logits, width));
    let dtypes = [element(&logits), element(&labels)];
    kernels::nll::launch(
        &client,
        cubes(rows),
        CubeDim::new_1d(units as u32),
        logits.into_tensor_arg(),
        labels.into_tensor_arg(),
        nll.clone().into_tensor_arg(),
        sums.clone().into_tensor_arg(),
        rows,
        width,
        units,
        dtypes,
    );
    (nll, sums)
}

pub(super) fn nll_backward(
    logits: CubeTensor,
    labels: CubeTensor,
    sums: CubeTensor,
    gradient: CubeTensor,
) -> CubeTensor {
    let (logits, labels) = (into_contiguous(logits), into_contiguous(labels));
    let (sums, gradient) = (into_contiguous(sums), into_contiguous(gradient));
    let (rows, width) = matrix(&logits);
    let out = empty(&logits, logits.shape(), logits.dtype);
    if rows * width == 0 {
        return out;
    }
    let (client, units) = (logits.client.clone(), units(&logits, width));
    let dtypes = [element(&logits), element(&labels)];
    kernels::nll_backward::launch(
        &client,
        cubes(rows),
        CubeDim::new_1d(units as u32),
        logits.into_tensor_arg(),
        labels.into_tensor_arg(),
        sums.into_tensor_arg(),
        gradient.into_tensor_arg(),
        out.clone().into_tensor_arg(),
        rows,
        width,
        units,
        dtypes,
    );
    out
}

/// Whether a part of a bias stands for none: then it is a single number without rows.
fn is_absent(part: &CubeTensor) -> bool {
    part.shape().num_dims() == 1
}
