//! Same binary, engine, adapter and seed: same bits. In two runs, with any number of threads, cut and resumed, alone or
//! as a lane among others.

mod common;

use std::path::PathBuf;
use std::sync::Arc;

use common::gpu::{EngineOf, any_gpu};
use libtest_mimic::{Arguments, Failed, Trial};
use wgflow::agents::{ALL, Agent, AgentConfig, Entry};
use wgflow::data::Layout;
use wgflow::engine::{Arena, Engine, GpuOptions, Machine, Precision, Records, Variant, adapter, bf16};
use wgflow::train::checkpoint::{self, Identity};

const LAYOUT: Layout = Layout { obs_dim: 5, action_dim: 3 };
const SEEDS: [u64; 4] = [3, 141, 59, 1 << 40];
const ETAS: [f64; 4] = [0.1, 0.01, 1e-3, 0.3];

/// Updates of a run: many submissions. The agents share what could break, so one of them goes far.
fn updates(config: &AgentConfig) -> u32 {
    match config.name() {
        _ if config.common().hidden[0] >= 256 => 230,
        "gfp" => 2_000,
        _ => 600,
    }
}

/// Transitions of a made-up task, enough to train on without diverging.
fn records() -> Records {
    let record = LAYOUT.record() as usize;
    let mut values = vec![0.0f32; 500 * record];
    for (i, out) in values.chunks_exact_mut(record).enumerate() {
        let x = |k: usize| ((i * 31 + k * 17) as f32 * 0.37).sin();
        let mut put = |column: u32, count: u32, shift: usize| {
            (0..count as usize).for_each(|j| out[column as usize + j] = 0.9 * x(j + shift));
        };
        put(LAYOUT.observation(), LAYOUT.obs_dim, 0);
        put(LAYOUT.action(), LAYOUT.action_dim, 7);
        put(LAYOUT.next_observation(), LAYOUT.obs_dim, 1);
        put(LAYOUT.reward_mask(), 1, 11);
        out[LAYOUT.reward_mask() as usize + 1] = f32::from(u8::from(!i.is_multiple_of(10)));
    }
    Records { values: Arc::new(values), record: LAYOUT.record() }
}

/// Small nets of ragged sizes, with as many etas, or what the agent has instead, as lanes.
fn config(default: AgentConfig, etas: &[f64]) -> AgentConfig {
    let mut config = default;
    let scaled = |factor: f64| etas.iter().map(|eta| factor * eta).collect();
    match &mut config {
        AgentConfig::Gfp(c) => c.eta = scaled(1.0),
        AgentConfig::Fql(c) => c.alpha = scaled(100.0),
        AgentConfig::Ifql(c) => c.expectile = scaled(3.0),
        AgentConfig::Iql(c) => (c.expectile, c.alpha) = (scaled(3.0), scaled(10.0)),
        AgentConfig::Rebrac(c) => (c.alpha_actor, c.alpha_critic) = (scaled(1.0), scaled(0.1)),
        AgentConfig::Bc(c) => c.common.learning_rate = scaled(0.003),
    }
    let common = config.common_mut();
    common.batch = 70; // two blocks of rows, the second ragged
    common.hidden = vec![18, 24];
    common.flow_steps = 3;
    config
}

/// The same with nets that are wide enough to be rounded at mixed precision.
fn wide_config(default: AgentConfig, etas: &[f64]) -> AgentConfig {
    let mut config = config(default, etas);
    config.common_mut().hidden = vec![66, 72];
    config
}

/// Nets whose products are made of quarters at f32, in two blocks of rows.
fn quartered_config(default: AgentConfig, etas: &[f64]) -> AgentConfig {
    let mut config = config(default, etas);
    (config.common_mut().hidden, config.common_mut().batch) = (vec![256, 320], 80);
    config
}

fn agent(engine: &Engine, config: &AgentConfig, seeds: &[u64]) -> Agent {
    Agent::on_records(engine, config, LAYOUT, (records(), Some(records())), seeds).unwrap()
}

/// Weights, gradients and moments of a lane, as bits.
fn state(agent: &mut Agent, lane: usize) -> Vec<u64> {
    let parameters = agent.blueprint().parameters.clone();
    let mut regions = [Arena::Weights, Arena::Training].map(|arena| parameters.whole(arena));
    regions[1].cols = 3 * parameters.memory.trained();
    let values = regions.map(|region| agent.machine().read(region, lane).unwrap());
    values.concat().into_iter().map(f64::to_bits).collect()
}

