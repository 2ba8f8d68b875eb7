//! Models by the names that configurations give them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::TrainError;

/// A model on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundModel {
    /// The directory of its files.
    pub directory: PathBuf,
    /// Where they came from, if from a hub.
    pub hub: Option<HubModel>,
}

/// A model of a hub, as it was found: what a branch stands for changes, a commit does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubModel {
    /// `owner/name`.
    pub repository: String,
    /// The branch, tag or commit that was asked for.
    pub revision: String,
    /// The commit that it stood for: 40 hexadecimal digits.
    pub commit: String,
}

/// Finds a model as a configuration names it: a directory, or a model of the hub, which it may download. Fails with
/// [`TrainError::NoModel`].
pub type FindModel = fn(&Path) -> Result<FoundModel, TrainError>;

/// A [`FindModel`] for models that are named by their directory.
pub fn model_directory(model: &Path) -> Result<FoundModel, TrainError> {
    Ok(FoundModel {
        directory: model.to_path_buf(),
        hub: None,
    })
}
