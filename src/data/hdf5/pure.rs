//! The default backend: the `hdf5-reader` crate, safe Rust, through positioned reads of the file.

use std::path::Path;

use hdf5_reader::error::{ByteOrder, Error};
use hdf5_reader::{Datatype, EnumMember, Hdf5File, OpenOptions, VarLenKind};

use super::super::npz::Number;
use super::{Array, Backend, Class, Object, Outcome, Trouble};

/// Largest chunk that is decoded. Writers choose a few MiB.
const MAX_CHUNK_BYTES: u64 = 256 << 20;

/// Opens a file from which no array of more than `largest` bytes will be read.
pub(super) fn open(path: &Path, largest: u64) -> Outcome<Box<dyn Backend>> {
    let narrow = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let options = OpenOptions::default()
        // Every array is read once and whole, so nothing would be found in a cache.
        .with_chunk_cache_bytes(0)
        .with_max_chunk_bytes(narrow(largest.min(MAX_CHUNK_BYTES)))
        .with_max_read_bytes(narrow(largest));
    Ok(Box::new(Pure { file: Hdf5File::open_with_options(path, options)? }))
}

struct Pure {
    file: Hdf5File,
}

impl Backend for Pure {
    fn names(&self, group: &str) -> Outcome<Vec<String>> {
        let (mut names, arrays) = self.file.group(group)?.member_names()?;
        names.extend(arrays);
        Ok(names)
    }

    fn object(&self, key: &str) -> Outcome<Option<Object>> {
        if key.is_empty() {
            return Ok(Some(Object::Group));
        }
        match self.file.dataset(key) {
            Ok(dataset) => {
                let shape = dataset.shape().iter().map(|&extent| usize::try_from(extent).unwrap_or(usize::MAX)).collect();
                let element_bytes = dataset.raw_element_size()?;
                Ok(Some(Object::Array(Array { shape, class: class(dataset.dtype()), element_bytes })))
            }
            Err(error) if is_missing(&error) => match self.file.group(key) {
                Ok(_) => Ok(Some(Object::Group)),
                Err(error) if is_missing(&error) => Ok(None),
                Err(error) => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    fn numbers(&self, key: &str, sink: &mut dyn FnMut(Number)) -> Outcome<()> {
        let dataset = self.file.dataset(key)?;
        decode(&dataset.read_raw_bytes()?, dataset.dtype(), sink)
    }

    fn texts(&self, key: &str) -> Outcome<Vec<String>> {
        Ok(self.file.dataset(key)?.read_strings()?)
    }

    fn text_attribute(&self, group: &str, name: &str) -> Outcome<Option<String>> {
        match self.file.group(group)?.attribute(name) {
            Ok(attribute) => Ok(attribute.read_string().ok()),
            Err(Error::AttributeNotFound(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error {
            Error::Context { source, .. } => (*source).into(),
            Error::Io(error) => Self::Io(error),
            Error::UnsupportedFilter(_) | Error::UnsupportedEncoding(_) => Self::Unsupported(error.to_string()),
            error => Self::Damaged(error.to_string()),
        }
    }
}

fn is_missing(error: &Error) -> bool {
    match error {
        Error::Context { source, .. } => is_missing(source),
        Error::GroupNotFound(_) | Error::DatasetNotFound(_) => true,
        _ => false,
    }
}

fn class(dtype: &Datatype) -> Class {
    match dtype {
        Datatype::FloatingPoint { size: 4 | 8, .. } => Class::Float,
        Datatype::FixedPoint { size: 1, signed: false, .. } => Class::Byte,
        Datatype::FixedPoint { size: 1 | 2 | 4 | 8, .. } => Class::Integer,
        Datatype::Enum { base, members } if is_bool(base, members) => Class::Bool,
        Datatype::String { .. } | Datatype::VarLen { kind: VarLenKind::String, .. } => Class::Text,
        Datatype::FloatingPoint { size, .. } => Class::Other(format!("floats of {size} bytes")),
        Datatype::FixedPoint { size, .. } => Class::Other(format!("integers of {size} bytes")),
        Datatype::Enum { .. } => Class::Other("an enumeration".to_owned()),
        Datatype::VarLen { .. } => Class::Other("rows of varying length".to_owned()),
        Datatype::Compound { .. } => Class::Other("records with named fields".to_owned()),
        _ => Class::Other("elements that are no numbers".to_owned()),
    }
}

/// Whether an enumeration is what h5py stores booleans as: FALSE and TRUE in one byte.
fn is_bool(base: &Datatype, members: &[EnumMember]) -> bool {
    let named = |name: &str, value: u8| members.iter().any(|member| member.name == name && member.value == [value]);
    matches!(base, Datatype::FixedPoint { size: 1, .. }) && members.len() == 2 && named("FALSE", 0) && named("TRUE", 1)
}

/// Feeds every element of `raw` to `sink`.
fn decode(raw: &[u8], dtype: &Datatype, sink: &mut dyn FnMut(Number)) -> Outcome<()> {
    /// The whole `N`-byte groups, little-endian first.
    fn groups<const N: usize>(raw: &[u8], order: ByteOrder) -> impl Iterator<Item = [u8; N]> {
        raw.as_chunks::<N>().0.iter().map(move |&(mut bytes)| {
            if order == ByteOrder::BigEndian {
                bytes.reverse();
            }
            bytes
        })
    }
    let integer = |value: i64| Number::Integer(value);
    match *dtype {
        Datatype::Enum { ref base, .. } => return decode(raw, base, sink),
        Datatype::FloatingPoint { size: 4, byte_order } => {
            groups(raw, byte_order).for_each(|b| sink(Number::Float(f32::from_le_bytes(b).into())));
        }
        Datatype::FloatingPoint { size: 8, byte_order } => {
            groups(raw, byte_order).for_each(|b| sink(Number::Float(f64::from_le_bytes(b))));
        }
        Datatype::FixedPoint { size, signed, byte_order } => match (size, signed) {
            (1, true) => groups(raw, byte_order).for_each(|b| sink(integer(i8::from_le_bytes(b).into()))),
            (1, false) => groups(raw, byte_order).for_each(|b| sink(integer(u8::from_le_bytes(b).into()))),
            (2, true) => groups(raw, byte_order).for_each(|b| sink(integer(i16::from_le_bytes(b).into()))),
            (2, false) => groups(raw, byte_order).for_each(|b| sink(integer(u16::from_le_bytes(b).into()))),
            (4, true) => groups(raw, byte_order).for_each(|b| sink(integer(i32::from_le_bytes(b).into()))),
            (4, false) => groups(raw, byte_order).for_each(|b| sink(integer(u32::from_le_bytes(b).into()))),
            (8, true) => groups(raw, byte_order).for_each(|b| sink(integer(i64::from_le_bytes(b)))),
            (8, false) => groups(raw, byte_order).for_each(|b| sink(unsigned(u64::from_le_bytes(b)))),
            _ => return Err(Trouble::Unsupported(class(dtype).to_string())),
        },
        _ => return Err(Trouble::Unsupported(class(dtype).to_string())),
    }
    Ok(())
}

/// An integer above the range of `i64` has no exact `f32`, and neither has the one that stands for it.
fn unsigned(value: u64) -> Number {
    Number::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}
