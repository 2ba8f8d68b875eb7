//! What is compared.

use burn::tensor::{Device, Tensor};
use fpt_t5::{Generation, KvCache, Lm, parity, prepend};
use fpt_train::batch_tensors;

use super::check::{Check, guarded, relative};
use super::pair::{Pair, Side, gated, numbers, tied};
use crate::commands::synthetic::{PrecisionName, Training};

/// Optimizer steps of the training that is compared.
const STEPS: usize = 10;
const MOST_TOKENS: usize = 8;
const BEAMS: usize = 3;

/// How far a device may be off, as shares of the largest number.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// Of logits.
    pub(super) logits: f64,
    /// Of a loss.
    pub(super) loss: f64,
    /// Of the prompt's gradient.
    pub(super) gradient: f64,
    /// Of any loss of [`STEPS`] steps: what the first steps differ by grows.
    pub(super) curve: f64,
    /// Logits, and scores of answers, that differ by less are a tie.
    pub(super) tie: f64,
}

impl Bounds {
    /// In f32 products with 10 bits (TF32) would be found out. In bf16, whose numbers have 8 bits, errors of the
    /// rounding of activations, which the processor does not round, are allowed.
    pub(super) fn of(precision: PrecisionName) -> Self {
        match precision {
            PrecisionName::F32 => Self {
                logits: 1e-4,
                loss: 2e-5,
                gradient: 5e-4,
                curve: 1e-2,
                tie: 1e-3,
            },
            PrecisionName::Bf16 => Self {
                logits: 5e-2,
                loss: 2e-2,
                gradient: 1.5e-1,
                curve: 1e-1,
                tie: 1e-1,
            },
        }
    }
}

type Work<'a> = Box<dyn Fn() -> anyhow::Result<Vec<Check>> + 'a>;

