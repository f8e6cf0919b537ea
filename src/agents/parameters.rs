//! The nets of an agent by name: what checkpoints, exports and initial weights go through.

use super::Algorithm;
use super::config::{Common, Dims};
use crate::engine::{Arena, Memory, Region};
use crate::nets::{Ensemble, Flow, Mlp, Tensor, init};

/// One tensor of an agent.
#[derive(Clone, Debug)]
pub struct Entry {
    /// `critic/dense0/kernel`; for a member of an ensemble the same name as the other members'.
    pub name: String,
    /// The member of an ensemble it belongs to, and how many there are.
    pub member: Option<(u32, u32)>,
    /// The tensor.
    pub tensor: Tensor,
    /// For a tensor of a target net: the tensor it follows, by number. It starts as a copy.
    pub source: Option<usize>,
    /// Scale of its initial values.
    pub scale: f64,
}

/// Allocates nets and remembers their tensors under the official names.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    /// Where they are allocated.
    pub memory: Memory,
    entries: Vec<Entry>,
    sealed: bool,
}

impl Parameters {
    /// The nets of `agent`, allocated.
    pub fn of<A: Algorithm>(agent: &A, dims: Dims) -> (Self, A::Nets) {
        let mut parameters = Self::default();
        let nets = agent.nets(dims, &mut parameters);
        parameters.seal();
        (parameters, nets)
    }

    /// Ends the range of trained weights, if it has not ended.
    fn seal(&mut self) {
        if !self.sealed {
            self.memory.seal_trained();
            self.sealed = true;
        }
    }

    /// Every tensor, in the order of allocation.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Two critics of (s, a).
    pub fn critics(&mut self, name: &str, dims: Dims, common: &Common) -> Ensemble {
        let ensemble = Ensemble::new(&mut self.memory, 2, (dims.obs, dims.action), &common.hidden, common.layer_norm);
        self.add_ensemble(name, &ensemble, None);
        ensemble
    }

    /// A one-step policy mu(s, z): the input is [s | z], the output an action, not squashed.
    pub fn actor(&mut self, name: &str, dims: Dims, common: &Common) -> Mlp {
        let net = Mlp::new(&mut self.memory, &[dims.obs, dims.action], &common.hidden, dims.action, common.actor_layer_norm);
        self.add(name, &net, None, None);
        net
    }

    /// The mean of a Gaussian policy, mean(s). Its head starts with scale 0.01 (`final_fc_init_scale`), a tenth as far from 0
    /// as the other layers, so that first actions lie near 0.
    pub fn gaussian_actor(&mut self, name: &str, dims: Dims, common: &Common) -> Mlp {
        let net = Mlp::new(&mut self.memory, &[dims.obs], &common.hidden, dims.action, common.actor_layer_norm);
        self.add(name, &net, None, None);
        let head = format!("{name}/dense{}/kernel", common.hidden.len());
        self.entries.iter_mut().filter(|entry| entry.name == head).for_each(|entry| entry.scale = 0.01);
        net
    }

    /// The target of a Gaussian policy's mean, registered as `source_name`. No trained net may be allocated after the
    /// first target.
    pub fn target_of_actor(&mut self, name: &str, source_name: &str, dims: Dims, common: &Common) -> Mlp {
        self.seal();
        let first = self.first_of(source_name);
        let target = Mlp::new(&mut self.memory, &[dims.obs], &common.hidden, dims.action, common.actor_layer_norm);
        self.add(name, &target, None, first);
        target
    }

    /// The value of a state, V(s).
    pub fn value(&mut self, name: &str, dims: Dims, common: &Common) -> Mlp {
        let net = Mlp::new(&mut self.memory, &[dims.obs], &common.hidden, 1, common.layer_norm);
        self.add(name, &net, None, None);
        net
    }

    /// A flow policy's velocity field.
    pub fn flow(&mut self, name: &str, dims: Dims, common: &Common, time_dim: u32) -> Flow {
        let flow = Flow::new(&mut self.memory, (dims.obs, dims.action), &common.hidden, (time_dim, common.actor_layer_norm));
        self.add(name, &flow.net, None, None);
        flow
    }

