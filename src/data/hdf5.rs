//! HDF5 files behind one face, whichever library decodes them.
//!
//! Files come from strangers, so the order is the same as for npz: check, then allocate, then read. Before memory is
//! taken for an array, its size is below the caller's cap, and possible for a file of this length. Whatever a backend
//! does with a damaged file, a panic included, ends here as an [`Error`] that names the file and the object.

#[cfg(feature = "libhdf5")]
mod library;
mod pure;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::LoadOptions;
use super::npz::{Number, missing};
use crate::error::{Error, Result};

/// What every HDF5 file begins with.
pub(super) const SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";

/// Deflate cannot shrink data by more than about 1032 : 1, so a larger claim is a lie (or an array never written).
const DEFLATE_LIMIT: u64 = 1032;

/// Which library decodes HDF5 files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hdf5Backend {
    /// The `hdf5-reader` crate, safe Rust: for files from anywhere.
    #[default]
    Rust,
    /// The HDF Group's C library: knows every filter it was built with, but has a history of memory errors, so it is for
    /// files you trust. Only with the feature `libhdf5`.
    #[cfg(feature = "libhdf5")]
    C,
}

/// What a name in a file stands for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Object {
    Group,
    Array(Array),
}

/// An array, before it is read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Array {
    /// Row-major extents, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    /// Kind of its elements.
    pub class: Class,
    /// Bytes of an element in the file.
    pub element_bytes: usize,
}

/// Kinds of elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// 32 or 64 bits.
    Float,
    /// Of any width, but not unsigned 8-bit.
    Integer,
    /// Unsigned 8-bit integers: pixels, mostly, or whole encoded images.
    Byte,
    /// h5py's enumeration of FALSE and TRUE.
    Bool,
    Text,
    /// Anything else, in words.
    Other(String),
}

impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Float => "floats",
            Self::Integer => "integers",
            Self::Byte => "unsigned 8-bit integers",
            Self::Bool => "truth values",
            Self::Text => "text",
            Self::Other(words) => words,
        })
    }
}

/// What a backend can do. Keys are paths without a leading slash; the root is the empty one.
trait Backend {
    /// Names in a group, in any order.
    fn names(&self, group: &str) -> Outcome<Vec<String>>;
    /// What a key stands for; `None` if for nothing.
    fn object(&self, key: &str) -> Outcome<Option<Object>>;
    /// Feeds every element of a numeric array to `sink`, in row-major order.
    fn numbers(&self, key: &str, sink: &mut dyn FnMut(Number)) -> Outcome<()>;
    /// The elements of an array of text.
    fn texts(&self, key: &str) -> Outcome<Vec<String>>;
    /// A group's attribute, if it is there and a text.
    fn text_attribute(&self, group: &str, name: &str) -> Outcome<Option<String>>;
}

type Outcome<T> = Result<T, Trouble>;

/// What went wrong in a backend, before it is known which file and object are meant.
enum Trouble {
    Io(std::io::Error),
    /// Sound, but beyond the backend.
    Unsupported(String),
    Damaged(String),
}

impl Trouble {
    fn at(self, path: &Path, key: &str) -> Error {
        let key = if key.is_empty() { "/" } else { key };
        match self {
            Self::Io(source) => Error::io(path, "read")(source),
            Self::Unsupported(what) => {
                let remedy = "rewrite the file with h5repack -f GZIP=4, or read it with the C library (feature libhdf5)";
                Error::content(path, key, "HDF5 features that are supported", what, remedy)
            }
            Self::Damaged(what) => {
                let remedy = "the file is damaged or cut short: copy or download it again";
                Error::content(path, key, "sound HDF5 structures", what, remedy)
            }
        }
    }
}

/// An open HDF5 file.
pub(super) struct Hdf5 {
    path: PathBuf,
    backend: Box<dyn Backend>,
    /// The caller's cap on the bytes of all arrays together.
    max_bytes: u64,
    /// Bytes that a file of this length can hold at most.
    plausible: u64,
}

impl Hdf5 {
    /// Opens a file; no array is read yet.
    pub fn open(path: &Path, options: &LoadOptions) -> Result<Self> {
        let length = std::fs::metadata(path).map_err(Error::io(path, "open"))?.len();
        let plausible = length.saturating_mul(DEFLATE_LIMIT);
        let largest = plausible.min(options.max_bytes);
        let backend = caught(|| match options.hdf5 {
            Hdf5Backend::Rust => pure::open(path, largest),
            #[cfg(feature = "libhdf5")]
            Hdf5Backend::C => library::open(path),
        });
        let backend = backend.map_err(|trouble| trouble.at(path, ""))?;
        Ok(Self { path: path.to_path_buf(), backend, max_bytes: options.max_bytes, plausible })
    }

