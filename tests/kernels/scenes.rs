//! What each kernel is tested on: sizes of one, primes, and a workgroup's or a tile's size give or take one.

use wgflow::engine::{Arena, Memory, PlanBuilder, Region};
use wgflow::kernels::layer_norm::Affine;
use wgflow::kernels::layer_norm_backward::Saved;
use wgflow::kernels::matmul_nn::Epilogue;
use wgflow::kernels::metric::{Ring, Statistic};
use wgflow::kernels::noise::Distribution;
use wgflow::kernels::*;

use super::scene::{Law, Scene, SceneBuilder, slot};

#[path = "losses.rs"]
mod losses;

use losses::*;

const ROWS_COLS: [(u32, u32); 12] =
    [(1, 1), (3, 5), (31, 4), (32, 33), (33, 31), (63, 65), (64, 64), (65, 63), (127, 3), (257, 127), (5, 257), (130, 512)];
const ROWS_DEPTH_COLS: [(u32, u32, u32); 16] = [
    (1, 1, 1),
    (3, 5, 7),
    (31, 33, 32),
    (32, 32, 32),
    (33, 31, 65),
    (63, 64, 1),
    (64, 127, 63),
    (65, 65, 33),
    (127, 3, 257),
    (257, 63, 5),
    (256, 130, 128),
    (80, 256, 320), // the CPU engine makes it of quarters, in two blocks
    (64, 256, 318), // but not of this one, whose padding would not stay zero
    (2, 257, 31),
    (7, 40, 261),
    (8, 512, 64),
];
const NORMAL: Law = Law::Normal(1.0);

/// Everything the tests know of a kernel.
pub struct Subject {
    pub kernel: &'static str,
    pub tolerance: Tolerance,
    /// Plans whose operations are independent of each other, so that each plan is one dispatch.
    pub scenes: fn() -> Vec<Scene>,
}

/// How far a result may lie from the oracle's: `abs + rel * |oracle|`.
pub struct Tolerance {
    pub abs: f64,
    pub rel: f64,
    /// Where the error comes from. Loosening a tolerance needs another reason.
    pub because: &'static str,
}

const fn subject(kernel: &'static str, abs: f64, rel: f64, because: &'static str, scenes: fn() -> Vec<Scene>) -> Subject {
    Subject { kernel, tolerance: Tolerance { abs, rel, because }, scenes }
}

/// Every kernel. One that is in `kernels::ALL` and not here fails the tests.
pub static SUBJECTS: &[Subject] = &[
    subject("clock", 2e-7, 4e-5, "1 - beta^1 at beta 0.999 keeps 14 bits", clock_scenes),
    subject("sample_batch", 0.0, 0.0, "integers", sample_batch_scenes),
    subject("gather", 0.0, 0.0, "copies", gather_scenes),
    subject("noise", 1e-6, 0.0, "radius up to 5.77 times the error of a sine; uniforms are exact", noise_scenes),
    subject("time_embedding", 2e-7, 1e-6, "2 ulp of sine and cosine, and the angle's rounding", time_embedding_scenes),
    subject("interpolate", 5e-7, 0.0, "three roundings of values up to 4", interpolate_scenes),
    subject("matmul_nn", 4e-6, 2e-6, "sums of up to 512 products, of deviation 1; GELU", matmul_nn_scenes),
    subject("matmul_nt", 4e-6, 2e-6, "sums of up to 257 products, of deviation 1, times a factor up to 4", matmul_nt_scenes),
    subject("matmul_tn", 2e-6, 2e-6, "sums of up to 257 products, of deviation 1", matmul_tn_scenes),
    subject("layer_norm", 2e-5, 2e-6, "x - mean cancels where three values are nearly level", layer_norm_scenes),
    subject("layer_norm_backward", 1e-5, 2e-6, "two sums of up to 512; factors up to 4 x 4", layer_norm_backward_scenes),
    subject("layer_norm_gradient", 5e-5, 2e-6, "sums of up to 257 products, up to 100", layer_norm_gradient_scenes),
    subject("perturb", 3e-7, 0.0, "two roundings of values up to 4", perturb_scenes),
    subject("td_target", 1e-6, 2e-6, "a few roundings; a sum of up to 257 squares", td_target_scenes),
    subject("critic_loss", 1e-6, 1e-6, "a few roundings", critic_loss_scenes),
    subject("expectile_loss", 1e-6, 1e-6, "a few roundings of values up to 6", expectile_loss_scenes),
    subject("q_loss", 1e-6, 2e-6, "lambda is a quotient of sums of up to 257", q_loss_scenes),
    subject("distill", 1e-6, 2e-6, "sums of up to 257 squares", distill_scenes),
    subject("bc_penalty", 5e-7, 1e-6, "sums of up to 257 squares", bc_penalty_scenes),
    subject("awr_loss", 1e-6, 5e-6, "the weight is an exponential of ten advantages", awr_loss_scenes),
    subject("best_candidate", 0.0, 0.0, "copies", best_candidate_scenes),
    subject("flow_loss", 2e-6, 4e-6, "the weight is an exponential of an advantage up to 6", flow_loss_scenes),
    subject("adam", 1e-7, 1e-6, "a root, a quotient, and beta^step", adam_scenes),
    subject("ema", 3e-7, 1e-7, "three roundings of values up to 5", ema_scenes),
    subject("metric", 2e-7, 1e-6, "sums of up to 257", metric_scenes),
];

