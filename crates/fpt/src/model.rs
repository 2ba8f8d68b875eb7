//! Models by path or by name.

use std::path::{Path, PathBuf};
use std::sync::Once;

use anyhow::Context;
use fpt_hub::{FileSet, Hub, HubConfig, HubError, ModelSource, SourceError};
use fpt_t5::T5Config;
use fpt_tasks::Tasks;
use fpt_train::{Experiment, Fingerprinter, FoundModel, HubModel, TrainError};

use crate::experiments::SHAPES;
use crate::{embedded, terminal};

/// The directory of a model if it is on this machine already; nothing is asked of the hub.
pub fn on_this_machine(model: &Path) -> anyhow::Result<Option<PathBuf>> {
    if embedded::is_meant(model) {
        return embedded::directory().map(Some);
    }
    let text = model.to_string_lossy();
    match ModelSource::parse(&text) {
        Ok(ModelSource::Local(path)) => Ok(Some(path)),
        Ok(ModelSource::Hub(id)) => {
            let mut config = HubConfig::from_env()?;
            config.offline = true;
            match Hub::new(config)?.fetch(&id, &FileSet::t5(), &mut |_| {}) {
                Ok(snapshot) => Ok(Some(snapshot.dir)),
                Err(HubError::NotCached { .. }) => Ok(None),
                Err(error) => Err(error.into()),
            }
        }
        Err(SourceError::NoDirectory { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The configuration of an experiment's model, as far as it is known before anything is downloaded: its own, the copy that
/// the experiment names, or what this program knows of it.
///
/// # Errors
/// If it can't be read.
pub fn known_config(experiment: &Experiment) -> anyhow::Result<Option<T5Config>> {
    let model = &experiment.model;
    if let Some(directory) = on_this_machine(model)? {
        return Ok(Some(T5Config::from_file(directory.join("config.json"))?));
    }
    if experiment.model_config.is_some() {
        return Ok(Some(experiment.model_config()?));
    }
    let name = model.to_string_lossy();
    let name = name.split('@').next().unwrap_or_default();
    let known = SHAPES.iter().find(|(known, _)| *known == name);
    let parse = |(_, json): &(&str, &str)| T5Config::from_json(json.as_bytes(), model);
    Ok(known.map(parse).transpose()?)
}

/// What is to be said where [`known_config`] is not known.
pub fn unknown(model: &Path) -> String {
    format!(
        "the model {} is not on this machine, and its shape is not known",
        model.display()
    )
}

/// [`known_config`], or that of the model, which is downloaded for it.
///
/// # Errors
/// If there is no such model.
pub fn config(experiment: &Experiment) -> anyhow::Result<T5Config> {
    match known_config(experiment)? {
        Some(config) => Ok(config),
        None => {
            let directory = directory(&experiment.model)?;
            Ok(T5Config::from_file(directory.join("config.json"))?)
        }
    }
}

/// The directory of a model: that which is named, or else the hub's cache of the model of this name, which is
/// downloaded where it is not there yet.
pub fn directory(model: &Path) -> anyhow::Result<PathBuf> {
    found(model).map(|found| found.directory)
}

/// [`directory`], and of a model of the hub the commit.
fn found(model: &Path) -> anyhow::Result<FoundModel> {
    let found = looked_up(model)?;
    let directory = found.directory.display();
    tracing::debug!("the model {} lies in {directory}", model.display());
    Ok(found)
}

fn looked_up(model: &Path) -> anyhow::Result<FoundModel> {
    if embedded::is_meant(model) {
        return Ok(FoundModel {
            directory: embedded::directory()?,
            hub: None,
        });
    }
    let text = model
        .to_str()
        .with_context(|| format!("{} is no text", model.display()))?;
    let id = match ModelSource::parse(text)? {
        ModelSource::Local(directory) => {
            return Ok(FoundModel {
                directory,
                hub: None,
            });
        }
        ModelSource::Hub(id) => id,
    };
    let bar = terminal::bytes(text);
    let mut file = String::new();
    let snapshot = Hub::from_env()?.fetch(&id, &FileSet::t5(), &mut |now| {
        if file != now.file {
            file = now.file.to_string();
            bar.set_message(terminal::shown(&file).into_owned());
        }
        bar.set_length(now.total.unwrap_or(now.done));
        bar.set_position(now.done);
    })?;
    bar.finish_and_clear();
    if let Some(why) = &snapshot.unreached {
        // Models are looked for more than once.
        static TOLD: Once = Once::new();
        TOLD.call_once(|| {
            terminal::note(&format!(
                "{text}: taking commit {} from the cache, as the hub did not tell whether there is a later one: {why}",
                snapshot.commit
            ));
        });
    }
    Ok(FoundModel {
        directory: snapshot.dir,
        hub: Some(HubModel {
            repository: id.repository(),
            revision: id.revision().to_string(),
            commit: snapshot.commit,
        }),
    })
}

/// Finds what runs read, on this machine or on the hub.
pub fn fingerprinter() -> Fingerprinter {
    Fingerprinter::new(find, Tasks::paper())
}

/// Finds the models of runs.
pub fn find(model: &Path) -> Result<FoundModel, TrainError> {
    found(model).map_err(|error| TrainError::NoModel {
        model: model.to_path_buf(),
        reason: terminal::with_causes(&error),
    })
}
