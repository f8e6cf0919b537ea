//! `wgflow completions` and `wgflow man`: written from the command line's own declaration, so that they never lag behind.

use std::path::PathBuf;

use clap_complete::Shell;
use wgflow::{Error, Result};

/// Print the completions of a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: wgflow completions bash > ~/.local/share/bash-completion/completions/wgflow")]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub fn run(&self, mut command: clap::Command) {
        clap_complete::generate(self.shell, &mut command, "wgflow", &mut std::io::stdout());
    }
}

/// Write the manual pages, wgflow.1 and one for each subcommand
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: wgflow man ~/.local/share/man/man1")]
pub struct Man {
    /// Folder to write them into; made if need be
    folder: PathBuf,
}

impl Man {
    pub fn run(&self, command: clap::Command) -> Result<()> {
        std::fs::create_dir_all(&self.folder).map_err(Error::io(&self.folder, "create"))?;
        clap_mangen::generate_to(command, &self.folder).map_err(Error::io(&self.folder, "write"))
    }
}
