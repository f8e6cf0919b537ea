//! A Python whose Gymnasium is ours.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use wgflow::envs::{Episode, ProcessEnvs, ProcessOptions, Row, episode_seed, rollout};

/// Any Python 3, if there is one.
pub fn python() -> Option<&'static Path> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    let works = |name: &&str| {
        let check = "import sys; sys.exit(sys.version_info < (3, 8))";
        let status = Command::new(name).args(["-c", check]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    let find = || ["python3", "python"].iter().find(|name| works(name)).map(PathBuf::from);
    PYTHON.get_or_init(find).as_deref()
}

/// The folder with the made-up package, for `PYTHONPATH`.
pub fn path() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("wgflow-fake-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("gymnasium.py"), include_str!("gymnasium.py")).unwrap();
        let d4rl = folder.join("with-d4rl");
        std::fs::create_dir_all(&d4rl).unwrap();
        std::fs::write(d4rl.join("gymnasium.py"), include_str!("gymnasium.py")).unwrap();
        std::fs::write(d4rl.join("gym.py"), include_str!("gym.py")).unwrap();
        std::fs::write(d4rl.join("d4rl.py"), "print('Warning: Flow failed to import')").unwrap();
        folder
    })
}

/// Removes the folder that [`path`] made.
pub fn remove() {
    let _ = std::fs::remove_dir_all(path());
}

/// The same, where d4rl is installed.
pub fn with_d4rl(env: &str) -> ProcessOptions {
    let mut options = options(env, 2, 1);
    options.variables.push(("PYTHONPATH".to_owned(), path().join("with-d4rl").display().to_string()));
    options
}

/// `count` environments of a made-up kind in `processes` processes.
pub fn options(env: &str, count: usize, processes: usize) -> ProcessOptions {
    let mut options = ProcessOptions::new(env, python().unwrap());
    options.count = count;
    options.processes = processes;
    options.timeout = Duration::from_secs(20);
    options.variables.push(("PYTHONPATH".to_owned(), path().display().to_string()));
    options.variables.push(("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned()));
    options
}

/// Two actions from the row's episode and step alone.
pub fn actions(rows: &[Row]) -> Vec<f32> {
    rows.iter().flat_map(|row| [row.episode as f32 / 64.0, row.step as f32 / 128.0]).collect()
}

/// Episodes with [`actions`], trajectories kept.
pub fn episodes(envs: &mut ProcessEnvs, count: usize, seed: u64) -> wgflow::Result<Vec<Episode>> {
    rollout(envs, count, seed, count, &mut |_, rows| Ok(actions(rows)))
}

/// What the made-up environment calls the seed of an episode.
pub fn seed_there(seed: u64, episode: usize) -> u64 {
    episode_seed(seed, episode) % (1 << 31)
}
