//! What is searched, as it is written down.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use fpt_schedule::Share;
use fpt_tasks::TaskName;
use serde::{Deserialize, Serialize};

/// A search: which schedules it may draw, and how many runs it spends on them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Spec {
    /// The experiment file, relative to this one.
    pub(super) experiment: PathBuf,
    /// The tasks; absent means all of the experiment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) tasks: Vec<TaskName>,
    /// Seed of the draws.
    pub(super) seed: u64,
    /// Seeds of the runs. Those that a result is confirmed with must be others.
    pub(super) seeds: Vec<u64>,
    /// Schedules that are drawn.
    pub(super) candidates: usize,
    /// The most that the cost model may predict of a candidate's FLOPs, as a share of prompt tuning's.
    pub(super) flops_at_most: f64,
    /// And the least: cheaper ones are not drawn.
    #[serde(default)]
    pub(super) flops_at_least: f64,
    /// Of how many candidates one goes on to the next rung.
    pub(super) keep: usize,
    /// Pairs of task and seed that a candidate has been tried on after each rung, task by task and then seed by seed.
    pub(super) rungs: Vec<usize>,
    /// Lengths in tokens that the cost model is asked about: source and target.
    pub(super) lengths: [usize; 2],
    /// From what is drawn.
    pub(super) space: Space,
}

/// The values that are drawn from, each as likely as the others of its list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Space {
    /// All steps, as shares of the experiment's.
    pub(super) steps: Vec<Share>,
    /// Partial stages.
    pub(super) stages: Vec<usize>,
    /// Steps of all partial stages together, as shares of all.
    pub(super) partial: Vec<Share>,
    /// Layers of a stage. Of what is drawn the stages have the smaller before the larger.
    pub(super) depth: Vec<Share>,
    /// FFN neurons of a stage.
    pub(super) width: Vec<Share>,
    /// Attention heads of a stage.
    #[serde(default = "whole")]
    pub(super) heads: Vec<Share>,
    /// Batches of a stage, as shares of the experiment's; the last stage, that of the full model, draws one too.
    #[serde(default = "whole")]
    pub(super) batch: Vec<Share>,
    /// The longest sources of the partial stages, in tokens; 0 for no limit.
    #[serde(default = "no_limit")]
    pub(super) max_source: Vec<usize>,
    /// Further settings of all stages, one list of which is drawn.
    #[serde(default = "no_settings")]
    pub(super) settings: Vec<Vec<String>>,
}

fn whole() -> Vec<Share> {
    vec![Share::ALL]
}

fn no_limit() -> Vec<usize> {
    vec![0]
}

fn no_settings() -> Vec<Vec<String>> {
    vec![Vec::new()]
}

impl Spec {
    /// Read a file; the path of its experiment becomes relative to the working directory.
    pub(super) fn from_file(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("failed to read {}", path.display()))?;
        let mut spec: Self = toml::from_str(&text).with_context(|| path.display().to_string())?;
        spec.check().with_context(|| path.display().to_string())?;
        let base = path.parent().unwrap_or(Path::new(""));
        spec.experiment = base.join(&spec.experiment);
        Ok(spec)
    }

    fn check(&self) -> anyhow::Result<()> {
        let space = &self.space;
        for (key, is_empty) in [
            ("seeds", self.seeds.is_empty()),
            ("rungs", self.rungs.is_empty()),
            ("space.steps", space.steps.is_empty()),
            ("space.stages", space.stages.is_empty()),
            ("space.partial", space.partial.is_empty()),
            ("space.depth", space.depth.is_empty()),
            ("space.width", space.width.is_empty()),
            ("space.heads", space.heads.is_empty()),
            ("space.batch", space.batch.is_empty()),
            ("space.max_source", space.max_source.is_empty()),
            ("space.settings", space.settings.is_empty()),
        ] {
            ensure!(!is_empty, "`{key}` is empty: give it at least one value");
        }
        ensure!(
            self.keep > 1,
            "`keep` is {}, but must be at least 2: one of so many goes on",
            self.keep
        );
        ensure!(self.candidates > 0, "`candidates` is 0");
        ensure!(
            self.rungs[0] > 0 && self.rungs.is_sorted_by(|a, b| a < b),
            "`rungs` must be rising numbers of runs, such as [2, 5, 15]"
        );
        ensure!(
            0.0 <= self.flops_at_least && self.flops_at_least < self.flops_at_most,
            "`flops_at_least` must be below `flops_at_most`"
        );
        Ok(())
    }
}
