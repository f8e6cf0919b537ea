//! The tasks of OGBench's state environments: goals, tolerances and sizes, and the rewards that follow from them.
//!
//! The numbers come from the `ogbench` 1.2.2 package, exported into `data/ogbench_tasks.json`: 23 environment families
//! with five tasks each. The rules are ogbench `relabel_utils.py relabel_dataset`, bit for bit.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::error::{Error, Result};

static TABLE: LazyLock<BTreeMap<String, Env>> = LazyLock::new(|| {
    let table: serde_json::Result<Table> = serde_json::from_str(include_str!("../../data/ogbench_tasks.json"));
    // Part of the program text, and read by a test: a failure is our bug.
    table.unwrap_or_else(|error| panic!("data/ogbench_tasks.json: {error}")).envs
});

#[derive(Deserialize)]
struct Table {
    envs: BTreeMap<String, Env>,
}

/// One environment family as it stands in the table.
#[derive(Deserialize)]
struct Env {
    default_task: u32,
    max_episode_steps: u32,
    ob_dim: usize,
    action_dim: usize,
    nq: usize,
    /// Absent for puzzles, whose goal is made of buttons only.
    tol: Option<f64>,
    qpos_idx: Option<[usize; 2]>,
    #[serde(default)]
    cube_qpos_idx: Vec<[usize; 3]>,
    #[serde(default)]
    num_buttons: usize,
    drawer_qpos_idx: Option<usize>,
    window_qpos_idx: Option<usize>,
    tasks: BTreeMap<u32, RawTask>,
}

#[derive(Deserialize)]
struct RawTask {
    task_name: String,
    goal_xy: Option<[f64; 2]>,
    #[serde(default)]
    cube_xyz: Vec<[f64; 3]>,
    #[serde(default)]
    button_states: Vec<i64>,
    drawer_pos: Option<f64>,
    window_pos: Option<f64>,
}

/// One thing that must be true of a state for a task to be solved.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Goal {
    /// A point lies within `tolerance` of `at`: an agent or ball in the plane, a cube in space. Metres, or maze units.
    Point {
        /// Columns of `qpos` that hold the point's coordinates.
        qpos: Vec<usize>,
        /// The goal, one coordinate per column.
        at: Vec<f64>,
        /// Largest Euclidean distance that counts, inclusive.
        tolerance: f64,
    },
    /// A button shows this state.
    Button {
        /// Column of `button_states`.
        index: usize,
        /// The state.
        state: i64,
    },
    /// A drawer or window joint lies within `tolerance` of `at`, in metres.
    Joint {
        /// Column of `qpos`.
        qpos: usize,
        /// The goal.
        at: f64,
        /// Largest distance that counts, inclusive.
        tolerance: f64,
    },
}

/// One task of one environment family.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Task {
    /// Environment family, such as `cube-single`.
    pub env: String,
    /// Number of the task, from 1.
    pub id: u32,
    /// OGBench's name of the task, such as `task1_horizontal`.
    pub name: String,
    /// What must hold at once; never empty.
    pub goals: Vec<Goal>,
    /// Steps after which an episode is cut off (`max_episode_steps`).
    pub horizon: u32,
    /// Columns of an observation.
    pub obs_dim: usize,
    /// Columns of an action.
    pub action_dim: usize,
    /// Columns of `qpos`.
    pub qpos_dim: usize,
    /// Columns of `button_states`; 0 where there are no buttons.
    pub buttons: usize,
}

/// The simulator states of a data set, one row per step. Empty arrays where the task's goals do not look.
#[derive(Clone, Copy, Debug)]
pub(super) struct States<'a> {
    /// `[rows, qpos_dim]`
    pub qpos: &'a [f32],
    /// `[rows, buttons]`
    pub buttons: &'a [i64],
}

impl Task {
    /// The goal position `[x, y]` of a maze task, in maze units; `None` for manipulation tasks.
    #[must_use]
    pub fn goal_xy(&self) -> Option<[f64; 2]> {
        match self.goals.as_slice() {
            [Goal::Point { at, .. }] => at.as_slice().try_into().ok(),
            _ => None,
        }
    }

    /// Whether rewards can be computed from `qpos`.
    pub(super) fn needs_qpos(&self) -> bool {
        self.goals.iter().any(|goal| !matches!(goal, Goal::Button { .. }))
    }

