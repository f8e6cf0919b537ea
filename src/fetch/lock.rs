//! The lock that keeps two processes off one download.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Event;
use crate::error::{Error, Result};
use crate::files::beside;

/// Time between two looks at a lock that another process holds.
const LOCK_EVERY: Duration = Duration::from_millis(100);

/// `FILE.lock`, held while FILE is downloaded. It goes with the process, however that ends.
pub(super) struct Lock {
    path: PathBuf,
    file: Option<File>,
}

impl Lock {
    /// Waits until no other process downloads `path`.
    pub(super) fn take(path: &Path, observer: &mut dyn FnMut(Event<'_>)) -> Result<Self> {
        let lock = beside(path, ".lock");
        let file = OpenOptions::new().create(true).append(true).open(&lock).map_err(Error::io(&lock, "create"))?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { path: lock, file: Some(file) }),
                Err(TryLockError::WouldBlock) => {
                    if !std::mem::replace(&mut told, true) {
                        observer(Event::Waiting { path });
                    }
                    std::thread::sleep(LOCK_EVERY);
                }
                // Some network folders know no locks.
                Err(TryLockError::Error(_)) => return Ok(Self { path: lock, file: None }),
            }
        }
    }

    /// Does it keep others off?
    pub(super) const fn holds(&self) -> bool {
        self.file.is_some()
    }

    /// Removes the lock file once the download is in place: whoever waits for it then finds the download.
    pub(super) fn done(self) {
        // A leftover does no harm.
        let _ = fs::remove_file(&self.path);
    }
}
