//! A checked reader of `.npz` files (`numpy.savez`, `numpy.savez_compressed`).
//!
//! Files come from strangers, so the order is: check, then allocate, then inflate. Before memory is taken for an array,
//! its header's shape times its element size equals the size in the ZIP directory, that size is possible for the bytes
//! stored, and it is below the caller's cap. Inflation stops at that size, and the CRC must match. Nothing is unpickled.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use flate2::{Crc, read::DeflateDecoder};

pub use super::npy::Dtype;
use super::npy::{Header, read_header};
use super::zip::{Entry, Method, damaged_entry, directory};
use crate::error::{Error, Result};

/// Largest array that is read unless the caller sets another cap, in bytes: 16 GiB.
pub const DEFAULT_MAX_BYTES: u64 = 16 << 30;

/// Bytes converted at a time; a multiple of every element size. Small enough for the cache, so that an array is never
/// held twice.
const CHUNK_BYTES: usize = 64 << 10;

/// An array in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Array<T> {
    /// Extents, outermost first; empty for a scalar. Their product is `data.len()`.
    pub shape: Vec<usize>,
    /// The elements.
    pub data: Vec<T>,
}

/// An open `.npz` file. Arrays are read when asked for; their key is the entry's name without `.npy`.
#[derive(Debug)]
pub struct Npz {
    path: PathBuf,
    file: Mutex<File>,
    entries: BTreeMap<String, Entry>,
    max_bytes: u64,
}

/// An element as it stands in the file, before conversion.
#[derive(Clone, Copy)]
pub(super) enum Number {
    Float(f64),
    Integer(i64),
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Integer(value) => write!(f, "{value}"),
        }
    }
}

impl Number {
    /// As `f32`: a float is rounded, an integer must have an `f32` of its own.
    pub fn f32(self) -> Option<f32> {
        match self {
            Self::Float(value) => Some(narrow(value)).filter(|narrowed| narrowed.is_finite() || !value.is_finite()),
            // Every integer of up to 24 bits has an f32 of its own.
            Self::Integer(value) => (value.unsigned_abs() <= 1 << 24).then(|| narrow(widen(value))),
        }
    }

    /// As a truth value, if it is 0 or 1.
    pub fn bool(self) -> Option<bool> {
        match self {
            Self::Integer(0) => Some(false),
            Self::Integer(1) => Some(true),
            Self::Float(value) if [0.0, 1.0].contains(&value) => Some(value > 0.5),
            _ => None,
        }
    }
}

