//! What a decoder remembers between tokens.

use burn::tensor::{Tensor, s};

use crate::{KeysValues, index};

/// Positions for which room is made at least, where more are to come.
const ROOM: usize = 16;

/// What a decoder remembers between the tokens of one batch; the caller holds it, so that the model stays
/// immutable and one model can serve many generations.
#[derive(Clone, Debug, Default)]
pub struct KvCache {
    layers: Vec<LayerCache>,
    /// Positions for which it may make room.
    expected: usize,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct LayerCache {
    own: Option<Growing>,
    pub(crate) cross: Option<KeysValues>,
}

impl KvCache {
    /// An empty cache.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty cache of what will be up to `positions` long: it makes room for more than there are, so that not every
    /// token copies those before it.
    pub fn expecting(positions: usize) -> Self {
        Self {
            expected: positions,
            ..Self::default()
        }
    }

    /// Number of positions decoded so far.
    pub fn length(&self) -> usize {
        self.layers
            .first()
            .and_then(|layer| layer.own.as_ref())
            .map_or(0, |own| own.length)
    }

    /// Keep these rows only, in this order, as [`EncoderOutput::select`](crate::EncoderOutput::select) does.
    pub fn select(&mut self, rows: &[usize]) {
        for layer in &mut self.layers {
            layer.own = layer.own.take().map(|own| own.select(rows));
            layer.cross = layer.cross.take().map(|cross| cross.select(rows));
        }
    }

    /// One cache for each of so many layers, and how many positions are expected.
    pub(crate) fn layers(&mut self, count: usize) -> (&mut [LayerCache], usize) {
        self.layers.resize_with(count, LayerCache::default);
        (&mut self.layers, self.expected)
    }
}

impl LayerCache {
    /// The keys and values of the positions so far and then `next`, of up to `expected`.
    pub(crate) fn append(&mut self, next: KeysValues, expected: usize) -> KeysValues {
        // What is in place is changed in place if nobody else has it.
        let own = match self.own.take() {
            Some(before) => before.append(next, expected),
            None => Growing::new(next),
        };
        let all = own.all();
        self.own = Some(own);
        all
    }
}

/// Keys and values, `[batch, capacity, heads, d_kv]` each as they are projected, of which the first `length` are there.
#[derive(Clone, Debug)]
struct Growing {
    keys: Tensor<4>,
    values: Tensor<4>,
    length: usize,
}

impl Growing {
    fn new(first: KeysValues) -> Self {
        Self {
            length: first.length(),
            keys: first.keys.swap_dims(1, 2),
            values: first.values.swap_dims(1, 2),
        }
    }

    /// These, followed by `next`.
    fn append(self, next: KeysValues, expected: usize) -> Self {
        let length = self.length + next.length();
        let [_, capacity, _, _] = self.keys.dims();
        let room = (length > capacity)
            .then(|| (length / 4).max(ROOM).min(expected.saturating_sub(length)));
        let put = |before: Tensor<4>, next: Tensor<4>| {
            let next = next.swap_dims(1, 2);
            let Some(room) = room else {
                return before.slice_assign(s![.., self.length..length], next);
            };
            let [batch, _, heads, d_kv] = next.dims();
            let options = (&next.device(), next.dtype());
            // After all that there was room for: whole tensors are copied at once, parts of them number by number.
            let more = Tensor::zeros([batch, length + room - capacity, heads, d_kv], options);
            let wide = Tensor::cat(vec![before, more], 1);
            wide.slice_assign(s![.., self.length..length], next)
        };
        Self {
            keys: put(self.keys, next.keys),
            values: put(self.values, next.values),
            length,
        }
    }

    fn all(&self) -> KeysValues {
        let [_, capacity, _, _] = self.keys.dims();
        let all = |x: &Tensor<4>| {
            let there = match x.clone() {
                x if self.length < capacity => x.slice(s![.., 0..self.length]),
                x => x,
            };
            there.swap_dims(1, 2)
        };
        KeysValues {
            keys: all(&self.keys),
            values: all(&self.values),
        }
    }

    fn select(self, rows: &[usize]) -> Self {
        let rows = index(rows, &self.keys.device());
        Self {
            keys: self.keys.select(0, rows.clone()),
            values: self.values.select(0, rows),
            length: self.length,
        }
    }
}
