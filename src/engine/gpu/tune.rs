//! Which variant of the matrix products is the fastest on this device, measured.
//!
//! Large blocks read memory less often, small ones make more workgroups: a small GPU wants the former, one that is larger than
//! the work the latter. Both sum in the same order and give the same bits, so nothing but the speed depends on the choice: it is
//! made anew whenever a run is set up, for the run's own shapes and lanes, and not kept.

use std::time::{Duration, Instant};

use super::machine::GpuMachine;
use super::replay::Replay;
use crate::engine::kernel::{Kernel, Variant};
use crate::engine::machine::PlanId;
use crate::engine::plan::Plan;
use crate::error::{Error, Result};

/// Variants that are measured, the one preferred first.
const CANDIDATES: [Variant; 2] = [Variant::Plain, Variant::Large];

/// Rounds of each variant, in turn.
const ROUNDS: usize = 5;

/// Length of a round: long enough for a submission's cost not to show, and all of them done before anyone waits.
const ROUND: Duration = Duration::from_millis(20);

/// By how much a variant must be faster than a preferred one.
const MARGIN: f64 = 0.97;

fn has_several(kernel: &Kernel) -> bool {
    kernel.shaders.iter().any(|shader| shader.variant == Variant::Large)
}

impl GpuMachine {
    /// The fastest variant for `plan`'s products, run on this machine's own memory: what they write, activations and
    /// gradients, every update writes before it reads.
    ///
    /// # Errors
    /// As [`GpuMachine::submit`].
    pub(super) fn fastest(&mut self, plan: &Plan) -> Result<Variant> {
        let products = plan.only(has_several);
        if products.ops.is_empty() {
            return Ok(CANDIDATES[0]);
        }
        match self.race(&products, &CANDIDATES) {
            Ok(times) => Ok(CANDIDATES[choice(&times)]),
            // A shader that this driver does not take: the plain ones are tested most.
            Err(Error::Device { .. }) => Ok(CANDIDATES[0]),
            Err(error) => Err(error),
        }
    }

    /// Milliseconds that `plan` takes in each of `variants`: the least of rounds in turn, since what disturbs only adds. The plan
    /// really runs.
    fn race(&mut self, plan: &Plan, variants: &[Variant]) -> Result<Vec<f64>> {
        let first = self.plans.len();
        let result = self.race_from(first, plan, variants);
        // Whatever happened, nothing of it stays; what is in flight keeps what it needs.
        let drained = self.wait();
        self.plans.truncate(first);
        drained.and(result)
    }

    fn race_from(&mut self, first: usize, plan: &Plan, variants: &[Variant]) -> Result<Vec<f64>> {
        for variant in variants {
            let replay = pollster::block_on(Replay::new(&self.gpu, &self.arenas, plan, None, *variant))?;
            self.plans.push(replay);
        }
        let ids: Vec<PlanId> = (first..self.plans.len()).map(PlanId).collect();
        // Twice: what runs first is not like what runs later.
        let mut quickest = Duration::MAX;
        for id in ids.iter().chain(&ids) {
            quickest = quickest.min(self.time(*id, 1)?);
        }
        let updates = (ROUND.as_secs_f64() / quickest.as_secs_f64().max(1e-6)).clamp(1.0, 1e4) as u32;
        let mut least = vec![f64::INFINITY; variants.len()];
        for _ in 0..ROUNDS {
            for (least, id) in least.iter_mut().zip(&ids) {
                *least = least.min(self.time(*id, updates)?.as_secs_f64() * 1e3 / f64::from(updates));
            }
        }
        Ok(least)
    }

    fn time(&mut self, plan: PlanId, updates: u32) -> Result<Duration> {
        let start = Instant::now();
        self.submit(plan, updates)?;
        self.wait()?;
        Ok(start.elapsed())
    }
}

/// Index of the time to choose: the first, unless another is clearly less.
fn choice(times: &[f64]) -> usize {
    (1..times.len()).fold(0, |best, other| if times[other] < MARGIN * times[best] { other } else { best })
}

#[cfg(test)]
mod tests {
    use super::choice;

    #[test]
    fn the_preferred_variant_wins_unless_another_is_clearly_faster() {
        for (times, expected) in [
            (vec![1.0, 1.2], 0),
            (vec![1.0, 0.99], 0),
            (vec![1.0, 0.9], 1),
            (vec![1.0, 0.9, 0.89], 1),
            (vec![1.0], 0),
            (vec![1.0, f64::NAN], 0),
        ] {
            assert_eq!(choice(&times), expected, "{times:?}");
        }
    }
}
