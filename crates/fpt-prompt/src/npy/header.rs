//! The header of a `.npy` file: a Python dictionary of three entries.
//!
//! Readers of this format parse any Python literal, and believe the header's length. For an array of numbers this is
//! all there is to read, without nesting and without arithmetic on what a file claims.

/// More than any header that is read here is long; the number is NumPy's.
const MAX_LENGTH: usize = 10_000;

/// The last place at which the numbers may begin.
pub(super) const MAX_END: u64 = MAX_LENGTH as u64 + 12;

const MAGIC: &[u8] = b"\x93NUMPY";

/// What the header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header<'a> {
    /// NumPy's name of the type, such as `<f4`.
    pub(super) descr: &'a str,
    pub(super) fortran_order: bool,
    pub(super) shape: Vec<u64>,
}

/// The header at the start of a file, and where the numbers begin.
///
/// # Errors
/// What is wrong.
pub(super) fn parse(start: &[u8]) -> Result<(Header<'_>, usize), String> {
    let rest = start
        .strip_prefix(MAGIC)
        .ok_or("not a .npy file: it does not begin as NumPy's files do")?;
    let (length, text) = match *rest {
        [1, 0, a, b, ref text @ ..] => (usize::from(u16::from_le_bytes([a, b])), text),
        [2 | 3, 0, a, b, c, d, ref text @ ..] => (u32::from_le_bytes([a, b, c, d]) as usize, text),
        [major, minor, ..] if !(1..=3).contains(&major) || minor != 0 => {
            return Err(format!("version {major}.{minor} of the format is unknown"));
        }
        _ => return Err("it ends within its header".into()),
    };
    if length > MAX_LENGTH {
        return Err(format!(
            "its header should be {length} bytes long, more than that of any array of numbers"
        ));
    }
    let text = text.get(..length).ok_or("it ends within its header")?;
    let offset = start.len() - rest.len() + if rest[0] == 1 { 4 } else { 6 } + length;
    let text = str::from_utf8(text).map_err(|_| "its header is no text")?;
    let header = Cursor(text).header().ok_or_else(|| {
        format!(
            "its header is not that of an array of numbers: {}",
            text.trim()
        )
    })?;
    Ok((header, offset))
}

/// What is left of the text.
struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    /// Go past `token` and the space before it, if it comes next.
    fn eat(&mut self, token: &str) -> bool {
        let rest = self.0.trim_start().strip_prefix(token);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn header(mut self) -> Option<Header<'a>> {
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        let mut more = self.eat("{");
        while more && !self.eat("}") {
            let key = self.string()?;
            if !self.eat(":") {
                return None;
            }
            match key {
                "descr" => descr = Some(self.string()?),
                "fortran_order" => fortran_order = Some(self.boolean()?),
                "shape" => shape = Some(self.shape()?),
                _ => return None,
            }
            more = self.eat(",");
            if !more && !self.eat("}") {
                return None;
            }
        }
        if !self.0.trim().is_empty() {
            return None;
        }
        Some(Header {
            descr: descr?,
            fortran_order: fortran_order?,
            shape: shape?,
        })
    }

    /// A string in quotes, without escapes.
    fn string(&mut self) -> Option<&'a str> {
        let quote = ["'", "\""].into_iter().find(|quote| self.eat(quote))?;
        let (text, rest) = self.0.split_once(quote)?;
        self.0 = rest;
        (!text.contains('\\')).then_some(text)
    }

    fn boolean(&mut self) -> Option<bool> {
        if self.eat("True") {
            Some(true)
        } else {
            self.eat("False").then_some(false)
        }
    }

    /// A tuple of numbers.
    fn shape(&mut self) -> Option<Vec<u64>> {
        let mut shape = Vec::new();
        let mut more = self.eat("(");
        if !more {
            return None;
        }
        while more && !self.eat(")") {
            let text = self.0.trim_start();
            let end = text
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(text.len());
            shape.push(text[..end].parse().ok()?);
            self.0 = &text[end..];
            more = self.eat(",");
            if !more && !self.eat(")") {
                return None;
            }
        }
        Some(shape)
    }
}
