//! One process at a time in a run's folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// Holds a run's folder until it is dropped, or the process ends in whatever way: the system forgets the lock then, so
/// a killed run never has to be unlocked by hand.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the folder.
    ///
    /// # Errors
    /// [`Error::Locked`] naming who holds it; [`Error::Io`].
    pub fn take(folder: &Path) -> Result<Self> {
        let path = folder.join("lock");
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(Error::io(&path, "open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Who holds it is for people only: the lock itself has spoken.
                let _ = file.read_to_string(&mut holder);
                return Err(Error::Locked { path: folder.to_path_buf(), holder: holder.trim().to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(Error::io(&path, "lock")(error)),
        }
        let name = format!("process {} on {}\n", std::process::id(), host());
        let written = file.set_len(0).and_then(|()| file.write_all(name.as_bytes()));
        written.map_err(Error::io(&path, "write"))?;
        Ok(Self { _file: file })
    }
}

/// This machine's name, as far as it is told.
pub(super) fn host() -> String {
    let told = std::env::var("HOSTNAME").or_else(|_| std::env::var("COMPUTERNAME"));
    let read = || std::fs::read_to_string("/etc/hostname").map(|name| name.trim().to_owned());
    told.or_else(|_| read()).unwrap_or_else(|_| "an unnamed machine".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_holder_at_a_time() {
        let folder = std::env::temp_dir().join(format!("wgflow-lock-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let first = Lock::take(&folder).unwrap();
        let refused = Lock::take(&folder).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(first);
        Lock::take(&folder).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
