//! Signals: the first asks for an orderly stop, the second ends the process at once.
//!
//! SIGINT is a person's; SIGTERM and SIGUSR1 are a scheduler's (`sbatch --signal=USR1@120`), and end with the exit code
//! that lets it start the run again.

use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::train::Stop;

static USER: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
static SYSTEM: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Begins to listen. Where that fails, signals keep their usual effect.
pub(super) fn listen() {
    let on = |signal, code, asked: &Arc<AtomicBool>| {
        // In this order: the second signal finds the flag set.
        let _ = flag::register_conditional_shutdown(signal, code, Arc::clone(asked));
        let _ = flag::register(signal, Arc::clone(asked));
    };
    on(SIGINT, 130, &USER);
    on(SIGTERM, 75, &SYSTEM);
    #[cfg(unix)]
    on(signal_hook::consts::SIGUSR1, 75, &SYSTEM);
}

/// Whether a stop was asked for, and by whom.
pub(super) fn stop() -> Option<Stop> {
    let asked = |flag: &Arc<AtomicBool>| flag.load(Ordering::Relaxed);
    asked(&USER).then_some(Stop::User).or_else(|| asked(&SYSTEM).then_some(Stop::System))
}
