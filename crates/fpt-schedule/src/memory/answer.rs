//! Memory of answers: a forward pass of the encoder, then the decoder token by token.

use std::num::Saturating;

use super::{Layout, Numbers, StepSettings};
use crate::ModelShape;
use crate::cost::n;

type Bytes = Saturating<u64>;

const F32: Bytes = Saturating(4);
/// Rows of a head's scores that a thread of a processor has at a time.
const BLOCK: Bytes = Saturating(128);
/// Of a continuation, with its score, of a hypothesis that may go on.
const CANDIDATE: Bytes = Saturating(32);

/// Texts that are answered together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerShape {
    /// Texts.
    pub rows: usize,
    /// Tokens of the longest, the prompt not counted.
    pub source: usize,
    /// Vectors of the soft prompt before each of them.
    pub prompt: usize,
    /// Tokens of the longest answer.
    pub answer: usize,
    /// Hypotheses that are followed for each text, at least 1.
    pub beams: usize,
}

/// Bytes that answers take on the device besides the model's weights, at the worst moment; of `settings`, precision and
/// layout count. It is never less than what is really taken, and up to half more.
///
/// With L positions of the encoder, T of an answer, `inner = heads * d_kv`, B beams, in bytes of f32 or of the operands
/// of products (`*`), a row takes the more of
///
/// | when | values |
/// |---|---|
/// | the encoder's layer | 128 L of a head's scores (on a GPU heads·(L² + L²*) of scores), 3 L·d, L·d* + the more of 4 L·inner* and 3 L·d_ff* |
/// | the decoder's token | 2 L·d + layers·2 L·inner*, B·((layers + 1)·2 T·inner* + 2 B·T·(heads + 1) + 3 vocabulary) |
///
/// and once, for all rows, 2 heads·L of bias by distance; and for greedy answers of a model of f32 on a processor, a copy of
/// the output head in bytes.
pub fn answering(shape: &ModelShape, batch: &AnswerShape, settings: &StepSettings) -> u64 {
    let length = n(batch.prompt.saturating_add(batch.source));
    let (answer, beams) = (n(batch.answer), n(batch.beams.max(1)));
    let (d, d_ff, heads) = (n(shape.d_model), n(shape.d_ff), n(shape.heads));
    let inner = heads * n(shape.d_kv);
    let operands = |values: Bytes| values * n(settings.operand_bytes());
    let scores = length * length;

    let attention = match settings.layout {
        Layout::Processor => F32 * length * length.min(BLOCK),
        Layout::Gpu => heads * (F32 * scores + operands(scores)),
    };
    let once = n(2) * F32 * length * heads;
    let widest = (n(4) * inner).max(n(3) * d_ff);
    let encoder = attention + F32 * n(3) * length * d + operands(length * (d + widest));

    let layers = n(shape.decoder_layers);
    let source = F32 * n(2) * length * d + operands(n(2) * inner * layers * length);
    // What is attended to, once more for the layer that makes room for more of it.
    let own = operands(n(2) * inner * (layers + n(1)) * answer);
    // Which of all beams' tokens one attends to.
    let bias = n(2) * F32 * (heads + n(1)) * beams * answer;
    let vocabulary = n(shape.vocabulary);
    let beam = own + bias + n(3) * F32 * vocabulary;
    // Each of B beams has up to 2 B continuations, none more than there are words.
    let continuations = beams * (n(2) * beams).min(vocabulary) * CANDIDATE;
    let decoder = source + beams * beam;

    let greedy = settings.layout == Layout::Processor
        && settings.precision == Numbers::F32
        && batch.beams <= 1;
    // Integers, a scale of up to 128 of them, and two lengths.
    let head = vocabulary * (d + F32 * (d / n(128) + n(3)));
    let copy = if greedy { head } else { n(0) };

    (n(batch.rows) * (encoder.max(decoder) + continuations) + once + copy).0
}
