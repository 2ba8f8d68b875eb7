//! Pages whose counts are believable: the decoder reserves memory for as many values as a page claims.

use ::parquet::basic::Encoding;
use ::parquet::column::page::{Page, PageMetadata, PageReader};
use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::serialized_reader::SerializedPageReader;

use super::guard::GuardedPages;

/// Texts of a page whose lengths are written as differences, which take no room where they are equal. Writers make pages
/// of some ten thousand rows.
const MOST_TEXTS: u64 = 1 << 20;

/// The pages of a column.
pub(super) struct CheckedPages {
    pub(super) pages: SerializedPageReader<GuardedPages>,
    /// Whether a page has levels before its values: which of them are there.
    pub(super) optional: bool,
}

impl Iterator for CheckedPages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for CheckedPages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.pages.get_next_page()?;
        if let Some(page) = &page
            && !is_believable(page, self.optional)
        {
            let reason = "a page claims more values than it can have".to_owned();
            return Err(ParquetError::General(reason));
        }
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }
}

fn is_believable(page: &Page, optional: bool) -> bool {
    let (values, encoding) = match page {
        // Each text comes after its length, in four bytes.
        Page::DictionaryPage {
            buf, num_values, ..
        } => return *num_values as usize <= buf.len() / 4,
        Page::DataPage {
            buf,
            num_values,
            encoding,
            def_level_encoding,
            ..
        } => {
            let levels = match def_level_encoding {
                _ if !optional => Some(0),
                Encoding::RLE => buf
                    .first_chunk()
                    .map(|&length| (u32::from_le_bytes(length) as usize).saturating_add(4)),
                // A bit each.
                _ => Some((*num_values as usize).div_ceil(8)),
            };
            (levels.and_then(|levels| buf.get(levels..)), encoding)
        }
        Page::DataPageV2 {
            buf,
            encoding,
            def_levels_byte_len,
            rep_levels_byte_len,
            ..
        } => {
            let levels = *def_levels_byte_len as usize + *rep_levels_byte_len as usize;
            (buf.get(levels..), encoding)
        }
    };
    // What texts share with the one before, then the lengths of the rest; or lengths alone.
    match encoding {
        Encoding::DELTA_BYTE_ARRAY => values.and_then(after_numbers).and_then(after_numbers),
        Encoding::DELTA_LENGTH_BYTE_ARRAY | Encoding::DELTA_BINARY_PACKED => {
            values.and_then(after_numbers)
        }
        _ => values,
    }
    .is_some()
}

/// What follows numbers that are written as differences in blocks, unless they are cut short or more than
/// [`MOST_TEXTS`]. <https://parquet.apache.org/docs/file-format/data-pages/encodings/>
fn after_numbers(mut data: &[u8]) -> Option<&[u8]> {
    let [block, parts, count, _first] = [
        varint(&mut data)?,
        varint(&mut data)?,
        varint(&mut data)?,
        varint(&mut data)?,
    ];
    let part = block.checked_div(parts).filter(|&part| part > 0)?;
    if count > MOST_TEXTS {
        return None;
    }
    // The first is in the header.
    let mut left = count.saturating_sub(1);
    while left > 0 {
        let _smallest = varint(&mut data)?;
        let (widths, rest) = data.split_at_checked(usize::try_from(parts).ok()?)?;
        data = rest;
        for &width in widths {
            if left == 0 {
                break;
            }
            let bytes = part.checked_mul(width.into())? / 8;
            data = data.get(usize::try_from(bytes).ok()?..)?;
            left = left.saturating_sub(part);
        }
    }
    Some(data)
}

/// A number in groups of seven bits, the lowest first.
fn varint(data: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = data.split_first()?;
        *data = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dictionary_has_no_more_texts_than_lengths() {
        let dictionary = |num_values| Page::DictionaryPage {
            buf: vec![0; 12].into(),
            num_values,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        assert!(is_believable(&dictionary(3), true));
        assert!(!is_believable(&dictionary(4), true));
        assert!(!is_believable(&dictionary(i32::MAX as u32), true));
    }

    #[test]
    fn equal_numbers_take_no_room_but_are_not_any_number() {
        // Blocks of 128 in 4 parts; the count; a first number; a block of differences of no bits.
        let numbers = |count: &[u8], block: &[u8]| {
            let data = [&[0x80, 0x01, 0x04], count, &[0x02], block].concat();
            after_numbers(&data).map(<[u8]>::to_vec)
        };
        assert_eq!(numbers(&[1], b"rest").as_deref(), Some(&b"rest"[..]));
        let block = b"\0\0\0\0\0rest";
        assert_eq!(numbers(&[100], block).as_deref(), Some(&b"rest"[..]));
        assert_eq!(
            numbers(&[0x82, 0x01], block),
            None,
            "a second block is missing"
        );
        let wide = [&[0, 1, 0, 0, 0][..], &[7; 4], b"rest"].concat();
        assert_eq!(numbers(&[100], &wide).as_deref(), Some(&b"rest"[..]));
        assert_eq!(numbers(&[0xff, 0xff, 0xff, 0xff, 0x07], block), None);
        assert_eq!(after_numbers(&[0x80, 0x01, 0x00, 100, 0]), None, "no parts");
    }
}
