//! Every kernel on ragged shapes: shaders and f32 twin against the f64 twin, guards untouched, padding zero.
//!
//! Outputs start as NaN, since zeroed memory hides a missing write. On a machine without an adapter the tests that need
//! one are reported as ignored. `cargo test --test kernels -- --nocapture` prints how much of each tolerance is used.

#[path = "kernels/mutations.rs"]
mod mutations;
#[path = "kernels/scene.rs"]
mod scene;
#[path = "kernels/scenes.rs"]
mod scenes;

use std::sync::{Mutex, OnceLock, PoisonError};

use libtest_mimic::{Arguments, Failed, Trial};
use wgflow::engine::{Arena, Engine, GpuOptions, Kernel, Plan, Shader, Variant, adapter};
use wgflow::kernels::ALL;

use mutations::Mutation;
use scene::{Image, LANES, Role, Scene, bits};
use scenes::{SUBJECTS, Subject, Tolerance};

type Outcome = Result<(), Failed>;

fn main() {
    let arguments = Arguments::from_args();
    let found = !adapter::list().is_empty();
    let subgroups = found && matches!(gpu(false), Engine::Gpu(gpu) if gpu.has_subgroups());
    let ignored = |variant| if variant == Variant::Subgroup { !subgroups } else { !found };
    let mut trials = vec![Trial::test("every kernel has its scenes", every_kernel_has_its_scenes)];
    for subject in SUBJECTS {
        let name = subject.kernel;
        trials.push(Trial::test(format!("{name} touches only what it declares"), || touches_only_what_it_declares(subject)));
        trials.push(Trial::test(format!("{name} at f32 agrees with the oracle"), || cpu_agrees(subject)));
        for index in 0..kernel(subject).shaders.len() {
            let Shader { entry, variant, .. } = kernel(subject).shaders[index];
            let test = move || shader_agrees(subject, index);
            trials.push(Trial::test(format!("{entry}.wgsl agrees with the oracle"), test).with_ignored_flag(ignored(variant)));
        }
    }
    for mutation in mutations::MUTATIONS {
        let name = format!("broken {}.wgsl is noticed: {}", mutation.entry, mutation.what);
        let mut shaders = ALL.iter().flat_map(|kernel| kernel.shaders);
        let variant = shaders.find(|shader| shader.entry == mutation.entry).map_or(Variant::Plain, |shader| shader.variant);
        trials.push(Trial::test(name, || a_broken_shader_is_noticed(mutation)).with_ignored_flag(ignored(variant)));
    }
    if !found {
        eprintln!("no adapter: the tests of the shaders are ignored");
    } else if !subgroups {
        eprintln!("no software adapter with subgroups of 16: the tests of its shaders are ignored");
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn kernel(subject: &Subject) -> &'static Kernel {
    ALL.iter().find(|kernel| kernel.name == subject.kernel).expect("subjects are kernels")
}

fn every_kernel_has_its_scenes() -> Outcome {
    let names: Vec<_> = ALL.iter().map(|kernel| kernel.name).collect();
    match names.iter().find(|name| !SUBJECTS.iter().any(|subject| subject.kernel == **name)) {
        Some(name) => Err(format!("{name} is in kernels::ALL and has no scenes").into()),
        None => Ok(()),
    }
}

fn touches_only_what_it_declares(subject: &Subject) -> Outcome {
    for scene in (subject.scenes)() {
        if scene.plan.dispatches.len() != 1 {
            return Err(format!("{} dispatches; the operations were meant to be independent", scene.plan.dispatches.len()).into());
        }
        let want = scene.run_checked(&Engine::Oracle);
        let exact = Tolerance { abs: 0.0, rel: 0.0, because: "the same twin" };
        compare(&scene, &want, &want, &exact)?;
        compare(&scene, &scene.run_checked(&Engine::cpu(Some(1))), &want, &subject.tolerance)?;
    }
    Ok(())
}

fn cpu_agrees(subject: &Subject) -> Outcome {
    let mut used: f64 = 0.0;
    for scene in (subject.scenes)() {
        let want = scene.run(&Engine::Oracle, &scene.plan, 0..LANES);
        let got = scene.run(&Engine::cpu(Some(1)), &scene.plan, 0..LANES);
        used = used.max(compare(&scene, &got, &want, &subject.tolerance)?);
        if !scene.run(&Engine::cpu(Some(3)), &scene.plan, 0..LANES).same_bits(&got) {
            return Err("the bits depend on the number of threads".into());
        }
        lanes_stand_alone(&Engine::cpu(Some(1)), &scene, &scene.plan, &got)?;
    }
    println!("{:<20} f32 twin           {:5.1} % of the tolerance ({})", subject.kernel, 100.0 * used, subject.tolerance.because);
    Ok(())
}

fn shader_agrees(subject: &Subject, index: usize) -> Outcome {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let shaders = kernel(subject).shaders;
    let mut used: f64 = 0.0;
    for scene in (subject.scenes)() {
        let plan = with_shaders(&scene.plan, &shaders[index..=index]);
        let want = scene.run(&Engine::Oracle, &scene.plan, 0..LANES);
        let got = scene.run(&gpu(false), &plan, 0..LANES);
        used = used.max(compare(&scene, &got, &want, &subject.tolerance)?);
        if !scene.run(&gpu(true), &plan, 0..LANES).same_bits(&got) {
            return Err("the bits depend on the shader's run-time checks".into());
        }
        if shaders[index].variant == Variant::Large {
            let plain = with_shaders(&scene.plan, &shaders[..1]);
            if !scene.run(&gpu(false), &plain, 0..LANES).same_bits(&got) {
                return Err("the bits depend on the size of the blocks".into());
            }
        }
        lanes_stand_alone(&gpu(false), &scene, &plan, &got)?;
    }
    println!("{:<20} {:<18} {:5.1} % of the tolerance", subject.kernel, shaders[index].entry, 100.0 * used);
    Ok(())
}

fn a_broken_shader_is_noticed(mutation: &Mutation) -> Outcome {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let of = |subject: &&Subject| kernel(subject).shaders.iter().any(|shader| shader.entry == mutation.entry);
    let subject = SUBJECTS.iter().find(of).ok_or("no such shader")?;
    let shader = kernel(subject).shaders.iter().find(|shader| shader.entry == mutation.entry).ok_or("no such shader")?;
    let source = shader.source.concat();
    let broken = source.replace(mutation.from, mutation.to);
    if broken == source {
        return Err(format!("`{}` is not there to be changed", mutation.from).into());
    }
    let source: &'static [&'static str] = Box::leak(Box::new([&*broken.leak()]));
    let shaders: &'static [Shader] = Box::leak(Box::new([Shader { source, ..*shader }]));
    for scene in (subject.scenes)() {
        let want = scene.run(&Engine::Oracle, &scene.plan, 0..LANES);
        // With run-time checks: what is broken may leave its buffer.
        let got = scene.run(&gpu(true), &with_shaders(&scene.plan, shaders), 0..LANES);
        if compare(&scene, &got, &want, &subject.tolerance).is_err() {
            return Ok(());
        }
    }
    Err("the tests do not notice".into())
}

