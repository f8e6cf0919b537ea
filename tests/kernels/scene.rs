//! A plan of one kernel on ragged shapes, and the memory around it: inputs, poisoned outputs, guards.

use std::sync::Arc;

use wgflow::engine::{Arena, Engine, Machine, Memory, Plan, PlanBuilder, Records, Region, padded};
use wgflow::kernels::random::{counter, normal_pair, philox};

/// Lanes of a scene: each has its own values and scalars.
pub const LANES: usize = 3;

/// The scalars of a scene, and each lane's values. All are exact at f32, so that every engine computes with the same.
pub mod slot {
    pub const BETA1: u32 = 0;
    pub const BETA2: u32 = 1;
    pub const RATE: u32 = 2;
    pub const ADAM_EPSILON: u32 = 3;
    pub const TAU: u32 = 4;
    pub const DISCOUNT: u32 = 5;
    pub const ALPHA: u32 = 6;
    pub const ETA: u32 = 7;
    pub const NORM_EPSILON: u32 = 8;
    pub const EXPECTILE: u32 = 9;
    pub const NOISE: u32 = 10;
    pub const BOUND: u32 = 11;
    pub const COUNT: usize = 12;
}

const SCALARS: [[f64; slot::COUNT]; LANES] = [
    [0.9, 0.999, 3e-4, 1e-8, 0.005, 0.99, 10.0, 0.7, 1e-6, 0.9, 0.2, 0.5],
    [0.8, 0.99, 1e-3, 1e-5, 0.1, 0.995, 0.3, 0.0, 1e-5, 0.5, 1.0, 0.25],
    [0.0, 0.95, 1e-2, 1e-3, 1.0, 0.0, 0.0, 2.0, 1e-3, 0.0, 0.0, 1.0],
];

/// What an input is filled with.
#[derive(Clone)]
pub enum Law {
    /// Normals of this deviation.
    Normal(f64),
    /// Uniform between the two, in steps of a 64th, so that equal values occur.
    Within(f64, f64),
    /// These, row by row, the same in every lane.
    Values(Vec<f64>),
}

/// The bits of a number. One NaN is as good as another: which of two operands' a sum takes is the compiler's choice.
pub fn bits(x: f64) -> u64 {
    if x.is_nan() { f64::NAN.to_bits() } else { x.to_bits() }
}

/// The contents of every arena of every lane.
#[derive(Clone, PartialEq)]
pub struct Image {
    /// By arena, then lane.
    pub floats: [Vec<Vec<f64>>; 3],
    /// By lane.
    pub words: Vec<Vec<u32>>,
}

impl Image {
    /// The same bits.
    pub fn same_bits(&self, other: &Self) -> bool {
        let all = |image: &Self| -> Vec<u64> { image.floats.iter().flatten().flatten().map(|x| bits(*x)).collect() };
        self.words == other.words && all(self) == all(other)
    }

    /// One lane of it.
    pub fn lane(&self, lane: usize) -> Self {
        Self { floats: [0, 1, 2].map(|arena| vec![self.floats[arena][lane].clone()]), words: vec![self.words[lane].clone()] }
    }
}

/// What an element of an arena is to a plan.
#[derive(Clone, Copy, PartialEq)]
pub enum Role {
    /// Nobody may write it.
    Guard,
    /// Operation number so and so computes it.
    Value(usize),
    /// Padding of what operation number so and so writes.
    Padding(usize),
}

/// Records operations and what they read.
pub struct SceneBuilder {
    pub plan: PlanBuilder,
    inputs: Vec<(Region, Law)>,
    words: Vec<(Region, Vec<u32>)>,
    clocks: Vec<Region>,
    records: Records,
}

impl SceneBuilder {
    pub fn new(memory: Memory) -> Self {
        Self {
            plan: PlanBuilder::new(memory),
            inputs: Vec::new(),
            words: Vec::new(),
            clocks: Vec::new(),
            records: Records::default(),
        }
    }

    /// A region amid others: four columns of guard on either side, a row above and below.
    pub fn region(&mut self, arena: Arena, rows: u32, cols: u32) -> Region {
        self.plan.memory.alloc(arena, rows + 2, padded(cols) + 8).rows(1, rows).columns(4, cols)
    }

