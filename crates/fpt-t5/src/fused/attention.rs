//! Attention on the CPU: examples are shared out over threads, and a thread has the scores of some queries of one head at
//! a time.

use std::ops::Range;

use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{DType, Shape};
use burn_flex::FlexTensor;
use faer::Accum;
use rayon::prelude::*;

use super::flex::{dense, empty, expand, last_two_of, positive, values};
use super::kernels::{self, BiasRows};
use super::matrix::{View, multiply, multiply_and};
use super::{AttentionGradients, AttentionInputs, Bias, Probabilities};

/// Queries whose scores are there at once: besides what it returns, a thread then needs memory that grows with the
/// length, not its square, and that its cache holds.
const BLOCK: usize = 128;

/// Whether all of it is f32, as it must be here.
pub(super) fn suits(inputs: &AttentionInputs<Flex>, bias: &Bias<Flex>) -> bool {
    let f32 = |tensors: &[&FlexTensor]| tensors.iter().all(|x| x.dtype() == DType::F32);
    let bias = match bias {
        Bias::Whole(bias) => f32(&[bias]),
        Bias::Parts {
            by_distance,
            hidden,
        } => f32(&[by_distance, hidden]),
    };
    bias && f32(&[&inputs.queries, &inputs.keys, &inputs.values])
}

/// [`super::attention`]; probabilities are kept if they are asked for.
pub(super) fn forward(
    inputs: AttentionInputs<Flex>,
    bias: Bias<Flex>,
    keep: bool,
) -> (FlexTensor, Option<FlexTensor>) {
    let sizes = Sizes::of(&inputs);
    let (heads, width) = (sizes.heads, sizes.width());
    let mut out = empty(Shape::new([sizes.batch, sizes.queries, width]));
    let mut kept = keep.then(|| empty(sizes.scores()));
    if sizes.are_empty() {
        return (out, kept);
    }
    let [q, k, v] = [inputs.queries, inputs.keys, inputs.values].map(dense);
    let bias = ScoreBias::new(bias, sizes);
    let one = |buffer: &mut Vec<f32>, example, out: &mut [f32], mut kept: Option<&mut [f32]>| {
        for head in 0..heads {
            let [q, k, v] = [&q, &k, &v].map(|x| head_of(x, example, head));
            for block in sizes.blocks() {
                let p = place(&mut kept, buffer, sizes.range(head, &block));
                let q = q.rows(block.start, block.len());
                probabilities(q, k, bias.rows(example, head, block.start), p);
                let p = View::contiguous(p, [block.len(), sizes.keys]);
                let to = block.start * width + head * sizes.d_kv;
                multiply(p, v, &mut out[to..], width);
            }
        }
    };
    out.storage_mut::<f32>()
        .par_chunks_mut(sizes.queries * width)
        .zip(by_example(kept.as_mut(), sizes))
        .enumerate()
        .for_each_init(Vec::new, |buffer, (example, (out, kept))| {
            one(buffer, example, out, kept);
        });
    (out, kept)
}

/// Gradients are laid out as `[batch, length, heads, d_kv]` and given as views with heads before length, so that the
/// projections below find them contiguous.
pub(super) fn backward(
    inputs: AttentionInputs<Flex>,
    probabilities: Probabilities<Flex>,
    gradient: FlexTensor,
    want_scores: bool,
) -> AttentionGradients<Flex> {
    let sizes = Sizes::of(&inputs);
    let by_length = |length| empty(Shape::new([sizes.batch, length, sizes.heads, sizes.d_kv]));
    let mut queries = by_length(sizes.queries);
    let (mut keys, mut values) = (by_length(sizes.keys), by_length(sizes.keys));
    let mut scores = want_scores.then(|| empty(sizes.scores()));
    if !sizes.are_empty() {
        let pass = BackwardPass::new(inputs, probabilities, gradient, sizes);
        let width = sizes.width();
        queries
            .storage_mut::<f32>()
            .par_chunks_mut(sizes.queries * width)
            .zip(keys.storage_mut::<f32>().par_chunks_mut(sizes.keys * width))
            .zip(
                values
                    .storage_mut::<f32>()
                    .par_chunks_mut(sizes.keys * width),
            )
            .zip(by_example(scores.as_mut(), sizes))
            .enumerate()
            .for_each_init(Default::default, |buffers, (example, (((q, k), v), ds))| {
                pass.example(example, [q, k, v], ds, buffers);
            });
    }
    AttentionGradients {
        queries: queries.transpose(1, 2),
        keys: keys.transpose(1, 2),
        values: values.transpose(1, 2),
        scores,
    }
}