/// All checks of a device; `on_checks` hears of those that are done.
pub(super) fn all(
    device: &Device,
    precision: PrecisionName,
    on_checks: &mut dyn FnMut(&[Check]) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Check>> {
    let bounds = Bounds::of(precision);
    let first = || -> anyhow::Result<Pair> { Ok(Pair::new(&gated()?, precision, device)) };
    let second = || -> anyhow::Result<Pair> { Ok(Pair::new(&tied()?, precision, device)) };
    let checks: [(&str, Work<'_>); COUNT] = [
        ("operations", Box::new(|| Ok(operations(&first()?)))),
        (
            "gated GELU",
            Box::new(|| pass("gated GELU", &first()?, bounds)),
        ),
        (
            "ReLU, tied head",
            Box::new(|| pass("ReLU, tied head", &second()?, bounds)),
        ),
        (
            "partial model",
            Box::new(|| pass("partial model", &first()?.reduced()?, bounds)),
        ),
        (
            "ten steps of training",
            Box::new(|| training(&first()?, bounds)),
        ),
        (
            "greedy decoding",
            Box::new(|| Ok(decoding(&first()?, bounds, 1))),
        ),
        (
            "beam search",
            Box::new(|| Ok(decoding(&first()?, bounds, BEAMS))),
        ),
        (
            "token by token",
            Box::new(|| Ok(step_by_step(&first()?, bounds))),
        ),
    ];
    let mut found = Vec::new();
    for (name, check) in &checks {
        let checks = guarded(name, check);
        on_checks(&checks)?;
        found.extend(checks);
    }
    Ok(found)
}

/// How many times [`all`] tells of checks.
pub(super) const COUNT: usize = 8;

/// Each operation and its gradients on some shapes, with the numbers that products of the model take (on a processor f32,
/// whatever its weights are): of each kind the worst.
fn operations(pair: &Pair) -> Vec<Check> {
    let Side { model, device } = &pair.examined;
    let dtype = model.encoder.block[0].attention.operand_dtype();
    let mut worst: Vec<Check> = Vec::new();
    for parity in parity::check(device, dtype, 0) {
        let kind = parity.operation.split(' ').next().unwrap_or_default();
        let (name, note) = (format!("operation: {kind}"), Some(parity.operation.clone()));
        let check = Check::new(name, parity.error, parity.bound).with_note(note);
        match worst.iter_mut().find(|known| known.name == check.name) {
            // An error that is no number is none, and the worst.
            Some(known) if known.error.is_some() => {
                if check.error.is_none() || check.error > known.error {
                    *known = check;
                }
            }
            Some(_) => {}
            None => worst.push(check),
        }
    }
    worst
}

/// Forward and backward.
fn pass(name: &str, pair: &Pair, bounds: Bounds) -> anyhow::Result<Vec<Check>> {
    let (ours, theirs) = (&pair.examined, &pair.processor);
    let logits = relative(&ours.logits(&pair.batch), &theirs.logits(&pair.batch));
    let (our_loss, our_gradient) = ours.step(&pair.batch)?;
    let (their_loss, their_gradient) = theirs.step(&pair.batch)?;
    let gradient = if their_gradient.is_empty() {
        f64::INFINITY
    } else {
        relative(&our_gradient, &their_gradient)
    };
    Ok(vec![
        Check::new(format!("{name}: logits"), logits, bounds.logits),
        Check::new(
            format!("{name}: loss"),
            off(our_loss, their_loss),
            bounds.loss,
        ),
        Check::new(
            format!("{name}: gradient of the prompt"),
            gradient,
            bounds.gradient,
        ),
    ])
}

fn off(ours: f64, theirs: f64) -> f64 {
    (ours - theirs).abs() / theirs.abs().max(f64::MIN_POSITIVE)
}

fn training(pair: &Pair, bounds: Bounds) -> anyhow::Result<Vec<Check>> {
    let losses = |side: &Side| -> anyhow::Result<Vec<f64>> {
        let mut training = Training::new(&side.model, side.prompt())?;
        let steps = (0..STEPS).map(|_| training.step(&pair.batch, &side.device));
        steps.collect()
    };
    let (ours, theirs) = (losses(&pair.examined)?, losses(&pair.processor)?);
    let pairs = ours.iter().zip(&theirs);
    // NaN is not lost in a maximum.
    let worst = pairs
        .map(|(&ours, &theirs)| off(ours, theirs))
        .max_by(f64::total_cmp)
        .unwrap_or(f64::INFINITY);
    let (Some(first), Some(last)) = (theirs.first(), theirs.last()) else {
        anyhow::bail!("no step was taken");
    };
    anyhow::ensure!(last < first, "the processor itself learns nothing");
    Ok(vec![Check::new(
        "ten steps of training: losses",
        worst,
        bounds.curve,
    )])
}

/// Cached decoding: the same ids, but for ties.
fn decoding(pair: &Pair, bounds: Bounds, beams: usize) -> Vec<Check> {
    let generation = Generation::beams(beams, MOST_TOKENS);
    let answers = |side: &Side| {
        let batch = batch_tensors(&pair.batch, &side.device);
        let prefix = Some(side.prefix());
        side.model
            .answer(prefix, batch.source, batch.mask, &generation)
    };
    let (ours, theirs) = (answers(&pair.examined), answers(&pair.processor));
    let name = if beams == 1 {
        "greedy decoding: ids"
    } else {
        "beam search: ids"
    };
    let margins: Vec<f64> = (ours.iter().zip(&theirs).enumerate())
        .filter(|(_, (ours, theirs))| ours != theirs)
        .map(|(row, (ours, theirs))| match beams {
            1 => margin(pair, row, ours, theirs),
            _ => (score(pair, row, ours) - score(pair, row, theirs)).abs(),
        })
        .collect();
    let worst = margins
        .iter()
        .copied()
        .max_by(f64::total_cmp)
        .unwrap_or(0.0);
    let note = (!margins.is_empty()).then(|| {
        let what = if worst <= bounds.tie { ": ties" } else { "" };
        format!(
            "{} of {} answers are others{what}",
            margins.len(),
            ours.len()
        )
    });
    let complete = ours.len() == theirs.len();
    let worst = if complete { worst } else { f64::INFINITY };
    vec![Check::new(name, worst, bounds.tie).with_note(note)]
}

/// How far apart the processor's logits of two ids are where two answers part, as a share of the largest logit.
fn margin(pair: &Pair, row: usize, ours: &[u32], theirs: &[u32]) -> f64 {
    let place = ours.iter().zip(theirs).position(|(a, b)| a != b);
    let Some(place) = place else {
        return f64::INFINITY;
    };
    let logits = pair.processor.logits_of_answer(&pair.batch, row, theirs);
    let width = logits.len() / theirs.len();
    let largest = logits.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    let at = |id: u32| logits.get(place * width + id as usize).copied();
    match (at(ours[place]), at(theirs[place])) {
        (Some(a), Some(b)) => f64::from((a - b).abs() / largest),
        _ => f64::INFINITY,
    }
}

/// The processor's log-probability of an answer, divided by its length, as a search ranks it.
fn score(pair: &Pair, row: usize, answer: &[u32]) -> f64 {
    if answer.is_empty() {
        return f64::INFINITY;
    }
    let logits = pair.processor.logits_of_answer(&pair.batch, row, answer);
    let width = logits.len() / answer.len();
    let rows = logits.chunks_exact(width.max(1)).zip(answer);
    let log_probabilities = rows.map(|(logits, &id)| {
        let sum: f64 = logits.iter().map(|&x| f64::from(x).exp()).sum();
        logits
            .get(id as usize)
            .map_or(f64::INFINITY, |&x| f64::from(x))
            - sum.ln()
    });
    log_probabilities.sum::<f64>() / answer.len() as f64
}

/// The device with itself: all of a target at once, and token by token with a cache.
fn step_by_step(pair: &Pair, bounds: Bounds) -> Vec<Check> {
    let Side { model, device } = &pair.examined;
    let batch = batch_tensors(&pair.batch, device);
    let embeddings = model.embed(batch.source);
    let (embeddings, mask) = prepend(Some(pair.examined.prefix()), embeddings, batch.mask);
    let encoded = model.encode(embeddings, mask);
    let ids = model.shift_right(batch.labels);
    let [rows, length] = ids.dims();
    let at_once = numbers(model.decode(ids.clone(), &encoded, None));
    let mut cache = KvCache::new();
    let parts = (0..length).map(|place| {
        let id = ids.clone().slice([0..rows, place..place + 1]);
        model.decode(id, &encoded, Some(&mut cache))
    });
    let one_by_one = numbers(Tensor::cat(parts.collect(), 1));
    let error = relative(&one_by_one, &at_once);
    vec![Check::new(
        "token by token with a cache: logits",
        error,
        bounds.logits,
    )]
}

#[cfg(test)]
mod tests {
    use burn::module::{Module, ModuleMapper, Param};

    use super::*;

    /// Cuts the last bits off all weights.
    struct Coarse {
        bits: u32,
    }

    impl ModuleMapper for Coarse {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|weight| {
                let device = weight.device();
                let mut data = weight.into_data();
                for x in data.as_mut_slice::<f32>().expect("numbers in f32") {
                    *x = f32::from_bits(x.to_bits() >> self.bits << self.bits);
                }
                Tensor::from_data(data, &device)
            })
        }
    }

    /// The first pair, with weights on the examined side that lack so many bits.
    fn coarse(bits: u32) -> Pair {
        let config = gated().expect("a configuration");
        let mut pair = Pair::new(&config, PrecisionName::F32, &Device::flex());
        pair.examined.model = pair.examined.model.map(&mut Coarse { bits }).no_grad();
        pair
    }

    fn verdicts(checks: &[Check]) -> Vec<bool> {
        checks.iter().map(|check| check.ok).collect()
    }

    #[test]
    fn coarse_products_are_found_out() {
        let bounds = Bounds::of(PrecisionName::F32);
        assert_eq!(
            verdicts(&pass("", &coarse(0), bounds).expect("numbers")),
            [true; 3]
        );
        // TF32 has 10 bits of the 23.
        let checks = pass("", &coarse(13), bounds).expect("numbers");
        assert!(!checks[0].ok, "{checks:?}");
        // bf16 has 7: too few for f32, and what is allowed there.
        let coarsest = coarse(16);
        assert_eq!(
            verdicts(&pass("", &coarsest, bounds).expect("numbers")),
            [false; 3]
        );
        let bounds = Bounds::of(PrecisionName::Bf16);
        let checks = pass("", &coarsest, bounds).expect("numbers");
        assert_eq!(verdicts(&checks), [true; 3], "{checks:?}");
    }

    #[test]
    fn other_answers_are_found_out_unless_they_tie() {
        let bounds = Bounds::of(PrecisionName::F32);
        let mut pair = coarse(0);
        let other = Pair::new(
            &gated().expect("a configuration"),
            PrecisionName::F32,
            &Device::flex(),
        );
        // Another head answers with other words.
        pair.examined.model.lm_head = pair.examined.model.lm_head.map(|mut head| {
            head.weight = head.weight.map(|weight| -weight);
            head
        });
        for beams in [1, BEAMS] {
            let [check] = &decoding(&pair, bounds, beams)[..] else {
                panic!("one check");
            };
            let note = check.note.clone().unwrap_or_default();
            assert!(!check.ok && note.contains("are others"), "{check:?}");
            let tie = Bounds {
                tie: f64::MAX,
                ..bounds
            };
            let [check] = &decoding(&pair, tie, beams)[..] else {
                panic!("one check");
            };
            let note = check.note.clone().unwrap_or_default();
            assert!(check.ok && note.contains("ties"), "{check:?}");
            assert!(decoding(&other, bounds, beams)[0].ok);
        }
    }

    #[test]
    fn another_training_is_found_out() {
        let bounds = Bounds::of(PrecisionName::F32);
        let checks = training(&coarse(0), bounds).expect("a training");
        assert!(checks[0].ok, "{checks:?}");
        let checks = training(&coarse(19), bounds).expect("a training");
        assert!(!checks[0].ok, "{checks:?}");
    }
}
