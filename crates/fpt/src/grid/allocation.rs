//! What a job of Slurm was given of its node, where this program runs in one.

use std::num::NonZeroUsize;

use crate::{DeviceName, Gpu, available_memory};

/// What the environment says of the job.
struct Allocation<F: Fn(&str) -> Option<String>> {
    variable: F,
}

/// Cores that may compute: of the machine, or of the job.
pub(super) fn cores() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    here().cores().map_or(cores, |given| given.min(cores))
}

/// Bytes of memory that may be taken: of the machine, or of the job.
pub(super) fn memory() -> Option<u64> {
    let free = available_memory();
    let given = here().memory();
    [free, given].into_iter().flatten().min()
}

/// The device that is named: CUDA without an index means all cards of a job.
pub(super) fn devices(named: &DeviceName) -> DeviceName {
    match named {
        DeviceName::Gpu(Gpu::Cuda, indices) if indices.is_empty() => {
            DeviceName::Gpu(Gpu::Cuda, (0..here().cards().unwrap_or(1)).collect())
        }
        other => other.clone(),
    }
}

fn here() -> Allocation<impl Fn(&str) -> Option<String>> {
    Allocation {
        variable: |name: &str| std::env::var(name).ok(),
    }
}

impl<F: Fn(&str) -> Option<String>> Allocation<F> {
    fn number(&self, name: &str) -> Option<usize> {
        (self.variable)("SLURM_JOB_ID")?;
        (self.variable)(name)?
            .parse()
            .ok()
            .filter(|&number| number > 0)
    }

    fn cores(&self) -> Option<usize> {
        self.number("SLURM_CPUS_PER_TASK")
            .or_else(|| self.number("SLURM_CPUS_ON_NODE"))
    }

    /// Bytes; Slurm counts megabytes.
    fn memory(&self) -> Option<u64> {
        let of_cores = || {
            let cores = self.number("SLURM_CPUS_ON_NODE")?;
            Some(self.number("SLURM_MEM_PER_CPU")? * cores)
        };
        let megabytes = self.number("SLURM_MEM_PER_NODE").or_else(of_cores)?;
        Some((megabytes as u64) << 20)
    }

    /// Cards that the job sees; CUDA counts them from 0.
    fn cards(&self) -> Option<usize> {
        (self.variable)("SLURM_JOB_ID")?;
        let visible = (self.variable)("CUDA_VISIBLE_DEVICES");
        let visible =
            visible.map(|list| list.split(',').filter(|it| !it.trim().is_empty()).count());
        let visible = visible.filter(|&count| count > 0);
        visible.or_else(|| self.number("SLURM_GPUS_ON_NODE"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn given(text: &str) -> (Option<usize>, Option<u64>, Option<usize>) {
        let allocation = Allocation {
            variable: |name: &str| {
                let mut pairs = text.split(' ').filter_map(|pair| pair.split_once(':'));
                let (_, value) = pairs.find(|(known, _)| *known == name)?;
                Some(value.to_string())
            },
        };
        (allocation.cores(), allocation.memory(), allocation.cards())
    }

    #[test]
    fn a_job_has_what_it_was_given() {
        assert_eq!(
            given("SLURM_CPUS_ON_NODE:4 CUDA_VISIBLE_DEVICES:0,1"),
            (None, None, None)
        );
        assert_eq!(
            given("SLURM_JOB_ID:7 SLURM_CPUS_ON_NODE:4"),
            (Some(4), None, None)
        );
        let all = "SLURM_JOB_ID:7 SLURM_CPUS_ON_NODE:4 SLURM_CPUS_PER_TASK:2 SLURM_MEM_PER_CPU:1024 CUDA_VISIBLE_DEVICES:2,3,5";
        assert_eq!(given(all), (Some(2), Some(4 << 30), Some(3)));
        let node =
            "SLURM_JOB_ID:7 SLURM_MEM_PER_NODE:64 SLURM_GPUS_ON_NODE:2 CUDA_VISIBLE_DEVICES:";
        assert_eq!(given(node), (None, Some(64 << 20), Some(2)));
        assert_eq!(
            given("SLURM_JOB_ID:7 SLURM_CPUS_ON_NODE:many"),
            (None, None, None)
        );
    }
}
