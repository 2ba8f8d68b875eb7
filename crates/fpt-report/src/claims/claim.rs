//! A claim as it is written down.

use std::path::{Path, PathBuf};

use fpt_schedule::Method;
use fpt_tasks::TaskName;
use serde::{Deserialize, Serialize};

use crate::ReportError;
use crate::stats::{FEWEST_PAIRS, MOST_PAIRS};

/// What is claimed of a method against another: limits of what it comes to, each of which must be kept. Shares are of what
/// the other has. Tasks, seeds and measures stand before any of its runs is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The claim, a sentence.
    pub title: String,
    /// The experiment file, relative to the claim's.
    pub experiment: PathBuf,
    /// The tasks; absent means all of the experiment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskName>,
    /// The seeds: each is a pair of runs on each task, and one pair of the test.
    pub seeds: Vec<u64>,
    /// What the claim is about.
    pub ours: Arm,
    /// What it is compared with.
    #[serde(default)]
    pub theirs: Arm,
    /// The average score is at least this share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score_at_least: Option<f64>,
    /// The counted FLOPs are at most this share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flops_at_most: Option<f64>,
    /// The gain over `theirs` stopped at the same FLOPs ("Improve", paper, table 2) is above this many points, with
    /// p < 0.05.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub improve_above: Option<f64>,
    /// A training that starts from the prompt of `ours` needs few steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<StartClaim>,
    /// What was in mind, or came of it; for readers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// One of the two things that are compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    /// The method, such as `fpt-cr`. Absent means stages of its own, which its settings have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// What its runs are called, where the method alone does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Settings of its runs, `key=value` each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<String>,
}

/// Prompt tuning.
impl Default for Arm {
    fn default() -> Self {
        Self {
            method: Some(Method::Pt),
            name: None,
            settings: Vec::new(),
        }
    }
}

impl Arm {
    /// What its runs are called, as part of a directory's name.
    pub fn slug(&self) -> String {
        self.called(Method::slug)
    }

    /// What it is called in texts.
    pub fn label(&self) -> String {
        self.called(Method::label)
    }

    fn called(&self, method: fn(Method) -> String) -> String {
        let name = self.name.clone();
        name.or(self.method.map(method)).unwrap_or_default()
    }
}

/// How soon trainings on the full model reach a score, from the prompt of a partial model and from a fresh one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartClaim {
    /// The score to reach, as a share of the best dev score of `theirs`.
    pub reach: f64,
    /// The steps to it, as a share of those from a fresh prompt.
    pub steps_at_most: f64,
    /// Steps between the evaluations of these trainings.
    pub every: usize,
}

impl Claim {
    /// Read a claim; the path of its experiment becomes relative to the working directory.
    ///
    /// # Errors
    /// [`ReportError::Claim`] names file, line and key.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ReportError> {
        let path = path.as_ref();
        let fail = |reason: String| ReportError::Claim {
            path: path.to_path_buf(),
            reason,
        };
        let text = std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
        let mut claim: Self = toml::from_str(&text).map_err(|error| fail(error.to_string()))?;
        claim.check().map_err(fail)?;
        claim.experiment = path
            .parent()
            .unwrap_or(Path::new(""))
            .join(&claim.experiment);
        Ok(claim)
    }

    fn check(&self) -> Result<(), String> {
        let mut seeds = self.seeds.clone();
        seeds.sort_unstable();
        seeds.dedup();
        if seeds.len() != self.seeds.len() {
            return Err("`seeds` holds one twice".into());
        }
        if !(FEWEST_PAIRS..=MOST_PAIRS).contains(&seeds.len()) {
            return Err(format!(
                "`seeds` holds {}, but must hold {FEWEST_PAIRS} to {MOST_PAIRS}: fewer show nothing, and the exact test \
                 tries all signs of more for too long",
                seeds.len()
            ));
        }
        let start = &self.start;
        let measures = [
            ("score_at_least", self.score_at_least),
            ("flops_at_most", self.flops_at_most),
            ("improve_above", self.improve_above),
            ("start.reach", start.as_ref().map(|start| start.reach)),
            (
                "start.steps_at_most",
                start.as_ref().map(|start| start.steps_at_most),
            ),
        ];
        if measures.iter().all(|(_, limit)| limit.is_none()) {
            return Err(
                "it claims nothing: give `score_at_least`, `flops_at_most`, `improve_above` or `[start]`".into(),
            );
        }
        for (key, limit) in measures {
            if limit.is_some_and(|limit| !limit.is_finite()) {
                return Err(format!("`{key}` is no number"));
            }
        }
        if start.as_ref().is_some_and(|start| start.every == 0) {
            return Err("`start.every` must be at least 1".into());
        }
        for arm in [&self.ours, &self.theirs] {
            let slug = arm.slug();
            let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if slug.is_empty() {
                return Err("`ours` or `theirs` has no method, so it needs a `name`".into());
            }
            if !slug.chars().all(good) {
                return Err(format!(
                    "the name {slug:?} is to be part of a directory's: letters, digits, `-`, `_` and `.`"
                ));
            }
        }
        if self.ours.slug() == self.theirs.slug() {
            return Err("`ours` and `theirs` have the same name; give one a `name`".into());
        }
        Ok(())
    }
}
