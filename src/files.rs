//! Files that are whole or absent: written beside their place, synced, renamed over it, the folder synced.

mod faults;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
pub use faults::point;

/// Replaces `path` by `bytes`. Whatever stops it halfway, a full disk or a kill, the old file stays whole.
///
/// # Errors
/// [`Error::Io`] naming the step that failed; the old file is then untouched.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    replace_checked(path, bytes, |_| Ok(()))
}

/// The same; the file beside `path` gets its name only if `check` accepts it. Returns what `check` found.
///
/// # Errors
/// As [`replace`], and whatever `check` returns.
pub fn replace_checked<T>(path: &Path, bytes: &[u8], check: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    let beside = beside(path, ".tmp");
    let written =
        write_synced(path, &beside, bytes).and_then(|()| check(&beside)).and_then(|found| put(&beside, path).map(|()| found));
    if written.is_err() {
        // The first error is the one to report; the leftover goes as far as that is possible.
        let _ = fs::remove_file(&beside);
    }
    written
}

/// Gives a synced file its name.
///
/// # Errors
/// [`Error::Io`].
pub fn put(from: &Path, to: &Path) -> Result<()> {
    point("rename", to)?;
    fs::rename(from, to).map_err(Error::io(to, "rename"))?;
    point("renamed", to)?;
    sync_folder(to)?;
    point("done", to)
}

fn write_synced(path: &Path, beside: &Path, bytes: &[u8]) -> Result<()> {
    point("create", path)?;
    let mut file = File::create(beside).map_err(Error::io(beside, "create"))?;
    point("write", path)?;
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    file.write_all(first).map_err(Error::io(beside, "write"))?;
    point("write more", path)?;
    file.write_all(rest).map_err(Error::io(beside, "write"))?;
    point("sync", path)?;
    // A failed sync is a failed write: the pages may be gone, and a second sync would claim success.
    file.sync_all().map_err(Error::io(beside, "sync"))
}

/// Without this a rename may be undone by a power cut.
fn sync_folder(path: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|f| f.sync_all()).map_err(Error::io(folder, "sync"))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// The nearest folder to `path`, itself or above it, that exists.
pub fn existing(path: &Path) -> &Path {
    let there = path.ancestors().find(|folder| folder.exists());
    there.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Bytes free on the disk of a folder that exists or will; `None` where the system does not tell.
pub fn free_space(folder: &Path) -> Option<u64> {
    fs4::available_space(existing(folder)).ok()
}

/// Refuses a folder whose disk has no room for `count` files of `bytes` bytes.
///
/// # Errors
/// [`Error::Io`].
pub fn expect_space(folder: &Path, count: u64, bytes: u64) -> Result<()> {
    // Where the system does not tell, writing will.
    let Some(free) = free_space(folder) else { return Ok(()) };
    let needed = count * bytes;
    if free >= needed {
        return Ok(());
    }
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let told = format!("{} MiB are free, {} MiB are needed for {count} checkpoints", mib(free), mib(needed));
    Err(Error::io(folder, "start a run")(std::io::Error::new(std::io::ErrorKind::StorageFull, told)))
}

/// Deletes a file that is not needed any more; the folder is synced by whoever writes into it next.
///
/// # Errors
/// [`Error::Io`].
pub fn remove(path: &Path) -> Result<()> {
    point("remove", path)?;
    fs::remove_file(path).map_err(Error::io(path, "remove"))?;
    point("removed", path)
}

/// `path` with `ending` after its name.
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    PathBuf::from(name)
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_cannot_finish_leaves_the_old_file() {
        let folder = std::env::temp_dir().join(format!("wgflow-files-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("x");
        replace(&path, b"old").unwrap();
        // The temporary name is taken by a folder: creating the file beside fails.
        fs::create_dir(beside(&path, ".tmp")).unwrap();
        let error = replace(&path, b"new").unwrap_err().to_string();
        assert!(error.contains("create"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        fs::remove_dir(beside(&path, ".tmp")).unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        fs::remove_dir_all(&folder).unwrap();
    }
}
