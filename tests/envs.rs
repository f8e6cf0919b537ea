//! The built-in point mazes against rollouts of OGBench's own (`fixtures/point_maze.py` recorded them), and the rollout
//! loop. `cargo test --test envs -- --nocapture` prints the figures of agreement.

use std::collections::HashSet;

use serde_json::Value;
use wgflow::Result;
use wgflow::envs::{Environment, Episode, LocalEnvs, Maze, PointMaze, Row, Step, SuccessTiming, episode_seed, rollout};

/// One recorded rollout; `fixtures/point_maze.py` documents the fields.
struct Recorded {
    maze: String,
    task: u32,
    start: [f64; 2],
    goal: [f64; 2],
    actions: Vec<[f32; 2]>,
    positions: Vec<[f64; 2]>,
    teleports: Vec<(usize, [f64; 2])>,
    touched: HashSet<usize>,
    success: HashSet<usize>,
    terminated: HashSet<usize>,
    truncated: HashSet<usize>,
    total_reward: f64,
}

/// The fixture, or the file that `POINT_MAZE_FIXTURE` names.
fn fixture() -> Value {
    let text = match std::env::var("POINT_MAZE_FIXTURE") {
        Ok(path) => std::fs::read_to_string(path).expect("POINT_MAZE_FIXTURE names a file"),
        Err(_) => include_str!("fixtures/point_maze.json").to_owned(),
    };
    serde_json::from_str(&text).expect("the fixture is JSON")
}

fn numbers(value: &Value) -> Vec<f64> {
    // Strings hold what must be exact to the last bit.
    if let Some(text) = value.as_str() {
        return text.split(' ').map(|v| v.parse().expect("a number")).collect();
    }
    value.as_array().expect("a list").iter().map(|v| v.as_f64().expect("a number")).collect()
}

fn pairs(values: &[f64]) -> Vec<[f64; 2]> {
    values.chunks_exact(2).map(|v| [v[0], v[1]]).collect()
}

fn recorded() -> Vec<Recorded> {
    let indices = |value: &Value| numbers(value).into_iter().map(|v| v as usize).collect();
    let read = |r: &Value| Recorded {
        maze: r["maze"].as_str().expect("a name").to_owned(),
        task: r["task"].as_u64().expect("a task") as u32,
        start: pairs(&numbers(&r["start"]))[0],
        goal: pairs(&numbers(&r["goal"]))[0],
        actions: pairs(&numbers(&r["actions"])).into_iter().map(|a| a.map(|v| v as f32)).collect(),
        positions: pairs(&numbers(&r["positions"])),
        teleports: r["teleports"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|t| (numbers(t)[0] as usize, [numbers(t)[1], numbers(t)[2]]))
            .collect(),
        touched: indices(&r["touched"]),
        success: indices(&r["success"]),
        terminated: indices(&r["terminated"]),
        truncated: indices(&r["truncated"]),
        total_reward: r["return"].as_f64().expect("a number"),
    };
    fixture()["rollouts"].as_array().expect("a list").iter().map(read).collect()
}