/// One scene of everything `record` records, and one of its last problem alone.
fn scenes<P: Copy>(problems: &[P], record: impl Fn(&mut SceneBuilder, P)) -> Vec<Scene> {
    let scene = |problems: &[P]| {
        let mut scene = SceneBuilder::new(Memory::new());
        problems.iter().for_each(|&problem| record(&mut scene, problem));
        scene.finish()
    };
    vec![scene(problems), scene(&problems[problems.len() - 1..])]
}

/// With a clock at an even and an odd number, or without one.
fn turn(s: &mut SceneBuilder, number: u32) -> Option<Turn> {
    (!number.is_multiple_of(3)).then(|| Turn { clock: s.clock(number), period: 2 })
}

fn clock_scenes() -> Vec<Scene> {
    scenes(&[0, 1, 2, 998, 1_000_000, 7], |s, step| {
        let (clock, corrections) = (s.clock(step), s.output(1, 2));
        clock::record(&mut s.plan, clock, corrections, slot::BETA1, slot::BETA2);
    })
}

fn sample_batch_scenes() -> Vec<Scene> {
    let problems = [(1, 1), (3, 7), (63, 1_000_000), (64, 3), (65, u32::MAX), (257, 1_000), (1_000, 65_537)];
    scenes(&problems, |s, (rows, transitions)| {
        let clock = s.clock(rows * 31);
        s.plan.memory.alloc(Arena::Words, 1, 4);
        let indices = s.plan.memory.alloc(Arena::Words, 1, rows);
        sample_batch::record(&mut s.plan, clock, indices, transitions, rows);
    })
}

fn gather_scenes() -> Vec<Scene> {
    const TRANSITIONS: u32 = 50;
    const RECORD: u32 = 32;
    // Columns of a record between its segments.
    const PADDING: [u32; 8] = [5, 6, 7, 13, 14, 15, 19, 31];
    let problems = [(1, 0, 5, 0), (3, 8, 4, 0), (64, 12, 1, 1), (65, 16, 3, 1), (129, 20, 11, 2), (33, 0, 5, 1)];
    scenes(&problems, |s, (rows, column, cols, shift)| {
        let value = |i: u32| if PADDING.contains(&(i % RECORD)) { 0.0 } else { i as f32 * 0.25 };
        s.records((0..TRANSITIONS * RECORD).map(value).collect(), RECORD);
        let indices: Vec<u32> = (0..rows).map(|row| (row * 37 + 11) % TRANSITIONS).collect();
        let indices = s.words(&indices);
        // Rows whose transition lies in another chunk keep what they hold.
        let (chunk, out) =
            if rows == 65 { ((10, 20), s.input(rows, cols, NORMAL)) } else { ((0, TRANSITIONS), s.output(rows, cols)) };
        let segment = gather::Segment { column, cols, record: RECORD, shift, last: TRANSITIONS - 1 };
        gather::record(&mut s.plan, "gather", indices, segment, chunk, out);
    })
}

fn noise_scenes() -> Vec<Scene> {
    scenes(&ROWS_COLS, |s, (rows, cols)| {
        let clock = s.clock(rows);
        for law in [Distribution::Normal, Distribution::Uniform] {
            let out = s.output(rows, cols);
            noise::record(&mut s.plan, "noise", clock, cols, law, out);
        }
    })
}

