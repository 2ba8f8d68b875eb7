//! A file in memory that refuses pages which claim to be larger than they can be.

use std::io::Cursor;

use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::reader::{ChunkReader, Length};
use bytes::{Buf, Bytes};

/// Snappy, the only compression of this build, makes at most 64 bytes of 3.
const MOST_EXPANSION: u64 = 22;
/// What a page of next to nothing may be expanded to.
const SMALL_PAGE: u64 = 1024;

/// The decoder reserves what the header of a page claims, which may be two gigabytes. It asks for
/// a reader exactly at every header: that is where the claim is looked at.
pub(super) struct GuardedPages(pub(super) Bytes);

impl Length for GuardedPages {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }
}

impl ChunkReader for GuardedPages {
    type T = Cursor<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        let rest = usize::try_from(start).ok().filter(|&at| at <= self.0.len());
        let rest = self
            .0
            .slice(rest.ok_or_else(|| damaged("a page lies beyond the end"))?..);
        let (full, compressed) =
            page_sizes(rest.clone()).ok_or_else(|| damaged("damaged page header"))?;
        if full > MOST_EXPANSION * compressed + SMALL_PAGE {
            return Err(damaged(&format!(
                "a page of {compressed} bytes claims to expand to {full}"
            )));
        }
        Ok(Cursor::new(rest))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.0.get_bytes(start, length)
    }
}

fn damaged(reason: &str) -> ParquetError {
    ParquetError::General(reason.to_owned())
}

/// The sizes in a page header, full and compressed: the second and third field of a Thrift structure
/// in the compact protocol, of which all three are 32-bit integers that may not be left out.
fn page_sizes(mut header: Bytes) -> Option<(u64, u64)> {
    const NEXT_FIELD_I32: u8 = 0x15;
    let mut field = || -> Option<i64> {
        if header.try_get_u8().ok()? != NEXT_FIELD_I32 {
            return None;
        }
        let mut value = 0_u64;
        for shift in (0..35).step_by(7) {
            let byte = header.try_get_u8().ok()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                // Zigzag: the sign is the lowest bit.
                return Some((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        None
    };
    let (_type, full, compressed) = (field()?, field()?, field()?);
    Some((full.try_into().ok()?, compressed.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_headers_give_their_sizes() {
        let sizes = |bytes: &'static [u8]| page_sizes(Bytes::from_static(bytes));
        // Data page (0) of 300 bytes, 5 compressed.
        assert_eq!(
            sizes(&[0x15, 0, 0x15, 0xd8, 4, 0x15, 10, 0]),
            Some((300, 5))
        );
        assert_eq!(sizes(&[0x15, 0, 0x15, 1, 0x15, 10]), None, "negative");
        assert_eq!(sizes(&[0x15, 0, 0x15, 0x80]), None, "cut off");
        assert_eq!(sizes(b"PAR1"), None);
    }
}
