//! One training step of a plain net in candle, on the CPU: 33 -> 4x512 -> 5, GELU (tanh form), squared loss, Adam.
//!
//! `candle-peer [--seconds S]`; it speaks the protocol of ../common.py. RAYON_NUM_THREADS sets the threads.

use std::io::BufRead as _;
use std::time::Instant;

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{AdamW, Linear, Module, Optimizer, ParamsAdamW, VarBuilder, VarMap, linear};
use serde_json::json;

const BATCH: usize = 256;
const WIDTHS: [usize; 6] = [33, 512, 512, 512, 512, 5];

struct Training {
    layers: Vec<Linear>,
    adam: AdamW,
    input: Tensor,
}

impl Training {
    fn new() -> Result<Self> {
        let variables = VarMap::new();
        let builder = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
        let layer = |(i, pair): (usize, &[usize])| linear(pair[0], pair[1], builder.pp(i.to_string()));
        let layers = WIDTHS.windows(2).enumerate().map(layer).collect::<Result<_>>()?;
        let parameters = ParamsAdamW { lr: 3e-4, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 };
        let adam = AdamW::new(variables.all_vars(), parameters)?;
        Ok(Self { layers, adam, input: Tensor::ones((BATCH, WIDTHS[0]), DType::F32, &Device::Cpu)? })
    }

    /// Of the target zero.
    fn loss(&self) -> Result<Tensor> {
        let mut x = self.input.clone();
        for (i, layer) in self.layers.iter().enumerate() {
            x = layer.forward(&x)?;
            if i + 1 < self.layers.len() {
                x = x.gelu()?;
            }
        }
        x.sqr()?.mean_all()
    }

    fn run(&mut self, count: u32) -> Result<()> {
        (0..count).try_for_each(|_| self.adam.backward_step(&self.loss()?))
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let given = arguments.iter().position(|argument| argument == "--seconds").and_then(|i| arguments.get(i + 1));
    let seconds: f64 = given.map_or(2.0, |text| text.parse().expect("--seconds: expected a number"));
    let mut training = Training::new()?;
    let before = training.loss()?.to_scalar::<f32>()?;
    training.run(20)?;
    let after = training.loss()?.to_scalar::<f32>()?;
    assert!(after < before, "a step does not train: the loss was {before} and is {after}");
    serve(seconds, |count| training.run(count))
}

/// As `serve` of ../common.py.
fn serve(seconds: f64, mut run: impl FnMut(u32) -> Result<()>) -> Result<()> {
    let mut count = 1;
    loop {
        let start = Instant::now();
        run(count)?;
        if start.elapsed().as_secs_f64() > (seconds / 4.0).min(0.5) {
            break;
        }
        count *= 2;
    }
    println!("{}", json!({ "ready": true, "versions": { "candle": "0.11.1" }, "device": "cpu" }));
    for _ in std::io::stdin().lock().lines() {
        let start = Instant::now();
        let mut done = 0;
        while start.elapsed().as_secs_f64() < seconds {
            run(count)?;
            done += count;
        }
        println!("{}", json!({ "ms": start.elapsed().as_secs_f64() * 1e3 / f64::from(done) }));
    }
    Ok(())
}
