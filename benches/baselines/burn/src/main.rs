//! One training step of a plain net in Burn: 33 -> 4x512 -> 5, GELU (tanh form), squared loss, Adam.
//!
//! `burn-peer --backend flex|wgpu [--adapter KIND] [--seconds S]`; it speaks the protocol of ../common.py. KIND is `best`, or
//! `software` for an adapter that is a CPU. RAYON_NUM_THREADS sets the threads of flex.

use std::io::BufRead as _;
use std::time::Instant;

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, DeviceKind, Tensor};
use serde_json::json;

const BATCH: usize = 256;
const WIDTHS: [usize; 6] = [33, 512, 512, 512, 512, 5];
const LEARNING_RATE: f64 = 3e-4;

#[derive(Module, Debug)]
struct Net {
    layers: Vec<Linear>,
}

impl Net {
    fn new(device: &Device) -> Self {
        Self { layers: WIDTHS.windows(2).map(|pair| LinearConfig::new(pair[0], pair[1]).init(device)).collect() }
    }

    fn forward(&self, mut x: Tensor<2>) -> Tensor<2> {
        for (i, layer) in self.layers.iter().enumerate() {
            x = layer.forward(x);
            if i + 1 < self.layers.len() {
                x = gelu(x);
            }
        }
        x
    }
}

/// Burn's own `gelu_approximate` takes the cube by `powf`; products are faster.
fn gelu(x: Tensor<2>) -> Tensor<2> {
    let inner = (x.clone() * x.clone() * x.clone() * 0.044715 + x.clone()) * (2.0 / std::f64::consts::PI).sqrt();
    x * (inner.tanh() + 1.0) * 0.5
}

struct Training {
    net: Option<Net>,
    adam: ModuleOptimizer,
    input: Tensor<2>,
    target: Tensor<2>,
    device: Device,
}

impl Training {
    fn new(device: Device) -> Self {
        let net = Some(Net::new(&device));
        let adam = AdamConfig::new().with_beta_1(0.9).with_beta_2(0.999).with_epsilon(1e-8).init();
        let input = Tensor::ones([BATCH, WIDTHS[0]], &device);
        let target = Tensor::zeros([BATCH, WIDTHS[WIDTHS.len() - 1]], &device);
        Self { net, adam, input, target, device }
    }

    fn loss(&self, net: &Net) -> Tensor<1> {
        let error = net.forward(self.input.clone()) - self.target.clone();
        (error.clone() * error).mean()
    }

    fn step(&mut self) {
        let net = self.net.take().expect("a step puts the net back");
        let gradients = GradientsParams::from_grads(self.loss(&net).backward(), &net);
        self.net = Some(self.adam.step(LEARNING_RATE, net, gradients));
    }

    /// Makes `count` steps and waits for them.
    fn run(&mut self, count: u32) {
        (0..count).for_each(|_| self.step());
        self.device.sync().expect("the device lives");
    }

    fn present_loss(&self) -> f32 {
        let net = self.net.as_ref().expect("a step puts the net back");
        self.loss(net).into_scalar::<f32>()
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let flag = |name: &str| arguments.iter().position(|argument| argument == name).and_then(|i| arguments.get(i + 1));
    let seconds: f64 = flag("--seconds").map_or(2.0, |text| text.parse().expect("--seconds: expected a number"));
    let backend = flag("--backend").map_or("flex", String::as_str);
    let device = match (backend, flag("--adapter").map_or("best", String::as_str)) {
        ("flex", _) => Device::flex(),
        ("wgpu", "best") => Device::wgpu(DeviceKind::DefaultDevice),
        ("wgpu", "software") => Device::wgpu(DeviceKind::Cpu),
        (backend, adapter) => {
            eprintln!("expected --backend flex or wgpu, --adapter best or software; found {backend}, {adapter}");
            std::process::exit(64);
        }
    };
    let mut training = Training::new(device.autodiff());
    let before = training.present_loss();
    // Autotune tries kernels at first.
    training.run(20);
    let after = training.present_loss();
    assert!(after < before, "a step does not train: the loss was {before} and is {after}");
    serve(&format!("{backend}: {:?}", training.device), seconds, |count| training.run(count));
}

/// As `serve` of ../common.py.
fn serve(device: &str, seconds: f64, mut run: impl FnMut(u32)) {
    let mut count = 1;
    loop {
        let start = Instant::now();
        run(count);
        if start.elapsed().as_secs_f64() > (seconds / 4.0).min(0.5) {
            break;
        }
        count *= 2;
    }
    println!("{}", json!({ "ready": true, "versions": { "burn": "0.22.1" }, "device": device }));
    for _ in std::io::stdin().lock().lines() {
        let start = Instant::now();
        let mut done = 0;
        while start.elapsed().as_secs_f64() < seconds {
            run(count);
            done += count;
        }
        println!("{}", json!({ "ms": start.elapsed().as_secs_f64() * 1e3 / f64::from(done) }));
    }
}
