//! The one loss and the one way to answer, of T5 and of a model without an encoder.

use std::ops::Range;
use std::path::Path;

use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};
use fpt_lab::{Expected, assert_close, values};
use fpt_t5::{
    Generation, IGNORED_LABEL, Lm, LmBatch, Loss, MacCounter, NoTaps, T5, Taps, prepend,
    prepend_visible,
};

/// Prefix and source are read, labels follow; a position sees the mean of all embeddings so far, and a linear head
/// says what comes next.
struct ToyDecoder {
    /// `[vocabulary, d_model]`.
    embedding: Tensor<2>,
    /// `[d_model, vocabulary]`.
    head: Tensor<2>,
}

/// Ends an answer of the toy.
const END: u32 = 1;

impl ToyDecoder {
    fn new(device: &Device) -> Self {
        device.seed(5);
        let random = |shape| Tensor::random(shape, Distribution::Normal(0.0, 1.0), device);
        Self {
            embedding: random([30, 8]),
            head: random([8, 30]),
        }
    }

    /// Logits `[batch, length, vocabulary]` of what follows each position.
    fn forward(&self, embeddings: Tensor<3>, mask: Tensor<2>) -> Tensor<3> {
        let mask = mask.unsqueeze_dim::<3>(2);
        let seen = mask.clone().cumsum(1).clamp_min(1.0);
        let mean = (embeddings * mask).cumsum(1) / seen;
        mean.matmul(self.head.clone().unsqueeze())
    }
}

impl Lm for ToyDecoder {
    fn device(&self) -> Device {
        self.embedding.device()
    }

    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let [batch, length] = ids.dims();
        let rows = self.embedding.clone().select(0, ids.flatten::<1>(0, 1));
        rows.reshape([batch as i32, length as i32, -1])
    }

    fn logits(
        &self,
        prefix: Option<Tensor<2>>,
        batch: &LmBatch,
        _taps: &mut dyn Taps,
    ) -> Tensor<3> {
        let [rows, length] = batch.labels.dims();
        let ignored = batch.labels.clone().equal_scalar(IGNORED_LABEL);
        let labels = batch.labels.clone().mask_fill(ignored.clone(), 0);
        let ids = Tensor::cat(vec![batch.source.clone(), labels], 1);
        let mask = Tensor::cat(vec![batch.mask.clone(), ignored.bool_not().float()], 1);
        let (embeddings, mask) = prepend(prefix, self.embed(ids), mask);
        let logits = self.forward(embeddings, mask);
        // A label is foretold by the position before it.
        let [_, total, vocabulary] = logits.dims();
        logits.slice([0..rows, total - length - 1..total - 1, 0..vocabulary])
    }

    fn answer(
        &self,
        prefix: Option<Tensor<2>>,
        source: Tensor<2, Int>,
        mask: Tensor<2>,
        generation: &Generation,
    ) -> Vec<Vec<u32>> {
        let [rows, _] = source.dims();
        let mut answers = vec![Vec::new(); rows];
        for (row, answer) in answers.iter_mut().enumerate() {
            let mut ids = source.clone().narrow(0, row, 1);
            let mut mask = mask.clone().narrow(0, row, 1);
            while answer.len() < generation.max_new_tokens && answer.last() != Some(&END) {
                let embeddings = self.embed(ids.clone());
                let (embeddings, visible) = prepend(prefix.clone(), embeddings, mask.clone());
                let last = embeddings.dims()[1] - 1;
                let logits = self.forward(embeddings, visible);
                let next = logits.slice([0..1, last..last + 1]).argmax(2);
                answer.push(next.clone().into_scalar::<i64>() as u32);
                ids = Tensor::cat(vec![ids, next.squeeze_dim::<2>(2)], 1);
                mask = Tensor::cat(vec![mask, Tensor::ones([1, 1], &self.device())], 1);
            }
        }
        answers
    }
}

fn t5() -> (T5, Expected) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gated_untied");
    let expected = Expected::read(&directory.join("expected.safetensors"));
    (
        T5::from_pretrained(directory, &Device::flex()).unwrap(),
        expected,
    )
}

fn fixture_batch(expected: &Expected, device: &Device) -> LmBatch {
    LmBatch {
        source: expected.ints("input_ids", device),
        mask: expected.floats("attention_mask", device),
        labels: expected.ints("labels", device),
    }
}

/// Rows of unequal length, on both sides.
fn toy_batch(device: &Device) -> LmBatch {
    let ids = |ids: &[i32], shape: [usize; 2]| {
        Tensor::<2, Int>::from_data(TensorData::new(ids.to_vec(), shape), device)
    };
    LmBatch {
        source: ids(&[7, 3, 9, 12, 25, 4, 2, 0, 11, 0, 0, 0], [3, 4]),
        mask: ids(&[1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 0, 0], [3, 4]).float(),
        labels: ids(&[4, 8, 1, 17, 1, -100, 1, -100, -100], [3, 3]),
    }
}

