//! What keeps wgflow from running well on this machine, and what helps.
//!
//! [`Facts::gather`] looks, [`diagnose()`] concludes: a pure function, so that every cause can be tested without having it.

mod diagnose;
mod facts;

use serde::Serialize;

pub use diagnose::diagnose;
pub use facts::{Facts, FolderFacts, GraphicsFacts};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Works, but not as well as it could.
    Note,
    /// Something will fail.
    Problem,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about: `GPU`, `disk`, `cache`, ...
    pub subject: &'static str,
    /// How bad it is.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What helps; empty where nothing needs to.
    pub remedy: String,
}

impl Finding {
    fn good(subject: &'static str, found: impl Into<String>) -> Self {
        Self { subject, verdict: Verdict::Good, found: found.into(), remedy: String::new() }
    }

    fn note(subject: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { subject, verdict: Verdict::Note, found: found.into(), remedy: remedy.into() }
    }

    fn problem(subject: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { subject, verdict: Verdict::Problem, found: found.into(), remedy: remedy.into() }
    }
}
