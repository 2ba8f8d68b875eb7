//! What a run has to do with besides its recipe.

use std::path::Path;

use burn::tensor::Device;

/// Where a run goes, on what it computes, and when it stops: nothing that its weights depend on, but for the kind of the
/// device.
pub struct Host<'a> {
    /// The directory of the model that is made.
    pub out: &'a Path,
    /// The directory of checkpoints, which belongs to one process at a time.
    pub state: &'a Path,
    /// What the log names as the source that made the model.
    pub revision: &'a str,
    /// Where to compute; no autodiff device.
    pub device: &'a Device,
    /// Whether to stop. It is asked after every step; then a checkpoint is written.
    pub stop: &'a dyn Fn() -> bool,
}
