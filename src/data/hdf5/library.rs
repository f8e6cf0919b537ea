//! The other backend: the HDF Group's C library, through its Rust binding.

use std::path::Path;

use ::hdf5::types::{FixedAscii, FixedUnicode, FloatSize, IntSize, TypeDescriptor, VarLenAscii, VarLenUnicode};
use ::hdf5::{Container, Dataset, File, H5Type, LocationType};

use super::super::npz::Number;
use super::{Array, Backend, Class, Object, Outcome, Trouble};

/// Bytes of a text of fixed length that are read: of a demonstration's name, and of an attribute with all of a robot's
/// settings.
const NAME: usize = 1 << 8;
const SETTINGS: usize = 1 << 16;

/// Opens a file.
pub(super) fn open(path: &Path) -> Outcome<Box<dyn Backend>> {
    ::hdf5::silence_errors(true);
    Ok(Box::new(Library { file: File::open(path)? }))
}

struct Library {
    file: File,
}

impl Library {
    /// Whether every name of a path is a link that leads somewhere; the library says of a missing one only that it failed.
    fn exists(&self, key: &str) -> bool {
        let ends = key.match_indices('/').map(|(end, _)| end).chain([key.len()]);
        ends.map(|end| key.split_at(end).0).all(|part| self.file.link_exists(part))
    }
}

impl Backend for Library {
    fn names(&self, group: &str) -> Outcome<Vec<String>> {
        let names = if group.is_empty() { self.file.member_names()? } else { self.file.group(group)?.member_names()? };
        let leads = |name: &String| {
            self.file.loc_type_by_name(&format!("{group}/{name}")).is_ok_and(|kind| kind != LocationType::NamedDatatype)
        };
        Ok(names.into_iter().filter(leads).collect())
    }

    fn object(&self, key: &str) -> Outcome<Option<Object>> {
        if key.is_empty() {
            return Ok(Some(Object::Group));
        }
        if !self.exists(key) {
            return Ok(None);
        }
        Ok(match self.file.loc_type_by_name(key)? {
            LocationType::Group => Some(Object::Group),
            LocationType::Dataset => {
                let dataset = self.file.dataset(key)?;
                let dtype = dataset.dtype()?;
                let shape = dataset.get_shape()?;
                Some(Object::Array(Array { shape, class: class(&dtype.to_descriptor()?), element_bytes: dtype.size() }))
            }
            LocationType::NamedDatatype => None,
        })
    }

    fn numbers(&self, key: &str, sink: &mut dyn FnMut(Number)) -> Outcome<()> {
        let dataset = self.file.dataset(key)?;
        match class(&dataset.dtype()?.to_descriptor()?) {
            // Wide enough for every float, and every integer but those that are too large for any use here.
            Class::Float => each(&dataset, |value: f64| sink(Number::Float(value))),
            Class::Integer | Class::Byte => each(&dataset, |value: i64| sink(Number::Integer(value))),
            Class::Bool => each(&dataset, |value: bool| sink(Number::Integer(value.into()))),
            other => Err(Trouble::Unsupported(other.to_string())),
        }
    }

    fn texts(&self, key: &str) -> Outcome<Vec<String>> {
        text::<NAME>(&*self.file.dataset(key)?)
    }

    fn text_attribute(&self, group: &str, name: &str) -> Outcome<Option<String>> {
        let group = self.file.group(group)?;
        if !group.attr_names()?.iter().any(|known| known == name) {
            return Ok(None);
        }
        Ok(text::<SETTINGS>(&*group.attr(name)?).ok().and_then(|mut texts| texts.pop()))
    }
}

/// The elements of an array of text; those of fixed length up to `FIXED` bytes. The library converts between lengths, but
/// not between fixed and variable ones.
fn text<const FIXED: usize>(array: &Container) -> Outcome<Vec<String>> {
    fn owned<T: H5Type>(array: &Container, text: impl Fn(&T) -> &str) -> Outcome<Vec<String>> {
        Ok(array.read_raw::<T>()?.iter().map(|value| text(value).to_owned()).collect())
    }
    match array.dtype()?.to_descriptor()? {
        TypeDescriptor::FixedAscii(bytes) if bytes <= FIXED => owned(array, FixedAscii::<FIXED>::as_str),
        TypeDescriptor::FixedUnicode(bytes) if bytes <= FIXED => owned(array, FixedUnicode::<FIXED>::as_str),
        TypeDescriptor::VarLenAscii => owned(array, VarLenAscii::as_str),
        TypeDescriptor::VarLenUnicode => owned(array, VarLenUnicode::as_str),
        other => Err(Trouble::Unsupported(other.to_string())),
    }
}

impl From<::hdf5::Error> for Trouble {
    fn from(error: ::hdf5::Error) -> Self {
        Self::Damaged(error.to_string())
    }
}

fn each<T: H5Type>(dataset: &Dataset, sink: impl FnMut(T)) -> Outcome<()> {
    dataset.read_raw::<T>()?.into_iter().for_each(sink);
    Ok(())
}

fn class(descriptor: &TypeDescriptor) -> Class {
    match descriptor {
        TypeDescriptor::Float(FloatSize::U4 | FloatSize::U8) => Class::Float,
        TypeDescriptor::Unsigned(IntSize::U1) => Class::Byte,
        TypeDescriptor::Integer(_) | TypeDescriptor::Unsigned(_) => Class::Integer,
        TypeDescriptor::Boolean => Class::Bool,
        TypeDescriptor::FixedAscii(_)
        | TypeDescriptor::FixedUnicode(_)
        | TypeDescriptor::VarLenAscii
        | TypeDescriptor::VarLenUnicode => Class::Text,
        other => Class::Other(other.to_string()),
    }
}
