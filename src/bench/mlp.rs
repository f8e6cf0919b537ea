//! One training step of a plain net: squared loss and Adam, through the same kernels as the agents'.
//!
//! The net of `benches/baselines`: input [observation | action], output an action, target zero. The batch stays the same,
//! so that nothing but the step is timed.

use crate::agents::blueprint::Blueprint;
use crate::agents::recorder::{Outcome, Registers, fixed_scalar};
use crate::agents::{Common, Dims, Parameters};
use crate::data::Layout;
use crate::engine::PlanBuilder;
use crate::error::Result;
use crate::kernels::matmul_nn::Epilogue;
use crate::kernels::{adam, clock, flow_loss};

/// The step, recorded: L = mean_(b,d) (f(x) - y)^2, x = 1, y = 0. Gradient reaches: the net.
///
/// # Errors
/// [`crate::Error::Setting`] for a setting out of range, [`crate::Error::Plan`] if the recording is broken.
pub fn blueprint(common: &Common, layout: Layout) -> Result<Blueprint> {
    common.check()?;
    let mut parameters = Parameters::default();
    let net = parameters.actor("net", Dims { obs: layout.obs_dim, action: layout.action_dim }, common);
    parameters.memory.seal_trained();

    let mut plan = PlanBuilder::new(parameters.memory.clone());
    let registers = Registers::new(&mut plan, 1);
    let (beta1, beta2) = (plan.scalar("adam_beta1"), plan.scalar("adam_beta2"));
    clock::record(&mut plan, registers.clock, registers.corrections, beta1, beta2);

    let input = net.input(&mut plan, common.batch);
    let mut output = || plan.activations(common.batch, layout.action_dim);
    let (target, prediction, d_prediction) = (output(), output(), output());
    let terms = plan.activations(common.batch, 5);
    let tape = net.forward_kept(&mut plan, "net", input, (prediction, Epilogue::None));
    flow_loss::record(&mut plan, "loss", (prediction, target), None, (d_prediction, terms));
    net.backward(&mut plan, "net", &tape, d_prediction);
    let (learning_rate, epsilon) = (plan.scalar("learning_rate"), plan.scalar("adam_epsilon"));
    adam::record(&mut plan, registers.corrections, adam::Constants { learning_rate, beta1, beta2, epsilon });

    let update = plan.finish()?;
    let ones = |segment| (net.segment(input, segment), vec![1.0; net.segment(input, segment).len()]);
    let outcome = Outcome { constants: vec![ones(0), ones(1)], ..Outcome::default() };
    let scalars = plan.scalars().to_vec();
    Ok(Blueprint { parameters, memory: plan.memory, update, validation: None, registers, outcome, scalars })
}

/// The table of scalars of a lane, in the order of the slots.
pub fn scalars(common: &Common, blueprint: &Blueprint) -> Vec<f64> {
    let value = |name: &&str| if *name == "learning_rate" { common.learning_rate[0] } else { fixed_scalar(name) };
    blueprint.scalars.iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use crate::bench::{PUBLISHED, Subject, TRANSITIONS, Work, records};
    use crate::engine::Engine;

    #[test]
    fn the_plain_net_learns_its_target() {
        let mut common = crate::agents::FqlConfig::default().common;
        (common.batch, common.hidden) = (32, vec![24, 24]);
        let engine = Engine::cpu(Some(1));
        let mut subject = Subject::new(&engine, &Work::Mlp(common), PUBLISHED, records(PUBLISHED, TRANSITIONS), &[0, 1]).unwrap();
        let mut loss = |updates| {
            subject.update(updates).unwrap();
            let op = subject.blueprint().update.ops.iter().find(|op| op.kernel.name == "flow_loss").unwrap();
            let terms = op.writes[1];
            [0, 1].map(|lane| subject.machine().read(terms.columns(0, 1), lane).unwrap().iter().sum::<f64>() / 32.0)
        };
        let first = loss(1);
        let last = loss(200);
        assert!((0..2).all(|lane| first[lane] > 0.01 && last[lane] < 0.01 * first[lane]), "{first:?} {last:?}");
        assert_ne!(first[0], first[1], "each lane starts from its own seed");
    }
}
