//! The fixture README's list of known mistakes, each made on purpose: the comparison must notice.

use std::sync::Arc;

use libtest_mimic::{Failed, Trial};
use wgflow::agents::AgentConfig;
use wgflow::engine::{Arena, Context, Engine, Kernel, Operation, Plan, Real, Shader};
use wgflow::kernels::layer_norm::{LayerNorm, LayerNormProblem};
use wgflow::kernels::matmul_nn::{MatmulNn, MatmulNnProblem};
use wgflow::kernels::q_loss::{QLoss, QLossProblem};

use super::common::fixture::Fixture;
use super::common::limits::Limits;
use super::compare;

/// LayerNorm with PyTorch's epsilon of 1e-5 instead of flax's 1e-6.
struct TorchEpsilon;

impl Operation for TorchEpsilon {
    type Problem = LayerNormProblem;
    const NAME: &'static str = "layer_norm";
    const SHADERS: &'static [Shader] = LayerNorm::SHADERS;

    fn blocks(problem: &LayerNormProblem) -> u32 {
        LayerNorm::blocks(problem)
    }

    fn twin<R: Real>(p: &LayerNormProblem, cx: &Context<'_, R>, block: u32) {
        LayerNorm::twin(p, cx, block);
        let (scale, bias) = (cx.row(Arena::Weights, p.scale, p.cols), cx.row(Arena::Weights, p.bias, p.cols));
        for row in block * 64..p.rows.min((block + 1) * 64) {
            let x = cx.row(Arena::Activations, p.x + row * p.x_stride, p.cols);
            let n = R::of(f64::from(p.cols));
            let mean = x.iter().fold(R::ZERO, |s, v| s + *v) / n;
            let variance = x.iter().fold(R::ZERO, |s, v| s + (*v - mean) * (*v - mean)) / n;
            let inverse = R::ONE / (variance + R::of(1e-5)).sqrt();
            let out = cx.row_mut(Arena::Activations, p.out + row * p.out_stride, p.cols);
            for i in 0..x.len() {
                out[i] = (x[i] - mean) * inverse * scale[i] + bias[i];
            }
            if p.stats != wgflow::engine::NONE {
                cx.row_mut(Arena::Activations, p.stats + row * p.stats_stride, 2).copy_from_slice(&[mean, inverse]);
            }
        }
    }
}

/// GELU by the error function instead of its tanh form.
struct ErfGelu;

