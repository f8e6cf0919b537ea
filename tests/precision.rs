//! Precisions: products of quarters and of rounded factors, and what they make of an update and of a training. On a processor
//! that cannot multiply rounded factors their tests are ignored.

#[path = "common/bandit.rs"]
mod bandit;
#[path = "common/folder.rs"]
mod folder;

use std::process::Command;
use std::sync::Arc;

use bandit::{bandit, mean_reward};
use folder::Folder;
use libtest_mimic::{Arguments, Failed, Trial};
use wgflow::Error;
use wgflow::agents::gfp::PolicyAggregate;
use wgflow::agents::{Agent, AgentConfig, GfpConfig};
use wgflow::data::Layout;
use wgflow::engine::bf16::{WIDTH, available, pack, panel_words, product};
use wgflow::engine::product::{MutOperand, Operand, Right};
use wgflow::engine::{Arena, Engine, Precision, Records};

/// Rounded to bfloat16, ties to even.
fn rounded(x: f32) -> f32 {
    let bits = x.to_bits();
    f32::from_bits((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff_0000)
}

fn numbers(count: usize, salt: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919 + salt * 104_729) % 2003) as f32 / 1001.5 - 1.0).collect()
}

fn operand(data: &[f32], (rows, cols): (usize, usize), transposed: bool) -> Operand<f32> {
    let operand = |shape: (usize, usize)| Operand { data: data.as_ptr(), shape, strides: (shape.1, 1) };
    if transposed { operand((cols, rows)).transposed() } else { operand((rows, cols)) }
}

/// An element of the product of the rounded factors, with its sum at f64, and the sum of the absolute values.
fn expected(a: Operand<f32>, b: Operand<f32>, i: usize, j: usize) -> (f64, f64) {
    // SAFETY: inside the operands.
    let at = |o: Operand<f32>, i, j| f64::from(rounded(unsafe { *o.data.add(i * o.strides.0 + j * o.strides.1) }));
    let products = (0..a.shape.1).map(|k| at(a, i, k) * at(b, k, j));
    products.fold((0.0, 0.0), |(sum, size), x| (sum + x, size + f64::abs(x)))
}

fn every_shape() -> Result<(), Failed> {
    for (rows, depth, cols) in [
        (1, 1, 1),
        (3, 5, 7),
        (8, 16, 32),
        (9, 33, 65),
        (4, 40, 96),
        (2, 1100, 33),
        (70, 513, 40),
        (17, 2050, 12),
        (256, 256, 64),
    ] {
        for (left, right) in [(false, false), (false, true), (true, false), (true, true)] {
            one_shape((rows, depth, cols), (left, right))
                .map_err(|problem| format!("{rows} x {depth} x {cols}, transposed: {left}, {right}: {problem}"))?;
        }
    }
    Ok(())
}

fn one_shape((rows, depth, cols): (usize, usize, usize), (left, right): (bool, bool)) -> Result<(), String> {
    let (a, b) = (numbers(rows * depth, 1), numbers(depth * cols, 2));
    let (a, b) = (operand(&a, (rows, depth), left), operand(&b, (depth, cols), right));
    let stride = cols + 3;
    let [mut plain, mut packed] = [0, 1].map(|_| vec![f32::NAN; rows * stride]);
    let out = |data: &mut Vec<f32>| MutOperand { data: data.as_mut_ptr(), shape: (rows, cols), stride };
    let mut panels = vec![f32::NAN; cols.div_ceil(WIDTH) * panel_words(depth)];
    // SAFETY: the vectors have these shapes.
    unsafe {
        product(out(&mut plain), a, Right::Plain(b));
        for (panel, to) in panels.chunks_exact_mut(panel_words(depth)).enumerate() {
            let col = panel * WIDTH;
            pack(to.as_mut_ptr(), b.data.add(col * b.strides.1), b.strides, (depth, WIDTH.min(cols - col)));
        }
        product(out(&mut packed), a, Right::Panels(panels.as_ptr()));
    }
    for (i, row) in plain.chunks(stride).enumerate() {
        for (j, found) in row[..cols].iter().enumerate() {
            let (sum, size) = expected(a, b, i, j);
            // Each step of a sum may lose half a unit of the last place.
            if (f64::from(*found) - sum).abs() > 2f64.powi(-24) * depth.max(4) as f64 * size {
                return Err(format!("({i}, {j}) is {found}, not {sum}"));
            }
        }
        if !row[cols..].iter().all(|x| x.is_nan()) {
            return Err(format!("written beside row {i}"));
        }
    }
    let same = plain.iter().zip(&packed).all(|(a, b)| a.to_bits() == b.to_bits());
    if same { Ok(()) } else { Err("packed before gives other bits".to_owned()) }
}

