//! The header of a `.npy` array: what its bytes mean and how many there must be.
//!
//! Format: `numpy.lib.format`, versions 1.0 to 3.0. The header is a Python dictionary; this reads the one shape numpy
//! writes and evaluates nothing.

use std::io::Read;

/// Longest header accepted, in bytes. numpy itself stops at 10 000 characters (numpy#22393).
const HEADER_LIMIT: u32 = 65_536;

/// Element types this library reads, all little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// `<f4`
    F32,
    /// `<f8`
    F64,
    /// `<i8`
    I64,
    /// `<i4`
    I32,
    /// `|u1`
    U8,
    /// `|i1`
    I8,
    /// `|b1`, one byte of 0 or 1
    Bool,
}

impl Dtype {
    /// Bytes per element.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::U8 | Self::I8 | Self::Bool => 1,
        }
    }
}

/// Why a header was refused: what was expected, what stands there, what helps.
pub(super) struct Refusal {
    pub expected: String,
    pub found: String,
    pub remedy: &'static str,
}

const DAMAGED: &str = "the file is damaged or was not written by numpy: write it again";
const PLAIN: &str = "save plain little-endian numbers: array.astype('<f4'), '<f8', '<i4', '<i8', '|u1', '|i1' or '|b1'";

fn refuse(expected: impl Into<String>, found: impl Into<String>, remedy: &'static str) -> Refusal {
    Refusal { expected: expected.into(), found: found.into(), remedy }
}

/// A checked header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub dtype: Dtype,
    /// Row-major extents; empty for a scalar.
    pub shape: Vec<usize>,
    /// Product of `shape`.
    pub elements: usize,
    /// Bytes of the header itself; the elements follow.
    pub bytes: u64,
}

impl Header {
    /// Bytes of the elements; checked not to overflow when the header was parsed.
    pub fn data_bytes(&self) -> u64 {
        self.elements as u64 * self.dtype.bytes() as u64
    }
}

