//! What a run works with: model, tokenizer, data, what each stage keeps of the model, and what all that is by content.

mod cache;
mod fingerprint;
mod found;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod score_cache;
mod selections;
mod session;
mod token_cache;
mod turn;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use fpt_partial::Selection;
use fpt_tasks::{Split, Warnings};

use cache::Cache;
pub(crate) use fingerprint::content_of_model;
pub use fingerprint::{Fingerprinter, Fingerprints, content_of_examples};
pub use found::{FindModel, FoundModel, HubModel, model_directory};
pub use session::{Session, SplitData};

use crate::record::{BaselineScore, Event, Log, Seconds};
use crate::{Plan, TrainError};

/// Everything that training reads and never changes.
pub(crate) struct Inputs {
    pub(crate) session: Session,
    pub(crate) train: Arc<SplitData>,
    pub(crate) dev: Arc<SplitData>,
    /// The split whose scores are reported.
    pub(crate) reported: Arc<SplitData>,
    pub(crate) baseline: BaselineScore,
    /// What each stage keeps of the model.
    pub(crate) selections: Vec<Selection>,
    pub(crate) fingerprints: Fingerprints,
    /// Time of loading and of scoring.
    pub(crate) seconds: Seconds,
}

impl Inputs {
    /// Read and tokenize the data of `plan`, and choose what its stages keep of the model, unless that is `known`. `since`
    /// is when loading began.
    pub(crate) fn load(
        session: Session,
        plan: &Plan,
        cache: &Path,
        known: Option<Vec<Selection>>,
        since: Instant,
        log: &mut Log<'_>,
    ) -> Result<Self, TrainError> {
        let mut cache = Cache::new(cache);
        let mut read = |split| session.read_cached(split, &mut cache, log).map(Arc::new);
        let (train, dev) = (read(Split::Train)?, read(Split::Dev)?);
        let reported = match plan.report {
            Split::Train => Arc::clone(&train),
            Split::Dev => Arc::clone(&dev),
            Split::Test => read(Split::Test)?,
        };
        session.check_reported(&reported)?;
        let baseline = session
            .task
            .baseline(train.examples(), reported.examples())?;
        let splits = [
            (Split::Train, &train.dataset),
            (Split::Dev, &dev.dataset),
            (plan.report, &reported.dataset),
        ];
        let fingerprints = Fingerprints::of(&session, splits)?;
        let mut seconds = Seconds {
            load: since.elapsed().as_secs_f64(),
            ..Seconds::default()
        };
        let mut of_data = vec![(Split::Train, &train), (Split::Dev, &dev)];
        if plan.report == Split::Test {
            of_data.push((Split::Test, &reported));
        }
        let warnings = of_data.into_iter().flat_map(|(split, data)| {
            let cut = data.cut.iter().map(move |line| format!("{split}: {line}"));
            describe(&data.dataset.warnings).into_iter().chain(cut)
        });
        log.emit(Event::Loaded {
            steps: plan.steps,
            warnings: warnings.collect(),
        })?;
        let clock = Instant::now();
        let both = [&*train, &*dev];
        let selections = match known {
            Some(selections) if selections.len() == plan.stages.len() => selections,
            _ => selections::of(&session, plan, both, &fingerprints.model, &mut cache, log)?,
        };
        seconds.score = clock.elapsed().as_secs_f64();
        for warning in cache.into_warnings() {
            log.warn(warning)?;
        }
        Ok(Self {
            baseline: BaselineScore {
                name: baseline.name.to_string(),
                value: baseline.value(),
            },
            session,
            train,
            dev,
            reported,
            selections,
            fingerprints,
            seconds,
        })
    }

    /// Dev examples of the evaluations during training.
    pub(crate) fn dev_limit(&self) -> usize {
        let wanted = self.session.config.eval.dev_examples;
        wanted.unwrap_or(usize::MAX).min(self.dev.tokens.len())
    }
}

/// A line about a file's oddities, or nothing.
fn describe(warnings: &Warnings) -> Option<String> {
    let text = warnings.to_string();
    (!text.is_empty()).then_some(text)
}
