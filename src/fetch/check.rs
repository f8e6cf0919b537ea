//! Is a file what it should be: its look (magic, end, no web page), its sha256, and the record of the first download.
//!
//! A record is `FILE.sha256` in the form of `sha256sum`, with remarks: `sha256sum -c FILE.sha256` checks it too.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::files::{beside, hex, replace};

/// How sure it is that a file is the published one, from the weakest to the strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verified {
    /// Nobody stated its sha256; it looks whole. So are files from other programs' caches.
    LooksWhole,
    /// Its sha256 was recorded at this, the first download; nothing says that it was right then.
    FirstUse,
    /// Its sha256 is the one recorded at the first download.
    Recorded,
    /// Its sha256 is the one that the user or the mirror table gives.
    Pinned,
}

/// What is under a file's name.
#[derive(Debug)]
pub(super) enum State {
    Absent,
    Good(Verified),
    /// Something else than the dataset; says what.
    Bad(String),
}

/// The sha256 that a file must have, and who says so.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    pub(super) sha256: String,
    pub(super) by: Verified,
}

/// The expectation of a file: what is pinned, or what was recorded at the first download.
pub(super) fn expected(path: &Path, pinned: Option<&str>) -> Option<Expected> {
    let pinned = pinned.map(|sha256| Expected { sha256: sha256.to_lowercase(), by: Verified::Pinned });
    pinned.or_else(|| record(path).map(|sha256| Expected { sha256, by: Verified::Recorded }))
}

/// Reads a file through and judges it.
pub(super) fn state(path: &Path, pinned: Option<&str>) -> Result<State> {
    if !path.is_file() {
        return Ok(State::Absent);
    }
    if let Err(problem) = look(path, path).map_err(Error::io(path, "read"))? {
        return Ok(State::Bad(problem));
    }
    let Some(expected) = expected(path, pinned) else { return Ok(State::Good(Verified::LooksWhole)) };
    let found = sha256(path)?;
    Ok(match compare(&found, &expected) {
        Ok(()) => State::Good(expected.by),
        Err(problem) => State::Bad(problem),
    })
}

/// Compares a sha256 with what is expected.
pub(super) fn compare(found: &str, expected: &Expected) -> Result<(), String> {
    if found == expected.sha256 {
        return Ok(());
    }
    let by = match expected.by {
        Verified::Pinned => "pinned",
        _ => "recorded at the first download (if a new version was published, remove the .sha256 file)",
    };
    Err(format!("its sha256 {found} is not {}, {by}", expected.sha256))
}

fn sha256(path: &Path) -> Result<String> {
    let hash = || {
        let mut hash = Sha256::new();
        copy(&mut File::open(path)?, |bytes| {
            hash.update(bytes);
            Ok(())
        })?;
        Ok(hex(&hash.finalize()))
    };
    hash().map_err(Error::io(path, "read"))
}

/// Hands a reader's bytes on, a MiB at a time.
pub(super) fn copy(from: &mut impl Read, mut to: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            n => to(&buffer[..n])?,
        }
    }
}

fn record_of(path: &Path) -> PathBuf {
    beside(path, ".sha256")
}

/// The sha256 recorded for a file.
fn record(path: &Path) -> Option<String> {
    let text = fs::read_to_string(record_of(path)).ok()?;
    let line = text.lines().find(|line| !line.starts_with('#'))?;
    let hash = line.split_whitespace().next()?.to_lowercase();
    (hash.len() == 64 && hash.chars().all(|c| c.is_ascii_hexdigit())).then_some(hash)
}

/// Records a file's sha256 for later runs.
pub(super) fn write_record(path: &Path, sha256: &str, remark: &str) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    replace(&record_of(path), format!("# {remark}\n{sha256}  {name}\n").as_bytes())
}

/// Judges the content of `path` as that of a file named `name`: a web page, another format, or one that is cut off.
pub(super) fn look(path: &Path, name: &Path) -> io::Result<Result<(), String>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let start = part_of(&mut file, 0, 512)?;
    if length == 0 {
        return Ok(Err("it is empty".into()));
    }
    let text = String::from_utf8_lossy(&start).trim_start().to_lowercase();
    if text.starts_with("<!doctype") || text.starts_with("<html") {
        return Ok(Err("it is a web page".into()));
    }
    Ok(match name.extension().and_then(|e| e.to_str()) {
        Some("npz") => {
            // The end-of-directory record, 22 bytes and up to 64 KiB of comment.
            let end = part_of(&mut file, length.saturating_sub(22 + 65_535), 22 + 65_535)?;
            npz(&start, &end)
        }
        Some("hdf5" | "h5") => hdf5(&start, length),
        Some("json") => match serde_json::from_slice::<IgnoredAny>(&fs::read(path)?) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("it is not JSON: {error}")),
        },
        _ => Ok(()),
    })
}

fn part_of(file: &mut File, from: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn npz(start: &[u8], end: &[u8]) -> Result<(), String> {
    if !start.starts_with(b"PK\x03\x04") {
        return Err("it is not an npz (ZIP) file".into());
    }
    if !end.windows(4).any(|window| window == b"PK\x05\x06") {
        return Err("it is an npz file that is cut off: its directory is missing".into());
    }
    Ok(())
}

/// The superblock of HDF5 states where the file ends (HDF5 File Format Specification 3.0, II.A).
fn hdf5(start: &[u8], length: u64) -> Result<(), String> {
    let word = |at: usize| start.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(u64::MAX, u64::from_le_bytes);
    if !start.starts_with(b"\x89HDF\r\n\x1a\n") {
        return Err("it is not an HDF5 file".into());
    }
    // Versions 0 and 1 hold the width of addresses at 13, 2 and 3 at 9; other widths than 8 bytes are not judged.
    let (width, end) = match start.get(8) {
        Some(0) => (start.get(13), word(40)),
        Some(1) => (start.get(13), word(44)),
        Some(2 | 3) => (start.get(9), word(28)),
        _ => return Ok(()),
    };
    if width == Some(&8) && length < end {
        return Err(format!("it is an HDF5 file that is cut off: {length} of {end} bytes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hdf5_files_that_are_cut_off_are_seen() {
        let superblock = |version: u8, width: usize, end: usize| {
            let mut bytes = vec![0; 512];
            bytes[..8].copy_from_slice(b"\x89HDF\r\n\x1a\n");
            bytes[8] = version;
            bytes[width] = 8;
            bytes[end..end + 8].copy_from_slice(&4096_u64.to_le_bytes());
            bytes
        };
        for (version, width, end) in [(0, 13, 40), (1, 13, 44), (2, 9, 28), (3, 9, 28)] {
            assert_eq!(hdf5(&superblock(version, width, end), 4096), Ok(()));
            let problem = hdf5(&superblock(version, width, end), 4095).unwrap_err();
            assert!(problem.contains("4095 of 4096"), "{problem}");
        }
        assert!(hdf5(b"PK\x03\x04", 4096).is_err());
        assert!(hdf5(&superblock(0, 13, 40)[..20], 20).is_err());
    }
}
