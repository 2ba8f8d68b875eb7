//! The training loop: stage by stage, step by step.

use std::borrow::Cow;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::Tensor;
use fpt_partial::partial;
use fpt_prompt::SoftPrompt;
use fpt_schedule::PartialSize;
use fpt_schedule::cost::{BatchShape, true_macs, weight_bytes};
use fpt_t5::T5;
use fpt_tasks::{Scores, TokenBatch, TokenizedExample, TrainBatches, cut};

use crate::average::Averaged;
use crate::checkpoint::Keeper;
use crate::inputs::{Inputs, SplitData};
use crate::record::{Event, Log, MetricRecord, StageRecord};
use crate::state::{Best, Evaluation, StageStart, State};
use crate::unread::{Unread, Unsound};
use crate::{EvalModel, OnNonfinite, Plan, PlannedStage, Step, TrainError, adafactor};

/// What training works with and does not change.
pub(crate) struct Trainer<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) inputs: &'a Inputs,
    /// The full model on each further device that trains.
    pub(crate) replicas: &'a [T5],
    /// Parts in which each batch is computed.
    pub(crate) parts: usize,
    /// Steps whose numbers are read at once.
    pub(crate) steps_a_read: usize,
}

/// A stage that is being trained on.
pub(crate) struct Stage<'a> {
    plan: &'a PlannedStage,
    /// The model that is left of the full one.
    pub(crate) model: T5,
    /// The same on each further device.
    replicas: Vec<T5>,
    /// The training examples, as long as the stage lets them be.
    tokens: Cow<'a, [TokenizedExample]>,
    batches: TrainBatches,
}

impl<'a> Trainer<'a> {
    /// Score the frozen model without a prompt, if the run is a reference and has not done so.
    pub(crate) fn without_prompt(
        &self,
        state: &mut State,
        log: &mut Log<'_>,
    ) -> Result<(), TrainError> {
        if !self.plan.is_reference || state.counters.no_prompt.is_some() {
            return Ok(());
        }
        let (full, data) = (&self.inputs.session.model, &self.inputs.reported);
        let scores = self.score(full, None, data, usize::MAX, state, log)?;
        state.counters.no_prompt = Some(scores.clone());
        log.emit(Event::NoPrompt {
            split: self.plan.report,
            scores,
        })
    }