/// Reads a header from the start of an entry. An I/O error is the outer result, a refusal the inner.
pub(super) fn read_header(reader: &mut dyn Read) -> std::io::Result<Result<Header, Refusal>> {
    let mut magic = [0; 8];
    reader.read_exact(&mut magic)?;
    let [.., major, _minor] = magic;
    if !magic.starts_with(b"\x93NUMPY") {
        let remedy = "store only arrays in the file, with numpy.savez";
        return Ok(Err(refuse("an npy array (\\x93NUMPY)", format!("{:?}", magic.escape_ascii().to_string()), remedy)));
    }
    let (length, fixed) = match major {
        1 => {
            let mut length = [0; 2];
            reader.read_exact(&mut length)?;
            (u32::from(u16::from_le_bytes(length)), 10)
        }
        2 | 3 => {
            let mut length = [0; 4];
            reader.read_exact(&mut length)?;
            (u32::from_le_bytes(length), 12)
        }
        other => return Ok(Err(refuse("npy format version 1 to 3", format!("version {other}"), DAMAGED))),
    };
    if length > HEADER_LIMIT {
        let expected = format!("an npy header of at most {HEADER_LIMIT} bytes");
        return Ok(Err(refuse(expected, format!("{length} bytes"), DAMAGED)));
    }
    let mut text = Vec::new();
    if reader.take(u64::from(length)).read_to_end(&mut text)? < length as usize {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(parse(&text, fixed + u64::from(length)))
}

fn parse(text: &[u8], bytes: u64) -> Result<Header, Refusal> {
    let shown = String::from_utf8_lossy(text.get(..120).unwrap_or(text)).trim_end().to_owned();
    let unreadable = || refuse("an npy header with descr, fortran_order and shape", shown.clone(), DAMAGED);
    let text = std::str::from_utf8(text).map_err(|_| unreadable())?;
    let Fields { descr, fortran_order, shape } = Parser { rest: text }.fields().ok_or_else(unreadable)?;
    let dtype = dtype(&descr)?;
    let elements = shape.iter().try_fold(1_u64, |product, &extent| product.checked_mul(extent));
    let fits = elements.and_then(|elements| elements.checked_mul(dtype.bytes() as u64)).filter(|&bytes| bytes < 1 << 62);
    let narrow: Option<Vec<usize>> = shape.iter().map(|&extent| usize::try_from(extent).ok()).collect();
    let (Some(elements), Some(_), Some(shape)) = (elements.and_then(|n| usize::try_from(n).ok()), fits, narrow) else {
        return Err(refuse("a shape whose size fits into memory", format!("shape {shape:?}"), DAMAGED));
    };
    if fortran_order && shape.len() > 1 {
        let remedy = "save numpy.ascontiguousarray(array)";
        return Err(refuse("row-major (C) order", "column-major (Fortran) order", remedy));
    }
    Ok(Header { dtype, shape, elements, bytes })
}

/// The allow-list of element types. Everything else is refused by name.
fn dtype(descr: &Descr) -> Result<Dtype, Refusal> {
    let expected = "numbers of type f4, f8, i4, i8, u1, i1 or b1";
    let Descr::Simple(name) = descr else {
        return Err(refuse(expected, "a structured array with named fields", "save each field as an array of its own"));
    };
    let (order, kind) = name.split_at_checked(1).unwrap_or(("", name));
    let dtype = match kind {
        "f4" => Dtype::F32,
        "f8" => Dtype::F64,
        "i8" => Dtype::I64,
        "i4" => Dtype::I32,
        "u1" => Dtype::U8,
        "i1" => Dtype::I8,
        "b1" => Dtype::Bool,
        _ => {
            let object = "unpickling runs code: convert it to plain numbers, but only where you trust it";
            return Err(match kind.chars().next() {
                Some('O') => refuse(expected, "an object array, which needs pickle", object),
                Some('U' | 'S' | 'a') => refuse(expected, format!("text ('{name}')"), PLAIN),
                Some('V') => refuse(expected, format!("raw records ('{name}')"), PLAIN),
                Some('M' | 'm') => refuse(expected, format!("dates or durations ('{name}')"), PLAIN),
                Some('c') => refuse(expected, format!("complex numbers ('{name}')"), PLAIN),
                _ => refuse(expected, format!("'{name}'"), PLAIN),
            });
        }
    };
    match order {
        "<" | "|" => Ok(dtype),
        // Byte order is without meaning for single bytes.
        _ if dtype.bytes() == 1 => Ok(dtype),
        ">" => Err(refuse(expected, format!("big-endian numbers ('{name}')"), PLAIN)),
        _ => Err(refuse(expected, format!("'{name}'"), PLAIN)),
    }
}

enum Descr {
    Simple(String),
    Structured,
}

struct Fields {
    descr: Descr,
    fortran_order: bool,
    shape: Vec<u64>,
}

/// A parser for `{'descr': '<f4', 'fortran_order': False, 'shape': (200, 28), }`, keys in any order.
struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    /// The three fields, each exactly once, and nothing else. A structured `descr` ends the parse: it is refused anyway.
    fn fields(mut self) -> Option<Fields> {
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        self.token("{")?;
        while self.token("}").is_none() {
            let key = self.string()?;
            self.token(":")?;
            let fresh = match key {
                "descr" if self.rest.trim_start().starts_with('[') => {
                    return Some(Fields { descr: Descr::Structured, fortran_order: false, shape: Vec::new() });
                }
                "descr" => descr.replace(self.string()?.to_owned()).is_none(),
                "fortran_order" => fortran_order.replace(self.boolean()?).is_none(),
                "shape" => shape.replace(self.tuple()?).is_none(),
                _ => false,
            };
            if !fresh {
                return None;
            }
            if self.token(",").is_none() {
                self.token("}")?;
                break;
            }
        }
        if !self.rest.trim().is_empty() {
            return None;
        }
        Some(Fields { descr: Descr::Simple(descr?), fortran_order: fortran_order?, shape: shape? })
    }

    fn token(&mut self, token: &str) -> Option<()> {
        self.rest = self.rest.trim_start().strip_prefix(token)?;
        Some(())
    }

    fn string(&mut self) -> Option<&'a str> {
        let rest = self.rest.trim_start();
        let quote = rest.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
        let (text, rest) = rest.get(1..)?.split_once(quote)?;
        self.rest = rest;
        Some(text)
    }

    fn boolean(&mut self) -> Option<bool> {
        match self.token("True") {
            Some(()) => Some(true),
            None => self.token("False").map(|()| false),
        }
    }

    fn tuple(&mut self) -> Option<Vec<u64>> {
        let mut extents = Vec::new();
        self.token("(")?;
        while self.token(")").is_none() {
            let rest = self.rest.trim_start();
            let digits = rest.find(|c: char| !c.is_ascii_digit())?;
            let (number, rest) = rest.split_at_checked(digits)?;
            extents.push(number.parse().ok()?);
            self.rest = rest;
            if self.token(",").is_none() {
                self.token(")")?;
                break;
            }
        }
        Some(extents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> Result<Header, String> {
        parse(text.as_bytes(), 128).map_err(|refusal| refusal.found)
    }

    #[test]
    fn a_header_is_read_in_any_key_order_and_spacing() {
        let expected = Header { dtype: Dtype::F32, shape: vec![7, 3], elements: 21, bytes: 128 };
        for text in [
            "{'descr': '<f4', 'fortran_order': False, 'shape': (7, 3), }   \n",
            "{\"shape\":(7,3),\"fortran_order\":False,\"descr\":\"<f4\"}",
            "{ 'fortran_order' : False , 'shape' : ( 7 , 3 , ) , 'descr' : '<f4' }",
        ] {
            assert_eq!(header(text).as_ref(), Ok(&expected), "{text}");
        }
    }

    #[test]
    fn scalars_and_vectors_have_their_sizes() {
        assert_eq!(header("{'descr': '|b1', 'fortran_order': False, 'shape': (), }").map(|h| h.elements), Ok(1));
        assert_eq!(header("{'descr': '<f8', 'fortran_order': True, 'shape': (5,), }").map(|h| h.data_bytes()), Ok(40));
        assert_eq!(header("{'descr': '<i8', 'fortran_order': False, 'shape': (5, 0), }").map(|h| h.data_bytes()), Ok(0));
    }

    #[test]
    fn headers_numpy_does_not_write_are_refused() {
        for text in [
            "",
            "{",
            "{'descr': '<f4'}",
            "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1.5,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'extra': 1}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
            "{'descr': '', 'fortran_order': False, 'shape': (1,)}",
            "{'descr': 'é4', 'fortran_order': False, 'shape': (1,)}",
        ] {
            assert!(header(text).is_err(), "{text}");
        }
    }
}
