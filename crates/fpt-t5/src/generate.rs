use burn::tensor::{Int, Tensor, TensorData};

use crate::{EncoderOutput, KvCache, T5};

impl T5 {
    /// Greedy decoding: for every row of `encoded`, the most probable token at each step, at most
    /// `max_new_tokens` of them. A row ends with the end-of-sequence token, which is part of it; the start
    /// token is not.
    pub fn generate(&self, encoded: &EncoderOutput, max_new_tokens: usize) -> Vec<Vec<u32>> {
        let [batch, _, _] = encoded.hidden.dims();
        let device = encoded.hidden.device();
        let (pad, eos) = (self.config().pad_token_id, self.config().eos_token_id);
        let mut rows: Vec<Vec<u32>> = vec![Vec::new(); batch];
        let mut running = vec![true; batch];
        let mut last = vec![self.config().decoder_start_token_id; batch];
        let mut cache = KvCache::new();
        for _ in 0..max_new_tokens {
            let input: Vec<i32> = last.iter().map(|&id| id as i32).collect();
            let input = Tensor::<2, Int>::from_data(TensorData::new(input, [batch, 1]), &device);
            let next = self.decode(input, encoded, &mut cache).argmax(2);
            for (row, id) in next.into_data().iter::<i64>().enumerate() {
                let id = id as u32;
                last[row] = if running[row] { id } else { pad };
                if running[row] {
                    rows[row].push(id);
                    running[row] = id != eos;
                }
            }
            if running.iter().all(|running| !running) {
                break;
            }
        }
        rows
    }
}