    /// Rewards and masks `[rows]` of the states themselves: r(s), not r(s').
    ///
    /// Reward: number of goals met less number of goals, 0 when solved. Mask: 0 when solved, else 1.
    pub(super) fn relabel(&self, rows: usize, states: States) -> (Vec<f32>, Vec<f32>) {
        let (mut rewards, mut masks) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
        for row in 0..rows {
            let qpos = states.qpos.get(row * self.qpos_dim..).unwrap_or_default();
            let buttons = states.buttons.get(row * self.buttons..).unwrap_or_default();
            let missed = self.goals.iter().filter(|goal| !goal.met(qpos, buttons)).count();
            // At most 24 goals: exact. `0.0 -` keeps the solved reward +0, as numpy's integer difference gives.
            rewards.push(0.0 - f32::from(u16::try_from(missed).unwrap_or(u16::MAX)));
            masks.push(if missed == 0 { 0.0 } else { 1.0 });
        }
        (rewards, masks)
    }
}

impl Goal {
    /// Whether a state meets the goal; both slices begin with the state's row. A column that is not there is not met.
    fn met(&self, states_qpos: &[f32], buttons: &[i64]) -> bool {
        match self {
            // numpy promotes f32 - f64 to f64, and sums fewer than eight squares from left to right.
            Self::Point { qpos, at, tolerance } => {
                let difference = |(&column, goal): (&usize, &f64)| states_qpos.get(column).map(|&x| f64::from(x) - goal);
                let squares: Option<f64> = qpos.iter().zip(at).map(difference).try_fold(0.0, |sum, d| d.map(|d| sum + d * d));
                squares.is_some_and(|squares| squares.sqrt() <= *tolerance)
            }
            Self::Button { index, state } => buttons.get(*index) == Some(state),
            // numpy keeps f32 here: a Python float does not promote an f32 array.
            Self::Joint { qpos, at, tolerance } => {
                #[expect(clippy::cast_possible_truncation, reason = "numpy rounds these constants to f32 as well")]
                let (at, tolerance) = (*at as f32, *tolerance as f32);
                states_qpos.get(*qpos).is_some_and(|x| (x - at).abs() <= tolerance)
            }
        }
    }
}

/// Names of the environment families in the table, sorted.
pub fn envs() -> impl Iterator<Item = &'static str> {
    TABLE.keys().map(String::as_str)
}

/// The family a data set's name begins with: `cube-single` for `cube-single-play-v0`.
#[must_use]
pub fn env_of(name: &str) -> Option<&'static str> {
    envs().find(|env| name.strip_prefix(env).is_some_and(|rest| rest.is_empty() || rest.starts_with('-')))
}

