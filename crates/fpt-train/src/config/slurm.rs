//! What an experiment file says of the cluster that its runs are made on.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use toml::Table;

use super::merge::{merge, parse_assignment};
use super::mistakes;
use crate::TrainError;

/// `[slurm]`: what sites differ in, for programs that have runs executed by Slurm. It is no part of a run: the same run
/// comes out whatever it says. Values are handed to Slurm as they are, but for those that say otherwise.
///
/// ```toml
/// [slurm]
/// partition = "gpu"
/// gres = "gpu:1"
/// time = "4h"
/// modules = ["cuda/13.0"]
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SlurmConfig {
    /// Partition, or several with commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// Account that pays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Quality of service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qos: Option<String>,
    /// Time limit of a job, as Slurm says it (`1-12:00:00`; a plain number counts minutes) or as `4h`, `90min`. A run that
    /// takes longer is put back into the queue with a checkpoint. Absent means an estimate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Memory of a job, such as `24G`; a plain number counts MB. Absent means an estimate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem: Option<String>,
    /// Cores of a job, and threads of its run; 1 where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<NonZeroUsize>,
    /// Generic resources, such as `gpu:1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gres: Option<String>,
    /// Features that a node must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constraint: Option<String>,
    /// Runs at a time; as many as the cluster gives where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_once: Option<NonZeroUsize>,
    /// Further options of `sbatch`, such as `--exclude=n7`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// Environment modules that a job loads first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<String>,
    /// Names of environment variables that jobs get from who submits them, beside those that say where caches are. Their
    /// values stand in the job's script: no secrets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Lines of shell before the run, after the modules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prologue: Vec<String>,
}

impl SlurmConfig {
    /// This, with each of `assignments`, `key=value`, laid over it: `time=4h`, `modules=["cuda/13.0"]`.
    ///
    /// # Errors
    /// [`TrainError::Value`] names the assignment.
    pub fn with(&self, assignments: &[String]) -> Result<Self, TrainError> {
        let invalid = |reason: String| TrainError::Value {
            key: "--slurm",
            reason,
        };
        let mut table = Table::try_from(self).map_err(|error| invalid(error.to_string()))?;
        for assignment in assignments {
            merge(&mut table, &parse_assignment(assignment).map_err(invalid)?);
        }
        // A number is as good as its digits.
        for key in ["time", "mem"] {
            if let Some(value) = table.get_mut(key)
                && let Some(number) = value.as_integer()
            {
                *value = number.to_string().into();
            }
        }
        mistakes::fit(table).map_err(invalid)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn assignments_are_laid_over_the_file() {
        let of_file: SlurmConfig =
            toml::from_str("partition = \"gpu\"\nprologue = [\"ulimit -c 0\"]").unwrap();
        let with = |assignments: &[&str]| {
            let assignments: Vec<_> = assignments.iter().map(ToString::to_string).collect();
            of_file.with(&assignments)
        };
        let both = with(&["partition=long", "time=4h", "mem=4000", "cpus=8"]).unwrap();
        assert_eq!(both.partition.as_deref(), Some("long"));
        assert_eq!(both.time.as_deref(), Some("4h"));
        assert_eq!(both.mem.as_deref(), Some("4000"));
        assert_eq!(both.cpus.map(NonZeroUsize::get), Some(8));
        assert_eq!(both.prologue, of_file.prologue);
        let listed = with(&["modules=[\"cuda/13.0\", \"gcc\"]"]).unwrap();
        assert_eq!(listed.modules, ["cuda/13.0", "gcc"]);
        for (assignment, part) in [
            ("tim=4h", "time"),
            ("cpus=0", "above 0"),
            ("time", "key=value"),
            ("modules=cuda", "list"),
        ] {
            let error = with(&[assignment]).unwrap_err().to_string();
            assert!(error.contains("--slurm") && error.contains(part), "{error}");
        }
    }
}