/// What a backward pass reads.
struct BackwardPass {
    queries: FlexTensor,
    keys: FlexTensor,
    values: FlexTensor,
    probabilities: Source,
    gradient: FlexTensor,
    sizes: Sizes,
}

/// Where probabilities come from.
enum Source {
    Kept(FlexTensor),
    Of(Box<ScoreBias>),
}

impl BackwardPass {
    fn new(
        inputs: AttentionInputs<Flex>,
        probabilities: Probabilities<Flex>,
        gradient: FlexTensor,
        sizes: Sizes,
    ) -> Self {
        let [queries, keys, values] = [inputs.queries, inputs.keys, inputs.values].map(dense);
        let probabilities = match probabilities {
            Probabilities::Kept(kept) => Source::Kept(kept),
            Probabilities::Of(bias) => Source::Of(Box::new(ScoreBias::new(bias, sizes))),
        };
        Self {
            queries,
            keys,
            values,
            probabilities,
            gradient: gradient.to_contiguous(),
            sizes,
        }
    }

    /// The gradients of an example; the buffers are for probabilities and the gradient of scores.
    fn example(
        &self,
        example: usize,
        [dq, dk, dv]: [&mut [f32]; 3],
        mut d_scores: Option<&mut [f32]>,
        [p_buffer, ds_buffer]: &mut [Vec<f32>; 2],
    ) {
        let (sizes, width) = (&self.sizes, self.sizes.width());
        for head in 0..sizes.heads {
            let to = head * sizes.d_kv;
            let [q, k, v] =
                [&self.queries, &self.keys, &self.values].map(|x| head_of(x, example, head));
            let mut how = Accum::Replace;
            for block in sizes.blocks() {
                let size = [block.len(), sizes.keys];
                let q = q.rows(block.start, block.len());
                let p = match &self.probabilities {
                    Source::Kept(kept) => {
                        let before = example * sizes.heads;
                        &values(kept)[sizes.range(before + head, &block)]
                    }
                    Source::Of(bias) => {
                        let p = first(p_buffer, size.iter().product());
                        probabilities(q, k, bias.rows(example, head, block.start), p);
                        &*p
                    }
                };
                let from = (example * sizes.queries + block.start) * width + to;
                let g = &values(&self.gradient)[from..];
                let g = View::new(g, [block.len(), sizes.d_kv], [width, 1]);
                let ds = place(&mut d_scores, ds_buffer, sizes.range(head, &block));
                multiply(g, v.transpose(), ds, sizes.keys);
                kernels::softmax_backward(p, sizes.keys, ds);
                // Now that they are in the cache: it takes longer to get them by columns than by rows.
                let p = View::contiguous(p, size).transpose();
                multiply_and(how, p, g, &mut dv[to..], width);
                let ds = View::contiguous(ds, size);
                multiply(ds, k, &mut dq[block.start * width + to..], width);
                multiply_and(how, ds.transpose(), q, &mut dk[to..], width);
                how = Accum::Add;
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    heads: usize,
    queries: usize,
    keys: usize,
    d_kv: usize,
}

impl Sizes {
    fn of(inputs: &AttentionInputs<Flex>) -> Self {
        let [batch, heads, queries, d_kv]: [usize; 4] = inputs.queries.shape().dims();
        let [_, _, keys, _]: [usize; 4] = inputs.keys.shape().dims();
        Self {
            batch,
            heads,
            queries,
            keys,
            d_kv,
        }
    }

    fn width(&self) -> usize {
        self.heads * self.d_kv
    }

    fn are_empty(&self) -> bool {
        self.batch * self.width() * self.queries * self.keys == 0
    }

    fn scores(&self) -> Shape {
        Shape::new([self.batch, self.heads, self.queries, self.keys])
    }

    fn blocks(self) -> impl Iterator<Item = Range<usize>> {
        (0..self.queries)
            .step_by(BLOCK)
            .map(move |first| first..self.queries.min(first + BLOCK))
    }

    /// Where the scores of a head's queries are among those of an example.
    fn range(&self, head: usize, block: &Range<usize>) -> Range<usize> {
        let at = |query| (head * self.queries + query) * self.keys;
        at(block.start)..at(block.end)
    }
}

/// What a tensor as large as the scores has of each example; `None` for each where there is no tensor.
fn by_example(
    tensor: Option<&mut FlexTensor>,
    sizes: Sizes,
) -> rayon::vec::IntoIter<Option<&mut [f32]>> {
    let of_examples: Vec<_> = match tensor {
        Some(tensor) => tensor
            .storage_mut::<f32>()
            .chunks_mut(sizes.heads * sizes.queries * sizes.keys)
            .map(Some)
            .collect(),
        None => (0..sizes.batch).map(|_| None).collect(),
    };
    of_examples.into_par_iter()
}

/// The place of scores among those that stay, or else in a buffer.
fn place<'a>(
    stay: &'a mut Option<&mut [f32]>,
    buffer: &'a mut Vec<f32>,
    range: Range<usize>,
) -> &'a mut [f32] {
    match stay {
        Some(all) => &mut all[range],
        None => first(buffer, range.len()),
    }
}

/// The first numbers of a buffer, which grows where it has to.
fn first(buffer: &mut Vec<f32>, count: usize) -> &mut [f32] {
    if buffer.len() < count {
        buffer.resize(count, 0.0);
    }
    &mut buffer[..count]
}

/// The probabilities of some queries of a head, `[queries, keys]`.
fn probabilities(q: View<'_>, k: View<'_>, bias: BiasRows<'_>, out: &mut [f32]) {
    multiply(q, k.transpose(), out, k.size[0]);
    kernels::softmax(out, k.size[0], bias);
}

/// A [`Bias`] as rows of values, one for each query, which may overlap, and a row that is added to all of an example.
struct ScoreBias {
    rows: FlexTensor,
    start: usize,
    /// Of examples, heads and queries.
    strides: [isize; 3],
    hidden: FlexTensor,
    hidden_stride: usize,
}

impl ScoreBias {
    fn new(bias: Bias<Flex>, sizes: Sizes) -> Self {
        match bias {
            Bias::Whole(bias) => Self::whole(bias, sizes),
            Bias::Parts {
                by_distance,
                hidden,
            } => Self::parts(by_distance, hidden, sizes),
        }
    }