    /// The path this was opened with.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names in a group, sorted.
    pub fn names(&self, group: &str) -> Result<Vec<String>> {
        let mut names = self.call(group, |backend| backend.names(group))?;
        names.sort_unstable();
        Ok(names)
    }

    /// What a key stands for, if for anything.
    pub fn object(&self, key: &str) -> Result<Option<Object>> {
        self.call(key, |backend| backend.object(key))
    }

    /// Whether a key stands for anything.
    pub fn contains(&self, key: &str) -> Result<bool> {
        Ok(self.object(key)?.is_some())
    }

    /// Shape and kind of an array.
    pub fn array(&self, key: &str) -> Result<Array> {
        match self.object(key)? {
            Some(Object::Array(array)) => Ok(array),
            Some(Object::Group) => {
                Err(Error::content(&self.path, key, "an array", "a group", "check that this is the file you mean"))
            }
            None => {
                let (group, name) = key.rsplit_once('/').unwrap_or(("", key));
                let names = if self.contains(group)? { self.names(group)? } else { Vec::new() };
                Err(missing(&self.path, key, name, &names.iter().map(String::as_str).collect::<Vec<_>>()))
            }
        }
    }

    /// Checks that an array has one row for each step, and one column or none.
    pub fn check_column(&self, key: &str, rows: usize) -> Result<()> {
        let shape = self.array(key)?.shape;
        if shape == [rows] || shape == [rows, 1] {
            return Ok(());
        }
        let remedy = "store one value per step in every array";
        Err(Error::content(&self.path, key, format!("shape [{rows}]"), format!("shape {shape:?}"), remedy))
    }

    /// Refuses a load that would take more than the caller's cap, `bytes` in all: 128 bits, so that no claim overflows.
    pub fn check_total(&self, key: &str, bytes: u128) -> Result<()> {
        if bytes <= u128::from(self.max_bytes) {
            return Ok(());
        }
        let remedy = "raise `max_bytes` if you trust the file and have the memory";
        Err(Error::content(&self.path, key, format!("at most {} bytes in all", self.max_bytes), format!("{bytes}"), remedy))
    }

    /// Reads an array as `f32`. 64-bit floats are rounded; an integer must have an exact `f32`.
    pub fn f32(&self, key: &str) -> Result<Vec<f32>> {
        self.read(key, "numbers in the range of f32", Number::f32)
    }

    /// Reads an array of truth values: booleans, or numbers that are all 0 or 1.
    pub fn bools(&self, key: &str) -> Result<Vec<bool>> {
        self.read(key, "only 0 and 1", Number::bool)
    }

    /// Reads an array of text.
    pub fn texts(&self, key: &str) -> Result<Vec<String>> {
        let array = self.array(key)?;
        if array.class != Class::Text {
            let remedy = "check that this is the file you mean";
            return Err(Error::content(&self.path, key, "an array of text", array.class.to_string(), remedy));
        }
        self.elements(key, &array, size_of::<String>())?;
        self.call(key, |backend| backend.texts(key))
    }

    /// A group's attribute, if it is there and a text.
    pub fn text_attribute(&self, group: &str, name: &str) -> Result<Option<String>> {
        self.call(group, |backend| backend.text_attribute(group, name))
    }

