//! A built example.

use std::path::PathBuf;
use std::process::Command;

/// The example `name`. Built anew where needed, since `cargo test --test NAME` alone would leave an old one in place; with the whole
/// workspace, as `cargo xtask test` builds, since another choice of packages would choose other features of the dependencies.
pub fn built(name: &str) -> PathBuf {
    let profile: &[&str] = if cfg!(debug_assertions) { &[] } else { &["--release"] };
    let mut build = Command::new(env!("CARGO"));
    // What cargo tells this test of its package makes ring's build script run anew, and then half the dependencies.
    let of_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars().filter(|(name, _)| of_package(name)) {
        build.env_remove(name);
    }
    let build = build.args(["build", "--quiet", "--workspace", "--example", name]).args(profile).status();
    assert!(build.is_ok_and(|status| status.success()), "the example does not build");
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}