impl Npz {
    /// Opens a file and checks its directory. No array is read yet; none above [`DEFAULT_MAX_BYTES`] will be.
    ///
    /// # Errors
    /// If the file cannot be read, or is not a sound ZIP file with stored or deflated entries of distinct names.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_capped(path, DEFAULT_MAX_BYTES)
    }

    /// As [`Npz::open`], refusing arrays of more than `max_bytes` bytes.
    ///
    /// # Errors
    /// As [`Npz::open`].
    pub fn open_capped(path: impl AsRef<Path>, max_bytes: u64) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let mut file = File::open(&path).map_err(Error::io(&path, "open"))?;
        let mut entries = BTreeMap::new();
        for entry in directory(&path, &mut file)? {
            let key = entry.name.strip_suffix(".npy").unwrap_or(&entry.name).to_owned();
            if entries.insert(key.clone(), entry).is_some() {
                let remedy = "rename one of them";
                return Err(Error::content(path, key, "one entry for this key", "one with and one without .npy", remedy));
            }
        }
        Ok(Self { path, file: Mutex::new(file), entries, max_bytes })
    }

    /// The path this was opened with.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keys of all entries, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Whether there is an entry of this key.
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Shape of an array; only its header is read.
    ///
    /// # Errors
    /// If there is no such key, or its header is damaged or of a kind that is not read (see [`Dtype`]).
    pub fn shape(&self, key: &str) -> Result<Vec<usize>> {
        Ok(self.header(key)?.1.shape)
    }

    /// Element type of an array in the file; only its header is read.
    ///
    /// # Errors
    /// As [`Npz::shape`].
    pub fn dtype(&self, key: &str) -> Result<Dtype> {
        Ok(self.header(key)?.1.dtype)
    }

    /// Reads an array as `f32`. `f8` is rounded; an integer must have an exact `f32`.
    ///
    /// # Errors
    /// As [`Npz::shape`]; if the array is larger than the cap, its bytes are damaged, or an element has no `f32`.
    pub fn f32(&self, key: &str) -> Result<Array<f32>> {
        self.read(key, "numbers in the range of f32", Number::f32)
    }

    /// Reads an array as `f64`. An integer must have an exact `f64`.
    ///
    /// # Errors
    /// As [`Npz::f32`].
    pub fn f64(&self, key: &str) -> Result<Array<f64>> {
        self.read(key, "numbers in the range of f64", |number| match number {
            Number::Float(value) => Some(value),
            Number::Integer(value) => exact(value),
        })
    }

    /// Reads an array of integers or booleans as `i64`.
    ///
    /// # Errors
    /// As [`Npz::f32`].
    pub fn i64(&self, key: &str) -> Result<Array<i64>> {
        self.read(key, "integers", |number| match number {
            Number::Float(_) => None,
            Number::Integer(value) => Some(value),
        })
    }

    /// Reads an array of truth values: booleans, or numbers that are all 0 or 1.
    ///
    /// # Errors
    /// As [`Npz::f32`].
    pub fn bools(&self, key: &str) -> Result<Array<bool>> {
        self.read(key, "only 0 and 1", Number::bool)
    }

    /// Reads an array of integers from 0 to 255, for instance text stored as UTF-8.
    ///
    /// # Errors
    /// As [`Npz::f32`].
    pub fn bytes(&self, key: &str) -> Result<Array<u8>> {
        self.read(key, "integers from 0 to 255", |number| match number {
            Number::Float(_) => None,
            Number::Integer(value) => u8::try_from(value).ok(),
        })
    }

    /// The entry of a key, and its header, checked against each other.
    fn header(&self, key: &str) -> Result<(&Entry, Header)> {
        let entry = self.entries.get(key).ok_or_else(|| self.missing(key))?;
        let header = self.with_bytes(key, entry, |reader| {
            let parsed = read_header(reader)?;
            Ok(parsed.map_err(|refusal| Error::content(&self.path, key, refusal.expected, refusal.found, refusal.remedy)))
        })??;
        let held = entry.size.checked_sub(header.bytes);
        if held != Some(header.data_bytes()) {
            let expected = format!("{} bytes for shape {:?} of {:?}", header.data_bytes(), header.shape, header.dtype);
            return Err(damaged_entry(&self.path, key, expected, format!("{} in the file", held.unwrap_or(0))));
        }
        Ok((entry, header))
    }

    /// Reads and converts an array; `expected` names what `convert` takes.
    fn read<T>(&self, key: &str, expected: &str, convert: impl Fn(Number) -> Option<T>) -> Result<Array<T>> {
        let (entry, header) = self.header(key)?;
        let bytes = (header.elements as u64).saturating_mul(size_of::<T>() as u64).max(header.data_bytes());
        if bytes > self.max_bytes {
            let found = format!("{bytes} (shape {:?})", header.shape);
            let remedy = "raise the cap if you trust the file and have the memory";
            return Err(Error::content(&self.path, key, format!("at most {} bytes", self.max_bytes), found, remedy));
        }
        let mut data = Vec::new();
        data.try_reserve_exact(header.elements).map_err(|_| {
            let remedy = "close other programs or use a smaller file";
            Error::content(&self.path, key, "an array that fits into memory", format!("{bytes} bytes"), remedy)
        })?;
        let (mut count, mut refused) = (0, None);
        let crc = self.with_bytes(key, entry, |reader| {
            inflate(reader, &header, |number| {
                match convert(number) {
                    Some(value) => data.push(value),
                    None => refused = refused.or(Some((count, number))),
                }
                count += 1;
            })
        })?;
        if crc != entry.crc {
            let expected = format!("CRC-32 {:08x}", entry.crc);
            return Err(damaged_entry(&self.path, key, expected, format!("{crc:08x}")));
        }
        if let Some((element, number)) = refused {
            let others = header.elements - data.len() - 1;
            let found = format!("{number} at element {element}, and {others} more such ({:?})", header.dtype);
            let remedy = "convert the array with numpy's astype before saving";
            return Err(Error::content(&self.path, key, expected, found, remedy));
        }
        Ok(Array { shape: header.shape, data })
    }

    /// Runs `read` on an entry's inflated bytes, from its first, and tells damage from trouble with the disk.
    fn with_bytes<T>(&self, key: &str, entry: &Entry, read: impl FnOnce(&mut dyn Read) -> std::io::Result<T>) -> Result<T> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(entry.start)).map_err(Error::io(&self.path, "read"))?;
        let stored = (&mut *file).take(entry.stored);
        let result = match entry.method {
            Method::Stored => read(&mut { stored }),
            Method::Deflated => read(&mut DeflateDecoder::new(stored)),
        };
        result.map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                damaged_entry(&self.path, key, format!("{} bytes", entry.size), "fewer: the data ends early")
            }
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::InvalidInput => {
                let expected = format!("{} bytes of {:?} data", entry.size, entry.method).to_lowercase();
                damaged_entry(&self.path, key, expected, format!("a broken stream ({error})"))
            }
            _ => Error::io(&self.path, "read")(error),
        })
    }

    fn missing(&self, key: &str) -> Error {
        missing(&self.path, key, key, &self.names().collect::<Vec<_>>())
    }
}