fn trained(engine: &Engine, config: &AgentConfig, seeds: &[u64]) -> Agent {
    let mut agent = agent(engine, config, seeds);
    agent.update(updates(config)).unwrap();
    agent
}

fn same(what: &str, a: &[u64], b: &[u64]) -> Result<(), Failed> {
    let finite = a.iter().all(|bits| f64::from_bits(*bits).is_finite());
    let moved = a.iter().filter(|bits| **bits != 0).count() > a.len() / 4;
    if !finite || !moved {
        return Err(format!("{what}: the run is broken, so equality says nothing").into());
    }
    let differ = a.iter().zip(b).filter(|(a, b)| a != b).count();
    if differ == 0 && a.len() == b.len() { Ok(()) } else { Err(format!("{what}: {differ} of {} values differ", a.len()).into()) }
}

fn two_runs(engine: &Engine, config: &AgentConfig) -> Result<(), Failed> {
    let mut first = trained(engine, config, &SEEDS[..1]);
    let mut second = trained(engine, config, &SEEDS[..1]);
    let mut other = trained(engine, config, &SEEDS[1..2]);
    if same("", &state(&mut first, 0), &state(&mut other, 0)).is_ok() {
        return Err("another seed gives the same bits".into());
    }
    same("two runs", &state(&mut first, 0), &state(&mut second, 0))
}

/// Updates in odd bursts, with metrics and validation in between, must not change anything.
fn in_pieces(engine: &Engine, config: &AgentConfig) -> Result<(), Failed> {
    let mut whole = agent(engine, config, &SEEDS[..1]);
    whole.update(600).unwrap();
    let mut pieces = agent(engine, config, &SEEDS[..1]);
    for burst in [1, 2, 3, 250, 1, 343] {
        pieces.update(burst).unwrap();
        pieces.read_metrics().unwrap();
        pieces.validate().unwrap();
    }
    same("in pieces", &state(&mut whole, 0), &state(&mut pieces, 0))
}

fn cut_and_resumed(engine: &Engine, config: &AgentConfig, name: &str) -> Result<(), Failed> {
    let identity = Identity { config: "c".to_owned(), dataset: "d".to_owned() };
    let file: PathBuf = std::env::temp_dir().join(format!("wgflow-{}-{name}.safetensors", std::process::id()));
    let mut whole = trained(engine, config, &SEEDS[..1]);
    let all = updates(config);
    // After an odd number: ReBRAC has another kind of update next.
    for cut in [1, all - 223] {
        let mut first = agent(engine, config, &SEEDS[..1]);
        first.update(cut).unwrap();
        checkpoint::save(&file, &mut first, &identity).unwrap();
        drop(first);
        let mut second = agent(engine, config, &SEEDS[..1]);
        checkpoint::Checked::read(&file).unwrap().load(&mut second, &identity).unwrap();
        second.update(all - cut).unwrap();
        same(&format!("cut at {cut}"), &state(&mut whole, 0), &state(&mut second, 0))?;
    }
    std::fs::remove_file(&file).unwrap();
    Ok(())
}

fn lanes(engine: &Engine, config_of: &dyn Fn(&[f64]) -> AgentConfig) -> Result<(), Failed> {
    let mut all = trained(engine, &config_of(&ETAS), &SEEDS);
    for lane in 0..SEEDS.len() {
        let mut solo = trained(engine, &config_of(&ETAS[lane..=lane]), &SEEDS[lane..=lane]);
        same(&format!("lane {lane}"), &state(&mut solo, 0), &state(&mut all, lane))?;
    }
    Ok(())
}

/// Not about bits that repeat but about bits that are broken: a NaN must be seen in the very update it spoils.
fn non_finite(engine: &Engine, config: &AgentConfig) -> Result<(), Failed> {
    for bad in [f64::NAN, f64::INFINITY] {
        let mut agent = agent(engine, config, &SEEDS[..2]);
        agent.update(5).unwrap();
        if agent.read_metrics().unwrap().iter().flatten().any(|sample| sample.broken.is_some()) {
            return Err("a false alarm".into());
        }
        let entries = agent.blueprint().parameters.entries().to_vec();
        let (bias, loss) = if config.name() == "bc" { ("bc_flow", "flow_loss") } else { ("critic", "critic_loss") };
        let bias = entries.iter().find(|e| e.name == format!("{bias}/dense2/bias")).unwrap().tensor.region;
        agent.machine().write(bias.column(0), 1, &[bad]).unwrap();
        agent.update(3).unwrap();
        let names = agent.metric_names();
        let lanes = agent.read_metrics().unwrap();
        let first = lanes[1].iter().find_map(|sample| sample.broken.map(|i| (sample.step, names[i])));
        if first != Some((6, loss)) || lanes[0].iter().any(|sample| sample.broken.is_some()) {
            return Err(format!("{bad} in lane 1 before update 6 was reported as {first:?}").into());
        }
    }
    Ok(())
}

