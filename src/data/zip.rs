//! The directory of a ZIP file, checked before anything is inflated.
//!
//! Written here, not taken from a crate: the `zip` crate keeps the last of two entries with one name and says nothing
//! (an `IndexMap` by name), and the version that `npyz` asks for brings C code (bzip2, zstd) no npz file uses. An npz
//! file needs little of ZIP: stored or deflated entries, and the zip64 fields that numpy writes into every local header.
//! Inflation itself is `flate2` on `miniz_oxide`, safe Rust.
//!
//! Layout: APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.3. Every number is little-endian.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::error::{Error, Result};

/// Deflate cannot shrink data by more than about 1032 : 1 (258 bytes from two bits), so a larger claim is a lie.
const DEFLATE_LIMIT: u64 = 1032;
/// Bytes of directory we are willing to read. An npz file with a thousand arrays needs 0.1 MiB.
const DIRECTORY_LIMIT: u64 = 16 << 20;
/// Length of the end record, without its comment, and the longest comment there can be.
const END_BYTES: usize = 22;
const COMMENT_LIMIT: u64 = 65_535;
/// Marks a 32-bit field whose value stands in the zip64 extra field instead.
const IN_ZIP64: u64 = 0xFFFF_FFFF;

/// How an entry's bytes are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// As they are.
    Stored,
    /// As a raw deflate stream.
    Deflated,
}

/// One entry of the directory. Its byte range lies inside the file and overlaps no other entry's.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Name as written in the file, with its `.npy`. Never used as a path.
    pub name: String,
    /// How the bytes are stored.
    pub method: Method,
    /// CRC-32 of the uncompressed bytes.
    pub crc: u32,
    /// Bytes in the file.
    pub stored: u64,
    /// Bytes after inflation.
    pub size: u64,
    /// Offset of the first stored byte in the file.
    pub start: u64,
}

/// Reads and checks the directory of the ZIP file at `path`.
pub(super) fn directory(path: &Path, file: &mut File) -> Result<Vec<Entry>> {
    let length = file.seek(SeekFrom::End(0)).map_err(Error::io(path, "read"))?;
    check_signature(path, file, length)?;
    let (offset, bytes, count) = find_directory(path, file, length)?;
    if bytes > DIRECTORY_LIMIT {
        return Err(damaged(path, format!("a directory of at most {DIRECTORY_LIMIT} bytes"), format!("{bytes} bytes")));
    }
    let raw = read_at(path, file, offset, bytes)?;
    let mut cursor = Cursor { bytes: &raw };
    let mut entries = Vec::new();
    let mut names = BTreeSet::new();
    while !cursor.bytes.is_empty() {
        let mut entry = parse_entry(path, &mut cursor)?;
        if !names.insert(entry.name.clone()) {
            let remedy = "write the file again; readers disagree on which of the two counts";
            return Err(Error::content(path, entry.name, "one entry of this name", "two", remedy));
        }
        entry.start = data_start(path, file, &entry)?;
        entries.push(entry);
    }
    if entries.len() as u64 != count {
        return Err(damaged(path, format!("{count} entries, as the end record says"), format!("{}", entries.len())));
    }
    check_ranges(path, &entries, offset)?;
    Ok(entries)
}

/// What a file that is not a usable ZIP gives; `key` names the part of the file.
fn damaged(path: &Path, expected: impl Into<String>, found: impl Into<String>) -> Error {
    Error::content(path, "zip directory", expected, found, "the file is damaged or cut short: copy or download it again")
}

/// The error for an entry whose directory record or bytes contradict themselves.
pub(super) fn damaged_entry(path: &Path, name: &str, expected: impl Into<String>, found: impl Into<String>) -> Error {
    Error::content(path, name, expected, found, "the file is damaged or forged: copy or download it again")
}

fn check_signature(path: &Path, file: &mut File, length: u64) -> Result<()> {
    let head = read_at(path, file, 0, length.min(4))?;
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Ok(());
    }
    let found = if length == 0 { "an empty file".to_owned() } else { format!("a file that begins with {head:02x?}") };
    let remedy = "pass a file written by numpy.savez or numpy.savez_compressed";
    Err(Error::content(path, "signature", "a ZIP file (50 4b 03 04)", found, remedy))
}

