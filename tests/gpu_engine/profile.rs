//! A profile holds every dispatch and changes nothing; what was planned is what is allocated.

use wgflow::Error;
use wgflow::agents::{AgentConfig, RebracConfig};
use wgflow::bench::{PUBLISHED, Subject, TRANSITIONS, Work, records};
use wgflow::engine::profile::Doing;
use wgflow::engine::{Arena, Engine, Machine, Region};

use crate::{Outcome, ensure, gpu};

fn subject(engine: &Engine) -> wgflow::Result<Subject> {
    let mut config = RebracConfig::default();
    (config.common.batch, config.common.hidden) = (20, vec![24, 16]);
    Subject::new(engine, &Work::Agent(AgentConfig::Rebrac(config)), PUBLISHED, records(PUBLISHED, TRANSITIONS), &[0, 1, 2])
}

pub fn a_profile_holds_every_dispatch_and_changes_no_bit() -> Outcome {
    let engine = Engine::Gpu(gpu()?);
    let (mut profiled, mut plain) = (subject(&engine)?, subject(&engine)?);
    plain.update(3)?;
    profiled.update(1)?;
    let profile = match profiled.profile(2) {
        // An adapter need not have a clock; then it says so.
        Err(Error::Adapter { problem, .. }) => return ensure(problem.contains("timestamp"), || problem),
        other => other?,
    };
    let weights = plain.blueprint().parameters.whole(Arena::Weights);
    for lane in 0..3 {
        let (found, expected) = (profiled.machine().read(weights, lane)?, plain.machine().read(weights, lane)?);
        ensure(found == expected, || format!("lane {lane} has other weights"))?;
    }
    let expected: Vec<Doing> = (0..2).flat_map(|_| (0..profile.plan.dispatches.len()).map(Doing::Dispatch)).collect();
    let found: Vec<Doing> = profile.spans.iter().map(|span| span.doing).collect();
    ensure(found == expected, || format!("{found:?}"))?;
    let ends = profile.spans.windows(2).all(|pair| pair[0].length >= 0.0 && pair[0].start <= pair[1].start);
    ensure(ends && profile.update_ms() > 0.0, || format!("{:?}", profile.spans))
}

pub fn the_footprint_is_what_is_allocated() -> Outcome {
    let engine = Engine::Gpu(gpu()?);
    let mut subject = subject(&engine)?;
    let (memory, scalars) = (subject.blueprint().memory.clone(), subject.blueprint().scalars.len());
    let footprint = engine.footprint((&memory, 3, scalars), &[&subject.blueprint().update], &[&records(PUBLISHED, TRANSITIONS)]);
    let Machine::Gpu(machine) = subject.machine() else { return Err("not a GPU".into()) };
    for (arena, bytes) in Arena::ALL.into_iter().zip(footprint.arenas) {
        let start = Region { arena, offset: 0, rows: 1, cols: 4, stride: 4 };
        let size = machine.buffer_of(start, 0)?.0.size();
        ensure(size == 3 * bytes, || format!("{arena:?}: {size} bytes allocated, 3 x {bytes} planned"))?;
    }
    ensure(footprint.datasets == [4 * 10_000 * u64::from(PUBLISHED.record())], || format!("{footprint:?}"))
}