fn part(batch: &LmBatch, rows: Range<usize>) -> LmBatch {
    LmBatch {
        source: batch.source.clone().slice([rows.clone()]),
        mask: batch.mask.clone().slice([rows.clone()]),
        labels: batch.labels.clone().slice([rows]),
    }
}

fn number(tensor: Tensor<1>) -> f64 {
    tensor.into_scalar::<f64>()
}

#[test]
fn the_loss_of_t5_is_that_of_transformers() {
    let (model, expected) = t5();
    let device = Device::flex();
    let batch = fixture_batch(&expected, &device);
    let loss = model.loss(None, &batch, &mut NoTaps).mean();
    let theirs = expected.values("noprompt.loss");
    assert_close("loss", &values(loss), theirs, 1e-4);

    let prompt = expected.floats("prompt", &device.clone().autodiff());
    let prompt = prompt.require_grad();
    let loss = model.loss(Some(prompt.clone()), &batch, &mut NoTaps).mean();
    let gradients = loss.backward();
    let ours = values(loss.inner());
    assert_close("prompted loss", &ours, expected.values("loss"), 1e-4);
    let ours = values(prompt.grad(&gradients).unwrap());
    assert_close("gradient", &ours, expected.values("prompt_grad"), 1e-4);
}

#[test]
fn a_prefix_is_what_is_prepended_by_hand() {
    let (model, expected) = t5();
    let device = Device::flex();
    let batch = fixture_batch(&expected, &device);
    let prompt = expected.floats("prompt", &device);
    let [count, width] = prompt.dims();
    let [rows, _] = batch.source.dims();

    let mut by_hand = MacCounter::default();
    let before = prompt.clone().unsqueeze::<3>().expand([rows, count, width]);
    let embeddings = Tensor::cat(vec![before, model.embed(batch.source.clone())], 1);
    let ones = Tensor::ones([rows, count], &device);
    let mask = Tensor::cat(vec![ones, batch.mask.clone()], 1);
    let encoded = model.encode_tapped(embeddings, mask, &mut by_hand);
    let inputs = model.shift_right(batch.labels.clone());
    let logits = model.decode_tapped(inputs, &encoded, None, &mut by_hand);
    let theirs = Loss::new(logits, batch.labels.clone());

    let mut counter = MacCounter::default();
    let ours = model.loss(Some(prompt.clone()), &batch, &mut counter);
    assert_eq!(counter, by_hand);
    assert_eq!(number(ours.sum), number(theirs.sum));
    assert_eq!(number(ours.count), number(theirs.count));

    let generation = Generation::greedy(9);
    let answers = model.answer(Some(prompt), batch.source, batch.mask, &generation);
    assert_eq!(answers, model.generate(&encoded, &generation));
}

#[test]
fn the_mean_is_over_the_labels_that_count() {
    let device = Device::flex();
    let logits = Tensor::<3>::zeros([1, 3, 4], &device);
    let labels = |labels: [i32; 3]| Tensor::<2, Int>::from_data([labels], &device);
    let loss = Loss::new(logits.clone(), labels([2, IGNORED_LABEL, 0]));
    assert_eq!(number(loss.count.clone()), 2.0);
    assert!((number(loss.mean()) - 4f64.ln()).abs() < 1e-6);
    let nothing = Loss::new(logits, labels([IGNORED_LABEL; 3]));
    assert_eq!(number(nothing.mean()), 0.0);
}