    /// Reads and converts an array; `expected` names what `convert` takes.
    fn read<T>(&self, key: &str, expected: &str, convert: impl Fn(Number) -> Option<T>) -> Result<Vec<T>> {
        let array = self.array(key)?;
        if matches!(array.class, Class::Text | Class::Other(_)) {
            let remedy = "store plain numbers: floats of 32 or 64 bits, integers, or booleans";
            return Err(Error::content(&self.path, key, expected, array.class.to_string(), remedy));
        }
        let elements = self.elements(key, &array, size_of::<T>())?;
        let mut data = Vec::new();
        data.try_reserve_exact(elements).map_err(|_| {
            let remedy = "close other programs or use a smaller file";
            Error::content(&self.path, key, "an array that fits into memory", format!("{elements} elements"), remedy)
        })?;
        let (mut count, mut refused) = (0, None);
        self.call(key, |backend| {
            backend.numbers(key, &mut |number| {
                match convert(number) {
                    // A backend that gives more than it announced must not make the vector grow.
                    Some(value) if data.len() < elements => data.push(value),
                    Some(_) => {}
                    None => refused = refused.or(Some((count, number))),
                }
                count += 1;
            })
        })?;
        if let Some((element, number)) = refused {
            let found = format!("{number} at element {element}, and {} more such", count - data.len() - 1);
            return Err(Error::content(&self.path, key, expected, found, "convert the array before storing it"));
        }
        if count != elements {
            let what = format!("{count} elements instead of {elements}");
            return Err(Trouble::Damaged(what).at(&self.path, key));
        }
        Ok(data)
    }

    /// Number of elements of an array that may be read into elements of `size` bytes.
    fn elements(&self, key: &str, array: &Array, size: usize) -> Result<usize> {
        let elements = array.shape.iter().try_fold(1_usize, |product, &extent| product.checked_mul(extent));
        let bytes = elements.map_or(u64::MAX, |n| (n as u64).saturating_mul(array.element_bytes.max(size) as u64));
        let stored = elements.map_or(u64::MAX, |n| (n as u64).saturating_mul(array.element_bytes as u64));
        let found = format!("{bytes} (shape {:?} of {})", array.shape, array.class);
        if stored > self.plausible {
            let expected = format!("at most the {} bytes that a file of this length can hold", self.plausible);
            let remedy = "the file is damaged, forged, or was never filled: copy or download it again";
            return Err(Error::content(&self.path, key, expected, found, remedy));
        }
        if bytes > self.max_bytes {
            let remedy = "raise `max_bytes` if you trust the file and have the memory";
            return Err(Error::content(&self.path, key, format!("at most {} bytes", self.max_bytes), found, remedy));
        }
        Ok(elements.unwrap_or(0))
    }

    fn call<T>(&self, key: &str, work: impl FnOnce(&dyn Backend) -> Outcome<T>) -> Result<T> {
        caught(|| work(self.backend.as_ref())).map_err(|trouble| trouble.at(&self.path, key))
    }
}

/// Turns a panic inside a backend into an error.
fn caught<T>(work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    let gave_up = |_| Err(Trouble::Damaged("something that made the reader panic".to_owned()));
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(gave_up)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A backend that panics, and one that lies about its sizes.
    struct Broken;

    impl Backend for Broken {
        fn names(&self, _: &str) -> Outcome<Vec<String>> {
            panic!("a bug of somebody else")
        }

        fn object(&self, key: &str) -> Outcome<Option<Object>> {
            let shape = if key == "huge" { vec![usize::MAX, 2] } else { vec![3] };
            Ok(Some(Object::Array(Array { shape, class: Class::Float, element_bytes: 4 })))
        }

        fn numbers(&self, key: &str, sink: &mut dyn FnMut(Number)) -> Outcome<()> {
            (0..if key == "more" { 5 } else { 2 }).for_each(|_| sink(Number::Float(1.0)));
            Ok(())
        }

        fn texts(&self, _: &str) -> Outcome<Vec<String>> {
            Err(Trouble::Unsupported("lzf".to_owned()))
        }

        fn text_attribute(&self, _: &str, _: &str) -> Outcome<Option<String>> {
            Ok(None)
        }
    }

    #[test]
    fn whatever_a_backend_does_ends_as_an_error() {
        let file = Hdf5 { path: "x.hdf5".into(), backend: Box::new(Broken), max_bytes: 1 << 20, plausible: 1 << 10 };
        for (text, expected) in [
            (file.names("").unwrap_err(), "x.hdf5: `/`: expected sound HDF5 structures, found something that made the reader"),
            (file.f32("few").unwrap_err(), "x.hdf5: `few`: expected sound HDF5 structures, found 2 elements instead of 3"),
            (file.f32("more").unwrap_err(), "`more`: expected sound HDF5 structures, found 5 elements instead of 3"),
            (file.f32("huge").unwrap_err(), "`huge`: expected at most the 1024 bytes that a file of this length can hold"),
            (file.texts("few").unwrap_err(), "`few`: expected an array of text, found floats"),
        ] {
            assert!(text.to_string().contains(expected), "{text}");
        }
    }
}
