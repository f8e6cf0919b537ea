//! Whatever a process does, its user gets one clear error, soon, and no process stays behind.

use std::time::{Duration, Instant};

use wgflow::Error;
use wgflow::envs::{Environments, ProcessEnvs, ProcessOptions};

use super::Test;
use super::fake::{episodes, options};

pub const TESTS: &[Test] = &[
    ("faults of an environment name it and its last words", faults_of_an_environment_name_it_and_its_last_words),
    ("faults at the start", faults_at_the_start),
    ("answers that break the protocol", answers_that_break_the_protocol),
    ("after a failure nothing is asked any more", after_a_failure_nothing_is_asked_any_more),
    ("bad requests are refused before they are sent", bad_requests_are_refused_before_they_are_sent),
];

/// The message of an environment's error, which must come soon: a process that hangs does so for 60 s.
fn message<T>(act: impl FnOnce() -> wgflow::Result<T>) -> String {
    let start = Instant::now();
    let result = act();
    assert!(start.elapsed() < Duration::from_secs(25), "errors come soon");
    match result {
        Ok(_) => panic!("no error"),
        Err(error @ Error::Environment { .. }) => error.to_string(),
        Err(other) => panic!("another error: {other}"),
    }
}

fn all_of(message: &str, parts: &[&str]) {
    assert!(parts.iter().all(|part| message.contains(part)), "{message}\nlacks one of {parts:?}");
    assert!(!message.contains('\n'), "one line: {message}");
}

fn faults_of_an_environment_name_it_and_its_last_words() {
    let cases: &[(&str, &[&str])] = &[
        ("crash-v0", &["crash-v0: its process ended (exit", "3", "while stepping", "assertion failed in the simulator"]),
        ("raise-v0", &["raise-v0: ValueError: the arm left its workspace; check the environment's id"]),
        ("nan-v0", &["nan-v0: an observation or a reward is not finite"]),
        ("short-v0", &["short-v0:", "does not speak the protocol", "bytes for 2 steps of 4 values"]),
    ];
    for (env, parts) in cases {
        let mut envs = ProcessEnvs::start(&options(env, 2, 1)).unwrap();
        all_of(&message(|| episodes(&mut envs, 4, 0)), parts);
    }
    if cfg!(unix) {
        let mut envs = ProcessEnvs::start(&options("killed-v0", 2, 1)).unwrap();
        let parts = ["killed-v0: its process ended (signal: 9", "lack of memory: lower --parallel"];
        all_of(&message(|| episodes(&mut envs, 4, 0)), &parts);
    }
    let mut hanging = options("hang-v0", 2, 2);
    // Long enough for a start on a busy machine, short against the 60 s that it sleeps.
    hanging.timeout = Duration::from_secs(5);
    let mut envs = ProcessEnvs::start(&hanging).unwrap();
    all_of(&message(|| episodes(&mut envs, 4, 0)), &["hang-v0: no answer for 5 s while stepping", "--parallel"]);
}

fn faults_at_the_start() {
    let start = |options: &ProcessOptions| message(|| ProcessEnvs::start(options));
    all_of(&start(&options("endless-v0", 1, 1)), &["endless-v0: ValueError: it has no time limit"]);
    all_of(&start(&options("image-v0", 1, 1)), &["image-v0: ValueError: its space", "boxes of numbers"]);
    all_of(&start(&options("plain-v1", 1, 1)), &["no environment of this name is installed; did you mean plain-v0"]);
    let missing = start(&options("needs-v0", 1, 1));
    all_of(&missing, &["has no module `a_module_that_nobody_has`; run `wgflow setup`", "-m pip install ogbench=="]);

    let mut absent = options("plain-v0", 1, 1);
    absent.python = "a-python-that-nobody-has".into();
    all_of(&start(&absent), &["plain-v0: cannot run a-python-that-nobody-has", "wgflow setup"]);
    for (name, count, processes) in [("--parallel", 0, 1), ("--processes", 1, 0)] {
        let error = ProcessEnvs::start(&options("plain-v0", count, processes)).err().unwrap();
        assert!(matches!(&error, Error::Setting { setting, .. } if setting == name), "{error}");
    }
}