fn time_embedding_scenes() -> Vec<Scene> {
    scenes(&[(1, 1), (3, 2), (31, 3), (64, 5), (65, 16), (257, 32), (33, 33)], |s, (rows, half)| {
        let t = s.input(rows, 1, Law::Within(0.0, 1.0));
        let frequencies = s.input(1, half, Law::Values(time_embedding::frequencies(half)));
        let out = s.output(rows, 2 * half);
        time_embedding::record(&mut s.plan, "embedding", t, frequencies, out);
    })
}

fn interpolate_scenes() -> Vec<Scene> {
    scenes(&ROWS_COLS, |s, (rows, cols)| {
        let (x0, action) = (s.input(rows, cols, NORMAL), s.input(rows, cols, NORMAL));
        let t = s.input(rows, 1, Law::Within(0.0, 1.0));
        let (x, velocity) = (s.output(rows, cols), s.output(rows, cols));
        interpolate::record(&mut s.plan, "path", x0, action, t, x, velocity);
    })
}

/// The deviation that gives a sum of `depth` products of normals deviation 1, or half of that at the depth of the products of
/// quarters, which round twice as much.
fn for_sum(depth: u32) -> Law {
    let deviation = if depth == 256 { 0.5 } else { 1.0 };
    Law::Normal(deviation / f64::from(depth).sqrt())
}

fn matmul_nn_scenes() -> Vec<Scene> {
    let problems: Vec<_> = ROWS_DEPTH_COLS.into_iter().flat_map(|shape| (0..9).map(move |mode| (shape, mode))).collect();
    scenes(&problems, |s, ((rows, depth, cols), mode)| {
        let a = s.input(rows, depth, NORMAL);
        let (b, bias) = (s.layer(depth, cols, for_sum(depth)), s.weights(cols, NORMAL));
        let out = s.output(rows, cols);
        let epilogue = match mode {
            0 | 8 => Epilogue::None,
            1 => Epilogue::Gelu { derivative: None },
            2 => Epilogue::Gelu { derivative: Some(s.output(rows, cols)) },
            3 => Epilogue::Clip { raw: Some(s.output(rows, cols)) },
            4 => Epilogue::Euler { x: s.input(rows, cols, NORMAL), steps: 10, last: false },
            5 => Epilogue::Tanh,
            7 => Epilogue::GeluOnto { base: s.input(rows, cols, NORMAL), shift: s.input(1, cols, NORMAL) },
            _ => Epilogue::Euler { x: s.input(rows, cols, NORMAL), steps: 3, last: true },
        };
        matmul_nn::record(
            &mut s.plan,
            &format!("{rows}x{depth}x{cols} {epilogue:?}"),
            a,
            (b, (mode < 7).then_some(bias)),
            out,
            epilogue,
        );
    })
}

fn matmul_nt_scenes() -> Vec<Scene> {
    let problems: Vec<_> = ROWS_DEPTH_COLS.into_iter().flat_map(|shape| [(shape, false), (shape, true)]).collect();
    scenes(&problems, |s, ((rows, depth, cols), with_factor)| {
        let (a, b) = (s.input(rows, depth, NORMAL), s.layer(cols, depth, for_sum(depth)));
        let factor = with_factor.then(|| s.input(rows, cols, NORMAL));
        let out = s.output(rows, cols);
        matmul_nt::record(&mut s.plan, &format!("{rows}x{depth}x{cols}"), a, b, factor, out);
    })
}

fn matmul_tn_scenes() -> Vec<Scene> {
    scenes(&ROWS_DEPTH_COLS, |s, (depth, rows, cols)| {
        let (a, b) = (s.input(depth, rows, NORMAL), s.input(depth, cols, for_sum(depth)));
        let (out, sums) = (s.region(Arena::Training, rows.next_multiple_of(4), cols), s.region(Arena::Training, 1, cols));
        matmul_tn::record(&mut s.plan, &format!("{rows}x{depth}x{cols}"), a, b, out, sums);
    })
}

fn layer_norm_scenes() -> Vec<Scene> {
    let problems: Vec<_> = ROWS_COLS.into_iter().flat_map(|shape| [(shape, false), (shape, true)]).collect();
    scenes(&problems, |s, ((rows, cols), with_stats)| {
        let x = s.input(rows, cols, Law::Within(1.0, 7.0));
        let affine = Affine { scale: s.weights(cols, NORMAL), bias: s.weights(cols, NORMAL) };
        let out = s.output(rows, cols);
        let stats = with_stats.then(|| s.output(rows, 2));
        layer_norm::record(&mut s.plan, &format!("{rows}x{cols}"), x, affine, out, stats, slot::NORM_EPSILON);
    })
}