/// A task of a family; without an id, OGBench's default task.
///
/// # Errors
/// If the family or the id is not in the table. The message lists what is.
pub fn task(env: &str, id: Option<u32>) -> Result<Task> {
    let Some(spec) = TABLE.get(env) else {
        let expected = format!("one of {}", envs().collect::<Vec<_>>().join(", "));
        let remedy = "only OGBench's state environments have tasks here";
        return Err(Error::setting("env", expected, format!("`{env}`"), remedy));
    };
    let id = id.unwrap_or(spec.default_task);
    let Some(raw) = spec.tasks.get(&id) else {
        let expected = format!("a task from 1 to {} of {env}", spec.tasks.len());
        let remedy = format!("leave it out for the default, {}", spec.default_task);
        return Err(Error::setting("task", expected, id.to_string(), remedy));
    };
    let tolerance = spec.tol.unwrap_or_default();
    let point = |qpos: &[usize], at: &[f64]| Goal::Point { qpos: qpos.to_vec(), at: at.to_vec(), tolerance };
    let joint = |qpos: Option<usize>, at: Option<f64>| qpos.zip(at).map(|(qpos, at)| Goal::Joint { qpos, at, tolerance });
    let mut goals = Vec::new();
    goals.extend(spec.qpos_idx.zip(raw.goal_xy).map(|(qpos, at)| point(&qpos, &at)));
    goals.extend(spec.cube_qpos_idx.iter().zip(&raw.cube_xyz).map(|(qpos, at)| point(qpos, at)));
    goals.extend(raw.button_states.iter().enumerate().map(|(index, &state)| Goal::Button { index, state }));
    goals.extend(joint(spec.drawer_qpos_idx, raw.drawer_pos));
    goals.extend(joint(spec.window_qpos_idx, raw.window_pos));
    Ok(Task {
        env: env.to_owned(),
        id,
        name: raw.task_name.clone(),
        goals,
        horizon: spec.max_episode_steps,
        obs_dim: spec.ob_dim,
        action_dim: spec.action_dim,
        qpos_dim: spec.nq,
        buttons: spec.num_buttons,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_of_the_table_has_the_goals_of_its_family() {
        assert_eq!(envs().count(), 23);
        for env in envs() {
            for id in 1..=5 {
                let task = task(env, Some(id)).unwrap();
                let goals = match env {
                    "scene" => 5,
                    "cube-double" => 2,
                    "cube-triple" => 3,
                    "cube-quadruple" => 4,
                    "cube-octuple" => 8,
                    _ if env.starts_with("puzzle") => task.buttons,
                    _ => 1,
                };
                assert_eq!(task.goals.len(), goals, "{env} {id}");
                assert_eq!(task.goal_xy().is_some(), env.contains("maze") || env.contains("soccer"), "{env} {id}");
                for goal in &task.goals {
                    let inside = match goal {
                        Goal::Point { qpos, at, tolerance } => {
                            qpos.len() == at.len() && qpos.iter().all(|&i| i < task.qpos_dim) && *tolerance > 0.0
                        }
                        Goal::Button { index, .. } => *index < task.buttons,
                        Goal::Joint { qpos, tolerance, .. } => *qpos < task.qpos_dim && *tolerance > 0.0,
                    };
                    assert!(inside, "{env} {id} {goal:?}");
                }
            }
        }
    }

    #[test]
    fn defaults_and_goals_are_ogbench_s() {
        let cube = task("cube-single", None).unwrap();
        assert_eq!((cube.id, cube.horizon, cube.obs_dim, cube.action_dim), (2, 200, 28, 5));
        assert_eq!(cube.goals, [Goal::Point { qpos: vec![14, 15, 16], at: vec![0.5, 0.0, 0.02], tolerance: 0.04 }]);
        assert_eq!(task("pointmaze-medium", Some(1)).unwrap().goal_xy(), Some([20.0, 20.0]));
        assert_eq!(task("puzzle-3x3", None).unwrap().id, 4);
    }

    #[test]
    fn a_wrong_family_or_task_is_refused_with_the_choices() {
        let text = task("cube-sextuple", None).unwrap_err().to_string();
        assert!(text.contains("cube-single") && text.contains("`cube-sextuple`"), "{text}");
        let text = task("scene", Some(6)).unwrap_err().to_string();
        assert_eq!(text, "task: expected a task from 1 to 5 of scene, found 6; leave it out for the default, 2");
    }

    #[test]
    fn names_of_data_sets_lead_to_their_family() {
        for (name, env) in [
            ("pointmaze-medium-navigate-v0", Some("pointmaze-medium")),
            ("scene-play-v0", Some("scene")),
            ("puzzle-4x4", Some("puzzle-4x4")),
            ("scenery-play-v0", None),
            ("visual-cube-single-play-v0", None),
        ] {
            assert_eq!(env_of(name), env, "{name}");
        }
    }

    #[test]
    fn the_tolerance_is_inclusive_and_rewards_count_missed_goals() {
        let maze = task("pointmaze-medium", Some(5)).unwrap();
        let qpos = [0.0, 1.0, 0.0, 1.000_000_1, 0.6, 0.8];
        // f32 0.6 and 0.8 lie a little outside the unit circle once squared in f64.
        assert_eq!(maze.relabel(3, States { qpos: &qpos, buttons: &[] }), (vec![0.0, -1.0, -1.0], vec![0.0, 1.0, 1.0]));
        let puzzle = task("puzzle-3x3", Some(1)).unwrap();
        let buttons = [[1, 1, 0, 1, 0, 1, 0, 1, 1], [0, 1, 0, 1, 0, 1, 1, 1, 1]].concat();
        assert_eq!(puzzle.relabel(2, States { qpos: &[], buttons: &buttons }), (vec![0.0, -2.0], vec![0.0, 1.0]));
    }

    #[test]
    fn the_scene_is_solved_only_with_cube_buttons_drawer_and_window_in_place() {
        let scene = task("scene", Some(1)).unwrap();
        let mut solved = [0.0; 25];
        solved[14..17].copy_from_slice(&[0.35, 0.05, 0.02]);
        solved[23..25].copy_from_slice(&[-0.16, 0.2]);
        let (mut cube_off, mut drawer_off, mut all_off) = (solved, solved, solved);
        cube_off[16] += 0.041;
        drawer_off[23] += 0.041;
        all_off[14..25].fill(9.0);
        let qpos = [solved, cube_off, drawer_off, all_off].concat();
        let states = States { qpos: &qpos, buttons: &[1, 1, 1, 1, 1, 0, 0, 0] };
        assert_eq!(scene.relabel(4, states), (vec![0.0, -1.0, -2.0, -5.0], vec![0.0, 1.0, 1.0, 1.0]));
    }
}
