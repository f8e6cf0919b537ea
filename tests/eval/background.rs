//! Evaluation beside training: order, records, failures, abandonment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use wgflow::Error;
use wgflow::envs::{Environment, LocalEnvs, PointMaze, Step};
use wgflow::train::background::{Background, Job, Report};
use wgflow::train::environment::Setting;
use wgflow::train::evaluations;
use wgflow::train::{EnvSpec, OpenOptions, Opened, RunFolder, Saved};

use super::Test;
use super::command::tiny_run;
use crate::folder::Folder;

pub const TESTS: &[Test] = &[
    ("checkpoints are evaluated in order and written down", checkpoints_are_evaluated_in_order_and_written_down),
    ("a failure ends nothing", a_failure_ends_nothing),
    ("what is abandoned does not hold up the end", what_is_abandoned_does_not_hold_up_the_end),
    ("the waiting can be given up", the_waiting_can_be_given_up),
];

fn job(open: impl FnMut() -> wgflow::Result<Opened> + Send + 'static) -> Job {
    Job { open: Box::new(open), episodes: 3, keep_paths: 1, threads: 1, normalise: Box::new(|_, _| None) }
}

fn checkpoints(run: &Path) -> Vec<PathBuf> {
    RunFolder::open(run).unwrap().0.checkpoints().unwrap().into_iter().map(|c| c.path).collect()
}

fn maze(run: &Path) -> impl FnMut() -> wgflow::Result<Opened> + Send + use<> {
    let spec = EnvSpec::of_run(&Saved::open(run).unwrap().config).unwrap();
    move || spec.open(&OpenOptions::default(), 3)
}

fn checkpoints_are_evaluated_in_order_and_written_down() {
    let folder = Folder::new("background");
    let run = tiny_run(&folder, 2);
    let (opened, mut open) = (Arc::new(AtomicUsize::new(0)), maze(&run));
    let count = Arc::clone(&opened);
    let mut background = Background::start(job(move || {
        count.fetch_add(1, Ordering::Relaxed);
        open()
    }));
    let all = checkpoints(&run);
    assert_eq!(all.len(), 2);
    all.iter().for_each(|checkpoint| background.submit(checkpoint.clone()));
    assert!(background.needs(&all[1]));
    let mut seen = Vec::new();
    let mut take = |report| match report {
        Report::Evaluated { step, lane, evaluations, records } => {
            assert_eq!((evaluations.len(), records.len()), (2, 2), "both policies");
            assert!(evaluations.iter().all(|e| e.episodes.len() == 3 && e.episodes[0].path.is_some()));
            seen.push((step, lane));
        }
        Report::Failed { error, .. } => panic!("{error}"),
    };
    background.drain(&mut take, &mut || Ok(())).unwrap();
    assert_eq!(seen, [(50, 0), (50, 1), (100, 0), (100, 1)]);
    assert!(background.pending().is_empty() && !background.needs(&all[1]));
    assert_eq!(opened.load(Ordering::Relaxed), 1, "environments are used again");

    let file = run.join("evaluations.jsonl");
    let records = evaluations::read(&file).unwrap();
    assert_eq!(records.len(), 8);
    assert_eq!((records[0].policy.as_str(), records[1].policy.as_str(), records[7].seed), ("actor", "flow", 4));
    assert!(records.iter().all(|r| r.env == "pointmaze-medium-singletask-task3-v0" && r.success.is_some()));
    // A checkpoint that is evaluated once more, as after a resume, gives the same numbers and no second line.
    background.submit(all[1].clone());
    background.drain(&mut |_| {}, &mut || Ok(())).unwrap();
    assert_eq!(evaluations::read(&file).unwrap(), records);
}

fn a_failure_ends_nothing() {
    let folder = Folder::new("background-failure");
    let run = tiny_run(&folder, 1);
    let (mut tries, mut open) = (0, maze(&run));
    let mut background = Background::start(job(move || {
        tries += 1;
        if tries == 1 { Err(Error::environment("maze", "no Python", "make one")) } else { open() }
    }));
    let all = checkpoints(&run);
    background.submit(all[0].clone());
    background.submit(run.join("checkpoints").join("000000077.safetensors"));
    background.submit(all[1].clone());
    let mut told = Vec::new();
    let mut take = |report| {
        told.push(match report {
            Report::Evaluated { step, .. } => step.to_string(),
            Report::Failed { checkpoint, error } => format!("{}: {error}", checkpoint.file_stem().unwrap().display()),
        });
    };
    background.drain(&mut take, &mut || Ok(())).unwrap();
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(told[0], "000000050: maze: no Python; make one");
    assert!(told[1].starts_with("000000077: ") && told[2] == "100", "{told:?}");
}

/// A maze in which a step takes long; it counts the mazes that are gone.
struct Slow(PointMaze, Arc<AtomicUsize>);

impl Drop for Slow {
    fn drop(&mut self) {
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

impl Environment for Slow {
    fn obs_dim(&self) -> usize {
        2
    }

    fn action_dim(&self) -> usize {
        2
    }

    fn horizon(&self) -> usize {
        1000
    }

    fn reset(&mut self, seed: u64) -> wgflow::Result<Vec<f32>> {
        self.0.reset(seed)
    }

    fn step(&mut self, action: &[f32]) -> wgflow::Result<Step> {
        std::thread::sleep(Duration::from_millis(500));
        self.0.step(action)
    }
}

fn slow(gone: &Arc<AtomicUsize>) -> wgflow::Result<Opened> {
    let maze = PointMaze::new("pointmaze-medium", 3)?;
    let envs = LocalEnvs::new(vec![Box::new(Slow(maze, Arc::clone(gone)))])?;
    let setting = Setting { env: "slow".to_owned(), success_timing: None, versions: BTreeMap::new() };
    Ok(Opened { envs: Box::new(envs), setting })
}

fn what_is_abandoned_does_not_hold_up_the_end() {
    let folder = Folder::new("background-abandoned");
    let run = tiny_run(&folder, 1);
    let gone = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&gone);
    let mut background = Background::start(job(move || slow(&gone)));
    background.submit(checkpoints(&run)[1].clone());
    let start = Instant::now();
    assert!(background.poll().is_empty() && background.wait(Duration::from_millis(700)).is_none());
    drop(background);
    // The thread ends after the step it is in; an episode would take 500 s.
    while seen.load(Ordering::Relaxed) == 0 {
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(evaluations::read(&run.join("evaluations.jsonl")).unwrap(), []);
}

fn the_waiting_can_be_given_up() {
    let folder = Folder::new("background-interrupted");
    let run = tiny_run(&folder, 1);
    let gone = Arc::new(AtomicUsize::new(0));
    let mut background = Background::start(job(move || slow(&gone)));
    background.submit(checkpoints(&run)[1].clone());
    let mut asked = 0;
    let mut proceed = || {
        asked += 1;
        if asked > 3 { Err(Error::environment("test", "enough", "")) } else { Ok(()) }
    };
    assert!(background.drain(&mut |_| {}, &mut proceed).is_err());
    assert_eq!(background.pending().len(), 1);
}
