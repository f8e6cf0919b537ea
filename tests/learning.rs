//! The last link of the chain: the agents learn, on the bandit of `common/bandit.rs`.

#[path = "common/bandit.rs"]
mod bandit;

use bandit::{bandit, mean_reward};
use wgflow::agents::gfp::PolicyAggregate;
use wgflow::agents::{ALL, Agent, AgentConfig, BcConfig, FqlConfig, GfpConfig, IfqlConfig, IqlConfig, RebracConfig};
use wgflow::engine::Engine;
use wgflow::train::{Quiet, RunConfig, Trainer};

fn trained(config: &AgentConfig) -> Agent {
    let mut agent = Agent::new(&Engine::cpu(None), config, (&bandit(), None), &[0]).unwrap();
    agent.update(1_500).unwrap();
    agent
}

fn small(common: &mut wgflow::agents::Common) {
    common.hidden = vec![64, 64];
    common.learning_rate = vec![2e-3];
    common.tau = vec![0.02];
}

fn gfp(eta: f64) -> AgentConfig {
    let target_agg = PolicyAggregate::Actor;
    let mut config = GfpConfig { eta: vec![eta], alpha: vec![0.1], target_agg, ..Default::default() };
    small(&mut config.common);
    AgentConfig::Gfp(config)
}

/// Policies act on a machine of their own, which must know what the nets need.
#[test]
fn policies_with_layer_norm_act() {
    let AgentConfig::Gfp(mut config) = gfp(0.1) else { unreachable!() };
    config.common.actor_layer_norm = true;
    let mut agent = Agent::new(&Engine::cpu(None), &AgentConfig::Gfp(config), (&bandit(), None), &[0]).unwrap();
    agent.update(2).unwrap();
    for policy in ["actor", "flow"] {
        assert!(mean_reward(&mut agent, policy).is_finite());
    }
}

/// Actions that are uniform in the square earn about -1.0 here, the best ones 0.
#[test]
fn gfp_finds_the_good_actions_and_its_flow_filters_the_data() {
    let mut guided = trained(&gfp(0.01));
    let (actor, filtered) = (mean_reward(&mut guided, "actor"), mean_reward(&mut guided, "flow"));
    let cloned = mean_reward(&mut trained(&gfp(0.0)), "flow");
    println!("actor {actor:.3}, flow {filtered:.3}, flow at eta 0 {cloned:.3}");
    assert!(actor > -0.1, "actor {actor}");
    assert!(cloned < -0.7, "plain behaviour cloning copies the data: {cloned}");
    assert!(filtered > 0.5 * cloned, "the weighted flow earns {filtered}, the plain one {cloned}");
}

#[test]
fn fql_finds_the_good_actions() {
    let mut config = FqlConfig { alpha: vec![0.1], ..Default::default() };
    small(&mut config.common);
    let mut agent = trained(&AgentConfig::Fql(config));
    let (actor, cloned) = (mean_reward(&mut agent, "actor"), mean_reward(&mut agent, "flow"));
    println!("actor {actor:.3}, flow {cloned:.3}");
    assert!(actor > -0.1, "actor {actor}");
    assert!(cloned < -0.7, "FQL's flow copies the data: {cloned}");
}

#[test]
fn iql_finds_the_good_actions() {
    let mut config = IqlConfig::default();
    small(&mut config.common);
    let weighted = mean_reward(&mut trained(&AgentConfig::Iql(config.clone())), "actor");
    config.alpha = vec![0.0];
    let unweighted = mean_reward(&mut trained(&AgentConfig::Iql(config)), "actor");
    println!("actor {weighted:.3}, at alpha 0 {unweighted:.3}");
    assert!(weighted > -0.1, "actor {weighted}");
    assert!(unweighted < -0.25, "without weights it imitates the mean of the data: {unweighted}");
}

#[test]
fn ifql_chooses_the_good_actions() {
    let mut config = IfqlConfig::default();
    small(&mut config.common);
    let mut agent = trained(&AgentConfig::Ifql(config));
    let (chosen, cloned) = (mean_reward(&mut agent, "best_of_n"), mean_reward(&mut agent, "flow"));
    println!("best of 32 {chosen:.3}, flow {cloned:.3}");
    assert!(chosen > -0.1, "best of 32 {chosen}");
    assert!(cloned < -0.7, "its flow copies the data: {cloned}");
}

#[test]
fn rebrac_finds_the_good_actions_as_far_as_its_penalty_lets_it() {
    let reward = |alpha_actor: f64| {
        let mut config = RebracConfig { alpha_actor: vec![alpha_actor], ..Default::default() };
        small(&mut config.common);
        mean_reward(&mut trained(&AgentConfig::Rebrac(config)), "actor")
    };
    let (free, held) = (reward(0.01), reward(100.0));
    println!("actor {free:.3}, held to the data {held:.3}");
    assert!(free > -0.1, "actor {free}");
    assert!(held < -0.25, "the penalty holds it at the mean of the data: {held}");
}

#[test]
fn bc_copies_the_data() {
    let mut config = BcConfig::default();
    small(&mut config.common);
    let cloned = mean_reward(&mut trained(&AgentConfig::Bc(config)), "flow");
    println!("flow {cloned:.3}");
    assert!((-1.3..-0.7).contains(&cloned), "flow {cloned}");
}

/// No part of a run asks which agent it has: policies with noise of any width or none, with critics or without.
#[test]
fn every_agent_trains_is_evaluated_and_drawn() {
    for entry in ALL {
        let name = entry.name;
        let folder = std::env::temp_dir().join(format!("wgflow-learning-{name}-{}", std::process::id()));
        let mut agent = entry.defaults();
        (agent.common_mut().batch, agent.common_mut().hidden, agent.common_mut().flow_steps) = (16, vec![8], 2);
        let data = "data/pointmaze-medium-navigate/pointmaze-medium-navigate-v0.slim.npz";
        let config = RunConfig {
            task: Some(3),
            steps: 21,
            seeds: vec![0, 1],
            log_every: 10,
            eval_every: 0,
            episodes: 1,
            save_every: 10,
            ..RunConfig::new(data, agent.clone())
        };
        let mut trainer = Trainer::create(config, &Engine::cpu(Some(1)), &folder).unwrap();
        let evaluations = trainer.run(&mut Quiet).unwrap();
        for lane in &evaluations {
            let policies: Vec<&str> = lane.iter().map(|evaluation| evaluation.policy).collect();
            assert_eq!(policies, agent.policies());
        }
        for picture in ["curves.svg", "field.svg"] {
            assert!(folder.join(picture).metadata().is_ok_and(|file| file.len() > 0), "{name}: {picture}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
