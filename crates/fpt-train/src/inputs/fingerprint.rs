//! What inputs are, by content: a path says where something lies, not what it is.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use fpt_files::Fingerprint;
use fpt_prompt::{PromptInit, adapter_weights};
use fpt_t5::{T5Tokenizer, weight_files};
use fpt_tasks::{Dataset, Example, Gold, Split, Task, Tasks, read_split};
use serde::{Deserialize, Serialize};

use super::{FindModel, FoundModel, HubModel, Session};
use crate::{RunConfig, TrainError};

/// SHA-256 of all that a run reads, and where its model came from; `inputs.json` of its directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fingerprints {
    /// The model's `config.json` and weights.
    pub model: String,
    /// The tokenizer's files.
    pub tokenizer: String,
    /// What the task is: how examples are made and scored.
    pub task: String,
    /// The examples of each split that is read.
    pub splits: BTreeMap<Split, String>,
    /// The prompt that training starts from, where that is another run's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The scores that layers, neurons and heads are chosen by, where the configuration names a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<String>,
    /// Where the model came from, if from a hub. It is no part of what the model is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<HubModel>,
}

impl Fingerprints {
    /// Of a run on these splits.
    pub(super) fn of<const N: usize>(
        session: &Session,
        splits: [(Split, &Dataset); N],
    ) -> Result<Self, TrainError> {
        // One that is reported may be there twice.
        let splits = BTreeMap::from(splits).into_iter();
        let splits = splits.map(|(split, data)| (split, content_of_examples(&data.examples)));
        let model = content_of_model(session)?;
        Self::with(&session.config, &*session.task, model, splits.collect())
    }

    fn with(
        config: &RunConfig,
        task: &dyn Task,
        model: ModelContent,
        splits: BTreeMap<Split, String>,
    ) -> Result<Self, TrainError> {
        let prompt = match &config.prompt.init {
            PromptInit::Adapter { path } => Some(adapter(path)?),
            _ => None,
        };
        let scores = config.selection.scores.as_deref();
        Ok(Self {
            model: model.model,
            tokenizer: model.tokenizer,
            hub: model.hub,
            task: Fingerprint::new().text(&task.declaration()).hex(),
            splits,
            prompt,
            scores: scores.map(file).transpose()?,
        })
    }

    /// What differs in `other`, a phrase each.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = self.model_differences(other);
        found.extend(self.data_differences(other));
        found.extend(phrases([
            (
                self.prompt == other.prompt,
                "the adapter in `prompt.init` has",
            ),
            (
                self.scores == other.scores,
                "the file of `selection.scores` has",
            ),
        ]));
        found
    }

    /// What differs in the model of `other`, a phrase each: of runs that are compared, all have one.
    pub fn model_differences(&self, other: &Self) -> Vec<String> {
        phrases([
            (
                self.model == other.model,
                "the model's weights or config.json have",
            ),
            (self.tokenizer == other.tokenizer, "the tokenizer has"),
        ])
    }

    /// What differs in the task of `other` and in the splits that both have, a phrase each: runs of one task that are
    /// compared have the same.
    pub fn data_differences(&self, other: &Self) -> Vec<String> {
        let mut found = phrases([(self.task == other.task, "the task's declaration has")]);
        for split in Split::ALL {
            if let (Some(ours), Some(theirs)) = (self.splits.get(&split), other.splits.get(&split))
            {
                found.extend(phrases([(
                    ours == theirs,
                    &*format!("the {split} split has"),
                )]));
            }
        }
        found
    }
}

/// A phrase for each that is not the same.
fn phrases<const N: usize>(compared: [(bool, &str); N]) -> Vec<String> {
    let differing = compared.into_iter().filter(|(same, _)| !same);
    differing
        .map(|(_, what)| format!("{what} another content"))
        .collect()
}

/// Finds the [`Fingerprints`] of runs before they are run, each model and each split only once.
pub struct Fingerprinter {
    find: FindModel,
    models: HashMap<PathBuf, ModelContent>,
    splits: HashMap<(Option<PathBuf>, String, Split), String>,
    tasks: Tasks,
}

impl Fingerprinter {
    /// One that has seen nothing; `find` finds models, and `tasks` are those that are programmed.
    pub fn new(find: FindModel, tasks: Tasks) -> Self {
        Self {
            find,
            models: HashMap::new(),
            splits: HashMap::new(),
            tasks,
        }
    }

