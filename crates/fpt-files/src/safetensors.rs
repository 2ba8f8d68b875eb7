//! Files of safetensors, of which the header is read at once and the numbers when they are wanted.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use safetensors::tensor::{Metadata, TensorInfo};

use crate::FileError;

/// The largest header that the format allows.
const MAX_HEADER: u64 = 100_000_000;

/// An open file of safetensors whose header was read and checked against the file's length.
///
/// Plain reads instead of a memory map: mapped pages would count as a second copy of the weights, and a file that is
/// cut short meanwhile would end the program.
#[derive(Debug)]
pub struct SafetensorsFile {
    path: PathBuf,
    file: Mutex<File>,
    metadata: Metadata,
    /// Where the tensors begin.
    data: u64,
}

impl SafetensorsFile {
    /// Open a file and read its header. The tensors lie within the file, one after the other, each as long as its
    /// shape says.
    ///
    /// # Errors
    /// [`FileError::Read`], or [`FileError::Damaged`] if it is not a complete file of safetensors.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FileError> {
        let path = path.as_ref();
        let damaged = |reason: String| FileError::damaged(path, reason);
        let mut file = crate::open(path).map_err(FileError::read(path))?;
        let length = file.metadata().map_err(FileError::read(path))?.len();
        let mut size = [0; 8];
        file.read_exact(&mut size)
            .map_err(|_| damaged("it ends within the length of its header".into()))?;
        let header = u64::from_le_bytes(size);
        if header > MAX_HEADER || header > length.saturating_sub(8) {
            return Err(damaged(format!(
                "its header should be {header} bytes long, but the file has {length}"
            )));
        }
        let mut text = Vec::new();
        (&mut file)
            .take(header)
            .read_to_end(&mut text)
            .map_err(FileError::read(path))?;
        // This checks shapes, types and places. `SafeTensors::read_metadata` does too, but wants the whole file.
        let metadata: Metadata =
            serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        let data = 8 + header;
        if metadata.data_len() as u64 != length - data {
            return Err(damaged(format!(
                "it should have {} bytes of tensors, but has {}",
                metadata.data_len(),
                length - data
            )));
        }
        Ok(Self {
            path: path.to_path_buf(),
            file: Mutex::new(file),
            metadata,
            data,
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Name, type, shape and place of each tensor, in the order in which they lie in the file.
    pub fn tensors(&self) -> impl Iterator<Item = (String, &TensorInfo)> {
        let names = self.metadata.offset_keys().into_iter();
        names.filter_map(|name| self.metadata.info(&name).map(|info| (name, info)))
    }

    /// Type, shape and place of a tensor, if there is one of this name.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.metadata.info(name)
    }

    /// Hands out bytes in order, in chunks of `chunk` bytes; only the last may be shorter. `place` counts from where
    /// the tensors begin, as [`TensorInfo::data_offsets`] does.
    ///
    /// # Errors
    /// Those of reading; [`ErrorKind::UnexpectedEof`] beyond the end of the file.
    pub fn read(
        &self,
        place: Range<usize>,
        chunk: usize,
        take: &mut dyn FnMut(&[u8]),
    ) -> io::Result<()> {
        let mut file = self.file.lock().map_err(|_| ErrorKind::Other)?;
        file.seek(SeekFrom::Start(self.data + place.start as u64))?;
        let mut left = place.len();
        let mut buffer = vec![0; chunk.max(1).min(left)];
        while left > 0 {
            let part = buffer.len().min(left);
            let part = &mut buffer[..part];
            file.read_exact(part)?;
            take(part);
            left -= part.len();
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use safetensors::tensor::{Dtype, TensorView};

    use super::*;

    fn written(directory: &Path) -> PathBuf {
        let (a, b) = ((0..12).collect::<Vec<u8>>(), [9; 5]);
        let views = [
            ("a", TensorView::new(Dtype::F32, vec![1, 3], &a).unwrap()),
            ("b", TensorView::new(Dtype::U8, vec![5], &b).unwrap()),
        ];
        let path = directory.join("file.safetensors");
        crate::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
        path
    }

    #[test]
    fn tensors_are_listed_and_read_in_chunks() {
        let directory = tempfile::tempdir().unwrap();
        let file = SafetensorsFile::open(written(directory.path())).unwrap();
        let names: Vec<_> = file.tensors().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "b"]);
        let tensor = file.tensor("a").unwrap();
        assert_eq!((tensor.dtype, &tensor.shape[..]), (Dtype::F32, &[1, 3][..]));
        let (from, to) = tensor.data_offsets;
        for (chunk, expected) in [(5, vec![5, 5, 2]), (100, vec![12]), (12, vec![12])] {
            let (mut lengths, mut bytes) = (Vec::new(), Vec::new());
            let take = &mut |part: &[u8]| {
                lengths.push(part.len());
                bytes.extend_from_slice(part);
            };
            file.read(from..to, chunk, take).unwrap();
            assert_eq!(lengths, expected);
            assert_eq!(bytes, (0..12).collect::<Vec<u8>>());
        }
        let beyond = file.read(10..30, 8, &mut |_| {}).unwrap_err();
        assert_eq!(beyond.kind(), ErrorKind::UnexpectedEof);
        assert!(file.tensor("c").is_none());
    }

    #[test]
    fn what_is_cut_short_or_too_long_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = written(directory.path());
        let whole = std::fs::read(&path).unwrap();
        let refusal = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let error = SafetensorsFile::open(&path).unwrap_err();
            assert!(matches!(error, FileError::Damaged { .. }), "{error}");
            let (name, reason) = (path.display().to_string(), error.to_string());
            reason.strip_prefix(&name).unwrap().to_owned()
        };
        for length in 0..whole.len() {
            refusal(&whole[..length]);
        }
        assert_eq!(
            refusal(&whole[..7]),
            ": it ends within the length of its header"
        );
        assert!(refusal(&[u64::MAX.to_le_bytes(), [0; 8]].concat()).contains("the file has 16"));
        let longer = [&whole[..], &[0]].concat();
        assert_eq!(
            refusal(&longer),
            ": it should have 17 bytes of tensors, but has 18"
        );
        let absent = SafetensorsFile::open(directory.path().join("absent")).unwrap_err();
        assert!(matches!(absent, FileError::Read { .. }), "{absent}");
    }
}
