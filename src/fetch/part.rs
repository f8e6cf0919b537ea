//! `FILE.part`: what has arrived of a file, hashed as it arrives, and `FILE.part.json`, what is needed to go on with it.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::check;
use crate::error::{Error, Result};
use crate::files::{beside, hex, put, replace};

/// Bytes between two syncs.
const SYNC_EVERY: u64 = 64 << 20;

/// What the bytes of a part belong to.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Note {
    /// The address that was asked.
    pub(super) url: String,
    /// The strong ETag or the time of change that its server gave; without one a part cannot be resumed.
    pub(super) validator: Option<String>,
    /// The whole length, where the server stated it.
    pub(super) total: Option<u64>,
    /// Bytes that are safely on disk. A crash may leave more, of unknown content.
    synced: u64,
}

pub(super) struct Part {
    path: PathBuf,
    file: File,
    hash: Sha256,
    length: u64,
    note: Note,
}

impl Part {
    /// Opens the part at `path`, or begins one.
    pub(super) fn open(path: PathBuf) -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(Error::io(&path, "create"))?;
        let note = fs::read(beside(&path, ".json")).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let mut part = Self { path, file, hash: Sha256::new(), length: 0, note: note.unwrap_or_default() };
        part.rewind().map_err(Error::io(&part.path, "read"))?;
        Ok(part)
    }

    /// Keeps the synced bytes and hashes them again.
    fn rewind(&mut self) -> std::io::Result<()> {
        self.length = self.note.synced.min(self.file.metadata()?.len());
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(0))?;
        let hash = &mut self.hash;
        check::copy(&mut (&self.file).take(self.length), |bytes| {
            hash.update(bytes);
            Ok(())
        })
    }

    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// The bytes that are there of what `url` sent.
    pub(super) fn length_of(&self, url: &str) -> u64 {
        if self.note.url == url { self.length } else { 0 }
    }

    pub(super) const fn note(&self) -> &Note {
        &self.note
    }

    /// Drops what is there; from now on the part belongs to `note`.
    pub(super) fn restart(&mut self, url: &str, validator: Option<String>, total: Option<u64>) -> Result<()> {
        // The note first: after a crash between the two it must not vouch for the other's bytes.
        self.note = Note { url: url.to_owned(), validator, total, synced: 0 };
        self.save()?;
        self.length = 0;
        self.hash = Sha256::new();
        let emptied = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        emptied.map(drop).map_err(Error::io(&self.path, "write"))
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if let Err(error) = self.file.write_all(bytes) {
            // What came before is kept; the note, too, may find no room.
            let _ = self.sync();
            return Err(Error::io(&self.path, "write")(error));
        }
        self.hash.update(bytes);
        self.length += bytes.len() as u64;
        if self.length - self.note.synced >= SYNC_EVERY { self.sync() } else { Ok(()) }
    }

    /// Makes what is there safe to resume.
    pub(super) fn sync(&mut self) -> Result<()> {
        self.file.sync_data().map_err(Error::io(&self.path, "sync"))?;
        self.note.synced = self.length;
        self.save()
    }

    fn save(&self) -> Result<()> {
        let note = serde_json::to_vec(&self.note).map_err(std::io::Error::other).map_err(Error::io(&self.path, "write"))?;
        replace(&beside(&self.path, ".json"), &note)
    }

    /// The sha256 of what is there.
    pub(super) fn sha256(&self) -> String {
        hex(&self.hash.clone().finalize())
    }

    /// Judges what is there as the content of a file named `name`.
    pub(super) fn look(&self, name: &Path) -> Result<Result<(), String>> {
        check::look(&self.path, name).map_err(Error::io(&self.path, "read"))
    }

    /// Gives the part its final name.
    pub(super) fn put(self, path: &Path) -> Result<()> {
        self.file.sync_all().map_err(Error::io(&self.path, "sync"))?;
        // Windows renames no open file.
        drop(self.file);
        put(&self.path, path)?;
        // A leftover does no harm: without its part it says nothing.
        let _ = fs::remove_file(beside(&self.path, ".json"));
        Ok(())
    }
}
