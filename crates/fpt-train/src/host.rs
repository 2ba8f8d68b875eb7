//! What a library does not ask the system itself.

use fpt_tasks::Tasks;

use crate::{Conduct, FindModel};

/// What the caller knows of the machine.
#[derive(Clone, Debug)]
pub struct Host {
    /// Source revision of the program.
    pub revision: String,
    /// Name of the device, such as `cpu`.
    pub device: String,
    /// The processor with its vector units, where the system tells.
    pub processor: fn() -> Option<String>,
    /// Seconds that the process's threads have computed so far, where the system tells.
    pub cpu_seconds: fn() -> Option<f64>,
    /// Peak memory of the process in bytes, where the system tells.
    pub peak_memory: fn() -> Option<u64>,
    /// The tasks that are programmed; a configuration may declare its own.
    pub tasks: Tasks,
    /// Where models are.
    pub find_model: FindModel,
    /// How runs are conducted there.
    pub conduct: Conduct,
}

impl Host {
    /// A machine of which nothing is known but where models are found. Tasks are the paper's.
    pub fn new(find_model: FindModel) -> Self {
        Self {
            revision: "unknown".into(),
            device: "cpu".into(),
            processor: || None,
            cpu_seconds: || None,
            peak_memory: || None,
            tasks: Tasks::paper(),
            find_model,
            conduct: Conduct::default(),
        }
    }
}
