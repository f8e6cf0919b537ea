//! Where the time of an update goes: every block of the CPU engine, every dispatch of a GPU.
//!
//! As a table by kernel, and as a trace for chrome://tracing and Perfetto.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::plan::{Op, Plan};
use crate::error::{Error, Result};

/// What a span of time went to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// A block of an operation of the plan, for a lane.
    Block {
        /// Its number in [`Plan::ops`].
        op: usize,
        /// The lane.
        lane: usize,
        /// The block.
        block: u32,
    },
    /// Copying weights into panels.
    Packing,
    /// Waiting for the other threads.
    Waiting,
    /// A dispatch of the plan, by its number, for all lanes.
    Dispatch(usize),
}

/// A span of time on one track.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Index into [`Profile::tracks`].
    pub track: usize,
    /// Microseconds from the beginning of the profile.
    pub start: f64,
    /// Its length in microseconds.
    pub length: f64,
    /// What it went to.
    pub doing: Doing,
}

/// Updates of a plan, taken apart.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The plan.
    pub plan: Plan,
    /// How many updates.
    pub updates: u32,
    /// Number of lanes.
    pub lanes: usize,
    /// What the tracks are: the CPU engine's threads, or a GPU.
    pub tracks: Vec<String>,
    /// On a track one after the other.
    pub spans: Vec<Span>,
}

/// What a kernel, packing or waiting took.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    /// The kernel, `packing`, `waiting`, or `between` for what no span covers.
    pub name: &'static str,
    /// Milliseconds of an update, all tracks' time divided by their number.
    pub ms: f64,
    /// Its part of the whole.
    pub share: f64,
    /// Rate of the kernel's matrix products while it runs, in GFLOP/s of all tracks together.
    pub gflops: Option<f64>,
}

impl Profile {
    fn ops(&self, doing: Doing) -> &[Op] {
        match doing {
            Doing::Block { op, .. } => &self.plan.ops[op..=op],
            Doing::Dispatch(number) => &self.plan.ops[self.plan.dispatches[number].ops.clone()],
            Doing::Packing | Doing::Waiting => &[],
        }
    }

    fn name(&self, doing: Doing) -> &'static str {
        match doing {
            Doing::Packing => "packing",
            Doing::Waiting => "waiting",
            Doing::Block { .. } | Doing::Dispatch(_) => self.ops(doing)[0].kernel.name,
        }
    }

    /// Milliseconds that an update took.
    pub fn update_ms(&self) -> f64 {
        let first = self.spans.iter().map(|span| span.start).fold(f64::INFINITY, f64::min);
        let last = self.spans.iter().map(|span| span.start + span.length).fold(f64::NEG_INFINITY, f64::max);
        (last - first).max(0.0) / 1e3 / f64::from(self.updates)
    }

    /// What each kernel took, the longest first. The shares add up to 1.
    pub fn by_kernel(&self) -> Vec<Share> {
        let scale = 1.0 / 1e3 / self.tracks.len() as f64 / f64::from(self.updates);
        let mut times: BTreeMap<&'static str, f64> = BTreeMap::new();
        for span in &self.spans {
            *times.entry(self.name(span.doing)).or_default() += span.length * scale;
        }
        let whole = self.update_ms();
        let between = whole - times.values().sum::<f64>();
        if between > 0.0 {
            times.insert("between", between);
        }
        let flops = |name: &str| {
            let of_kernel = self.plan.ops.iter().filter(|op| op.kernel.name == name);
            of_kernel.map(Op::product_flops).sum::<u64>() * self.lanes as u64
        };
        let share = |(name, ms): (&'static str, f64)| {
            let flops = flops(name);
            Share { name, ms, share: ms / whole, gflops: (flops > 0).then(|| flops as f64 / ms / 1e6) }
        };
        let mut shares: Vec<Share> = times.into_iter().map(share).collect();
        shares.sort_by(|a, b| b.ms.total_cmp(&a.ms));
        shares
    }

    /// Writes [`Profile::trace`] to `file`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, file: &Path) -> Result<()> {
        std::fs::write(file, self.trace().to_string()).map_err(Error::io(file, "write"))
    }

    /// The trace, in the format of chrome://tracing and Perfetto: a row for each track.
    pub fn trace(&self) -> Value {
        let track = |(number, name): (usize, &String)| json!({ "ph": "M", "name": "thread_name", "pid": 1, "tid": number, "args": { "name": name } });
        let event = |span: &Span| {
            let arguments = match span.doing {
                Doing::Block { op, lane, block } => {
                    let op = &self.plan.ops[op];
                    json!({ "operation": op.label, "level": op.level, "lane": lane, "block": block })
                }
                Doing::Dispatch(number) => {
                    let labels: Vec<&str> = self.ops(span.doing).iter().map(|op| op.label.as_str()).collect();
                    json!({ "dispatch": number + 1, "operations": labels })
                }
                Doing::Packing | Doing::Waiting => json!({}),
            };
            let category = if span.doing == Doing::Waiting { "wait" } else { "work" };
            json!({
                "ph": "X", "name": self.name(span.doing), "cat": category, "pid": 1, "tid": span.track,
                "ts": span.start, "dur": span.length, "args": arguments,
            })
        };
        let events: Vec<Value> = self.tracks.iter().enumerate().map(track).chain(self.spans.iter().map(event)).collect();
        json!({ "displayTimeUnit": "ms", "traceEvents": events })
    }
}