fn not_a_number() -> Result<(), Failed> {
    for bad in [f32::NAN, f32::from_bits(0x7f80_0001), f32::from_bits(0xffff_ffff), f32::INFINITY] {
        let (a, b, mut c) = ([1.0, bad, 0.5, 0.25], [1.0, 0.0, 2.0, 3.0], [0f32]);
        let (a, b) = (operand(&a, (1, 4), false), operand(&b, (4, 1), false));
        // SAFETY: these shapes.
        unsafe { product(MutOperand { data: c.as_mut_ptr(), shape: (1, 1), stride: 1 }, a, Right::Plain(b)) };
        if !c[0].is_nan() {
            return Err(format!("{bad} times zero gives {}", c[0]).into());
        }
    }
    Ok(())
}

const LAYOUT: Layout = Layout { obs_dim: 5, action_dim: 3 };

fn records() -> Records {
    let record = LAYOUT.record() as usize;
    let mut values: Vec<f32> = numbers(300 * record, 5).iter().map(|x| 0.9 * x).collect();
    for out in values.chunks_exact_mut(record) {
        out[LAYOUT.reward_mask() as usize + 1] = 1.0;
    }
    Records { values: Arc::new(values), record: LAYOUT.record() }
}

/// The gradient of the first update of GFP, over all nets, with hidden layers of this width.
fn gradient(engine: &Engine, width: u32) -> Vec<f64> {
    let mut config = GfpConfig::default();
    (config.common.hidden, config.common.batch) = (vec![width; 3], 128);
    let mut agent = Agent::on_records(engine, &AgentConfig::Gfp(config), LAYOUT, (records(), None), &[7]).unwrap();
    agent.update(1).unwrap();
    let parameters = agent.blueprint().parameters.clone();
    let mut region = parameters.whole(Arena::Training);
    region.cols = parameters.memory.trained();
    agent.machine().read(region, 0).unwrap()
}

/// Rounding has 8 bits, so one factor is off by 2^-9 at most; over an update the errors of many average out and those of
/// several layers add up.
fn close_to_f32() -> Result<(), Failed> {
    let whole = gradient(&Engine::cpu(Some(1)), 128);
    let mixed = gradient(&Engine::cpu(Some(1)).at(Precision::Mixed).unwrap(), 128);
    let error = relative_error(&mixed, &whole);
    println!("relative error of the gradient {error:.2e}");
    if (1e-5..2e-2).contains(&error) { Ok(()) } else { Err(format!("the gradients differ by {error:.2e}").into()) }
}

/// The norm of the difference to what is expected, relative to that.
fn relative_error(found: &[f64], expected: &[f64]) -> f64 {
    let norm = |of: &mut dyn Iterator<Item = f64>| of.map(|x| x * x).sum::<f64>().sqrt();
    norm(&mut expected.iter().zip(found).map(|(a, b)| a - b)) / norm(&mut expected.iter().copied())
}

