//! What a trained prompt is for, beside its adapter.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fpt_t5::Precision;
use fpt_tasks::{Declaration, Task, TaskName, Tasks};
use serde::{Deserialize, Serialize};

use super::RunResult;
use crate::config::task_of;
use crate::{RunConfig, TrainError};

/// The file beside the two of an adapter.
const FILE: &str = "fpt.json";
/// The card that the hub shows.
const CARD: &str = "README.md";

/// What a trained prompt is for: all that using it needs beside the adapter and its model. `fpt.json` in the adapter's
/// directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Purpose {
    /// The task.
    pub task: TaskName,
    /// What the task is, where it is declared; of its files only the names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<Declaration>,
    /// Sources are cut to so many tokens.
    pub max_source: usize,
    /// Answers have so many tokens at most.
    pub max_target: usize,
    /// Numbers that the model computed with.
    #[serde(default)]
    pub precision: Precision,
}

impl Purpose {
    /// Of the prompt that a run of `task` trains.
    pub fn of(config: &RunConfig, task: &dyn Task) -> Self {
        let limits = config.limits(task);
        let mut declared = config.declared.clone();
        // Where its author keeps his files is nobody's business.
        for path in declared.iter_mut().flat_map(|d| d.files.iter_mut()) {
            *path = path.file_name().map(PathBuf::from).unwrap_or_default();
        }
        Self {
            task: config.task.clone(),
            declared,
            max_source: limits.max_source,
            max_target: limits.max_target,
            precision: config.precision,
        }
    }

    /// The task: as declared, or else the programmed one of that name.
    ///
    /// # Errors
    /// As [`RunConfig::task`].
    pub fn task(&self, programmed: &Tasks) -> Result<Arc<dyn Task>, TrainError> {
        task_of(&self.task, self.declared.as_ref(), programmed)
    }

    /// What stands beside the adapter in `directory`; `None` where another program wrote it.
    ///
    /// # Errors
    /// [`TrainError::Output`] if the file is there and can't be read.
    pub fn read(directory: impl AsRef<Path>) -> Result<Option<Self>, TrainError> {
        let path = directory.as_ref().join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let unusable = |reason: String| TrainError::Unreadable {
            path: path.clone(),
            reason,
        };
        let text = fs::read_to_string(&path).map_err(|error| unusable(error.to_string()))?;
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| unusable(error.to_string()))
    }

    /// Write it into the adapter's directory, and a card of the prompt.
    pub(crate) fn write(
        &self,
        directory: &Path,
        base_model: &str,
        result: &RunResult,
    ) -> Result<(), TrainError> {
        let json = serde_json::to_string_pretty(self).map_err(|error| TrainError::Output {
            path: directory.join(FILE),
            reason: error.to_string(),
        })?;
        fpt_files::write(directory.join(FILE), format!("{json}\n"))?;
        fpt_files::write(directory.join(CARD), self.card(base_model, result))?;
        Ok(())
    }

    /// As the cards of the hub are written.
    fn card(&self, base_model: &str, result: &RunResult) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let template = self.declared.as_ref().map_or_else(String::new, |task| {
            format!(
                "\nIts sources are made with this template, its targets with the one below:\n\n```\n{}\n```\n\n```\n{}\n```\n",
                task.source, task.target
            )
        });
        let RunResult {
            metric,
            method,
            split,
            dev,
            reported,
            ..
        } = result;
        format!(
            "---\nbase_model: {}\nlibrary_name: peft\ntags:\n- prompt-tuning\n- fast-prompt-tuning\n---\n\n\
             # A soft prompt for {}\n\n\
             Trained by {method} on the task {} with fpt {}: {metric} {:.2} on {split}, {:.2} on dev.\n{template}\n\
             With rows of the task: `fpt predict --adapter . --input rows.csv`. With PEFT:\n\n\
             ```python\nfrom peft import PeftModel\nfrom transformers import AutoModelForSeq2SeqLM\n\n\
             model = AutoModelForSeq2SeqLM.from_pretrained({})\n\
             model = PeftModel.from_pretrained(model, \".\")\n```\n\n\
             Targets begin with `<extra_id_0>`, which the model generates first. Sources are cut to {} tokens, answers to {}.\n",
            quoted(base_model),
            base_model,
            self.task,
            result.version,
            reported.primary_value(),
            dev.primary_value(),
            quoted(base_model),
            self.max_source,
            self.max_target,
        )
    }
}
