//! Activations of a step, moment by moment.

use std::num::Saturating;

use super::{Layout, Recompute, StepSettings};
use crate::cost::{BatchShape, n};
use crate::{ModelShape, PartialSize, StackSize};

type Bytes = Saturating<u64>;

/// Of a residual, a logit, a score before its softmax.
const F32: Bytes = Saturating(4);

/// Bytes that are kept, and that there are besides, at the worst moment of a step.
///
/// With L encoder and T decoder positions, `inner = heads * d_kv`, in bytes of f32 or of the operands of products
/// (`*`), a row keeps
///
/// | part | values |
/// |---|---|
/// | encoder layer | 2 L·d + 3 L·inner* + heads·L²* + 2 L·d_ff* |
/// | decoder layer | 3 T·d + 4 T·inner* + 2 L·inner* + heads·(T² + T·L)* + 2 T·d_ff* |
/// | norms after the stacks, logits | L·d + T·d + T·vocabulary |
///
/// without the probabilities (heads·L² and the like) where attention is recomputed, and with L·d alone of an encoder
/// layer where layers are, one of which is there in full at a time, on a processor without probabilities. A ReLU network
/// keeps d_ff, not 2 d_ff. What a processor's threads hold of scores, some rows of a head's, is not worth counting.
pub(super) fn at_worst(
    shape: &ModelShape,
    size: &PartialSize,
    batch: &BatchShape,
    settings: &StepSettings,
) -> (u64, u64) {
    let row = Row::new(shape, size, batch, settings);
    let encoder = row.encoder_kept();
    let decoder = row.decoder_kept();
    let moments = [
        // The encoder's last layer.
        (encoder, row.encoder_forward()),
        // Logits, while the encoder's output is still there; or their gradient, when it is no more.
        (
            encoder + decoder,
            (row.f32(row.length * row.d)).max(row.f32(row.target * row.vocabulary)),
        ),
        // The last cross-attention, when gradients begin to take the place of what was kept for them.
        (
            encoder + decoder - row.f32(row.target * row.vocabulary),
            row.cross_backward(),
        ),
        // Backward through the encoder's last layer.
        (encoder, row.encoder_backward()),
    ];
    let worst = moments
        .into_iter()
        .max_by_key(|(kept, transient)| kept + transient)
        .unwrap_or_default();
    let rows = n(settings.rows_at_once(batch.rows));
    let once = row.once();
    ((worst.0 * rows).0, (worst.1 * rows + once).0)
}

/// The sizes of one example.
struct Row<'a> {
    shape: &'a ModelShape,
    size: &'a PartialSize,
    settings: &'a StepSettings,
    prompt: Bytes,
    length: Bytes,
    target: Bytes,
    d: Bytes,
    vocabulary: Bytes,
    /// Values that the FFN keeps for each neuron.
    gates: Bytes,
}

impl<'a> Row<'a> {
    fn new(
        shape: &'a ModelShape,
        size: &'a PartialSize,
        batch: &BatchShape,
        settings: &'a StepSettings,
    ) -> Self {
        Self {
            shape,
            size,
            settings,
            prompt: n(batch.prompt),
            length: n(batch.encoder_length()),
            target: n(batch.target),
            d: n(shape.d_model),
            vocabulary: n(shape.vocabulary),
            gates: n(if shape.gated { 2 } else { 1 }),
        }
    }

    fn f32(&self, values: Bytes) -> Bytes {
        values * F32
    }

    /// Of numbers that products take or give.
    fn operands(&self, values: Bytes) -> Bytes {
        values * n(self.settings.operand_bytes())
    }

    fn inner(&self, stack: &StackSize) -> Bytes {
        n(stack.heads) * n(self.shape.d_kv)
    }

    fn on_gpu(&self) -> bool {
        self.settings.layout == Layout::Gpu
    }

    /// Scores of the encoder's self-attention.
    fn scores(&self) -> Bytes {
        n(self.size.encoder.heads) * self.length * self.length
    }

    fn probabilities_if(&self, kept: bool, values: Bytes) -> Bytes {
        if kept { self.operands(values) } else { n(0) }
    }

    /// An encoder layer, all of it.
    fn encoder_layer(&self, with_probabilities: bool) -> Bytes {
        let stack = &self.size.encoder;
        self.f32(n(2) * self.length * self.d)
            + self.operands(self.length * n(3) * self.inner(stack))
            + self.probabilities_if(with_probabilities, self.scores())
            + self.operands(self.length * self.gates * n(stack.d_ff))
    }