    /// As [`SceneBuilder::region`], in the activations.
    pub fn output(&mut self, rows: u32, cols: u32) -> Region {
        self.region(Arena::Activations, rows, cols)
    }

    /// A region of activations filled by `law`.
    pub fn input(&mut self, rows: u32, cols: u32, law: Law) -> Region {
        let region = self.output(rows, cols);
        self.fill(region, law);
        region
    }

    /// A row of weights.
    pub fn weights(&mut self, cols: u32, law: Law) -> Region {
        let region = self.region(Arena::Weights, 1, cols);
        self.fill(region, law);
        region
    }

    /// The weights of a layer with `depth` inputs; the rows that meet padding of its input are zero.
    pub fn layer(&mut self, depth: u32, cols: u32, law: Law) -> Region {
        let region = self.region(Arena::Weights, padded(depth), cols);
        self.fill(region, Law::Values(vec![0.0; region.len()]));
        self.fill(region.rows(0, depth), law);
        region
    }

    /// Fills a region by `law`; its padding with zeros.
    pub fn fill(&mut self, region: Region, law: Law) {
        self.inputs.push((region, law));
    }

    /// A region of words with these values.
    pub fn words(&mut self, values: &[u32]) -> Region {
        self.plan.memory.alloc(Arena::Words, 1, 4);
        let region = self.plan.memory.alloc(Arena::Words, 1, values.len() as u32);
        self.words.push((region, values.to_vec()));
        region
    }

    /// A clock at `step`; each lane has another seed.
    pub fn clock(&mut self, step: u32) -> Region {
        let clock = self.words(&[step, 0x1234_5678, 0x9abc_def0, 0]);
        self.clocks.push(clock);
        clock
    }

    pub fn records(&mut self, values: Vec<f32>, record: u32) {
        self.records = Records { values: Arc::new(values), record };
    }

    pub fn finish(mut self) -> Scene {
        for arena in Arena::ALL {
            self.plan.memory.alloc(arena, 1, 16);
        }
        let plan = self.plan.finish().expect("the operations fit");
        let before = Image {
            floats: [0, 1, 2].map(|arena| (0..LANES).map(|lane| self.floats(&plan, Arena::ALL[arena], lane)).collect()),
            words: (0..LANES).map(|lane| self.lane_words(&plan, lane)).collect(),
        };
        Scene { plan, memory: self.plan.memory.clone(), records: self.records, before }
    }

    /// A lane's share of an arena: guards, then NaN where the plan writes, then the inputs.
    fn floats(&self, plan: &Plan, arena: Arena, lane: usize) -> Vec<f64> {
        // Reads of a guard show best as NaN, writes to it as a change: the first lane looks for the one, the others for both.
        let guard = |i: u32| if lane == 0 { f64::NAN } else { 64.0 + f64::from(i % 251) };
        let mut values: Vec<f64> = (0..self.plan.memory.used()[arena.index()]).map(guard).collect();
        let each_row = |region: Region| (0..region.rows).map(move |row| (region.offset + row * region.stride) as usize);
        for region in plan.ops.iter().flat_map(|op| &op.writes).filter(|region| region.arena == arena) {
            each_row(*region).for_each(|at| values[at..at + region.padded_cols() as usize].fill(f64::NAN));
        }
        for (number, (region, law)) in self.inputs.iter().enumerate().filter(|(_, (region, _))| region.arena == arena) {
            let mut drawn = draw(law, region.len(), (number * LANES + lane) as u32).into_iter();
            for at in each_row(*region) {
                values[at..at + region.padded_cols() as usize].fill(0.0);
                values[at..at + region.cols as usize].fill_with(|| drawn.next().expect("as many as the region holds"));
            }
        }
        values
    }

    fn lane_words(&self, plan: &Plan, lane: usize) -> Vec<u32> {
        let mut words: Vec<u32> = (0..self.plan.memory.used()[3]).map(|i| 0xabc0_0000 + i).collect();
        for region in plan.ops.iter().flat_map(|op| &op.writes).filter(|region| region.arena == Arena::Words) {
            words[region.offset as usize..][..region.cols as usize].fill(0xdead_beef);
        }
        for (region, values) in &self.words {
            words[region.offset as usize..][..values.len()].copy_from_slice(values);
        }
        for clock in &self.clocks {
            words[clock.offset as usize + 1] += lane as u32;
        }
        words
    }
}

