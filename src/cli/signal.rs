//! Ctrl-C and termination: the first asks for an orderly stop, the second ends at once.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static STOP: AtomicBool = AtomicBool::new(false);
static INSTALLED: OnceLock<bool> = OnceLock::new();

/// Begins to listen. Where that fails (a host has its own handler), signals keep their usual effect.
pub(super) fn listen() {
    INSTALLED.get_or_init(|| {
        ctrlc::set_handler(|| {
            if STOP.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
        })
        .is_ok()
    });
}

/// Whether a stop was asked for.
pub(super) fn stop() -> bool {
    STOP.load(Ordering::Relaxed)
}