/// What holds for any model: losses of parts add up, prefixes are trained, every row is answered.
fn check(model: &dyn Lm, batch: &LmBatch, width: usize) {
    let device = model.device();
    let prefix = Tensor::<2>::full([2, width], 0.1, &device);
    let whole = model.loss(Some(prefix.clone()), batch, &mut NoTaps);
    let [rows, length] = batch.source.dims();
    let (mut sum, mut count) = (0.0, 0.0);
    for rows in [0..1, 1..rows] {
        let loss = model.loss(Some(prefix.clone()), &part(batch, rows), &mut NoTaps);
        sum += number(loss.sum);
        count += number(loss.count);
    }
    assert_eq!(number(whole.count.clone()), count);
    let difference = number(whole.sum.clone()) - sum;
    assert!(difference.abs() < 1e-5 * sum, "{difference} of {sum}");

    // A step against the gradient makes the loss smaller.
    let trained = prefix.clone().autodiff().require_grad();
    let loss = model.loss(Some(trained.clone()), batch, &mut NoTaps).mean();
    let gradient = trained.grad(&loss.backward()).unwrap();
    let better = prefix.clone() - gradient * 0.05;
    let after = model.loss(Some(better), batch, &mut NoTaps).mean();
    assert!(number(after) < number(whole.mean()));

    // The embeddings of ids as a prefix are those ids before the source.
    let ids = batch.source.clone().slice([0..1, 0..2]);
    let [_, _, d_model] = model.embed(ids.clone()).dims();
    assert_eq!(d_model, width);
    let first = part(batch, 0..1);
    let longer = LmBatch {
        source: Tensor::cat(vec![ids.clone(), first.source.clone()], 1),
        mask: prepend_visible(first.mask.clone(), 2),
        labels: first.labels.clone(),
    };
    let rows_of = |batch: &LmBatch, prefix| number(model.loss(prefix, batch, &mut NoTaps).sum);
    let embedded = model.embed(ids).reshape([2, width]);
    assert_eq!(rows_of(&longer, None), rows_of(&first, Some(embedded)));

    // Answers: one a row, within the limit; what the source's padding holds changes none.
    let generation = Generation::greedy(5);
    let answer = |source| {
        model.answer(
            Some(prefix.clone()),
            source,
            batch.mask.clone(),
            &generation,
        )
    };
    let answers = answer(batch.source.clone());
    assert_eq!(answers.len(), rows);
    assert!(answers.iter().all(|ids| (1..=5).contains(&ids.len())));
    let padding = Tensor::full([rows, length], 6, &device);
    let real = batch.mask.clone().greater_elem(0.5);
    assert_eq!(
        answer(padding.mask_where(real, batch.source.clone())),
        answers
    );
}

#[test]
fn t5_is_a_language_model() {
    let (model, expected) = t5();
    let batch = fixture_batch(&expected, &model.device());
    let width = model.config().d_model;
    check(&model, &batch, width);
}

#[test]
fn so_is_a_model_without_an_encoder() {
    let model = ToyDecoder::new(&Device::flex());
    let batch = toy_batch(&model.device());
    check(&model, &batch, 8);

    // Causal: the loss of the first label does not change with the labels after it.
    let first = |label: i32| {
        let labels = Tensor::<2, Int>::from_data([[4, label, 1]], &model.device());
        let batch = LmBatch {
            labels,
            ..part(&batch, 0..1)
        };
        values(model.logits(None, &batch, &mut NoTaps).slice([0..1, 0..1]))
    };
    assert_eq!(first(8), first(20));
}

#[test]
fn labels_are_as_probable_as_their_loss_says() {
    let (t5, expected) = t5();
    let toy = ToyDecoder::new(&t5.device());
    let models: [(&dyn Lm, LmBatch, usize); 2] = [
        (
            &t5,
            fixture_batch(&expected, &t5.device()),
            t5.config().d_model,
        ),
        (&toy, toy_batch(&toy.device()), 8),
    ];
    let sets: [Vec<Vec<u32>>; 3] = [
        vec![vec![5, 9, 1], vec![5, 9, 7, 1], vec![5, 1]],
        // Nothing in common, one that begins as another, a single one.
        vec![vec![4, 1], vec![9, 9, 1], vec![1], vec![9, 9, 9, 1]],
        vec![vec![7, 3, 1]],
    ];
    for (model, batch, width) in models {
        let device = model.device();
        let prefix = Tensor::<2>::random([3, width], Distribution::Normal(0.0, 1.0), &device);
        let [rows, _] = batch.source.dims();
        for (labels, prefix) in sets.iter().zip([Some(prefix.clone()), None, Some(prefix)]) {
            let (source, mask) = (batch.source.clone(), batch.mask.clone());
            let scores = model.score_labels(prefix.clone(), source, mask, labels);
            assert_eq!(scores.dims(), [rows, labels.len()]);
            let scores = values(scores);
            for row in 0..rows {
                for (place, label) in labels.iter().enumerate() {
                    let ids: Vec<i32> = label.iter().map(|&id| id as i32).collect();
                    let data = TensorData::new(ids, [1, label.len()]);
                    let one = LmBatch {
                        labels: Tensor::from_data(data, &device),
                        ..part(&batch, row..row + 1)
                    };
                    let loss = number(model.loss(prefix.clone(), &one, &mut NoTaps).sum);
                    let score = scores[row * labels.len() + place];
                    let near = (score + loss).abs() < 1e-4 * loss.max(1.0);
                    assert!(near, "row {row}, {label:?}: {score} and {loss}");
                }
            }
        }
    }
}
