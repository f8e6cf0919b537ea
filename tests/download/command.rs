//! The subcommand: its output, its exit codes, a disk that is full.

use std::fs;
use std::process::{Command, Output};

use crate::scene::{Scene, hdf5, sha256};
use crate::server::{Reply, Server, serve};
use crate::{FILE, NAME, TAG};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wgflow");

/// `program` with a home of its own and no proxy.
fn command(program: &str, scene: &Scene) -> Command {
    let mut command = Command::new(program);
    command.env("HOME", &scene.root).env("USERPROFILE", &scene.root).env("WGFLOW_CACHE", &scene.options.folders.cache);
    command.env("D4RL_DATASET_DIR", &scene.options.folders.d4rl);
    for variable in ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "all_proxy", "https_proxy", "http_proxy", "WGFLOW_MIRRORS"] {
        command.env_remove(variable);
    }
    command
}

fn out(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn one_file(test: &str) -> (Server, Scene, Vec<u8>) {
    let bytes = hdf5(10);
    let file = bytes.clone();
    let server = Server::start(move |request| match request.path.starts_with("/none") {
        true => Reply::new("404 Not Found", b""),
        false => serve(request, &file, TAG),
    });
    let mut scene = Scene::new(test, &[]);
    scene.allow(FILE, &bytes);
    (server, scene, bytes)
}

#[test]
fn the_last_line_is_the_path() {
    let (server, scene, bytes) = one_file("command");
    let path = scene.options.folders.cache.join("d4rl").join(FILE);
    let mirror = |name: &str| format!("{}/{name}", server.url);
    // Both mirrors count, in their order.
    let mut download = command(PROGRAM, &scene);
    let (code, stdout, stderr) =
        out(&download.args(["download", NAME, "--mirror", &mirror("none"), "--mirror", &mirror("some")]).output().unwrap());
    assert_eq!((code, stdout), (0, format!("{}\n", path.display())), "{stderr}");
    assert!(stderr.contains("not pinned: recorded") && stderr.contains(&sha256(&bytes)), "{stderr}");
    assert!(!stderr.contains('\u{1b}'), "control characters where there is no terminal: {stderr}");
    assert_eq!(server.connections(), 2);

    let (code, stdout, stderr) = out(&command(PROGRAM, &scene).args(["download", "--offline", NAME]).output().unwrap());
    assert_eq!((code, stdout), (0, format!("{}\n", path.display())), "{stderr}");
    assert!(stderr.contains("as recorded at the first download"), "{stderr}");
    assert_eq!(server.connections(), 2);
}

#[test]
fn failures_have_their_exit_codes() {
    let (server, scene, _) = one_file("codes");
    let run = |arguments: &[&str]| out(&command(PROGRAM, &scene).arg("download").args(arguments).output().unwrap());
    let (code, stdout, stderr) = run(&["hopper-medum-v2"]);
    assert!(code == 64 && stdout.is_empty() && stderr.contains("`hopper-medium-v2`"), "{code} {stderr}");
    assert_eq!(run(&[]).0, 64);
    let (code, _, stderr) = run(&[NAME, "--mirror", &format!("{}/none", server.url)]);
    assert!(code == 74 && stderr.contains("404 Not Found"), "{code} {stderr}");
    let (code, _, stderr) = run(&[NAME, "--offline"]);
    assert!(code == 74 && stderr.contains("--offline"), "{code} {stderr}");
    // The variable in place of the flag.
    let mut download = command(PROGRAM, &scene);
    download.env("WGFLOW_MIRRORS", format!("{0}/none {0}/some", server.url)).args(["download", NAME]);
    assert_eq!(out(&download.output().unwrap()).0, 0);
}

#[test]
fn names_are_listed() {
    let (_server, scene, _) = one_file("list");
    let run = |arguments: &[&str]| out(&command(PROGRAM, &scene).args(["download", "--list"]).args(arguments).output().unwrap());
    let (code, all, _) = run(&[]);
    assert_eq!((code, all.lines().count()), (0, wgflow::fetch::names().count()));
    let (_, cubes, _) = run(&["cube-single"]);
    let singles = ["cube-single-noisy-v0", "cube-single-play-v0", "visual-cube-single-noisy-v0", "visual-cube-single-play-v0"];
    assert_eq!(cubes.lines().collect::<Vec<_>>(), singles);
}

/// A limit on the size of files stands in for a full disk: both end a write halfway with an error of the system.
#[cfg(unix)]
#[test]
fn a_full_disk_is_named_and_what_arrived_is_kept() {
    let bytes = hdf5(11);
    let file = bytes.clone();
    let server = Server::start(move |request| {
        let mut reply = serve(request, &file, TAG);
        // In pieces, so that some are written before the limit is met.
        reply.drip = Some((5_000, std::time::Duration::from_millis(5)));
        reply
    });
    let mut scene = Scene::new("full", &[]);
    scene.allow(FILE, &bytes);
    let script = format!("trap '' XFSZ; ulimit -f 50; exec {PROGRAM} download {NAME} --mirror {}/some", server.url);
    let (code, _, stderr) = out(&command("sh", &scene).args(["-c", &script]).output().unwrap());
    assert!(code == 74 && stderr.contains(&format!("{FILE}.part: cannot write: ")), "{code} {stderr}");
    scene.nothing_bad();
    let mirror = format!("{}/some", server.url);
    let (code, stdout, stderr) = out(&command(PROGRAM, &scene).args(["download", NAME, "--mirror", &mirror]).output().unwrap());
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(fs::read(stdout.trim_end()).unwrap(), bytes);
    assert!(server.requests()[1].from.is_some_and(|from| from > 0), "{:?}", server.requests());
}