/// The error for an array that is not there: `name` is sought among `names`; `key` is its full name in the file.
pub(super) fn missing(path: &Path, key: &str, name: &str, names: &[&str]) -> Error {
    let nearest = names.iter().map(|known| (edits(known, name), known)).min().filter(|(edits, _)| *edits <= name.len() / 2);
    let remedy = match nearest {
        Some((_, known)) => format!("the nearest is `{known}`: rename it if that is what you mean"),
        None => "check that this is the file you mean".to_owned(),
    };
    let mut found: Vec<_> = names.iter().take(16).copied().collect();
    if names.len() > found.len() {
        found.push("...");
    }
    Error::content(path, key, "an array of this name", format!("only [{}]", found.join(", ")), remedy)
}

/// Feeds every element of an array to `sink`; returns the CRC-32 of the whole entry. Anything behind the last element
/// is an error, so a stream cannot grow past the size that was checked.
fn inflate(reader: &mut dyn Read, header: &Header, mut sink: impl FnMut(Number)) -> std::io::Result<u32> {
    let mut crc = Crc::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut head = Vec::new();
    (&mut *reader).take(header.bytes).read_to_end(&mut head)?;
    crc.update(&head);
    let mut left = header.data_bytes();
    while left > 0 {
        let bytes = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK_BYTES);
        let chunk = buffer.split_at_mut(bytes).0;
        reader.read_exact(chunk)?;
        crc.update(chunk);
        decode(chunk, header.dtype, &mut sink);
        left -= bytes as u64;
    }
    if reader.read(&mut buffer)? > 0 {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "it goes on past the declared size"));
    }
    Ok(crc.sum())
}

fn decode(chunk: &[u8], dtype: Dtype, sink: &mut impl FnMut(Number)) {
    /// The whole `N`-byte groups; `chunk` holds nothing else, as [`CHUNK_BYTES`] and every array are multiples of `N`.
    fn groups<const N: usize>(chunk: &[u8]) -> impl Iterator<Item = [u8; N]> {
        chunk.as_chunks().0.iter().copied()
    }
    match dtype {
        Dtype::F32 => groups(chunk).for_each(|b| sink(Number::Float(f32::from_le_bytes(b).into()))),
        Dtype::F64 => groups(chunk).for_each(|b| sink(Number::Float(f64::from_le_bytes(b)))),
        Dtype::I64 => groups(chunk).for_each(|b| sink(Number::Integer(i64::from_le_bytes(b)))),
        Dtype::I32 => groups(chunk).for_each(|b| sink(Number::Integer(i32::from_le_bytes(b).into()))),
        Dtype::I8 => groups(chunk).for_each(|b| sink(Number::Integer(i8::from_le_bytes(b).into()))),
        Dtype::U8 | Dtype::Bool => chunk.iter().for_each(|&b| sink(Number::Integer(b.into()))),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "rounding to the nearest f32 is what is asked for")]
fn narrow(value: f64) -> f32 {
    value as f32
}

#[expect(clippy::cast_precision_loss, reason = "callers bound the value")]
fn widen(value: i64) -> f64 {
    value as f64
}

/// The `f64` equal to an integer: every integer of up to 53 bits has one.
fn exact(value: i64) -> Option<f64> {
    (value.unsigned_abs() <= 1 << 53).then(|| widen(value))
}

/// Levenshtein distance, to guess which key was meant.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(b.chars()) {
            let best = (diagonal + usize::from(from != to)).min(left + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, best);
            left = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_counts_insertions_deletions_and_replacements() {
        for (a, b, distance) in [("", "", 0), ("abc", "", 3), ("", "ab", 2), ("kitten", "sitting", 3), ("qpos", "qvel", 3)] {
            assert_eq!(edits(a, b), distance, "{a} {b}");
        }
    }

    #[test]
    fn a_boolean_array_holds_only_zero_and_one() {
        let mut seen = Vec::new();
        decode(&[0, 1, 2], Dtype::Bool, &mut |number| {
            let Number::Integer(value) = number else { panic!("a boolean is an integer here") };
            seen.push(value);
        });
        // 2 is passed on, so that `bools` refuses it instead of calling it true.
        assert_eq!(seen, [0, 1, 2]);
    }

    #[test]
    fn integers_above_53_bits_have_no_exact_f64() {
        assert_eq!(exact(1 << 53), Some(9_007_199_254_740_992.0));
        assert_eq!(exact((1 << 53) + 1), None);
        assert_eq!(exact(i64::MIN), None);
    }
}
