//! The tables in `data/published`, which are part of the program.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Where figures come from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Source {
    /// Its key in the tables.
    pub key: String,
    /// Whether a program copied the figures from the official tables; else they were typed from memory.
    pub verified: bool,
    /// What it is.
    pub title: String,
}

/// Every source by its key.
static SOURCES: LazyLock<BTreeMap<String, Source>> = LazyLock::new(|| {
    let sources: Vec<Source> = rows("sources.csv", include_str!("../../../data/published/sources.csv"));
    sources.into_iter().map(|source| (source.key.clone(), source)).collect()
});

/// The source with this key.
pub(in crate::train) fn source(key: &str) -> &'static Source {
    // Part of the program text, and read by a test: a failure is our bug.
    SOURCES.get(key).unwrap_or_else(|| panic!("data/published/sources.csv has no `{key}`"))
}

/// The rows of a table; lines that begin with `#` are comments.
pub(in crate::train) fn rows<R: DeserializeOwned>(name: &str, text: &str) -> Vec<R> {
    let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(text.as_bytes());
    // Part of the program text, and read by a test: a failure is our bug.
    reader.deserialize().collect::<Result<_, _>>().unwrap_or_else(|error| panic!("data/published/{name}: {error}"))
}