/// Offset and bytes of the directory, and the number of its entries.
fn find_directory(path: &Path, file: &mut File, length: u64) -> Result<(u64, u64, u64)> {
    let tail_bytes = length.min(END_BYTES as u64 + COMMENT_LIMIT);
    let tail_start = length - tail_bytes;
    let tail = read_at(path, file, tail_start, tail_bytes)?;
    // The record is the last thing in the file, followed only by a comment whose length it states.
    let at = (0..tail.len().saturating_sub(END_BYTES - 1)).rev().find(|&at| {
        let record = tail.get(at..).unwrap_or_default();
        record.starts_with(b"PK\x05\x06")
            && record.get(20..).and_then(|rest| Cursor { bytes: rest }.u16()).map(usize::from) == Some(record.len() - END_BYTES)
    });
    let Some(at) = at else {
        return Err(damaged(path, "an end record (50 4b 05 06) at the end of the file", "none"));
    };
    let mut record = Cursor { bytes: tail.get(at..).unwrap_or_default() };
    let short = || damaged(path, "a whole end record", "one that is cut short");
    record.skip(4).ok_or_else(short)?;
    let disks = record.u32().ok_or_else(short)?;
    let count = record.u32().ok_or_else(short)? >> 16;
    let (bytes, offset) = (record.u32().ok_or_else(short)?, record.u32().ok_or_else(short)?);
    let end = tail_start + at as u64;
    let locator = end.checked_sub(20).map(|start| read_at(path, file, start, 20)).transpose()?;
    let (offset, bytes, count, end) = match locator.filter(|locator| locator.starts_with(b"PK\x06\x07")) {
        Some(locator) => zip64_end(path, file, &locator, end)?,
        None if disks == 0 => (u64::from(offset), u64::from(bytes), u64::from(count), end),
        None => return Err(damaged(path, "an archive in one part", "one of several parts")),
    };
    if offset.checked_add(bytes) != Some(end) {
        return Err(damaged(path, format!("a directory that ends at byte {end}"), format!("{bytes} bytes from byte {offset}")));
    }
    Ok((offset, bytes, count))
}

/// The same three numbers, and the end of the directory, from the zip64 end record (archives over 4 GiB).
fn zip64_end(path: &Path, file: &mut File, locator: &[u8], limit: u64) -> Result<(u64, u64, u64, u64)> {
    let short = || damaged(path, "a zip64 end record (50 4b 06 06) before its locator", "none");
    let mut locator = Cursor { bytes: locator };
    locator.skip(8).ok_or_else(short)?;
    let at = locator.u64().ok_or_else(short)?;
    if at.checked_add(56 + 20).is_none_or(|end| end > limit) {
        return Err(short());
    }
    let record = read_at(path, file, at, 56)?;
    let mut record = Cursor { bytes: &record };
    if record.u32() != Some(0x0606_4B50) {
        return Err(short());
    }
    record.skip(28).ok_or_else(short)?;
    let count = record.u64().ok_or_else(short)?;
    let (bytes, offset) = (record.u64().ok_or_else(short)?, record.u64().ok_or_else(short)?);
    Ok((offset, bytes, count, at))
}

/// Parses one record of the directory. `start` holds the offset of the local header until [`data_start`] moves it.
fn parse_entry(path: &Path, cursor: &mut Cursor) -> Result<Entry> {
    let short = || damaged(path, "whole directory records (50 4b 01 02)", "one that is cut short or overwritten");
    if cursor.u32() != Some(0x0201_4B50) {
        return Err(short());
    }
    cursor.skip(4).ok_or_else(short)?;
    let (flags, method) = (cursor.u16().ok_or_else(short)?, cursor.u16().ok_or_else(short)?);
    cursor.skip(4).ok_or_else(short)?;
    let crc = cursor.u32().ok_or_else(short)?;
    let (mut stored, mut size) = (u64::from(cursor.u32().ok_or_else(short)?), u64::from(cursor.u32().ok_or_else(short)?));
    let name_bytes = usize::from(cursor.u16().ok_or_else(short)?);
    let extra_bytes = usize::from(cursor.u16().ok_or_else(short)?);
    let comment_bytes = usize::from(cursor.u16().ok_or_else(short)?);
    cursor.skip(8).ok_or_else(short)?;
    let mut start = u64::from(cursor.u32().ok_or_else(short)?);
    let name = cursor.take(name_bytes).ok_or_else(short)?;
    let Ok(name) = std::str::from_utf8(name).map(str::to_owned) else {
        return Err(damaged(path, "entry names in UTF-8", format!("{:?}", String::from_utf8_lossy(name))));
    };
    let extra = cursor.take(extra_bytes).ok_or_else(short)?;
    cursor.skip(comment_bytes).ok_or_else(short)?;
    zip64_extra(extra, [&mut size, &mut stored, &mut start])
        .ok_or_else(|| damaged_entry(path, &name, "a zip64 extra field with the sizes", "none, or one that is too short"))?;
    if flags & 1 != 0 {
        let remedy = "decrypt the file first";
        return Err(Error::content(path, name, "an entry without a password", "an encrypted one", remedy));
    }
    let method = match method {
        0 => Method::Stored,
        8 => Method::Deflated,
        other => {
            let remedy = "write the file with numpy.savez or numpy.savez_compressed";
            return Err(Error::content(path, name, "compression 0 (stored) or 8 (deflate)", format!("{other}"), remedy));
        }
    };
    let (plausible, expected) = match method {
        Method::Stored => (size == stored, format!("{stored} bytes, as many as are stored")),
        Method::Deflated => {
            (size / DEFLATE_LIMIT <= stored, format!("at most {DEFLATE_LIMIT} bytes from each of {stored} deflated bytes"))
        }
    };
    if !plausible {
        return Err(damaged_entry(path, &name, expected, format!("a claim of {size} bytes")));
    }
    Ok(Entry { name, method, crc, stored, size, start })
}

