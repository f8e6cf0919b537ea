//! A folder of a test's own.

use std::path::{Path, PathBuf};

/// A new folder among the temporary ones, gone when it is dropped.
pub struct Folder(pub PathBuf);

impl Folder {
    /// An empty one. `name` is unique among the tests of a process.
    pub fn new(name: &str) -> Self {
        let program = std::env::current_exe().unwrap();
        let program = program.file_stem().unwrap().to_string_lossy();
        let name = format!("{program}-{}-{}", name.replace([' ', ':', '/'], "-"), std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// The folder.
    #[allow(dead_code, reason = "not every test file needs it")]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A place in it.
    #[allow(dead_code, reason = "not every test file needs it")]
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
