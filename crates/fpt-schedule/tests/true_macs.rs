//! The true count against a walk through the model, product by product.

use fpt_schedule::cost::{BatchShape, Macs, true_macs};
use fpt_schedule::{ModelShape, PartialSize, StackSize};
use proptest::prelude::*;

/// Counts products and follows which values depend on the prompt.
#[derive(Default)]
struct Walk {
    forward: u64,
    backward: u64,
}

/// Rows, columns, and whether the prompt is behind it.
#[derive(Clone, Copy)]
struct Matrix(usize, usize, bool);

impl Walk {
    fn product(&mut self, a: Matrix, b: Matrix) -> Matrix {
        assert_eq!(a.1, b.0, "shapes fit");
        let macs = (a.0 * a.1 * b.1) as u64;
        self.forward += macs;
        self.backward += macs * (u64::from(a.2) + u64::from(b.2));
        Matrix(a.0, b.1, a.2 || b.2)
    }

    /// Weights are frozen.
    fn linear(&mut self, x: Matrix, width: usize) -> Matrix {
        self.product(x, Matrix(x.1, width, false))
    }

    /// With the residual connection.
    fn attention(&mut self, x: Matrix, memory: Matrix, heads: usize, d_kv: usize) -> Matrix {
        let q = self.linear(x, heads * d_kv);
        let k = self.linear(memory, heads * d_kv);
        let v = self.linear(memory, heads * d_kv);
        let mut reached = false;
        for _ in 0..heads {
            let probabilities = self.product(Matrix(q.0, d_kv, q.2), Matrix(d_kv, k.0, k.2));
            reached = self.product(probabilities, Matrix(v.0, d_kv, v.2)).2;
        }
        let out = self.linear(Matrix(x.0, heads * d_kv, reached), x.1);
        Matrix(x.0, x.1, x.2 || out.2)
    }

    fn ffn(&mut self, x: Matrix, d_ff: usize, gated: bool) -> Matrix {
        let hidden = self.linear(x, d_ff);
        if gated {
            self.linear(x, d_ff);
        }
        self.linear(hidden, x.1)
    }
}

fn walk(shape: &ModelShape, size: &PartialSize, batch: &BatchShape) -> Macs {
    let mut walk = Walk::default();
    for _ in 0..batch.rows {
        let length = batch.prompt + batch.source;
        let mut x = Matrix(length, shape.d_model, batch.prompt > 0);
        for _ in 0..size.encoder.layers {
            x = walk.attention(x, x, size.encoder.heads, shape.d_kv);
            x = walk.ffn(x, size.encoder.d_ff, shape.gated);
        }
        let memory = x;
        let mut y = Matrix(batch.target, shape.d_model, false);
        for _ in 0..size.decoder.layers {
            y = walk.attention(y, y, size.decoder.heads, shape.d_kv);
            y = walk.attention(y, memory, size.decoder.heads, shape.d_kv);
            y = walk.ffn(y, size.decoder.d_ff, shape.gated);
        }
        walk.linear(y, shape.vocabulary);
    }
    Macs {
        forward: walk.forward,
        backward: walk.backward,
    }
}

#[test]
fn equals_the_walk_on_t5_large() {
    let shape = ModelShape::T5_LARGE;
    let batch = BatchShape {
        rows: 4,
        source: 492,
        target: 200,
        prompt: 20,
    };
    let full = shape.full();
    let macs = true_macs(&shape, &full, &batch);
    assert_eq!(macs, walk(&shape, &full, &batch));
    assert_eq!(macs.total(), macs.forward + macs.backward);
}

fn stack() -> impl Strategy<Value = StackSize> {
    (1..5_usize, 1..40_usize, 1..5_usize).prop_map(|(layers, d_ff, heads)| StackSize {
        layers,
        d_ff,
        heads,
    })
}

proptest! {
    #[test]
    fn equals_the_walk(
        encoder in stack(),
        decoder in stack(),
        (d_model, d_kv, vocabulary) in (1..20_usize, 1..9_usize, 1..50_usize),
        (rows, source, target, prompt) in (1..4_usize, 0..30_usize, 1..20_usize, 0..6_usize),
        gated: bool,
    ) {
        let shape = ModelShape { d_model, d_kv, vocabulary, gated, ..ModelShape::T5_LARGE };
        let size = PartialSize { encoder, decoder };
        let batch = BatchShape { rows, source, target, prompt };
        prop_assert_eq!(true_macs(&shape, &size, &batch), walk(&shape, &size, &batch));
    }
}
