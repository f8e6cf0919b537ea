//! The shipped program serves what was asked for: episodes, quotas, observations, whatever else is printed.

use std::collections::HashSet;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wgflow::envs::process::PROGRAM;
use wgflow::envs::{Environments, Episode, ProcessEnvs, SuccessTiming, rollout};

use super::Test;
use super::fake::{actions, episodes, options, path, python, seed_there, with_d4rl};

pub const TESTS: &[Test] = &[
    ("every episode is the one its seed asks for", every_episode_is_the_one_its_seed_asks_for),
    ("first observations come in the order asked for", first_observations_come_in_the_order_asked_for),
    ("environments and processes change no episode", environments_and_processes_change_no_episode),
    ("dictionaries are flattened by sorted key", dictionaries_are_flattened_by_sorted_key),
    ("the greeting tells what is served", the_greeting_tells_what_is_served),
    ("unknown success is told apart from failure", unknown_success_is_told_apart_from_failure),
    ("d4rl's old interface is served as the new one", d4rls_old_interface_is_served_as_the_new_one),
    ("slow starts are signs of life", slow_starts_are_signs_of_life),
    ("a process ends with its input and with its handle", a_process_ends_with_its_input_and_with_its_handle),
];

/// The made-up environment's episode, calculated here. The value it draws without a seed is left out.
fn expected(seed: u64, index: usize) -> Episode {
    let seed = seed_there(seed, index);
    let length = 3 + (seed % 5) as usize;
    let first = index as f64 / 64.0;
    Episode { success: seed % 2 == 1, total_reward: first * length as f64, length, path: None }
}

fn every_episode_is_the_one_its_seed_asks_for() {
    let mut envs = ProcessEnvs::start(&options("plain-v0", 3, 2)).unwrap();
    // Twice with the same environments: nothing is left over from the first time.
    for seed in [5, 6] {
        let found = episodes(&mut envs, 20, seed).unwrap();
        assert_eq!(found.len(), 20);
        for (index, episode) in found.iter().enumerate() {
            assert_eq!(Episode { path: None, ..episode.clone() }, expected(seed, index), "episode {index}");
            let path = episode.path.as_ref().unwrap();
            let mut sum = 0.0_f32;
            for (step, row) in path.observations.chunks_exact(4).enumerate() {
                assert_eq!(row[..2], [(seed_there(seed, index) % 97) as f32, step as f32], "episode {index}, step {step}");
                assert!((row[2] - sum).abs() < 1e-5 && (0.0..1.0).contains(&row[3]), "{row:?}");
                sum += path.actions.get(2 * step..2 * step + 2).map_or(0.0, |action| action.iter().sum());
            }
        }
    }
}

fn first_observations_come_in_the_order_asked_for() {
    let mut envs = ProcessEnvs::start(&options("flat2-v0", 4, 2)).unwrap();
    let first = envs.reset(&[(3, 30), (0, 10), (2, 20), (1, 40)]).unwrap();
    assert_eq!(first, [30.0, 0.0, 10.0, 0.0, 20.0, 0.0, 40.0, 0.0]);
    let steps = envs.step(&[true, false, true, true], &[0.0; 8]).unwrap();
    let seen: Vec<_> = steps.into_iter().map(|step| step.observation).collect();
    assert_eq!(seen, [[10.0, 1.0], [20.0, 1.0], [30.0, 1.0]]);
}

fn environments_and_processes_change_no_episode() {
    let run = |count, processes| {
        let mut envs = ProcessEnvs::start(&options("plain-v0", count, processes)).unwrap();
        let (mut active, mut batches) = (0, HashSet::new());
        let found = rollout(&mut envs, 11, 9, 11, &mut |observations, rows| {
            active += rows.iter().filter(|row| row.active).count();
            batches.insert((observations.len(), rows.len()));
            Ok(actions(rows))
        })
        .unwrap();
        assert_eq!(active, found.iter().map(|e| e.length).sum::<usize>(), "each step is of use");
        assert_eq!(batches, HashSet::from([(4 * count, count)]));
        found
    };
    // The fourth value was drawn without a seed: it too follows from the episode's.
    let alone = run(1, 1);
    for (count, processes) in [(2, 1), (5, 2), (12, 3), (3, 7)] {
        assert!(run(count, processes) == alone, "{count} environments in {processes} processes");
    }
    let drawn: HashSet<u32> = alone.iter().map(|e| e.path.as_ref().unwrap().observations[3].to_bits()).collect();
    assert_eq!(drawn.len(), 11, "episodes draw different numbers");
}