/// A program that answers as told: `say(bytes)`, `frame(kind, payload)`.
fn program(body: &str) -> String {
    let prelude = "
import os, struct, sys, time
def say(data): os.write(1, data)
def frame(kind, payload=b''): say(struct.pack('<Ic', len(payload), kind) + payload)
def hello(): say(b'wgfenvs1'); frame(b'H', b'{\"env\":\"x\",\"obs_dim\":1,\"action_dim\":1,\"horizon\":5,\"versions\":{}}')
def ask(): n, k = struct.unpack('<Ic', sys.stdin.buffer.read(5)); sys.stdin.buffer.read(n)
";
    format!("{prelude}{body}\n")
}

fn with_program(body: &str) -> ProcessOptions {
    let mut options = options("x", 1, 1);
    options.program = Some(program(body));
    options.timeout = Duration::from_secs(if body.starts_with("time.sleep") { 1 } else { 20 });
    options
}

fn answers_that_break_the_protocol() {
    let at_start: &[(&str, &[&str])] = &[
        (
            "print('hello world')",
            &["x:", "does not speak the protocol: \"hello wo\" where a greeting should stand", "sitecustomize"],
        ),
        ("say(b'wgf')", &["\"wgf\" where a greeting should stand"]),
        ("sys.exit('no licence')", &["x: its process ended (exit", "1", "while starting, its last words: no licence"]),
        ("say(b'wgfenvs1'); say(b'Segmentation fault')", &["\"Segme\" where a frame should begin"]),
        ("say(b'wgfenvs1'); frame(b'H', b'{}')", &["its greeting is {}"]),
        ("say(b'wgfenvs1'); frame(b'O')", &["an answer 'O'"]),
        ("say(b'wgfenvs1'); frame(b'E', b'?')", &["its error is ?"]),
        ("say(b'wgfenvs1'); say(struct.pack('<Ic', 9, b'H') + b'cut')", &["its process ended"]),
        ("os.close(1); time.sleep(60)", &["x: its process closed its output while starting"]),
        ("time.sleep(60)", &["x: no answer for 1 s while starting"]),
    ];
    for (body, parts) in at_start {
        all_of(&message(|| ProcessEnvs::start(&with_program(body))), parts);
    }
    let later: &[(&str, &[&str])] = &[
        ("hello(); ask(); frame(b'O', b'12345')", &["5 bytes for 1 observations of 1 values"]),
        ("hello(); ask(); frame(b'T', b'')", &["an answer 'T'"]),
        ("hello(); ask(); say(b'oops, a warning'); time.sleep(60)", &["\"oops,\" where a frame should begin"]),
        ("hello(); ask(); frame(b'O', b'\\0\\0\\xc0\\x7f')", &["not finite"]),
        ("hello()", &["its process ended (exit"]),
    ];
    for (body, parts) in later {
        let mut envs = ProcessEnvs::start(&with_program(body)).unwrap();
        all_of(&message(|| envs.reset(&[(0, 1)])), parts);
    }
}

fn after_a_failure_nothing_is_asked_any_more() {
    // One of two processes fails; the other's answer is still on its way and must not be taken for a later one.
    let mut envs = ProcessEnvs::start(&options("crash-v0", 2, 2)).unwrap();
    envs.reset(&[(0, 1), (1, 2)]).unwrap();
    envs.step(&[true, false], &[0.0; 4]).unwrap();
    let first = message(|| envs.step(&[true, true], &[0.0; 4]));
    assert!(first.contains("process ended"), "{first}");
    for _ in 0..2 {
        let later = message(|| envs.step(&[true, true], &[0.0; 4]));
        assert!(later.contains("were ended after a failure"), "{later}");
    }
    assert!(envs.reset(&[(1, 1)]).is_err());
}

fn bad_requests_are_refused_before_they_are_sent() {
    let mut envs = ProcessEnvs::start(&options("plain-v0", 2, 1)).unwrap();
    envs.reset(&[(0, 1), (1, 2)]).unwrap();
    for (actions, part) in [(vec![0.0; 3], "2 actions of 2 values"), (vec![0.0, f32::NAN, 0.0, 0.0], "finite values")] {
        let error = envs.step(&[true, true], &actions).unwrap_err();
        assert!(matches!(error, Error::Setting { .. }) && error.to_string().contains(part), "{error}");
    }
    assert_eq!(envs.step(&[true, true], &[0.0; 4]).unwrap().len(), 2, "nothing was sent, so all goes on");
}