    /// A target of the critics `source`, registered as `source_name`. No trained net may be allocated after the first
    /// target.
    pub fn target_of(&mut self, source: &Ensemble, name: &str, source_name: &str, dims: Dims, common: &Common) -> Ensemble {
        self.seal();
        let first = self.first_of(source_name);
        let members = source.members.len() as u32;
        let target = Ensemble::new(&mut self.memory, members, (dims.obs, dims.action), &common.hidden, common.layer_norm);
        self.add_ensemble(name, &target, first);
        target
    }

    /// The first tensor of the net `name`.
    fn first_of(&self, name: &str) -> Option<usize> {
        self.entries.iter().position(|e| e.name.starts_with(&format!("{name}/")))
    }

    fn add_ensemble(&mut self, name: &str, ensemble: &Ensemble, mut source: Option<usize>) {
        let count = ensemble.members.len() as u32;
        for (j, member) in ensemble.members.iter().enumerate() {
            self.add(name, member, Some((j as u32, count)), source);
            source = source.map(|first| first + member.tensors().len());
        }
    }

    fn add(&mut self, net: &str, mlp: &Mlp, member: Option<(u32, u32)>, source: Option<usize>) {
        for (i, tensor) in mlp.tensors().into_iter().enumerate() {
            let name = format!("{net}/{}", tensor.name);
            self.entries.push(Entry { name, member, tensor, source: source.map(|first| first + i), scale: 1.0 });
        }
    }

    /// The initial weights of `seed`, as a lane's whole weights arena.
    pub fn initial(&self, seed: u64) -> Vec<f64> {
        let mut arena = vec![0.0; self.memory.used()[Arena::Weights.index()] as usize];
        for (number, entry) in self.entries.iter().enumerate() {
            let values = match entry.source {
                Some(source) => self.entries[source].tensor.pick(self.entries[source].tensor.region, &arena),
                None => init::values(&entry.tensor, entry.scale, seed, number as u32),
            };
            entry.tensor.place(entry.tensor.region, &values, &mut arena);
        }
        arena
    }

    /// Number of weights, padding not counted, of all nets whose name starts with `prefix`.
    pub fn count(&self, prefix: &str) -> usize {
        self.entries.iter().filter(|e| e.name.starts_with(prefix)).map(|e| e.tensor.len()).sum()
    }

    /// A lane's whole share of `arena`, as one row.
    pub fn whole(&self, arena: Arena) -> Region {
        let cols = self.memory.used()[arena.index()];
        Region { arena, offset: 0, rows: 1, cols, stride: cols }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::{FqlConfig, GfpConfig, IqlConfig, RebracConfig};

    const CUBE_SINGLE: Dims = Dims { obs: 28, action: 5 };

    #[test]
    fn nets_are_as_large_as_the_official_ones() {
        let counts = |parameters: &Parameters, names: [&str; 3]| names.map(|name| parameters.count(&format!("{name}/")));
        let (gfp, _) = Parameters::of(&GfpConfig::default(), CUBE_SINGLE);
        assert_eq!(counts(&gfp, ["critic", "actor", "vabc"]), [1_619_970, 807_941, 840_709]);
        let (fql, _) = Parameters::of(&FqlConfig::default(), CUBE_SINGLE);
        assert_eq!(counts(&fql, ["critic", "actor", "bc_flow"]), [1_619_970, 807_941, 808_453]);
        let (iql, _) = Parameters::of(&IqlConfig::default(), CUBE_SINGLE);
        assert_eq!(counts(&iql, ["critic", "value", "target_critic"]), [1_619_970, 807_425, 1_619_970]);
    }

    #[test]
    fn heads_of_gaussian_policies_start_a_tenth_as_far_from_zero_and_targets_as_copies() {
        let (parameters, _) = Parameters::of(&RebracConfig::default(), CUBE_SINGLE);
        let arena = parameters.initial(3);
        let of = |name: &str| {
            let entry = parameters.entries().iter().find(|e| e.name == name).unwrap();
            entry.tensor.pick(entry.tensor.region, &arena)
        };
        let largest = |values: Vec<f64>| values.into_iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        // Glorot's bound of 512 inputs and 5 outputs is 0.108; the scale of 0.01 stands under a root.
        let head = largest(of("actor/dense4/kernel"));
        assert!((0.0105..0.0109).contains(&head), "{head}");
        assert!((0.105..0.109).contains(&largest(of("critic/dense4/kernel"))));
        assert_eq!(of("actor/dense4/kernel"), of("target_actor/dense4/kernel"));
    }
}