/// `count` values by `law`, exact at f32.
fn draw(law: &Law, count: usize, stream: u32) -> Vec<f64> {
    let bits = |i: usize| philox(counter(1, stream, i as u32), [7, 7]);
    let value = |i: usize| match law {
        Law::Normal(deviation) => deviation * normal_pair::<f64>(bits(i)[0], bits(i)[1]).0,
        Law::Within(low, high) => low + f64::from(bits(i)[0] % (((high - low) * 64.0) as u32 + 1)) / 64.0,
        Law::Values(values) => values[i],
    };
    (0..count).map(|i| f64::from(value(i) as f32)).collect()
}

/// A plan and the memory it runs on.
pub struct Scene {
    pub plan: Plan,
    memory: Memory,
    records: Records,
    before: Image,
}

impl Scene {
    /// The memory before the plan runs.
    pub const fn before(&self) -> &Image {
        &self.before
    }

    /// A machine with the scene's memory, of the lanes `lanes`.
    fn machine(&self, engine: &Engine, lanes: std::ops::Range<usize>) -> Machine {
        let scalars: Vec<f64> = SCALARS[lanes.clone()].iter().flatten().map(|&s| f64::from(s as f32)).collect();
        let datasets = vec![self.records.clone()];
        let mut machine = engine.machine(&self.memory, lanes.len(), &scalars, datasets).expect("the scene fits");
        for (lane, from) in lanes.enumerate() {
            for arena in [0, 1, 2] {
                let values = &self.before.floats[arena][from];
                machine.write(whole(Arena::ALL[arena], values.len()), lane, values).expect("written");
            }
            let words = &self.before.words[from];
            machine.write_words(whole(Arena::Words, words.len()), lane, words).expect("written");
        }
        machine
    }

    fn image(&self, machine: &mut Machine) -> Image {
        let size = |arena: usize| self.memory.used()[arena] as usize;
        let lanes = machine.lanes();
        let mut floats = [0, 1, 2].map(|_| Vec::new());
        for (arena, floats) in floats.iter_mut().enumerate() {
            let region = whole(Arena::ALL[arena], size(arena));
            floats.extend((0..lanes).map(|lane| machine.read(region, lane).expect("read")));
        }
        let region = whole(Arena::Words, size(3));
        Image { floats, words: (0..lanes).map(|lane| machine.read_words(region, lane).expect("read")).collect() }
    }

    /// The memory after one replay of `plan` (this scene's, or its like with other shaders).
    pub fn run(&self, engine: &Engine, plan: &Plan, lanes: std::ops::Range<usize>) -> Image {
        let mut machine = self.machine(engine, lanes);
        let id = machine.load(plan, 0).expect("loaded");
        machine.submit(id, 1).expect("submitted");
        self.image(&mut machine)
    }

    /// The same by the twins, which panic where they touch what their operation did not declare.
    pub fn run_checked(&self, engine: &Engine) -> Image {
        let mut machine = self.machine(engine, 0..LANES);
        match &mut machine {
            Machine::Cpu(m) => {
                m.memory.records = Arc::clone(&self.records.values);
                m.memory.run_checked(&self.plan);
            }
            Machine::Oracle(m) => {
                m.memory.records = Arc::clone(&self.records.values);
                m.memory.run_checked(&self.plan);
            }
            Machine::Gpu(_) => unreachable!("twins run on the processor"),
        }
        self.image(&mut machine)
    }

    /// What each element of an arena is.
    pub fn roles(&self, arena: Arena) -> Vec<Role> {
        let mut roles = vec![Role::Guard; self.memory.used()[arena.index()] as usize];
        for (number, op) in self.plan.ops.iter().enumerate() {
            for region in op.writes.iter().filter(|region| region.arena == arena) {
                for row in 0..region.rows {
                    let row = &mut roles[(region.offset + row * region.stride) as usize..][..region.padded_cols() as usize];
                    row.fill(Role::Padding(number));
                    row[..region.cols as usize].fill(Role::Value(number));
                }
            }
        }
        roles
    }
}

/// An arena as one row.
const fn whole(arena: Arena, elements: usize) -> Region {
    Region { arena, offset: 0, rows: 1, cols: elements as u32, stride: elements as u32 }
}
