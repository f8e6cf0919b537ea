//! A run's pictures: learning curves, and the learned vector field on the maze.

use std::path::PathBuf;

use super::evaluate::{Evaluation, Task};
use super::metrics::Metrics;
use super::plot::{self, Arrow, Field, FieldPanel, Goal, Panel, Rollout, ScalarGrid, Series};
use super::run::RunFolder;
use crate::agents::policy::{Values, act_noise};
use crate::agents::{Agent, Policy};
use crate::envs::{CELL, Maze, PointMaze, RADIUS};
use crate::error::Result;

/// Samples of the value along a cell's edge.
const VALUES_PER_CELL: usize = 8;
/// Arrows along a cell's edge.
const ARROWS_PER_CELL: usize = 3;
/// Draws that an arrow averages.
const DRAWS: u32 = 16;
/// Places asked for at once of a policy that chooses from candidates.
const PART: usize = 128;
/// Metrics of one panel: title, whether its axis is logarithmic, and (legend, name) of its lines.
type PanelOf = (&'static str, bool, &'static [(&'static str, &'static str)]);

const PANELS: &[PanelOf] = &[
    ("Critic loss", true, &[("train", "train/critic_loss"), ("validation", "val/critic_loss")]),
    ("Q of the batch", false, &[("mean", "train/q_mean"), ("min", "train/q_min"), ("max", "train/q_max")]),
    ("Value loss", true, &[("train", "train/value_loss"), ("validation", "val/value_loss")]),
    ("V of the batch", false, &[("mean", "train/v_mean"), ("min", "train/v_min"), ("max", "train/v_max")]),
    ("Actor loss", false, &[("train", "train/actor_loss"), ("validation", "val/actor_loss")]),
    ("Distance to the data's actions", true, &[("train", "train/bc_loss"), ("validation", "val/bc_loss")]),
    ("Flow loss", true, &[("train", "train/flow_loss"), ("validation", "val/flow_loss")]),
    ("Distillation loss", true, &[("train", "train/distill_loss"), ("validation", "val/distill_loss")]),
    (
        "Guidance g",
        false,
        &[
            ("mean", "train/guidance_mean"),
            ("share above 0.1", "train/guidance_above_0.1"),
            ("share above 0.5", "train/guidance_above_0.5"),
            ("share above 0.75", "train/guidance_above_0.75"),
        ],
    ),
];

/// Draws what the run has data for, from lane 0. Returns the stems' SVG and PNG files.
///
/// # Errors
/// [`crate::Error::Io`]; on a GPU also a lost device.
pub fn draw(
    folder: &RunFolder,
    metrics: &Metrics,
    agent: &mut Agent,
    task: Option<&Task>,
    evaluations: &[Vec<Evaluation>],
) -> Result<Vec<PathBuf>> {
    let name = agent.config().name().to_uppercase();
    let place = task.map_or_else(String::new, |t| format!(" on {} task {}", t.env, t.task));
    let curves = folder.path().join("curves");
    plot::learning_curves(&curves, &format!("{name}{place}, {} updates", agent.step()), &panels(metrics, agent))?;
    let mut stems = vec![curves];
    if let (Some(task), Some(lane)) = (task, evaluations.first()) {
        let field = folder.path().join("field");
        let picture = vector_field(agent, task, lane)?;
        plot::vector_field(&field, &format!("{name}{place}: mean action, value, and rolled-out episodes"), &picture)?;
        stems.push(field);
    }
    let files = stems.iter().flat_map(|stem| ["svg", "png"].map(|suffix| stem.with_extension(suffix)));
    Ok(files.collect())
}

fn panels(metrics: &Metrics, agent: &Agent) -> Vec<Panel> {
    let mut panels = Vec::new();
    let success = agent
        .config()
        .policies()
        .iter()
        .enumerate()
        .flat_map(|(colour, policy)| (0..agent.seeds().len()).map(move |lane| (colour, *policy, lane)));
    let success: Vec<Series> = success
        .map(|(colour, policy, lane)| {
            let points = metrics.series(lane, &format!("eval/{policy}/success")).into_iter().map(|[x, y]| [x, 100.0 * y]);
            let label = if lane == 0 { policy } else { "" };
            Series::new(label, points.collect()).with_markers().with_colour(colour)
        })
        .collect();
    if success.iter().any(|series| !series.points.is_empty()) {
        let (title, y_label) = ("Success".to_owned(), "% of episodes".to_owned());
        panels.push(Panel { title, y_label, y_range: Some([0.0, 100.0]), series: success, ..Panel::default() });
    }
    for (title, log_y, lines) in PANELS {
        let lines = lines.iter().map(|(label, name)| (label, metrics.series(0, name)));
        let present = lines.filter(|(_, points)| !points.is_empty());
        let series: Vec<Series> = present.map(|(label, points)| Series::new(*label, points)).collect();
        if !series.is_empty() {
            panels.push(Panel { title: (*title).to_owned(), log_y: *log_y, series, ..Panel::default() });
        }
    }
    panels
}