/// Quarters round twice as much as plain sums, but a gradient passes through other roundings too.
fn quarters_are_about_as_exact_as_plain_sums() -> Result<(), Failed> {
    let exact = gradient(&Engine::Oracle, 256);
    let of = |precision| gradient(&Engine::cpu(Some(1)).at(precision).unwrap(), 256);
    let [plain, quarters] = [of(Precision::Plain), of(Precision::F32)];
    let errors = [&plain, &quarters].map(|found| relative_error(found, &exact));
    println!("relative errors of the gradient: plain {:.2e}, quarters {:.2e}", errors[0], errors[1]);
    match (plain == quarters, errors[1] < 3.0 * errors[0] && errors[0] < 2e-6) {
        (false, true) => Ok(()),
        (true, _) => Err("the same bits: nothing was made of quarters".into()),
        _ => Err(format!("the errors are {errors:?}").into()),
    }
}

/// Uniform actions earn about -1 here; the best 0.
fn learns() -> Result<(), Failed> {
    let mut config = GfpConfig { eta: vec![0.01], alpha: vec![0.1], target_agg: PolicyAggregate::Actor, ..Default::default() };
    let common = &mut config.common;
    (common.hidden, common.learning_rate, common.tau) = (vec![64, 64], vec![2e-3], vec![0.02]);
    let engine = Engine::cpu(None).at(Precision::Mixed).unwrap();
    let mut agent = Agent::new(&engine, &AgentConfig::Gfp(config), (&bandit(), None), &[0]).unwrap();
    agent.update(1_500).unwrap();
    let mean = mean_reward(&mut agent, "actor");
    println!("mean reward {mean:.4}");
    if mean > -0.1 { Ok(()) } else { Err(format!("the actor earns {mean}").into()) }
}

const DATA: &str = "data/pointmaze-medium-navigate/pointmaze-medium-navigate-v0.slim.npz";

fn wgflow(arguments: &str) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_wgflow")).args(arguments.split_whitespace()).output().unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

/// The precision is a setting of the run: whoever resumes it need not name it, and may not change it.
fn a_run_keeps_its_precision() -> Result<(), Failed> {
    let folder = Folder::new("mixed-run");
    let out = folder.join("run").display().to_string();
    let start =
        format!("train --algo gfp --data {DATA} --task 3 --hidden 64,64 --batch 32 --engine cpu --threads 1 --episodes 1");
    let commands = [
        (format!("{start} --steps 3 --precision mixed --out {out}"), true, "engine: CPU, mixed, 1 thread"),
        (format!("train --resume {out} --steps 5 --engine cpu --threads 1"), true, "engine: CPU, mixed, 1 thread"),
        (format!("{start} --steps 3 --precision plain --out {out}-plain"), true, "engine: CPU, plain, 1 thread"),
        (format!("train --resume {out} --steps 7 --engine cpu --precision f32"), false, "--precision"),
        (format!("bench-act {out} --precision mixed --rounds 1 --seconds 0"), true, "mixed, on at most"),
    ];
    for (command, succeeds, told) in commands {
        let (succeeded, text) = wgflow(&command);
        if succeeded != succeeds || !text.contains(told) {
            return Err(format!("{command}: expected {told:?}, found\n{text}").into());
        }
    }
    Ok(())
}

fn only_the_cpu_engine_has_it() -> Result<(), Failed> {
    match Engine::Oracle.at(Precision::Mixed) {
        Err(Error::Setting { .. }) => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

fn main() {
    let trial = |name: &str, test: fn() -> Result<(), Failed>| Trial::test(name, test).with_ignored_flag(!available());
    let trials = vec![
        trial("products of rounded factors are summed at f32 in every shape", every_shape),
        trial("what is no number stays none", not_a_number),
        trial("an update's gradient is close to that at f32", close_to_f32),
        trial("gfp learns", learns),
        trial("a run keeps its precision", a_run_keeps_its_precision),
        Trial::test("only the cpu engine has it", only_the_cpu_engine_has_it),
        Trial::test("quarters are about as exact as plain sums", quarters_are_about_as_exact_as_plain_sums),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