fn distance(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

fn median_and_max(mut errors: Vec<f64>) -> (f64, f64) {
    errors.sort_by(f64::total_cmp);
    (errors[errors.len() / 2], errors[errors.len() - 1])
}

/// Replays one recorded rollout. With `closed` every step starts where OGBench's did, otherwise only teleports do.
/// `visit` is given the step's index, our position, OGBench's, and what the step returned; in a step that teleports, the
/// position before it, which only the observation tells, in f32.
fn replay(record: &Recorded, closed: bool, mut visit: impl FnMut(usize, [f64; 2], [f64; 2], &Step)) {
    let mut env = PointMaze::new(&record.maze, record.task).expect("a recorded maze");
    assert_eq!(env.goal(), record.goal, "{} task {}", record.maze, record.task);
    env.reset(0).expect("a reset");
    env.place(record.start);
    for (i, action) in record.actions.iter().enumerate() {
        let step = env.step(action).expect("a step");
        let teleport = record.teleports.iter().find(|t| t.0 == i);
        let (ours, theirs) = match teleport {
            None => (env.position(), record.positions[i]),
            Some((_, seen)) => ([0, 1].map(|k| f64::from(step.observation[k])), seen.map(|v| f64::from(v as f32))),
        };
        visit(i, ours, theirs, &step);
        if let Some((_, seen)) = teleport {
            let exits: Vec<_> = env.maze().teleport_out().iter().map(|&cell| env.maze().centre(cell)).collect();
            assert!(exits.contains(&env.position()), "OGBench teleported from {seen:?}, we went to {:?}", env.position());
            assert!(exits.contains(&record.positions[i]), "OGBench went to {:?}", record.positions[i]);
        }
        if closed || teleport.is_some() {
            env.place(record.positions[i]);
        }
    }
}

#[test]
fn mazes_and_tasks_are_those_of_ogbench() {
    let fixture = fixture();
    for name in Maze::NAMES {
        let theirs = &fixture["mazes"][name];
        let maze = Maze::new(name).expect("a built-in maze");
        let map: String = theirs["map"].as_array().expect("rows").iter().filter_map(Value::as_str).collect();
        assert_eq!(map.bytes().map(|c| c == b'#').collect::<Vec<_>>(), maze.walls(), "{name}");
        assert_eq!((maze.rows() * maze.cols(), maze.rows()), (map.len(), theirs["map"].as_array().map_or(0, Vec::len)));
        for task in 1..=5 {
            let env = PointMaze::new(name, task).expect("a task");
            let ours = [env.start(), env.goal()].concat();
            assert_eq!(ours, numbers(&theirs["tasks"][task as usize - 1]), "{name} task {task}");
            assert_eq!(Some(env.horizon() as u64), theirs["horizon"].as_u64());
            assert_eq!(Some(env.goal_tolerance()), theirs["tolerance"].as_f64());
            assert!(!maze.is_wall(maze.cell(env.start())) && !maze.is_wall(maze.cell(env.goal())));
        }
        let (low, high) = maze.extents();
        assert_eq!((maze.cell(low), maze.cell([low[0] - 9.0, high[1] + 9.0])), ((0, 0), (maze.rows() - 1, 0)));
        assert_eq!(maze.centre((1, 1)), [0.0, 0.0]);
    }
}

#[test]
fn single_steps_follow_ogbench_free_and_in_contact() {
    let (mut free, mut contact) = (Vec::new(), Vec::new());
    for record in recorded() {
        replay(&record, true, |i, ours, theirs, _| {
            let teleported = record.teleports.iter().any(|t| t.0 == i);
            if !teleported {
                let errors = if record.touched.contains(&i) { &mut contact } else { &mut free };
                errors.push(distance(ours, theirs));
            }
        });
    }
    println!("{} free steps, (median, max) error {:?}", free.len(), median_and_max(free.clone()));
    println!("{} contact steps, (median, max) error {:?}", contact.len(), median_and_max(contact.clone()));
    assert!(free.len() > 2000 && contact.len() > 1000, "the fixture has both kinds");
    assert_eq!(median_and_max(free).1, 0.0, "free steps are exact");
    let (median, max) = median_and_max(contact);
    assert!(median <= CONTACT_MEDIAN && max <= CONTACT_MAX, "median {median:e}, max {max:e}");
}

/// World units. The fixture's steps agree to 1e-14, but in some contacts MuJoCo's iterative solver stops 1e-8 short.
const CONTACT_MEDIAN: f64 = 1e-14;
const CONTACT_MAX: f64 = 1e-7;
const OPEN_LOOP: f64 = 1e-7;

#[test]
fn whole_rollouts_and_their_flags_follow_ogbench() {
    let (mut worst, mut ends, mut steps, mut teleports) = (0.0_f64, Vec::new(), 0, 0);
    for record in recorded() {
        let (mut end, mut total) = (0.0, 0.0);
        replay(&record, false, |i, ours, theirs, step| {
            end = distance(ours, theirs);
            worst = worst.max(end);
            total += step.reward;
            let theirs = [&record.success, &record.terminated, &record.truncated].map(|flags| flags.contains(&i));
            assert_eq!([step.success, step.terminated, step.truncated], theirs, "{} step {i}", record.maze);
        });
        assert_eq!(total, record.total_reward, "{} task {}", record.maze, record.task);
        ends.push(end);
        steps += record.actions.len();
        teleports += record.teleports.len();
    }
    println!("{} open-loop rollouts, {steps} steps, {teleports} teleports", ends.len());
    println!("worst divergence {worst:e}, (median, max) at the end {:?}", median_and_max(ends));
    assert!(worst <= OPEN_LOOP, "open-loop divergence {worst:e}");
    assert!(teleports > 0, "the fixture has a teleport");
}

#[test]
fn the_observation_is_the_position_in_f32_and_stale_in_a_teleport() {
    let mut env = PointMaze::new("pointmaze-teleport", 3).expect("a maze");
    env.reset(7).expect("a reset");
    let gate = env.maze().centre(env.maze().teleport_in()[0]);
    env.place([gate[0], gate[1] + 1.6]);
    let step = env.step(&[0.0, -1.0]).expect("a step");
    assert_eq!(step.observation, [gate[0] as f32, (gate[1] + 1.6 + f64::from(-0.2_f32)) as f32]);
    assert_ne!(env.maze().cell(env.position()), env.maze().teleport_in()[0]);
    let next = env.step(&[0.0, 0.0]).expect("a step");
    assert_eq!(next.observation, env.position().map(|v| v as f32));

    // All exits are drawn, and the seed decides which.
    let mut exit = |seed: u64| {
        env.reset(seed).expect("a reset");
        env.place(gate);
        env.step(&[0.0, 0.0]).expect("a step");
        env.maze().cell(env.position())
    };
    let exits: HashSet<_> = (0..50).map(&mut exit).collect();
    assert_eq!(exits.len(), 3);
    assert!((0..10).all(|seed| exit(seed) == exit(seed)));
}

#[test]
fn starts_are_reproducible_and_fill_the_noise_square() {
    let mut env = PointMaze::new("pointmaze-medium", 2).expect("a maze");
    let start = env.start();
    let starts: Vec<Vec<f32>> = (0..1000).map(|seed| env.reset(seed).expect("a reset")).collect();
    assert_eq!(env.reset(3).expect("a reset"), starts[3]);
    for axis in 0..2 {
        let noise: Vec<f64> = starts.iter().map(|s| f64::from(s[axis]) - start[axis]).collect();
        let (low, high) = noise.iter().fold((f64::MAX, f64::MIN), |(l, h), &v| (l.min(v), h.max(v)));
        assert!((-1.0..-0.98).contains(&low) && (0.98..=1.0).contains(&high), "{low} to {high}");
        // Mean of 1000 uniforms: a standard deviation of 0.018.
        assert!(noise.iter().sum::<f64>().abs() / 1000.0 < 0.07);
    }
    let product: f64 = starts.iter().map(|s| (f64::from(s[0]) - start[0]) * (f64::from(s[1]) - start[1])).sum();
    assert!(product.abs() / 1000.0 < 0.04, "the axes are independent");
}

#[test]
fn success_before_or_after_the_action_and_the_horizon() {
    for (timing, expected) in [(SuccessTiming::Pre, [false, true]), (SuccessTiming::Post, [true, true])] {
        let mut env = PointMaze::new("pointmaze-medium", 1).expect("a maze").with_success_timing(timing);
        env.reset(0).expect("a reset");
        env.place([env.goal()[0] - 1.1, env.goal()[1]]);
        let steps = [0, 1].map(|_| env.step(&[1.0, 0.0]).expect("a step"));
        assert_eq!([steps[0].success, steps[1].success], expected);
        assert!(steps.iter().all(|s| s.terminated == s.success && s.reward == if s.success { 0.0 } else { -1.0 }));
    }
    let mut env = PointMaze::new("pointmaze-medium", 1).expect("a maze");
    env.reset(0).expect("a reset");
    let truncated: Vec<bool> = (0..1000).map(|_| env.step(&[0.0, 0.0]).expect("a step").truncated).collect();
    assert_eq!(truncated.iter().position(|&t| t), Some(999));
}

#[test]
fn actions_are_clipped_and_bad_ones_refused() {
    let mut env = PointMaze::new("pointmaze-medium", 1).expect("a maze");
    let mut after = |action: &[f32]| {
        env.reset(5).expect("a reset");
        env.step(action).map(|step| step.observation)
    };
    assert_eq!(after(&[7.0, -9.0]).expect("a step"), after(&[1.0, -1.0]).expect("a step"));
    let message = after(&[0.0]).expect_err("one value").to_string();
    assert!(message.contains("expected 2 values, found 1"), "{message}");
    assert!(after(&[f32::NAN, 0.0]).expect_err("NaN").to_string().contains("finite"));
    assert!(PointMaze::new("pointmaze-medium", 6).expect_err("task 6").to_string().contains("1 to 5"));
    assert!(PointMaze::new("pointmaze-medium", 0).is_err());
    assert!(PointMaze::new("antmaze-medium", 1).expect_err("no ant").to_string().contains("pointmaze-giant"));
}

fn mazes(name: &str, task: u32, count: usize) -> LocalEnvs {
    let maze = || Box::new(PointMaze::new(name, task).expect("a maze")) as Box<dyn Environment>;
    LocalEnvs::new((0..count).map(|_| maze()).collect()).expect("mazes alike")
}

/// An environment with observations of three values.
struct Other(PointMaze);

impl Environment for Other {
    fn obs_dim(&self) -> usize {
        3
    }

    fn action_dim(&self) -> usize {
        2
    }

    fn horizon(&self) -> usize {
        1
    }

    fn reset(&mut self, seed: u64) -> Result<Vec<f32>> {
        self.0.reset(seed)
    }

    fn step(&mut self, action: &[f32]) -> Result<Step> {
        self.0.step(action)
    }
}

/// Noise in [-1, 1) from a row's episode and step alone, as a policy must draw it.
fn noise(row: Row, axis: u64) -> f32 {
    let bits = episode_seed(row.episode as u64 * 2 + axis, row.step) >> 40;
    bits as f32 / (1 << 23) as f32 - 1.0
}

/// The oracle plus `amount` of noise, batched.
fn oracle(name: &str, task: u32, amount: f32) -> impl FnMut(&[f32], &[Row]) -> Result<Vec<f32>> {
    let env = PointMaze::new(name, task).expect("a maze");
    move |observations, rows| {
        let act = |(o, &row): (&[f32], &Row)| {
            let [x, y] = env.maze().oracle([f64::from(o[0]), f64::from(o[1])], env.goal());
            [x + amount * noise(row, 0), y + amount * noise(row, 1)]
        };
        Ok(observations.chunks_exact(2).zip(rows).flat_map(act).collect())
    }
}

fn success_and_length(episodes: &[Episode]) -> (f64, f64) {
    let mean = |f: &dyn Fn(&Episode) -> f64| episodes.iter().map(f).sum::<f64>() / episodes.len() as f64;
    (mean(&|e| f64::from(u8::from(e.success))), mean(&|e| e.length as f64))
}

#[test]
fn the_oracle_takes_as_long_as_in_ogbench_and_random_actions_never_arrive() {
    let fixture = fixture();
    for task in 1..=5 {
        let name = "pointmaze-medium";
        let episodes = rollout(&mut mazes(name, task, 10), 200, 1, 0, &mut oracle(name, task, 0.0)).expect("episodes");
        let (success, length) = success_and_length(&episodes);
        let theirs = &fixture["oracle"][task as usize - 1];
        let expected = theirs["mean_length"].as_f64().expect("a number");
        println!("{name} task {task}: oracle success {success}, mean length {length:.1}, OGBench {expected:.1}");
        assert_eq!((Some(success), true), (theirs["success"].as_f64(), success == 1.0));
        // Standard error of both means together: 4 to 6 steps of noise per episode, 0.9 steps.
        assert!((length - expected).abs() < 3.0, "task {task}: {length} against {expected}");

        let random = &mut |_: &[f32], rows: &[Row]| Ok(rows.iter().flat_map(|&row| [noise(row, 0), noise(row, 1)]).collect());
        let episodes = rollout(&mut mazes(name, task, 10), 20, 2, 0, random).expect("episodes");
        assert_eq!(success_and_length(&episodes), (0.0, 1000.0), "random actions, task {task}");
    }
}

#[test]
fn the_oracle_solves_every_maze_without_teleporters() {
    for name in ["pointmaze-large", "pointmaze-giant"] {
        for task in 1..=5 {
            let episodes = rollout(&mut mazes(name, task, 4), 4, 1, 0, &mut oracle(name, task, 0.3)).expect("episodes");
            assert!(episodes.iter().all(|e| e.success), "{name} task {task}");
        }
    }
}

#[test]
fn the_number_of_environments_does_not_change_an_episode() {
    let run = |count: usize| {
        let (mut calls, mut active) = (0, 0);
        let mut policy = oracle("pointmaze-medium", 3, 1.0);
        let mut counted = |observations: &[f32], rows: &[Row]| {
            assert_eq!((observations.len(), rows.len()), (2 * count, count), "the batch keeps its size");
            assert!(observations.iter().all(|v| v.is_finite()));
            calls += 1;
            active += rows.iter().filter(|row| row.active).count();
            policy(observations, rows)
        };
        let episodes = rollout(&mut mazes("pointmaze-medium", 3, count), 7, 11, 2, &mut counted).expect("episodes");
        assert_eq!(active, episodes.iter().map(|e| e.length).sum::<usize>(), "{calls} calls");
        episodes
    };
    let alone = run(1);
    assert_eq!(alone.len(), 7);
    for count in [2, 3, 7, 12] {
        assert_eq!(run(count), alone, "{count} environments");
    }
    let lengths: HashSet<usize> = alone.iter().map(|e| e.length).collect();
    assert!(lengths.len() > 3, "episodes differ: {lengths:?}");

    // What is kept is the episode: its start, its end, its reward.
    let kept: Vec<_> = alone.iter().filter_map(|e| e.path.as_ref().map(|path| (e, path))).collect();
    assert_eq!(kept.len(), 2);
    let mut env = PointMaze::new("pointmaze-medium", 3).expect("a maze");
    for (index, (episode, path)) in kept.into_iter().enumerate() {
        assert_eq!(path.observations.len(), 2 * (episode.length + 1));
        assert_eq!(path.actions.len(), 2 * episode.length);
        let mut seen = env.reset(episode_seed(11, index)).expect("a reset");
        seen.extend(path.actions.chunks_exact(2).flat_map(|a| env.step(a).expect("a step").observation));
        assert_eq!(path.observations, seen, "a kept path can be replayed");
        assert_eq!(episode.total_reward, 1.0 - episode.length as f64);
    }
}

#[test]
fn a_rollout_refuses_what_it_cannot_run() {
    let mut policy = oracle("pointmaze-medium", 1, 0.0);
    assert!(LocalEnvs::new(Vec::new()).err().expect("no environment").to_string().contains("at least 1"));
    let maze = PointMaze::new("pointmaze-medium", 1).expect("a maze");
    let mixed = LocalEnvs::new(vec![Box::new(maze.clone()), Box::new(Other(maze))]).err().expect("two shapes").to_string();
    assert!(mixed.contains("here (2, 2), found (3, 2)"), "{mixed}");
    assert_eq!(rollout(&mut mazes("pointmaze-medium", 1, 2), 0, 0, 0, &mut policy).expect("nothing to do"), []);
    let short = &mut |_: &[f32], _: &[Row]| Ok(vec![0.0; 3]);
    let error = rollout(&mut mazes("pointmaze-medium", 1, 2), 2, 0, 0, short).expect_err("three values for two rows");
    assert!(error.to_string().contains("expected 4 actions (2 rows of 2), found 3"), "{error}");
    let broken = &mut |_: &[f32], _: &[Row]| Ok(vec![f32::NAN; 4]);
    assert!(rollout(&mut mazes("pointmaze-medium", 1, 2), 2, 0, 0, broken).is_err());
}