/// Replaces each field that holds [`IN_ZIP64`] by its 64-bit value, in the order the format lays down.
fn zip64_extra(extra: &[u8], fields: [&mut u64; 3]) -> Option<()> {
    let mut values = Cursor { bytes: &[] };
    let mut blocks = Cursor { bytes: extra };
    while let (Some(id), Some(bytes)) = (blocks.u16(), blocks.u16()) {
        let block = blocks.take(usize::from(bytes))?;
        if id == 1 {
            values.bytes = block;
        }
    }
    for field in fields {
        if *field == IN_ZIP64 {
            *field = values.u64()?;
        }
    }
    Some(())
}

/// Offset of an entry's first stored byte: behind its local header, which must carry the same name.
fn data_start(path: &Path, file: &mut File, entry: &Entry) -> Result<u64> {
    let wrong = || damaged_entry(path, &entry.name, "a local header (50 4b 03 04) of the same name", "something else");
    let header = read_at(path, file, entry.start, 30)?;
    let mut cursor = Cursor { bytes: &header };
    if cursor.u32() != Some(0x0403_4B50) {
        return Err(wrong());
    }
    cursor.skip(22).ok_or_else(wrong)?;
    let name_bytes = u64::from(cursor.u16().ok_or_else(wrong)?);
    let extra_bytes = u64::from(cursor.u16().ok_or_else(wrong)?);
    // The header was read, so its end fits into 64 bits.
    let name_start = entry.start + 30;
    if read_at(path, file, name_start, name_bytes)? != entry.name.as_bytes() {
        return Err(wrong());
    }
    Ok(name_start + name_bytes + extra_bytes)
}

/// Refuses entries that share bytes with each other or with the directory (how "zip bombs" multiply one stream).
fn check_ranges(path: &Path, entries: &[Entry], directory: u64) -> Result<()> {
    let mut ranges: Vec<_> = entries.iter().map(|entry| (entry.start, entry.stored, &entry.name)).collect();
    ranges.sort_unstable();
    let ends = ranges.iter().map(|range| range.0).skip(1).chain([directory]);
    for (&(start, stored, name), limit) in ranges.iter().zip(ends) {
        if start.checked_add(stored).is_none_or(|end| end > limit) {
            let expected = format!("at most {} stored bytes before the next entry", limit.saturating_sub(start));
            return Err(damaged_entry(path, name, expected, format!("{stored}")));
        }
    }
    Ok(())
}

/// Reads exactly `bytes` bytes at `offset`; callers have bounded `bytes`.
fn read_at(path: &Path, file: &mut File, offset: u64, bytes: u64) -> Result<Vec<u8>> {
    if i64::try_from(offset).is_err() {
        return Err(damaged(path, "offsets inside the file", format!("byte {offset}")));
    }
    file.seek(SeekFrom::Start(offset)).map_err(Error::io(path, "read"))?;
    let mut buffer = Vec::new();
    let read = file.by_ref().take(bytes).read_to_end(&mut buffer).map_err(Error::io(path, "read"))?;
    if read as u64 == bytes {
        return Ok(buffer);
    }
    Err(damaged(path, format!("{bytes} bytes at byte {offset}"), format!("{read} before the end of the file")))
}

/// Takes little-endian numbers off the front of a slice; `None` where it is too short.
struct Cursor<'a> {
    bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(head)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.take(count).map(|_| ())
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}