/// One lane, of which the threads take independent operations side by side, and four, which they take depth first.
fn threads(precision: Precision, config_of: &dyn Fn(&[f64]) -> AgentConfig) -> Result<(), Failed> {
    for lanes in [1, SEEDS.len()] {
        let config = config_of(&ETAS[..lanes]);
        let on = |threads| trained(&Engine::cpu(Some(threads)).at(precision).unwrap(), &config, &SEEDS[..lanes]);
        let mut one = on(1);
        for threads in [2, 3] {
            let mut many = on(threads);
            for lane in 0..lanes {
                let name = format!("lane {lane} of {lanes} on {threads} threads");
                same(&name, &state(&mut one, lane), &state(&mut many, lane))?;
            }
        }
    }
    Ok(())
}

/// A state's action is the same among few, whose products are cut along the columns, as among many, whose products are cut along
/// the rows, and which training would make of quarters; with one thread and with several.
fn acting(precision: Precision, default: AgentConfig) -> Result<(), Failed> {
    const MANY: u32 = 64;
    let mut config = config(default, &ETAS[..1]);
    (config.common_mut().hidden, config.common_mut().flow_steps) = (vec![256, 320], 10);
    let states: Vec<f32> = (0..MANY * LAYOUT.obs_dim).map(|i| (i as f32 * 0.37).sin()).collect();
    let [mut one, mut three] = [1, 3].map(|threads| {
        let mut agent = agent(&Engine::cpu(Some(threads)), &config, &SEEDS[..1]);
        agent.update(20).unwrap();
        agent
    });
    let act = |agent: &mut Agent, name: &str, rows: u32| {
        let mut policy = agent.policy(name, 0, rows).unwrap().at(precision).unwrap();
        let (seen, cols) = ((rows * LAYOUT.obs_dim) as usize, policy.noise_cols());
        let noise: Vec<f64> = (0..MANY as usize * cols).map(|i| (i as f64 * 0.73).sin()).collect();
        let pieces = states.chunks(seen).zip(noise.chunks((rows as usize * cols).max(1)).chain(std::iter::repeat(&[][..])));
        let actions = pieces.flat_map(|(states, noise)| policy.act(states, noise).unwrap());
        actions.map(|action| u64::from(action.to_bits())).collect::<Vec<_>>()
    };
    for name in config.policies() {
        let many = act(&mut one, name, MANY);
        for rows in [1, 32] {
            if act(&mut one, name, rows) != many || act(&mut three, name, rows) != many {
                return Err(format!("{name}: {rows} states act otherwise than {MANY}").into());
            }
        }
    }
    Ok(())
}

/// A run that changes between the plain and the large blocks keeps its bits; under another variant it would lose them.
fn variants(config: &AgentConfig) -> Result<(), Failed> {
    let index = adapter::list().iter().find(|report| report.shortfall.is_none()).ok_or("no adapter")?.index;
    let engine =
        |variant| Engine::Gpu(adapter::open(index, GpuOptions { variant: Some(variant), ..GpuOptions::from_env() }).unwrap());
    let identity = Identity { config: "c".to_owned(), dataset: "d".to_owned() };
    let file = std::env::temp_dir().join(format!("wgflow-{}-variants.safetensors", std::process::id()));
    let mut whole = agent(&engine(Variant::Plain), config, &SEEDS[..1]);
    whole.update(60).unwrap();
    let mut first = agent(&engine(Variant::Plain), config, &SEEDS[..1]);
    first.update(23).unwrap();
    checkpoint::save(&file, &mut first, &identity).unwrap();
    let resumed = |variant| {
        let mut second = agent(&engine(variant), config, &SEEDS[..1]);
        checkpoint::Checked::read(&file).unwrap().load(&mut second, &identity).unwrap();
        second.update(37).unwrap();
        state(&mut second, 0)
    };
    let whole = state(&mut whole, 0);
    same("resumed in larger blocks", &whole, &resumed(Variant::Large))?;
    if same("", &whole, &resumed(Variant::Software)).is_ok() {
        return Err("the variant makes no difference: it was not taken".into());
    }
    // A run that measures which of the two is faster runs its products beforehand, which must leave no trace.
    let options = GpuOptions { tune: Some(true), ..GpuOptions::from_env() };
    let mut measured = agent(&Engine::Gpu(adapter::open(index, options).unwrap()), config, &SEEDS[..1]);
    measured.update(60).unwrap();
    same("after measuring", &whole, &state(&mut measured, 0))?;
    match measured.machine() {
        Machine::Gpu(machine) if matches!(machine.variant(), Some(Variant::Plain | Variant::Large)) => {}
        other => return Err(format!("nothing was measured: {other:?}").into()),
    }
    std::fs::remove_file(&file).unwrap();
    Ok(())
}