    fn whole(bias: FlexTensor, sizes: Sizes) -> Self {
        let bias = positive(bias);
        let given: [usize; 4] = bias.shape().dims();
        // The kernel reads whole rows.
        let dense = given[3] == sizes.keys && (bias.layout().strides()[3] == 1 || sizes.keys == 1);
        let rows = if dense {
            bias
        } else {
            let last = [given[0], given[1], given[2], sizes.keys];
            expand(bias, Shape::new(last)).to_contiguous()
        };
        let layout = rows.layout();
        let stride = |dim: usize| match layout.shape()[dim] {
            1 => 0,
            _ => layout.strides()[dim],
        };
        Self {
            start: layout.start_offset(),
            strides: [stride(0), stride(1), stride(2)],
            hidden: empty(Shape::new([sizes.keys])),
            hidden_stride: 0,
            rows,
        }
    }

    /// A part that there is not has one dimension.
    fn parts(by_distance: FlexTensor, hidden: FlexTensor, sizes: Sizes) -> Self {
        let part = |part: FlexTensor, width: usize| match part.shape().num_dims() {
            1 => empty(Shape::new([1, width])),
            _ => part.to_contiguous(),
        };
        let stride = |part: &FlexTensor, width: usize| match part.shape()[0] {
            1 => 0,
            _ => width,
        };
        let distances = sizes.queries + sizes.keys - 1;
        let (rows, hidden) = (part(by_distance, distances), part(hidden, sizes.keys));
        Self {
            start: rows.layout().start_offset() + sizes.queries - 1,
            // The distance to a key is one less for the next query.
            strides: [0, stride(&rows, distances) as isize, -1],
            hidden_stride: stride(&hidden, sizes.keys),
            rows,
            hidden,
        }
    }

    /// Those of a head's queries from this one on.
    fn rows(&self, example: usize, head: usize, query: usize) -> BiasRows<'_> {
        let place = [example, head, query];
        let offsets = place.iter().zip(self.strides);
        let offset: isize = offsets.map(|(&place, by)| place as isize * by).sum();
        BiasRows {
            values: self.rows.storage(),
            start: self.start.wrapping_add_signed(offset),
            step: self.strides[2],
            all: &values(&self.hidden)[example * self.hidden_stride..],
        }
    }
}

/// One head of one example of `[batch, heads, length, d_kv]`.
fn head_of(x: &FlexTensor, example: usize, head: usize) -> View<'_> {
    let strides = x.layout().strides();
    let offset = example * strides[0].unsigned_abs() + head * strides[1].unsigned_abs();
    last_two_of(x, offset)
}
