//! Whether a written file says what our own policy does: both act on the same observations and noise.

use std::path::Path;
use std::thread::ScopedJoinHandle;

use super::Format;
use super::observations::{Batch, OBSERVATIONS, Observations};
use super::onnx::Interpreter;
use super::safetensors::Evaluator;
use crate::agents::Policy;
use crate::agents::policy::act_noise;
use crate::error::{Error, Result};

/// Largest difference allowed in an element of an action. Ours is computed at f32, the file's at f64; actions lie in
/// [-1, 1], so the limit is absolute and relative at once.
pub const LIMIT: f64 = 1e-5;

/// An ill-conditioned policy turns the rounding of f32 into more than [`LIMIT`]. Then as much is allowed as this many times
/// what the file's own actions change when every intermediate value of it is rounded to f32.
const ROUNDINGS: f64 = 8.0;

/// Candidates whose values differ by less, relative to max(1, |Q|), are equally good: f32 and f64 may choose either.
const TIE: f64 = 1e-4;

/// Seed of the noise.
const SEED: u64 = 0x6578_706f_7274;

/// Rows that are evaluated at a time: few, since a policy that chooses makes many candidates of each.
const BLOCK: usize = 10;

/// How well a file agrees with us.
#[derive(Clone, Debug)]
pub struct Parity {
    /// Largest absolute difference of an element of an action.
    pub worst: f64,
    /// What was allowed: [`LIMIT`], or more for an ill-conditioned policy.
    pub limit: f64,
    /// Share of elements that lie at -1 or 1, where a clip may hide a difference.
    pub clipped: f64,
    /// Where the observations came from.
    pub source: String,
}

/// Compares `file`, of format `format`, with our own policy, whose forward passes `policy` makes for as many rows as asked.
///
/// # Errors
/// [`Error::Content`] naming `name` if the file cannot be evaluated, or differs by more than is allowed.
pub fn check(
    (file, name): (&Path, &Path),
    format: Format,
    policy: &dyn Fn(u32) -> Result<Policy>,
    observations: &Observations,
) -> Result<Parity> {
    let bytes = std::fs::read(file).map_err(Error::io(file, "read"))?;
    let mut policy = policy(BLOCK as u32)?;
    let columns = policy.noise_cols();
    let noise: Vec<f32> = (0..OBSERVATIONS).flat_map(|i| act_noise(SEED, 0, i as u32, columns)).map(|x| x as f32).collect();
    let batch = Batch { rows: OBSERVATIONS, observations: &observations.values, noise: &noise };
    let refused = |found: String| {
        let remedy = "the file was not kept; report this";
        Error::content(name, "parity", format!("our own actions to {LIMIT:.0e}"), found, remedy)
    };
    let theirs = evaluate(&bytes, format, batch, false).map_err(refused)?;
    if theirs.len() != OBSERVATIONS * policy.dims().action as usize {
        return Err(refused(format!("{} values of actions", theirs.len())));
    }
    let worst = worst_difference(&mut policy, batch, &theirs)?;
    let limit = if worst <= LIMIT {
        LIMIT
    } else {
        let rounded = evaluate(&bytes, format, batch, true).map_err(refused)?;
        let change = theirs.iter().zip(&rounded).map(|(a, b)| (a - b).abs()).fold(0.0, worse);
        (ROUNDINGS * change).max(LIMIT)
    };
    if worst.is_infinite() || worst > limit {
        return Err(refused(format!("a difference of {worst:.1e}, where {limit:.1e} could be rounding")));
    }
    let clipped = theirs.iter().filter(|x| x.abs() >= 1.0).count() as f64 / theirs.len() as f64;
    Ok(Parity { worst, limit, clipped, source: observations.source.clone() })
}

/// The larger difference; one that is not a number is infinite.
const fn worse(a: f64, b: f64) -> f64 {
    if b.is_nan() { f64::INFINITY } else { a.max(b) }
}

/// The largest difference between our actions and `theirs`.
fn worst_difference(policy: &mut Policy, batch: Batch<'_>, theirs: &[f64]) -> Result<f64> {
    let dim = policy.dims().action as usize;
    let mut worst = 0.0;
    for (first, theirs) in (0..batch.rows).step_by(BLOCK).zip(theirs.chunks(BLOCK * dim)) {
        let block = batch.block(first, BLOCK);
        let noise: Vec<f64> = block.noise.iter().copied().map(f64::from).collect();
        let ours = policy.act(block.observations, &noise)?;
        let choices = choices(policy)?;
        for (row, (ours, theirs)) in ours.chunks(dim).zip(theirs.chunks(dim)).enumerate() {
            let difference = |ours: &[f32]| ours.iter().zip(theirs).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, worse);
            let equals = choices.iter().flat_map(|choices| choices[row].chunks(dim)).map(difference);
            worst = worse(worst, equals.fold(difference(ours), f64::min));
        }
    }
    Ok(worst)
}

/// For each of the last actions of a policy that chooses, the candidates that are as good as the chosen one.
fn choices(policy: &mut Policy) -> Result<Option<Vec<Vec<f32>>>> {
    let (Some(candidates), Some(q)) = (policy.probe("candidates")?, policy.probe("q")?) else { return Ok(None) };
    let (rows, dim) = (policy.rows(), policy.dims().action as usize);
    let all = candidates.len() / dim;
    let value = |i: usize| q.iter().skip(i).step_by(all).copied().fold(f64::INFINITY, f64::min);
    let of_row = |row: usize| {
        let own = row * all / rows..(row + 1) * all / rows;
        let best = own.clone().map(value).fold(f64::NEG_INFINITY, f64::max);
        let good = own.filter(|&i| value(i) >= best - TIE * best.abs().max(1.0));
        good.flat_map(|i| &candidates[i * dim..][..dim]).map(|&x| x as f32).collect()
    };
    Ok(Some((0..rows).map(of_row).collect()))
}

/// The actions that a file's bytes stand for, at f64; where `rounded`, with every intermediate value rounded to f32.
fn evaluate(bytes: &[u8], format: Format, batch: Batch<'_>, rounded: bool) -> Result<Vec<f64>, String> {
    match format {
        Format::Onnx => {
            let file = Interpreter::read(bytes)?;
            in_blocks(batch, &|block| file.run(block, rounded))
        }
        Format::Safetensors => {
            let file = Evaluator::read(bytes)?;
            in_blocks(batch, &|block| Ok(file.run(block, rounded)))
        }
    }
}

/// Rows are independent, so threads share them, block by block.
fn in_blocks(batch: Batch<'_>, run: &(dyn Fn(&Batch<'_>) -> Result<Vec<f64>, String> + Sync)) -> Result<Vec<f64>, String> {
    let blocks: Vec<Batch<'_>> = (0..batch.rows).step_by(BLOCK).map(|first| batch.block(first, BLOCK)).collect();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let work = |blocks: &[Batch<'_>]| blocks.iter().map(run).collect::<Result<Vec<_>, _>>().map(|parts| parts.concat());
    std::thread::scope(|scope| {
        let shares = blocks.chunks(blocks.len().div_ceil(threads));
        let workers: Vec<_> = shares.map(|share| scope.spawn(move || work(share))).collect();
        let join = |worker: ScopedJoinHandle<'_, Result<Vec<f64>, String>>| {
            worker.join().unwrap_or_else(|_| Err("evaluating it panicked".to_owned()))
        };
        Ok(workers.into_iter().map(join).collect::<Result<Vec<_>, _>>()?.concat())
    })
}