    /// What the run of `config` would read.
    ///
    /// # Errors
    /// [`TrainError`] if something of it is not there or can't be read.
    pub fn of(&mut self, config: &RunConfig) -> Result<Fingerprints, TrainError> {
        if !self.models.contains_key(&config.model) {
            let FoundModel { directory, hub } = (self.find)(&config.model)?;
            let tokenizer = T5Tokenizer::from_directory(&directory)?;
            let found = ModelContent {
                hub,
                ..ModelContent::of(&directory, &tokenizer)?
            };
            self.models.insert(config.model.clone(), found);
        }
        let model = self.models[&config.model].clone();
        let task = config.task(&self.tasks)?;
        let mut splits = BTreeMap::new();
        for split in [Split::Train, Split::Dev, config.eval.reported(&*task)] {
            let path = task.path(&config.data, split);
            let place = (path, task.declaration(), split);
            let known = match self.splits.get(&place) {
                Some(known) => known.clone(),
                None => {
                    let data = read_split(&config.data, &*task, split)?;
                    let found = content_of_examples(&data.examples);
                    self.splits.insert(place, found.clone());
                    found
                }
            };
            splits.insert(split, known);
        }
        Fingerprints::with(config, &*task, model, splits)
    }
}

/// Of a session's model and of its tokenizer.
pub(crate) fn content_of_model(session: &Session) -> Result<ModelContent, TrainError> {
    Ok(ModelContent {
        hub: session.hub.clone(),
        ..ModelContent::of(&session.directory, &session.tokenizer)?
    })
}

/// What a model and its tokenizer are, and where they came from.
#[derive(Clone)]
pub(crate) struct ModelContent {
    pub(crate) model: String,
    pub(crate) tokenizer: String,
    hub: Option<HubModel>,
}

impl ModelContent {
    /// Of the model in `directory`.
    fn of(directory: &Path, tokenizer: &T5Tokenizer) -> Result<Self, TrainError> {
        let mut hash = Fingerprint::new();
        hash.file(directory.join("config.json"))?;
        for path in weight_files(directory)? {
            hash.file(path)?;
        }
        let mut files = Fingerprint::new();
        for path in tokenizer.files() {
            files.file(path)?;
        }
        Ok(Self {
            model: hash.hex(),
            tokenizer: files.hex(),
            hub: None,
        })
    }
}

/// Of the adapter or `.npy` file that training starts from.
fn adapter(path: &Path) -> Result<String, TrainError> {
    if !path.is_dir() {
        return file(path);
    }
    file(&adapter_weights(path))
}

fn file(path: &Path) -> Result<String, TrainError> {
    Ok(Fingerprint::new().file(path)?.hex())
}

/// SHA-256 of everything that training, answers and scores depend on, as [`Fingerprints::splits`] has it.
pub fn content_of_examples(examples: &[Example]) -> String {
    let mut hash = Fingerprint::new();
    for example in examples {
        hash.text(&example.id).text(&example.source);
        hash.bytes(&[u8::from(example.target.is_some())]);
        hash.text(example.target.as_deref().unwrap_or_default());
        match &example.gold {
            Gold::Hidden => hash.bytes(&[0]),
            Gold::Answers(answers) => {
                hash.bytes(&[1]).number(answers.len() as u64);
                for answer in answers {
                    hash.text(answer);
                }
                &mut hash
            }
        };
    }
    hash.hex()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn where_a_model_came_from_is_no_part_of_what_it_is() {
        // As it was written before models of the hub were told apart.
        let old = r#"{"model": "m", "tokenizer": "t", "task": "a", "splits": {"dev": "d"}}"#;
        let old: Fingerprints = serde_json::from_str(old).unwrap();
        assert_eq!(old.hub, None);
        let text = serde_json::to_string(&old).unwrap();
        assert!(!text.contains("hub"), "{text}");
        let of = |commit: &str| Fingerprints {
            hub: Some(HubModel {
                repository: "owner/name".into(),
                revision: "main".into(),
                commit: commit.repeat(40),
            }),
            ..old.clone()
        };
        assert!(old.differences(&of("a")).is_empty() && of("a").differences(&of("b")).is_empty());
        let text = serde_json::to_string(&of("a")).unwrap();
        assert_eq!(
            serde_json::from_str::<Fingerprints>(&text).unwrap(),
            of("a")
        );
    }
}
