//! OGBench itself, where `WGFLOW_PYTHON` names a Python that has it.

use wgflow::envs::{
    Environment, Environments, Episode, PointMaze, ProcessEnvs, ProcessOptions, Row, SuccessTiming, episode_seed, rollout,
};

use super::Test;

pub const TESTS: &[Test] = &[
    ("environments and processes change no episode", environments_and_processes_change_no_episode),
    ("the built-in maze follows OGBench through the pipe", the_built_in_maze_follows_ogbench),
    ("names with and without the kind of the data are one environment", names_with_and_without_the_kind),
];

fn options(env: &str, count: usize, processes: usize) -> ProcessOptions {
    let python = std::env::var_os("WGFLOW_PYTHON").unwrap();
    ProcessOptions { count, processes, ..ProcessOptions::new(env, python) }
}

fn noise(row: Row, axis: u64) -> f32 {
    let bits = episode_seed(row.episode as u64 * 64 + axis, row.step) >> 40;
    bits as f32 / (1 << 23) as f32 - 1.0
}

/// Random actions that follow from the row alone; `steps` cuts an episode off by ending all.
fn random(env: &str, count: usize, processes: usize, episodes: usize) -> Vec<Episode> {
    let mut envs = ProcessEnvs::start(&options(env, count, processes)).unwrap();
    let width = envs.action_dim() as u64;
    let mut act = |_: &[f32], rows: &[Row]| Ok(rows.iter().flat_map(|&row| (0..width).map(move |a| noise(row, a))).collect());
    rollout(&mut envs, episodes, 3, episodes, &mut act).unwrap()
}

fn environments_and_processes_change_no_episode() {
    // What draws where: cube from its own generator, from unseeded spaces, and after a compilation of its model; ants from
    // their own generator and NumPy's global one; teleports from the global one in the middle of an episode.
    for env in ["cube-single-singletask-task2-v0", "antmaze-medium-singletask-task1-v0", "pointmaze-teleport-singletask-task1-v0"]
    {
        let alone = random(env, 1, 1, 3);
        let starts: Vec<&[f32]> = alone.iter().map(|e| &e.path.as_ref().unwrap().observations[..2]).collect();
        assert!(starts[0] != starts[1] || env.starts_with("cube"), "{env}: episodes differ");
        for (count, processes) in [(1, 1), (2, 1), (3, 2)] {
            let other = random(env, count, processes, 3);
            for (index, (a, b)) in alone.iter().zip(&other).enumerate() {
                let (a, b) = (a.path.as_ref().unwrap(), b.path.as_ref().unwrap());
                let differing = a.observations.iter().zip(&b.observations).position(|(a, b)| a.to_bits() != b.to_bits());
                assert_eq!(differing, None, "{env}, episode {index}, {count} environments in {processes} processes");
            }
        }
        println!("{env}: 3 episodes equal to the bit, alone, repeated, 2 in a process, 3 in two processes");
    }
}

fn the_built_in_maze_follows_ogbench() {
    for (timing, task) in [(None, 1), (Some(SuccessTiming::Post), 3)] {
        let mut maze = PointMaze::new("pointmaze-medium", task).unwrap().with_success_timing(timing.unwrap_or_default());
        let asked = options(&format!("pointmaze-medium-singletask-task{task}-v0"), 5, 2);
        let mut envs = ProcessEnvs::start(&ProcessOptions { success_timing: timing, ..asked }).unwrap();
        let goal = maze.goal();
        let walls = maze.maze().clone();
        let episodes = rollout(&mut envs, 20, 7, 20, &mut |observations, rows| {
            let act = |(o, &row): (&[f32], &Row)| {
                let [x, y] = walls.oracle([f64::from(o[0]), f64::from(o[1])], goal);
                [(x + 0.5 * noise(row, 0)).clamp(-1.0, 1.0), (y + 0.5 * noise(row, 1)).clamp(-1.0, 1.0)]
            };
            Ok(observations.chunks_exact(2).zip(rows).flat_map(act).collect())
        })
        .unwrap();
        let mut worst = 0.0_f64;
        for (index, theirs) in episodes.iter().enumerate() {
            let path = theirs.path.as_ref().unwrap();
            maze.reset(0).unwrap();
            maze.place([f64::from(path.observations[0]), f64::from(path.observations[1])]);
            for (step, action) in path.actions.chunks_exact(2).enumerate() {
                let ours = maze.step(action).unwrap();
                let there = &path.observations[2 * (step + 1)..][..2];
                worst = worst.max(f64::from((ours.observation[0] - there[0]).hypot(ours.observation[1] - there[1])));
                let last = step + 1 == theirs.length;
                assert_eq!(ours.success, theirs.success && last, "task {task}, episode {index}, step {step}");
            }
        }
        println!("task {task}, {timing:?}: worst distance {worst:e}");
        // The start is known in f32 only.
        assert!(worst < 1e-4, "{worst:e}");
        assert!(episodes.iter().all(|e| e.success));
    }
}

fn names_with_and_without_the_kind() {
    let named = |env: &str| ProcessEnvs::start(&options(env, 1, 1)).unwrap().hello().clone();
    let plain = named("pointmaze-medium-singletask-task3-v0");
    assert_eq!((plain.env.as_str(), plain.success_timing.as_deref()), ("pointmaze-medium-singletask-task3-v0", Some("pre")));
    assert_eq!(named("pointmaze-medium-navigate-singletask-task3-v0"), plain);
    let error = ProcessEnvs::start(&options("pointmaze-medium-singletask-task9-v0", 1, 1)).err().unwrap().to_string();
    assert!(error.starts_with("pointmaze-medium-singletask-task9-v0: "), "{error}");
    println!("{error}");
}
