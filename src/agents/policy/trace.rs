//! What a policy went through on the way from noise to its actions.

use super::Policy;
use crate::error::Result;

impl Policy {
    /// What the policy was given beside the state at the last [`Policy::act`], each [rows, action_dim], in the order of
    /// evaluation: of a flow of M Euler steps x_t at t = 0, 1/M, .., (M - 1)/M, of a one-step policy the noise. The action itself, which is
    /// a flow's x_1, is what `act` returned.
    ///
    /// # Errors
    /// None on the CPU engine.
    pub fn trace(&mut self) -> Result<Vec<Vec<f32>>> {
        let narrow = |values: Vec<f64>| values.into_iter().map(|x| x as f32).collect();
        self.path.iter().map(|region| Ok(narrow(self.machine.read(*region, 0)?))).collect()
    }
}
