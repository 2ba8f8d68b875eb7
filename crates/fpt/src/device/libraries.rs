//! What CUDA needs at run time, looked for in files, to tell what is missing.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// What CUDA can't do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CudaPart {
    /// `libcuda`.
    Driver,
    /// A card that the driver shows.
    #[cfg_attr(
        not(feature = "cuda"),
        allow(dead_code, reason = "only with CUDA the driver is asked")
    )]
    Card,
    /// `libnvrtc`, which compiles kernels.
    Compiler,
    /// The headers of the toolkit, which kernels include.
    Headers,
}

impl CudaPart {
    /// What is missing, and how to get it.
    pub(super) fn way_out(self) -> &'static str {
        match self {
            Self::Driver => "no NVIDIA driver: libcuda.so.1 was not found",
            Self::Card => {
                "the NVIDIA driver shows no card: see what nvidia-smi says, and CUDA_VISIBLE_DEVICES"
            }
            Self::Compiler => {
                "no NVRTC, which compiles CUDA's kernels: install it (nvidia-cuda-nvrtc) and name the directory of \
                 libnvrtc.so.13 in LD_LIBRARY_PATH"
            }
            Self::Headers => {
                "no headers of CUDA: set CUDA_PATH to the directory that holds include/cuda_fp16.h"
            }
        }
    }
}

/// The first part that is not there. Only Linux has its libraries where files tell of them.
pub(super) fn missing_for_cuda() -> Option<CudaPart> {
    cfg!(target_os = "linux")
        .then(|| missing(&Places::of_this_machine()))
        .flatten()
}

/// Where things may lie.
struct Places {
    /// Directories that the loader of libraries searches.
    libraries: Vec<PathBuf>,
    /// The loader's own list, which names more of them.
    loader_cache: Vec<u8>,
    /// Directories that may hold the toolkit; the first that exists counts.
    toolkits: Vec<PathBuf>,
}

impl Places {
    fn of_this_machine() -> Self {
        let mut libraries: Vec<PathBuf> = env::var_os("LD_LIBRARY_PATH")
            .map(|list| env::split_paths(&list).collect())
            .unwrap_or_default();
        let fixed = [
            "/lib",
            "/lib64",
            "/usr/lib",
            "/usr/lib64",
            "/usr/lib/x86_64-linux-gnu",
            "/usr/lib/aarch64-linux-gnu",
        ];
        libraries.extend(fixed.map(PathBuf::from));
        // As cubecl-cuda decides: CUDA_PATH alone where it is set.
        let toolkits = match env::var_os("CUDA_PATH") {
            Some(path) => vec![path.into()],
            None if Path::new("/usr/bin/nvcc").exists() => ["/usr/local/cuda", "/opt/cuda", "/usr"]
                .map(PathBuf::from)
                .into(),
            None => ["/usr/local/cuda", "/opt/cuda"].map(PathBuf::from).into(),
        };
        Self {
            libraries,
            loader_cache: fs::read("/etc/ld.so.cache").unwrap_or_default(),
            toolkits,
        }
    }

    fn has_library(&self, name: &str) -> bool {
        let in_directory = |directory: &PathBuf| directory.join(name).exists();
        let ends_a_name = |at: usize| self.loader_cache.get(at + name.len()) == Some(&0);
        self.libraries.iter().any(in_directory)
            || self
                .loader_cache
                .windows(name.len())
                .enumerate()
                .any(|(at, found)| found == name.as_bytes() && ends_a_name(at))
    }

    fn has_headers(&self) -> bool {
        let toolkit = self.toolkits.iter().find(|path| path.exists());
        toolkit.is_some_and(|path| path.join("include/cuda_fp16.h").exists())
    }
}

fn missing(places: &Places) -> Option<CudaPart> {
    let any = |names: &[&str]| names.iter().any(|name| places.has_library(name));
    if !any(&["libcuda.so.1", "libcuda.so"]) {
        Some(CudaPart::Driver)
    } else if !any(&["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"]) {
        Some(CudaPart::Compiler)
    } else if !places.has_headers() {
        Some(CudaPart::Headers)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_missed_one_after_another() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        let mut places = Places {
            libraries: vec![path("lib")],
            loader_cache: Vec::new(),
            toolkits: vec![path("no-toolkit"), path("toolkit")],
        };
        assert_eq!(missing(&places), Some(CudaPart::Driver));

        // Only whole names count.
        places.loader_cache = b"\0libcuda.so.1.1\0".to_vec();
        assert_eq!(missing(&places), Some(CudaPart::Driver));
        places.loader_cache = b"libc.so.6\0libcuda.so.1\0/usr/lib".to_vec();
        assert_eq!(missing(&places), Some(CudaPart::Compiler));

        fs::create_dir_all(path("lib")).expect("a directory");
        fs::write(path("lib/libnvrtc.so.13"), "").expect("a file");
        assert_eq!(missing(&places), Some(CudaPart::Headers));

        fs::create_dir_all(path("toolkit/include")).expect("a directory");
        fs::write(path("toolkit/include/cuda_fp16.h"), "").expect("a file");
        assert_eq!(missing(&places), None);
    }

    #[test]
    fn every_part_has_a_way_out() {
        for (part, word) in [
            (CudaPart::Driver, "libcuda.so.1"),
            (CudaPart::Card, "nvidia-smi"),
            (CudaPart::Compiler, "LD_LIBRARY_PATH"),
            (CudaPart::Headers, "CUDA_PATH"),
        ] {
            assert!(part.way_out().contains(word), "{}", part.way_out());
        }
    }
}
