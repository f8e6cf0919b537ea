//! OGBench's point mazes without OGBench: a ball of radius 0.7 walks a maze to a goal.
//!
//! An action moves the ball by 0.2 times itself, then the simulator runs 5 steps of 0.02 s from rest, in which walls push
//! the ball out again (`contact.rs` has the formulas). Observation: `[x, y]`. Reward: -1, and 0 in the step that
//! succeeds, which also ends the episode.
//!
//! # Agreement
//!
//! Measured against OGBench 1.2.2 on MuJoCo 4.0.0, x86-64. `tests/envs.rs` repeats it on 18 recorded rollouts, 5485 steps
//! in all four mazes (`tests/fixtures/point_maze.py` records them); the last column is 80 more, 63 465 steps (the same
//! script, asked for `more`). World units; a step is 0.2.
//!
//! | | in the tests | 80 more |
//! |---|---|---|
//! | one step away from walls, greatest error | 0 (every bit equal) | 0 |
//! | one step in contact, median and greatest error | 0, 1.1e-14 | 0, 1.1e-8 |
//! | whole rollouts from the start alone, greatest distance at any step | 1.8e-14 | 1.6e-8 |
//! | success, terminated and truncated flags equal | all | all |
//!
//! What is left is the tolerance of MuJoCo's iterative solver; ours is exact. The noiseless shortest-path controller
//! ([`Maze::oracle`]) succeeds in every episode of `pointmaze-medium` with mean lengths 161.7, 159.6, 90.0, 156.1, 129.7 in
//! tasks 1 to 5 (200 episodes each; OGBench, 50 each: 161.7, 158.7, 89.8, 156.0, 129.5); random actions never succeed.
//!
//! Differs from OGBench in three points. Random numbers are ours, so that starts and teleports agree in distribution
//! only. Actions beyond [-1, 1] are clipped, where OGBench leaves that to the caller. A ball whose centre is
//! inside a wall leaves through the nearest side, where MuJoCo also tries floor and top: clipped actions do not get there.

use super::contact::simulate;
use super::maze::{CELL, Maze};
use super::{Environment, Step, mix};
use crate::error::{Error, Result};

/// World units per unit of action. f32, because OGBench scales the f32 action before it adds it to an f64 position.
const STEP_SCALE: f32 = 0.2;
/// Simulator steps per action.
const FRAME_SKIP: usize = 5;
/// Steps after which OGBench cuts an episode of a point maze off.
const HORIZON: usize = 1000;
/// A position this close to the goal, world units, is a success.
const GOAL_TOLERANCE: f64 = 1.0;
/// Largest distance of a start from its cell's centre along each axis, world units.
const RESET_NOISE: f64 = CELL / 4.0;
/// A position this close to the centre of a teleporter, world units, is teleported.
const TELEPORT_REACH: f64 = 1.5;
/// First counter of the random numbers for teleports; those below belong to the reset.
const TELEPORT_STREAM: u64 = 1 << 32;

/// Which position of a step decides whether it succeeds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum SuccessTiming {
    /// The one before the action, as OGBench does since 1.2.0: a goal first reached in the last step does not count.
    #[default]
    Pre,
    /// The one after the action, as OGBench did before 1.2.0: for comparison with published numbers.
    Post,
}

/// One of OGBench's point mazes with one of its five tasks (`<name>-singletask-task<k>-v0` there).
#[derive(Clone, Debug)]
pub struct PointMaze {
    maze: Maze,
    start: [f64; 2],
    goal: [f64; 2],
    timing: SuccessTiming,
    seed: u64,
    steps: usize,
    position: [f64; 2],
}

impl PointMaze {
    /// The maze of that name, e.g. `pointmaze-medium`, with task 1 to 5. Before the first reset the ball stands at
    /// [`PointMaze::start`].
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no such maze or task.
    pub fn new(name: &str, task: u32) -> Result<Self> {
        let maze = Maze::new(name)?;
        let (start, goal) = maze
            .task(task)
            .ok_or_else(|| Error::setting("task", "1 to 5", task.to_string(), "choose one of the maze's five tasks"))?;
        let (start, goal) = (maze.centre(start), maze.centre(goal));
        Ok(Self { maze, start, goal, timing: SuccessTiming::default(), seed: 0, steps: 0, position: start })
    }