/// A trial's body: the engine, the agent's settings for given etas, and a name for files.
type Body = fn(&Engine, &dyn Fn(&[f64]) -> AgentConfig, &str) -> Result<(), Failed>;

fn trials_on(
    kind: &'static str,
    engine: Option<&EngineOf>,
    entry: &'static Entry,
    settings: fn(AgentConfig, &[f64]) -> AgentConfig,
) -> Vec<Trial> {
    let missing: EngineOf = Arc::new(|| Engine::Oracle);
    let trial = |what: &str, run: Body| {
        let of = engine.cloned().unwrap_or_else(|| Arc::clone(&missing));
        let name = entry.name;
        let label = format!("{name}-{kind}");
        let body = move || run(&of(), &|etas| settings(entry.defaults(), etas), &label);
        Trial::test(format!("{name}/{kind}/{what}"), body).with_ignored_flag(engine.is_none())
    };
    vec![
        trial("two runs", |engine, config, _| two_runs(engine, &config(&ETAS[..1]))),
        trial("in pieces", |engine, config, _| in_pieces(engine, &config(&ETAS[..1]))),
        trial("cut and resumed", |engine, config, label| cut_and_resumed(engine, &config(&ETAS[..1]), label)),
        trial("non-finite values are seen", |engine, config, _| non_finite(engine, &config(&ETAS[..1]))),
        trial("four lanes", |engine, config, _| lanes(engine, config)),
    ]
}

fn main() {
    let arguments = Arguments::from_args();
    let cpu: EngineOf = Arc::new(|| Engine::cpu(Some(1)));
    let gpu = any_gpu();
    let mut trials = Vec::new();
    for entry in ALL {
        trials.extend(trials_on("cpu", Some(&cpu), entry, config));
        trials.extend(trials_on("gpu", gpu.as_ref(), entry, config));
        let test = move || threads(Precision::F32, &|etas| config(entry.defaults(), etas));
        trials.push(Trial::test(format!("{}/cpu/threads", entry.name), test));
        trials.push(Trial::test(format!("{}/cpu/acting", entry.name), || acting(Precision::F32, entry.defaults())));
    }
    let gfp = ALL.iter().find(|entry| entry.name == "gfp").expect("an agent");
    let test = move || variants(&config(gfp.defaults(), &ETAS[..1]));
    trials.push(Trial::test("gfp/gpu/variants", test).with_ignored_flag(gpu.is_none()));
    trials.extend(trials_on("quarters", Some(&cpu), gfp, quartered_config));
    let test = move || threads(Precision::F32, &|etas| quartered_config(gfp.defaults(), etas));
    trials.push(Trial::test("gfp/quarters/threads", test));
    let mixed = bf16::available().then(|| -> EngineOf { Arc::new(|| Engine::cpu(Some(1)).at(Precision::Mixed).unwrap()) });
    trials.extend(trials_on("mixed", mixed.as_ref(), gfp, wide_config));
    let test = move || threads(Precision::Mixed, &|etas| wide_config(gfp.defaults(), etas));
    trials.push(Trial::test("gfp/mixed/threads", test).with_ignored_flag(mixed.is_none()));
    let test = || acting(Precision::Mixed, gfp.defaults());
    trials.push(Trial::test("gfp/mixed/acting", test).with_ignored_flag(mixed.is_none()));
    libtest_mimic::run(&arguments, trials).exit();
}
