//! `wgflow bench-act`: what it tells other programs, and whether it is true.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use wgflow::train::Saved;

#[path = "common/folder.rs"]
mod folder;

use folder::Folder;

const DATA: &str = "data/pointmaze-medium-navigate/pointmaze-medium-navigate-v0.slim.npz";

fn wgflow(arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wgflow")).args(arguments.split_whitespace()).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn a_served_policy_tells_its_action_and_answers_each_line_with_a_round() {
    let folder = Folder::new("bench-act");
    let run = folder.join("run");
    let path = run.to_str().unwrap();
    let trained =
        wgflow(&format!("train --algo gfp --data {DATA} --task 3 --steps 1 --hidden 8 --batch 8 --engine cpu --out {path}"));
    assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));
    let saved = Saved::open(&run).unwrap();
    for policy in ["actor", "flow"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_wgflow"))
            .args(["bench-act", path, "--policy", policy, "--batch", "3", "--threads", "1", "--seconds", "0", "--serve"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut lines = BufReader::new(from).lines().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
        let ready = lines.next().unwrap();
        // The numbers of benches/baselines/act_peer.py.
        let action = saved.policy(policy, 0, 1, 1).unwrap().act(&[0.1; 2], &[-1.0, 1.0 / 3.0 - 1.0]).unwrap();
        assert_eq!(ready["action"], serde_json::json!(action), "{policy}");
        for _ in 0..2 {
            to.write_all(b"\n").unwrap();
            assert!(lines.next().unwrap()["ms"].as_f64().unwrap() > 0.0);
        }
        drop(to);
        assert!(lines.next().is_none());
        assert!(child.wait().unwrap().success());
    }
    let text = String::from_utf8(wgflow(&format!("bench-act {path} --rounds 2 --seconds 0")).stdout).unwrap();
    assert!(text.starts_with("actor, batch 1: "), "{text}");
}