    /// Train from where `state` stands to the end. Returns the last stage.
    pub(crate) fn run(
        &self,
        state: &mut State,
        keeper: &mut Keeper<'_>,
        log: &mut Log<'_>,
    ) -> Result<Stage<'a>, TrainError> {
        let mut last = None;
        for planned in self.plan.stages.iter().skip(state.counters.stages.len()) {
            // The model of a stage goes before the next one is made.
            drop(last.take());
            let stage = self.enter(planned, state, keeper, log)?;
            self.train(&stage, state, keeper, log)?;
            self.leave(&stage, state, log)?;
            last = Some(stage);
        }
        match (last, self.plan.stages.last()) {
            (Some(stage), _) => Ok(stage),
            // All had been trained on before.
            (None, Some(planned)) => self.stage(planned),
            (None, None) => Err(no_steps()),
        }
    }

    /// All steps of a stage that are left. A prompt is evaluated only after it may have been written down, so that an
    /// evaluation that is stopped is made again and nothing else.
    fn train(
        &self,
        stage: &Stage<'_>,
        state: &mut State,
        keeper: &mut Keeper<'_>,
        log: &mut Log<'_>,
    ) -> Result<(), TrainError> {
        let end = stage.plan.steps.end;
        let on_nonfinite = self.inputs.session.config.train.on_nonfinite;
        let one_by_one = on_nonfinite == OnNonfinite::Skip;
        let mut unread = Unread::new(if one_by_one { 1 } else { self.steps_a_read });
        let models = stage.models();
        loop {
            if unread.is_empty() {
                keeper.rest(state, log)?;
                if self.owes_evaluation(stage, state) {
                    self.evaluate(stage, state, log)
                        .or_else(|error| keeper.stopped(error, state, log))?;
                }
            }
            let step = state.counters.step;
            if step >= end {
                return Ok(());
            }
            if self.has_no_patience(stage, state) {
                let of = self.plan.steps;
                return log.emit(MetricRecord::OutOfPatience { step, of });
            }
            if one_by_one || on_nonfinite == OnNonfinite::Rewind && state.anchor.is_none() {
                state.hold();
            }
            unread.begin();
            let parts = stage.parts(state.counters.batches(), self);
            let taken = Step::of_parts(&models, &state.prompt, &parts)?;
            let values = self.apply(taken, stage, &parts, state);
            unread.push(values, state);
            let step = state.counters.step;
            let must = step == end || self.plan.evaluates_after(step) || keeper.is_due(state);
            if must || unread.is_full() {
                let unsound = unread.read(state, log)?;
                let look = must || one_by_one;
                let unsound = unsound.or_else(|| spoiled(&state.prompt, step, look));
                if let Some(unsound) = unsound {
                    self.go_back(stage, unsound, state, log)?;
                }
            }
        }
    }

    /// A step went wrong: go back behind it, if the run is to.
    fn go_back(
        &self,
        stage: &Stage<'_>,
        unsound: Unsound,
        state: &mut State,
        log: &mut Log<'_>,
    ) -> Result<(), TrainError> {
        let Unsound { step, what, value } = unsound;
        let batch = step - 1 + state.counters.skipped_batches;
        let all = self.inputs.train.examples();
        let indices = stage.batches.indices(batch);
        let examples = indices.iter().map(|&index| all[index].id.clone()).collect();
        match state.go_back(step) {
            Some(back_to) => log.emit(MetricRecord::Undone {
                step,
                what: what.into(),
                value: value.to_string(),
                examples,
                back_to,
            }),
            None => Err(TrainError::Diverged {
                step,
                what,
                value,
                stage: stage.plan.number,
                examples,
            }),
        }
    }

    /// Whether training is to end before its last step: too many evaluations have brought nothing.
    fn has_no_patience(&self, stage: &Stage<'_>, state: &State) -> bool {
        let patience = self.inputs.session.config.train.patience;
        let is_last = stage.plan.steps.end == self.plan.steps;
        is_last && patience.is_some_and(|patience| state.counters.no_better >= patience)
    }

    /// Whether the prompt is to be evaluated now, and has not been.
    fn owes_evaluation(&self, stage: &Stage<'_>, state: &State) -> bool {
        let step = state.counters.step;
        let last = state.counters.last_evaluation.as_ref();
        step > stage.plan.steps.start
            && self.plan.evaluates_after(step)
            && last.is_none_or(|last| last.step != step)
    }

    /// Make the stage's model. Unless it had begun before, carry the prompt over, or start afresh where the configuration
    /// says so.
    fn enter(
        &self,
        planned: &'a PlannedStage,
        state: &mut State,
        keeper: &mut Keeper<'_>,
        log: &mut Log<'_>,
    ) -> Result<Stage<'a>, TrainError> {
        let clock = Instant::now();
        let stage = self.stage(planned)?;
        if state.counters.stage.is_some() {
            return Ok(stage);
        }
        let expansion = clock.elapsed();
        let (inputs, counters) = (self.inputs, &mut state.counters);
        let config = &inputs.session.config;
        counters.stage = Some(StageStart {
            expansion,
            training_before: counters.training,
            flops_before: counters.flops,
        });
        counters.training += expansion;
        counters.last_evaluation = None;
        counters.no_better = 0;
        state.anchor = None;
        state.averaged = Averaged::default();
        if planned.number > 0 && config.train.reset_prompt {
            let device = inputs.session.compute.training_device();
            state.prompt = inputs.session.fresh_prompt(config.seed, &device)?;
        }
        if planned.number > 0 && config.train.reset_optimizer {
            state.optimizer = adafactor(&config.train);
        }
        if self.plan.evaluated == EvalModel::Stage {
            // Scores on another model can't be compared with this one's.
            state.best = None;
        }
        log.emit(MetricRecord::Stage {
            stage: planned.number,
            step: state.counters.step,
            size: planned.size,
        })?;
        if planned.number > 0 {
            keeper.try_save(state, log)?;
        }
        Ok(stage)
    }

    /// The model of a stage, on each device, and its batches.
    fn stage(&self, planned: &'a PlannedStage) -> Result<Stage<'a>, TrainError> {
        let inputs = self.inputs;
        let config = &inputs.session.config;
        let selection = &inputs.selections[planned.number];
        let model = partial(&inputs.session.model, selection)?;
        let replicas = self.replicas.iter();
        let replicas = replicas.map(|full| partial(full, selection));
        let replicas = replicas.collect::<Result<_, _>>()?;
        let tokens = shorten(&inputs.train.tokens, planned.max_source);
        let lengths = tokens.iter().map(|example| example.source.len()).collect();
        let batches = TrainBatches::new(
            lengths,
            config.train.batch_limits(planned.batch),
            config.seed,
        )?;
        Ok(Stage {
            plan: planned,
            model,
            replicas,
            tokens,
            batches,
        })
    }

    /// Let the optimizer move the prompt, and count what the step computed. Returns its loss and gradient norm, unread.
    fn apply(
        &self,
        step: Step,
        stage: &Stage<'_>,
        parts: &[TokenBatch],
        state: &mut State,
    ) -> Tensor<1> {
        let train = &self.inputs.session.config.train;
        let rate = train.rate(state.counters.step, self.plan.steps, &stage.plan.steps);
        let prompt = state.prompt.clone();
        state.prompt = state.optimizer.step(rate, prompt, step.gradients);
        state.averaged.follow(train.average, &state.prompt);
        state.counters.step += 1;
        let backward = |part| self.backward_macs(&stage.plan.size, &state.prompt, part);
        let backward: u64 = parts.iter().map(backward).sum();
        state.counters.flops += 2.0 * (step.forward_macs + backward) as f64;
        state.counters.tokens += parts.iter().map(TokenBatch::tokens).sum::<u64>();
        step.values
    }

    /// Score the prompt on dev, and keep it if it is the best so far.
    fn evaluate(
        &self,
        stage: &Stage<'_>,
        state: &mut State,
        log: &mut Log<'_>,
    ) -> Result<(), TrainError> {
        let (inputs, plan) = (self.inputs, self.plan);
        let judged = self.judged(stage);
        let average = inputs.session.config.train.average;
        let prompt = state.prompt.valid();
        let candidate = state.averaged.candidate(average, prompt.clone());
        let limit = inputs.dev_limit();
        let dev = self.score(judged, Some(&candidate), &inputs.dev, limit, state, log)?;
        let mean = dev.mean();
        let best = state.would_be_best(mean);
        let reported = if best && plan.is_reference {
            let data = &inputs.reported;
            Some(self.score(judged, Some(&candidate), data, usize::MAX, state, log)?)
        } else {
            None
        };
        // What counts as evaluated is never undone.
        state.anchor = None;
        state.averaged.evaluated(average, &prompt);
        let step = state.counters.step;
        let no_better = state.counters.no_better + 1;
        state.counters.no_better = if best { 0 } else { no_better };
        state.counters.last_evaluation = Some(Evaluation {
            step,
            scores: dev.clone(),
        });
        if best {
            state.best = Some(Best {
                mean,
                step,
                prompt: candidate,
            });
        }
        log.emit(MetricRecord::Eval {
            step,
            examples: limit,
            dev,
            best,
            flops: state.counters.flops,
            reported,
        })
    }

    /// Score the prompt on the stage's own model where that is a partial one, and write down what the stage took.
    fn leave(
        &self,
        stage: &Stage<'_>,
        state: &mut State,
        log: &mut Log<'_>,
    ) -> Result<(), TrainError> {
        let (inputs, plan) = (self.inputs, self.plan);
        let mut dev = None;
        if !plan.is_full(stage.plan) {
            let known = match &state.counters.last_evaluation {
                Some(last)
                    if last.step == state.counters.step && plan.evaluated == EvalModel::Stage =>
                {
                    Some(last.scores.clone())
                }
                _ => None,
            };
            let scores = match known {
                Some(scores) => scores,
                None => {
                    let prompt = state.prompt.valid();
                    let limit = inputs.dev_limit();
                    self.score(&stage.model, Some(&prompt), &inputs.dev, limit, state, log)?
                }
            };
            log.emit(MetricRecord::StageEnd {
                stage: stage.plan.number,
                step: state.counters.step,
                dev: scores.clone(),
            })?;
            dev = Some(scores);
        }
        let counters = &mut state.counters;
        let start = counters.stage.take().ok_or_else(no_steps)?;
        let seconds = counters.training - start.training_before - start.expansion;
        counters.stages.push(StageRecord {
            size: stage.plan.size,
            steps: counters.step - stage.plan.steps.start,
            flops: counters.flops - start.flops_before,
            seconds: seconds.as_secs_f64(),
            expansion_seconds: start.expansion.as_secs_f64(),
            weight_bytes: weight_bytes(
                &plan.shape,
                &stage.plan.size,
                inputs.session.compute.precision().bytes(),
            ),
            dev,
        });
        Ok(())
    }

    /// The model whose scores count.
    pub(crate) fn judged<'b>(&'b self, stage: &'b Stage<'_>) -> &'b T5 {
        match self.plan.evaluated {
            EvalModel::Full => &self.inputs.session.model,
            EvalModel::Stage => &stage.model,
        }
    }

    /// The scores of the first `limit` examples of `data`.
    pub(crate) fn score(
        &self,
        model: &T5,
        prompt: Option<&SoftPrompt>,
        data: &SplitData,
        limit: usize,
        state: &mut State,
        log: &mut Log<'_>,
    ) -> Result<Scores, TrainError> {
        let (scores, _) = self.answer(model, prompt, data, limit, state, log)?;
        Ok(scores)
    }

    /// [`Trainer::score`], with the answers.
    pub(crate) fn answer(
        &self,
        model: &T5,
        prompt: Option<&SoftPrompt>,
        data: &SplitData,
        limit: usize,
        state: &mut State,
        log: &mut Log<'_>,
    ) -> Result<(Scores, Vec<String>), TrainError> {
        let clock = Instant::now();
        let session = &self.inputs.session;
        let mut progress = |examples| log.emit(Event::Evaluated { examples });
        let outcome = session.evaluate(model, prompt, data, limit, &mut progress)?;
        state.counters.evaluating += clock.elapsed();
        Ok(outcome)
    }

    /// The multiply-accumulates of a backward pass. The forward pass is counted as it runs; nothing sees the backward
    /// pass, so its count follows from the shapes.
    fn backward_macs(&self, size: &PartialSize, prompt: &SoftPrompt, batch: &TokenBatch) -> u64 {
        let batch = BatchShape {
            rows: batch.size,
            source: batch.source_len,
            target: batch.target_len,
            prompt: prompt.shape()[0],
        };
        true_macs(&self.plan.shape, size, &batch).backward
    }
}

