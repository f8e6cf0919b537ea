//! Environments in this process, served together.

use super::{Environment, Environments, Step};
use crate::error::{Error, Result};

/// Environments alike in this process.
pub struct LocalEnvs(Vec<Box<dyn Environment>>);

impl LocalEnvs {
    /// Groups environments.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is none, or if they differ in shape or have none.
    pub fn new(envs: Vec<Box<dyn Environment>>) -> Result<Self> {
        let shape = |env: &dyn Environment| (env.obs_dim(), env.action_dim());
        let Some(first) = envs.first().map(|env| shape(env.as_ref())) else {
            return Err(Error::setting("environments", "at least 1", "0", "make one before evaluating"));
        };
        match envs.iter().map(|env| shape(env.as_ref())).find(|&other| other != first || other.0.min(other.1) == 0) {
            None => Ok(Self(envs)),
            Some(other) => Err(Error::setting(
                "environments",
                format!("one shape (observation, action) of at least (1, 1), here {first:?}"),
                format!("{other:?}"),
                "evaluate each kind of environment on its own",
            )),
        }
    }
}

impl Environments for LocalEnvs {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn obs_dim(&self) -> usize {
        self.0[0].obs_dim()
    }

    fn action_dim(&self) -> usize {
        self.0[0].action_dim()
    }

    fn horizon(&self) -> usize {
        self.0[0].horizon()
    }

    fn reset(&mut self, starts: &[(usize, u64)]) -> Result<Vec<f32>> {
        let first = starts.iter().map(|&(index, seed)| self.0[index].reset(seed)).collect::<Result<Vec<_>>>()?;
        Ok(first.concat())
    }

    fn step(&mut self, active: &[bool], actions: &[f32]) -> Result<Vec<Step>> {
        let width = self.action_dim();
        let stepped = self.0.iter_mut().zip(actions.chunks_exact(width)).zip(active).filter(|(_, active)| **active);
        stepped.map(|((env, action), _)| env.step(action)).collect()
    }
}