/// Held by whoever uses the device: in wgpu 30 a thread that polls may panic where another submits meanwhile.
static TURN: Mutex<()> = Mutex::new(());

/// The engine on the best adapter, software or not.
fn gpu(checked: bool) -> Engine {
    static ENGINES: [OnceLock<Engine>; 2] = [OnceLock::new(), OnceLock::new()];
    let open = || Engine::Gpu(adapter::open(0, GpuOptions { checked, ..GpuOptions::default() }).expect("the adapter opens"));
    ENGINES[usize::from(checked)].get_or_init(open).clone()
}

/// The plan with these shaders for its kernel, whichever the adapter would prefer.
fn with_shaders(plan: &Plan, shaders: &'static [Shader]) -> Plan {
    let kernel: &'static Kernel = Box::leak(Box::new(Kernel { shaders, ..*plan.ops[0].kernel }));
    let mut plan = plan.clone();
    plan.ops.iter_mut().for_each(|op| op.kernel = kernel);
    plan.dispatches.iter_mut().for_each(|dispatch| dispatch.kernel = kernel);
    plan
}

/// The last lane on its own has the bits that it has among others.
fn lanes_stand_alone(engine: &Engine, scene: &Scene, plan: &Plan, all: &Image) -> Outcome {
    let lane = LANES - 1;
    if scene.run(engine, plan, lane..LANES).same_bits(&all.lane(lane)) {
        return Ok(());
    }
    Err("the bits depend on the number of lanes".into())
}

/// Checks an image against the oracle's; returns the largest share of the tolerance that was used.
fn compare(scene: &Scene, got: &Image, want: &Image, tolerance: &Tolerance) -> Result<f64, Failed> {
    if got.words != want.words {
        return Err("words differ from the oracle's".into());
    }
    let mut used: f64 = 0.0;
    for arena in 0..3 {
        let roles = scene.roles(Arena::ALL[arena]);
        for (lane, before) in scene.before().floats[arena].iter().enumerate() {
            let (got, want) = (&got.floats[arena][lane], &want.floats[arena][lane]);
            for (at, role) in roles.iter().enumerate() {
                let fault = |what: String, op: usize| {
                    let label = &scene.plan.ops[op].label;
                    Failed::from(format!("{what} at element {at} of {:?}, lane {lane} ({label})", Arena::ALL[arena]))
                };
                match *role {
                    Role::Guard if bits(got[at]) != bits(before[at]) => {
                        return Err(fault(format!("a guard became {}", got[at]), 0));
                    }
                    Role::Padding(op) if got[at] != 0.0 => return Err(fault(format!("padding became {}", got[at]), op)),
                    // A statistic of values that are not finite means nothing.
                    Role::Value(op) if want[at].is_finite() => {
                        let allowed = tolerance.abs + tolerance.rel * want[at].abs();
                        let error = (got[at] - want[at]).abs();
                        if error.is_nan() || error > allowed {
                            return Err(fault(format!("{} instead of {}, {error:.1e} off,", got[at], want[at]), op));
                        }
                        used = used.max(if error == 0.0 { 0.0 } else { error / allowed });
                    }
                    _ => {}
                }
            }
        }
    }
    Ok(used)
}