fn dictionaries_are_flattened_by_sorted_key() {
    let mut plain = ProcessEnvs::start(&options("plain-v0", 1, 1)).unwrap();
    let mut dict = ProcessEnvs::start(&options("dict-v0", 1, 1)).unwrap();
    assert_eq!(dict.obs_dim(), 4);
    assert_eq!(dict.reset(&[(0, 77)]).unwrap(), plain.reset(&[(0, 77)]).unwrap());
}

fn the_greeting_tells_what_is_served() {
    let mut asked = options("plain-v0", 2, 1);
    let hello = ProcessEnvs::start(&asked).unwrap().hello().clone();
    assert_eq!((hello.env.as_str(), hello.obs_dim, hello.action_dim, hello.horizon), ("plain-v0", 4, 2, 50));
    assert_eq!(hello.versions["gymnasium"], "0.1-fake");
    assert!(hello.versions["python"].starts_with("3."));
    assert_eq!(hello.success_timing.as_deref(), Some("pre"));
    asked.success_timing = Some(SuccessTiming::Post);
    let refused = ProcessEnvs::start(&asked).err().unwrap().to_string();
    assert!(refused.contains("only OGBench"), "{refused}");
}

fn unknown_success_is_told_apart_from_failure() {
    for (env, tells) in [("plain-v0", true), ("silent-v0", false)] {
        let mut envs = ProcessEnvs::start(&options(env, 2, 2)).unwrap();
        let found = episodes(&mut envs, 4, 1).unwrap();
        assert_eq!(envs.tells_success(), tells, "{env}");
        assert!(tells || found.iter().all(|e| !e.success));
    }
}

fn d4rls_old_interface_is_served_as_the_new_one() {
    // An id that Gymnasium does not know is looked for in d4rl; the prefix says so at once.
    for env in ["antmaze-umaze-v2", "d4rl:antmaze-umaze-v2", "d4rl:hopper-medium-v2"] {
        let mut envs = ProcessEnvs::start(&with_d4rl(env)).unwrap();
        let name = env.trim_start_matches("d4rl:");
        assert_eq!((envs.hello().env.as_str(), envs.horizon()), (format!("d4rl:{name}").as_str(), 4));
        let maze = name.starts_with("antmaze");
        for seed in [6, 7] {
            envs.reset(&[(1, seed)]).unwrap();
            let steps: Vec<_> = (0..4).map(|_| envs.step(&[false, true], &[0.0; 4]).unwrap().remove(0)).collect();
            let total: f64 = steps.iter().map(|step| step.reward).sum();
            let odd = seed == 7;
            assert_eq!((total, steps[3].success), if maze { (f64::from(u8::from(odd)), odd) } else { (10.0, false) }, "{env}");
            assert_eq!((steps[3].terminated, steps[3].truncated), (odd, !odd), "{env}, seed {seed}");
            assert!(steps[..3].iter().all(|step| !step.terminated && !step.truncated));
        }
        assert_eq!(envs.tells_success(), maze, "{env}");
    }
}

fn slow_starts_are_signs_of_life() {
    // Four resets of 0.4 s each in one process, of which no one takes as long as the limit.
    let mut asked = options("lazy-v0", 4, 1);
    asked.timeout = Duration::from_millis(1200);
    // Python's own start may take longer on a busy machine; then there is nothing to learn here.
    let Ok(mut envs) = ProcessEnvs::start(&asked) else { return };
    let start = Instant::now();
    let starts: Vec<(usize, u64)> = (0..4).map(|i| (i, i as u64)).collect();
    assert_eq!(envs.reset(&starts).unwrap().len(), 16);
    assert!(start.elapsed() > asked.timeout, "the answer took longer than the limit for silence");
}

fn a_process_ends_with_its_input_and_with_its_handle() {
    let run =
        ["-c", "import sys; exec(sys.stdin.buffer.read(int(sys.argv.pop(1))))", &PROGRAM.len().to_string(), "plain-v0", "1"];
    let mut child = Command::new(python().unwrap())
        .args(run)
        .env("PYTHONPATH", path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Dropping the pipe is what the death of its owner does.
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), PROGRAM.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "the end of the input is an orderly end");

    // One that hangs is ended with its handle, and at once.
    let mut envs = ProcessEnvs::start(&options("hang-v0", 1, 1)).unwrap();
    envs.reset(&[(0, 0)]).unwrap();
    envs.step(&[true], &[0.0, 0.0]).unwrap();
    let start = Instant::now();
    drop(envs);
    assert!(start.elapsed() < Duration::from_secs(30), "it would have slept for 60 s");
}