impl Stage<'_> {
    /// A batch, counted from 0 over all stages, in parts of about equal numbers of examples.
    fn parts(&self, batch: usize, trainer: &Trainer<'_>) -> Vec<TokenBatch> {
        let pad_to = trainer.inputs.session.config.lengths.pad_to;
        let indices = self.batches.indices(batch);
        let rows = indices.len();
        // A batch that `train.batch_tokens` makes small has no empty parts.
        let count = trainer.parts.min(rows).max(1);
        let part = |number: usize| rows * number / count..rows * (number + 1) / count;
        let part = |number| TokenBatch::new(&self.tokens, indices[part(number)].to_vec(), pad_to);
        (0..count).map(part).collect()
    }

    /// The model on each device that trains.
    fn models(&self) -> Vec<&T5> {
        std::iter::once(&self.model).chain(&self.replicas).collect()
    }
}

/// `tokens` with sources of at most `max_source` tokens, where a stage limits them.
fn shorten(tokens: &[TokenizedExample], max_source: Option<usize>) -> Cow<'_, [TokenizedExample]> {
    let Some(max) = max_source else {
        return Cow::Borrowed(tokens);
    };
    let short = |example: &TokenizedExample| TokenizedExample {
        source: cut(example.source.clone(), max),
        target: example.target.clone(),
    };
    Cow::Owned(tokens.iter().map(short).collect())
}

/// What the step has made of the prompt, if that is to be looked at and is not finite: no loss has shown it yet.
fn spoiled(prompt: &SoftPrompt, step: usize, look: bool) -> Option<Unsound> {
    let values = if look { prompt.values() } else { Vec::new() };
    let value = values.into_iter().find(|x| !x.is_finite())?;
    Some(Unsound {
        step,
        what: "prompt",
        value: value.into(),
    })
}

/// Schedules have at least one step: a program that made one by hand may not.
pub(crate) fn no_steps() -> TrainError {
    TrainError::Value {
        key: "train.steps",
        reason: "must be at least 1".into(),
    }
}