fn saved(s: &mut SceneBuilder, rows: u32, cols: u32) -> Saved {
    let stats = s.input(rows, 2, Law::Within(0.5, 2.0));
    Saved { x: s.input(rows, cols, NORMAL), stats, derivative: s.input(rows, cols, NORMAL) }
}

fn layer_norm_backward_scenes() -> Vec<Scene> {
    scenes(&ROWS_COLS, |s, (rows, cols)| {
        let d_out = s.input(rows, cols, NORMAL);
        let saved = saved(s, rows, cols);
        let (scale, d_x) = (s.weights(cols, NORMAL), s.output(rows, cols));
        layer_norm_backward::record(&mut s.plan, &format!("{rows}x{cols}"), d_out, saved, scale, d_x);
    })
}

fn layer_norm_gradient_scenes() -> Vec<Scene> {
    scenes(&ROWS_COLS, |s, (rows, cols)| {
        let d_out = s.input(rows, cols, NORMAL);
        let saved = saved(s, rows, cols);
        let gradient = Affine { scale: s.region(Arena::Training, 1, cols), bias: s.region(Arena::Training, 1, cols) };
        layer_norm_gradient::record(&mut s.plan, &format!("{rows}x{cols}"), d_out, saved, gradient);
    })
}

/// Adam steps the whole trained range, so each size is a scene of its own.
fn adam_scenes() -> Vec<Scene> {
    let scene = |elements: u32| {
        let mut memory = Memory::new();
        memory.alloc(Arena::Weights, 1, elements);
        memory.seal_trained();
        let weights = memory.trained_nets()[0];
        let moments = [0, 1, 2].map(|order| memory.moment_of(weights, order));
        let mut s = SceneBuilder::new(memory);
        let [gradient, first, second] = moments;
        s.fill(weights, NORMAL);
        s.fill(gradient, NORMAL);
        s.fill(first, Law::Normal(0.1));
        s.fill(second, Law::Within(0.0, 1.0));
        let corrections = s.input(1, 2, Law::Within(0.25, 1.0));
        let constants =
            adam::Constants { learning_rate: slot::RATE, beta1: slot::BETA1, beta2: slot::BETA2, epsilon: slot::ADAM_EPSILON };
        adam::record(&mut s.plan, corrections, constants);
        s.finish()
    };
    [16, 240, 256, 272, 1_008, 40_000].map(scene).into()
}

fn ema_scenes() -> Vec<Scene> {
    scenes(&[4, 60, 252, 256, 260, 20_000, 12, 20, 28, 40], |s, elements| {
        let net = |plan: &mut PlanBuilder| -> Region {
            plan.memory.alloc(Arena::Weights, 1, 16);
            plan.memory.alloc(Arena::Weights, 1, elements)
        };
        let (source, target) = (net(&mut s.plan), net(&mut s.plan));
        s.fill(source, NORMAL);
        s.fill(target, NORMAL);
        let turn = turn(s, elements / 4);
        ema::record(&mut s.plan, "target", source, target, slot::TAU, turn);
    })
}

fn metric_scenes() -> Vec<Scene> {
    const STATISTICS: [Statistic; 4] = [Statistic::Mean, Statistic::Min, Statistic::Max, Statistic::ShareAbove(0.25)];
    scenes(&[1, 3, 31, 63, 64, 65, 127, 257, 130], |s, rows| {
        let clock = s.clock(rows);
        let ring = Ring { region: s.output(5, 20), clock };
        (0..5).for_each(|slot| s.fill(ring.region.columns(4 * slot, 2), NORMAL));
        let x = s.input(rows, 5, NORMAL);
        for (slot, statistic) in STATISTICS.into_iter().enumerate() {
            metric::record(&mut s.plan, "metric", (x, slot as u32 + 1), statistic, ring, slot as u32);
        }
        let broken =
            (0..rows).map(|row| [f64::NAN, 1.0, f64::INFINITY, f64::NEG_INFINITY, f64::from(f32::MAX)][row as usize % 5]);
        let broken = s.input(rows, 1, Law::Values(broken.collect()));
        metric::record(&mut s.plan, "broken", (broken, 0), Statistic::Mean, ring, 4);
    })
}
