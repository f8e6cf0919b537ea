//! Golden plans: what an update at the published cube-single size does, and how many dispatches it costs.
//!
//! After a change that is meant: `WGFLOW_BLESS=1 cargo test --test plans`, and say in the commit why it changed.

use std::sync::Arc;

use wgflow::agents::gfp::PolicyAggregate;
use wgflow::agents::{AgentConfig, BcConfig, Blueprint, FqlConfig, GfpConfig, IfqlConfig, IqlConfig, RebracConfig};
use wgflow::data::Layout;
use wgflow::engine::{Plan, Records};

const CUBE_SINGLE: Layout = Layout { obs_dim: 28, action_dim: 5 };

fn plan(config: &AgentConfig) -> Plan {
    let records = Records { values: Arc::new(vec![0.0; 4 * CUBE_SINGLE.record() as usize]), record: CUBE_SINGLE.record() };
    Blueprint::new(config, CUBE_SINGLE, (&records, None), u64::MAX).unwrap().update
}

fn check(name: &str, config: &AgentConfig, most_levels: u32, most_dispatches: usize) {
    let plan = plan(config);
    let path = format!("tests/plans/{name}.txt");
    let text = plan.to_string();
    if std::env::var_os("WGFLOW_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    let difference = golden.lines().zip(text.lines()).position(|(a, b)| a != b);
    assert!(golden == text, "{path} differs at line {difference:?}; see the head of this file");
    assert!(plan.levels <= most_levels, "{} levels", plan.levels);
    assert!(plan.dispatches.len() <= most_dispatches, "{} dispatches", plan.dispatches.len());
}

#[test]
fn gfp_with_the_actor_in_the_target() {
    let config = GfpConfig { target_agg: PolicyAggregate::Actor, ..Default::default() };
    check("gfp_actor", &AgentConfig::Gfp(config), 80, 100);
}

#[test]
fn gfp_as_published_for_cube_single() {
    check("gfp_mean", &AgentConfig::Gfp(GfpConfig::default()), 130, 110);
}

#[test]
fn fql() {
    check("fql", &AgentConfig::Fql(FqlConfig::default()), 80, 100);
}

#[test]
fn iql() {
    check("iql", &AgentConfig::Iql(IqlConfig::default()), 30, 40);
}

#[test]
fn ifql() {
    check("ifql", &AgentConfig::Ifql(IfqlConfig::default()), 30, 40);
}

#[test]
fn rebrac() {
    check("rebrac", &AgentConfig::Rebrac(RebracConfig::default()), 40, 50);
}

#[test]
fn bc() {
    check("bc", &AgentConfig::Bc(BcConfig::default()), 20, 25);
}