fn vector_field(agent: &mut Agent, task: &Task, evaluations: &[Evaluation]) -> Result<Field> {
    let env = task.environment()?;
    let maze = env.maze();
    let ([x, y], _) = maze.extents();
    let weights = agent.weights(0)?;
    let values = value_grid(agent, &env, &weights)?;
    let mut panels = Vec::new();
    for evaluation in evaluations {
        panels.push(FieldPanel {
            title: evaluation.policy.to_owned(),
            scalar: values.clone(),
            arrows: arrows(agent, maze, evaluation.policy, &weights)?,
            samples: Vec::new(),
            rollouts: rollouts(evaluation, agent.dims().obs as usize),
        });
    }
    Ok(Field {
        maze: plot::Maze { rows: maze.rows(), cols: maze.cols(), walls: maze.walls().to_vec(), cell: CELL, origin: [x, y] },
        scalar_label: format!("Q(s, {}'s action)", agent.config().policies()[0]),
        start: Some(env.start()),
        goal: Some(Goal { at: env.goal(), tolerance: env.goal_tolerance() }),
        arrow_length: None,
        panels,
    })
}

fn rollouts(evaluation: &Evaluation, obs_dim: usize) -> Vec<Rollout> {
    let kept = evaluation.episodes.iter().filter_map(|e| e.path.as_ref().map(|path| (e.success, path)));
    kept.map(|(success, path)| {
        let points = path.observations.chunks_exact(obs_dim).map(|o| [f64::from(o[0]), f64::from(o[1])]).collect();
        Rollout { points, success }
    })
    .collect()
}

/// Places on a regular grid, `per_cell` along a cell's edge, row by row from the lowest.
fn grid(maze: &Maze, per_cell: usize) -> (usize, usize, [f64; 2], f64, Vec<[f64; 2]>) {
    let ([x, y], _) = maze.extents();
    let step = CELL / per_cell as f64;
    let (rows, cols) = (maze.rows() * per_cell, maze.cols() * per_cell);
    let origin = [x + step / 2.0, y + step / 2.0];
    let places = (0..rows).flat_map(|r| (0..cols).map(move |c| [origin[0] + step * c as f64, origin[1] + step * r as f64]));
    (rows, cols, origin, step, places.collect())
}

/// Mean action of `policy` at each place, over the same few draws of noise; over one where the policy is deterministic or
/// makes many draws by itself. The latter's places are asked for in parts, since each is many rows.
fn mean_actions(agent: &Agent, policy: &str, weights: &[f64], places: &[[f64; 2]]) -> Result<Vec<[f32; 2]>> {
    let of = |rows: usize| Policy::new(agent.config(), agent.dims(), policy, weights, rows as u32, 1);
    let cols = of(1)?.noise_cols();
    if cols > 2 && places.len() > PART {
        let parts = places.chunks(PART).map(|part| mean_actions(agent, policy, weights, part));
        return Ok(parts.collect::<Result<Vec<_>>>()?.concat());
    }
    let mut policy = of(places.len())?;
    let observations = observations(places);
    let mut sums = vec![[0.0; 2]; places.len()];
    let draws = if cols == 2 { DRAWS } else { 1 };
    for draw in 0..draws {
        let noise = act_noise(0, draw, 0, cols).repeat(places.len());
        for (sum, action) in sums.iter_mut().zip(policy.act(&observations, &noise)?.chunks_exact(2)) {
            sum[0] += action[0] / draws as f32;
            sum[1] += action[1] / draws as f32;
        }
    }
    Ok(sums)
}

fn observations(places: &[[f64; 2]]) -> Vec<f32> {
    places.iter().flat_map(|p| [p[0] as f32, p[1] as f32]).collect()
}

fn value_grid(agent: &Agent, env: &PointMaze, weights: &[f64]) -> Result<Option<ScalarGrid>> {
    let maze = env.maze();
    let (rows, cols, origin, step, places) = grid(maze, VALUES_PER_CELL);
    let judged = agent.config().policies()[0];
    let critic = Values::new(agent.config(), agent.dims(), weights, places.len() as u32, 1)?;
    let Some(mut critic) = critic else { return Ok(None) };
    let actions = mean_actions(agent, judged, weights, &places)?;
    let mut values = critic.q(&observations(&places), &actions.concat())?;
    for (value, place) in values.iter_mut().zip(&places) {
        if maze.is_wall(maze.cell(*place)) {
            *value = f64::NAN;
        }
    }
    Ok(Some(ScalarGrid { rows, cols, origin, step: [step, step], values }))
}

fn arrows(agent: &Agent, maze: &Maze, policy: &str, weights: &[f64]) -> Result<Vec<Arrow>> {
    let (_, _, _, _, places) = grid(maze, ARROWS_PER_CELL);
    // Where the ball cannot be, the policy was never asked.
    let reachable = |place: &[f64; 2]| {
        [[0.0, 0.0], [RADIUS, 0.0], [-RADIUS, 0.0], [0.0, RADIUS], [0.0, -RADIUS]]
            .iter()
            .all(|d| !maze.is_wall(maze.cell([place[0] + 0.9 * d[0], place[1] + 0.9 * d[1]])))
    };
    let places: Vec<[f64; 2]> = places.into_iter().filter(reachable).collect();
    let actions = mean_actions(agent, policy, weights, &places)?;
    let arrow = |(at, action): (&[f64; 2], &[f32; 2])| Arrow { at: *at, vector: [f64::from(action[0]), f64::from(action[1])] };
    Ok(places.iter().zip(&actions).map(arrow).collect())
}