fn erf(x: f64) -> f64 {
    // Abramowitz and Stegun 7.1.26: 1.5e-7, far below the two forms' difference.
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let p = t * (0.254_829_592 + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    (1.0 - p * (-x * x).exp()).copysign(x)
}

impl Operation for ErfGelu {
    type Problem = MatmulNnProblem;
    const NAME: &'static str = "matmul_nn";
    const SHADERS: &'static [Shader] = MatmulNn::SHADERS;

    fn blocks(problem: &MatmulNnProblem) -> u32 {
        MatmulNn::blocks(problem)
    }

    fn twin<R: Real>(p: &MatmulNnProblem, cx: &Context<'_, R>, block: u32) {
        if p.epilogue != 1 {
            return MatmulNn::twin(p, cx, block);
        }
        MatmulNn::twin(&MatmulNnProblem { epilogue: 0, second: wgflow::engine::NONE, ..*p }, cx, block);
        for row in block * 64..p.rows.min((block + 1) * 64) {
            for (i, z) in cx.row_mut(Arena::Activations, p.out + row * p.out_stride, p.cols).iter_mut().enumerate() {
                let x = z.to_f64();
                let cdf = 0.5 * (1.0 + erf(x / 2f64.sqrt()));
                *z = R::of(x * cdf);
                if p.second != wgflow::engine::NONE {
                    let pdf = (-0.5 * x * x).exp() / (std::f64::consts::TAU).sqrt();
                    cx.row_mut(Arena::Activations, p.second + row * p.second_stride + i as u32, 1)[0] = R::of(cdf + x * pdf);
                }
            }
        }
    }
}

/// lambda with an epsilon of 1e-6, as several ports have it.
struct EpsilonInLambda;

impl Operation for EpsilonInLambda {
    type Problem = QLossProblem;
    const NAME: &'static str = "q_loss";
    const SHADERS: &'static [Shader] = QLoss::SHADERS;

    fn blocks(problem: &QLossProblem) -> u32 {
        QLoss::blocks(problem)
    }

    fn twin<R: Real>(p: &QLossProblem, cx: &Context<'_, R>, block: u32) {
        QLoss::twin(p, cx, block);
        let lambda = &mut cx.row_mut(Arena::Activations, p.lambda, 1)[0];
        let wrong = R::ONE / (R::ONE / *lambda + R::of(1e-6));
        let factor = wrong / *lambda;
        *lambda = wrong;
        for row in 0..p.members * p.rows {
            let d = &mut cx.row_mut(Arena::Activations, p.d_q + row * p.q_stride, 1)[0];
            *d = *d * factor;
        }
    }
}

static TORCH_EPSILON: Kernel = Kernel::of::<TorchEpsilon>();
static ERF_GELU: Kernel = Kernel::of::<ErfGelu>();
static EPSILON_IN_LAMBDA: Kernel = Kernel::of::<EpsilonInLambda>();

fn with_kernel(mut plan: Plan, kernel: &'static Kernel) -> Plan {
    for dispatch in plan.dispatches.iter_mut().filter(|d| d.kernel.name == kernel.name) {
        dispatch.kernel = kernel;
    }
    for op in plan.ops.iter_mut().filter(|op| op.kernel.name == kernel.name) {
        op.kernel = kernel;
    }
    plan
}

/// Adam before the target's average: the target would follow the critic as it is after the step.
fn target_after_step(mut plan: Plan) -> Plan {
    let at = |plan: &Plan, name: &str| plan.dispatches.iter().position(|d| d.kernel.name == name).unwrap();
    let (ema, adam) = (at(&plan, "ema"), at(&plan, "adam"));
    assert!(ema < adam);
    let moved = plan.dispatches.remove(ema);
    plan.dispatches.insert(adam, moved);
    plan
}

type Alter = fn(Plan) -> Plan;

pub fn trials(bundled: &[Arc<Fixture>]) -> Vec<Trial> {
    let find = |name: &str| Arc::clone(bundled.iter().find(|f| f.name == name).unwrap_or_else(|| panic!("no fixture {name}")));
    let mut trials = Vec::new();
    let plan_mistakes: [(&str, Alter, bool); 4] = [
        ("target follows the critic after the step", target_after_step, true),
        ("layer norm epsilon 1e-5", |plan| with_kernel(plan, &TORCH_EPSILON), true),
        ("erf GELU", |plan| with_kernel(plan, &ERF_GELU), true),
        ("epsilon 1e-6 in lambda", |plan| with_kernel(plan, &EPSILON_IN_LAMBDA), false),
    ];
    for (name, alter, also_single) in plan_mistakes {
        for fixture in ["gfp_manipulation", "fql_min_norm"].map(find) {
            trials.push(must_fail(name, &fixture, "f64", || Engine::Oracle, Limits::double(), alter));
            if also_single {
                let limits = Limits::single(&fixture);
                trials.push(must_fail(name, &fixture, "f32", || Engine::cpu(Some(1)), limits, alter));
            }
        }
    }
    let fixture = find("gfp_manipulation");
    for (kind, engine, limits) in [
        ("f64", (|| Engine::Oracle) as fn() -> Engine, Limits::double()),
        ("f32", || Engine::cpu(Some(1)), Limits::single(&fixture)),
    ] {
        let fixture = Arc::clone(&fixture);
        trials.push(Trial::test(format!("mistake seen/flow action on the wrong state/{kind}"), move || {
            let Some(AgentConfig::Gfp(mut config)) = fixture.agent_config() else { return Err("not GFP".into()) };
            config.target_use_next = !config.target_use_next;
            seen(compare(&fixture, &AgentConfig::Gfp(config), &engine(), &limits, |plan| plan))
        }));
    }
    trials
}

fn must_fail(name: &str, fixture: &Arc<Fixture>, kind: &str, engine: fn() -> Engine, limits: Limits, alter: Alter) -> Trial {
    let fixture = Arc::clone(fixture);
    Trial::test(format!("mistake seen/{name}/{}/{kind}", fixture.name), move || {
        let config = fixture.agent_config().ok_or("agent not built")?;
        seen(compare(&fixture, &config, &engine(), &limits, alter))
    })
}

fn seen(result: Result<(), String>) -> Result<(), Failed> {
    match result {
        Err(_) => Ok(()),
        Ok(()) => Err("the comparison did not notice".into()),
    }
}
