//! A built example.

use std::path::PathBuf;
use std::process::Command;

/// The example `name`. Built anew where needed, since `cargo test --test NAME` alone would leave an old one in place; with the whole
/// workspace, as `cargo xtask test` builds, since another choice of packages would choose other features of the dependencies.
pub fn built(name: &str) -> PathBuf {
    let profile: &[&str] = if cfg!(debug_assertions) { &[] } else { &["--release"] };
    let build = Command::new(env!("CARGO")).args(["build", "--quiet", "--workspace", "--example", name]).args(profile).status();
    assert!(build.is_ok_and(|status| status.success()), "the example does not build");
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}