    /// The same environment with another rule for success.
    #[must_use]
    pub fn with_success_timing(self, timing: SuccessTiming) -> Self {
        Self { timing, ..self }
    }

    /// Walls, cells and world coordinates, for plots and controllers.
    pub fn maze(&self) -> &Maze {
        &self.maze
    }

    /// Centre of the task's start cell, `[x, y]` in world units; a reset adds up to 1 unit of noise along each axis.
    pub fn start(&self) -> [f64; 2] {
        self.start
    }

    /// The task's goal, `[x, y]` in world units; a position within [`PointMaze::goal_tolerance`] of it is a success.
    pub fn goal(&self) -> [f64; 2] {
        self.goal
    }

    /// Radius of the goal, world units.
    pub fn goal_tolerance(&self) -> f64 {
        GOAL_TOLERANCE
    }

    /// Where the ball is, `[x, y]` in world units. Equal to the observation but for the step of a teleport, whose
    /// observation is the place the ball vanished from, as in OGBench.
    pub fn position(&self) -> [f64; 2] {
        self.position
    }

    /// Puts the ball at `[x, y]`, world units; the step count stays.
    pub fn place(&mut self, position: [f64; 2]) {
        self.position = position;
    }

    fn at_goal(&self) -> bool {
        (self.position[0] - self.goal[0]).hypot(self.position[1] - self.goal[1]) <= GOAL_TOLERANCE
    }

    fn observation(&self) -> Vec<f32> {
        self.position.map(|v| v as f32).to_vec()
    }

    /// Moves the ball to a random exit if it is in reach of an entrance.
    fn teleport(&mut self) {
        let [x, y] = self.position;
        let entered = self.maze.teleport_in().iter().map(|&cell| self.maze.centre(cell));
        let exits = self.maze.teleport_out();
        if entered.into_iter().any(|[cx, cy]| (x - cx).hypot(y - cy) <= TELEPORT_REACH) {
            let choice = mix(self.seed, TELEPORT_STREAM + self.steps as u64) % exits.len() as u64;
            self.position = self.maze.centre(exits[choice as usize]);
        }
    }
}

impl Environment for PointMaze {
    fn obs_dim(&self) -> usize {
        2
    }

    fn action_dim(&self) -> usize {
        2
    }

    fn horizon(&self) -> usize {
        HORIZON
    }

    fn reset(&mut self, seed: u64) -> Result<Vec<f32>> {
        (self.seed, self.steps) = (seed, 0);
        // 53 bits are what an f64 holds: uniform in [-1, 1).
        let noise = |axis: u64| (mix(seed, axis) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0;
        self.position = [self.start[0] + RESET_NOISE * noise(0), self.start[1] + RESET_NOISE * noise(1)];
        Ok(self.observation())
    }

    fn step(&mut self, action: &[f32]) -> Result<Step> {
        let Ok(action) = <[f32; 2]>::try_from(action) else {
            return Err(Error::setting("action", "2 values", action.len().to_string(), "match the policy to the maze"));
        };
        if !action.iter().all(|v| v.is_finite()) {
            let found = format!("{action:?}");
            return Err(Error::setting("action", "finite values", found, "the policy diverged: lower its learning rate"));
        }
        let before = self.at_goal();
        let moved = |axis: usize| self.position[axis] + f64::from(STEP_SCALE * action[axis].clamp(-1.0, 1.0));
        self.position = simulate(&self.maze, [moved(0), moved(1)], FRAME_SKIP).position;
        self.steps += 1;
        let success = match self.timing {
            SuccessTiming::Pre => before,
            SuccessTiming::Post => self.at_goal(),
        };
        let observation = self.observation();
        self.teleport();
        let reward = if success { 0.0 } else { -1.0 };
        Ok(Step { observation, reward, success, terminated: success, truncated: self.steps >= HORIZON })
    }
}