    fn encoder_kept(&self) -> Bytes {
        let stack = &self.size.encoder;
        let layer = match self.settings.recompute {
            Recompute::None => self.encoder_layer(true),
            Recompute::Attention => self.encoder_layer(false),
            Recompute::Layers => self.f32(self.length * self.d),
        };
        n(stack.layers) * layer + self.f32(self.length * self.d)
    }

    fn decoder_kept(&self) -> Bytes {
        let stack = &self.size.decoder;
        let (inner, heads) = (self.inner(stack), n(stack.heads));
        let target = self.target;
        let with_probabilities = self.settings.recompute != Recompute::Attention;
        let own = self.f32(target * self.d)
            + self.operands(n(3) * target * inner)
            + self.probabilities_if(with_probabilities, heads * target * target);
        let norm = self.f32(target * self.d);
        let layer = own
            + norm
            + self.operands(target * inner + n(2) * self.length * inner)
            + self.probabilities_if(with_probabilities, heads * target * self.length)
            + self.f32(target * self.d)
            + self.operands(target * self.gates * n(stack.d_ff));
        let mut all = n(stack.layers) * layer + self.f32(target * (self.d + self.vocabulary));
        if stack.layers > 0 {
            // Before its cross-attention, the first layer does not depend on the prompt.
            all -= own + norm;
        }
        all
    }

    /// What a layer's forward pass holds besides what it keeps, or until it keeps it.
    fn encoder_forward(&self) -> Bytes {
        let stack = &self.size.encoder;
        let (width, inner) = (self.length * self.d, self.length * self.inner(stack));
        let ff = self.operands(self.length * n(stack.d_ff));
        let mut attention = self.operands(width + inner);
        if self.on_gpu() {
            attention += self.f32(self.scores());
            if self.settings.recompute != Recompute::None {
                attention += self.operands(self.scores());
            }
        }
        let feed_forward = self.operands(width) + ff + self.f32(width);
        if self.settings.recompute == Recompute::Layers {
            // Nothing is kept of it.
            let inputs = self.operands(n(3) * inner);
            return (attention + inputs).max(feed_forward + self.gates * ff);
        }
        // When the attention runs, the FFN has kept nothing yet.
        feed_forward.max(attention - attention.min(self.gates * ff))
    }

    fn cross_backward(&self) -> Bytes {
        let stack = &self.size.decoder;
        let scores = n(stack.heads) * self.target * self.length;
        let gradients = self.operands(n(2) * self.length * self.inner(stack));
        let mut on_gpu = n(0);
        if self.on_gpu() {
            on_gpu = self.f32(scores) + self.operands(scores);
            let again = self.settings.recompute == Recompute::Attention;
            on_gpu += self.probabilities_if(again, scores);
        }
        // That of the encoder's output is added up from layer to layer.
        let encoded = self.f32(self.length * self.d);
        gradients + on_gpu + encoded + self.f32(n(2) * self.target * self.d)
    }

    fn encoder_backward(&self) -> Bytes {
        let stack = &self.size.encoder;
        let width = self.length * self.d;
        let ff = self.operands(self.length * n(stack.d_ff));
        // Of the residual; of the neurons, of gate and value, which take the place of others on a processor; of the norm.
        let in_ffn = n(if self.on_gpu() { 3 } else { 1 });
        let feed_forward = self.f32(width) + in_ffn * ff + self.operands(width);
        let mut attention = self.f32(width) + self.operands(n(4) * self.length * self.inner(stack));
        if self.on_gpu() {
            attention += self.f32(self.scores()) + self.operands(self.scores());
            if self.settings.recompute == Recompute::Attention {
                attention += self.operands(self.scores());
            }
        }
        let freed = self.gates * ff + self.f32(width);
        let layer = feed_forward.max(attention - attention.min(freed));
        match self.settings.recompute {
            // Its input is among what is kept, its output and the gradient of that are not.
            Recompute::Layers => self.encoder_layer(self.on_gpu()) + self.f32(width) + layer,
            _ => layer,
        }
    }

    /// What does not grow with the batch: the position bias by distance, and the prompt with its gradient and its
    /// optimizer.
    fn once(&self) -> Bytes {
        let position = n(2) * self.length * n(self.shape.heads);
        self.f32(position + n(6) * self.prompt * self.d)
    }
}
