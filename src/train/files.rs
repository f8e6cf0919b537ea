//! Files that are whole or absent: written beside their place, synced, renamed over it, the folder synced.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Replaces `path` by `bytes`. Whatever stops it halfway, a full disk or a kill, the old file stays whole.
///
/// # Errors
/// [`Error::Io`] naming the step that failed; the old file is then untouched.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let beside = beside(path);
    let written = write_synced(&beside, bytes).and_then(|()| fs::rename(&beside, path).map_err(Error::io(path, "rename")));
    if written.is_err() {
        // The first error is the one to report; the leftover goes as far as that is possible.
        let _ = fs::remove_file(&beside);
        return written;
    }
    sync_folder(path)
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create(path).map_err(Error::io(path, "create"))?;
    file.write_all(bytes).map_err(Error::io(path, "write"))?;
    // A failed sync is a failed write: the pages may be gone, and a second sync would claim success.
    file.sync_all().map_err(Error::io(path, "sync"))
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

fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".tmp");
    PathBuf::from(name)
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
        fs::create_dir(beside(&path)).unwrap();
        let error = replace(&path, b"new").unwrap_err().to_string();
        assert!(error.contains("create"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        fs::remove_dir(beside(&path)).unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        fs::remove_dir_all(&folder).unwrap();
    }
}
