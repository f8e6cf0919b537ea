//! Whether the device still lives, and what it complained about.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Gpu;
use crate::error::{Error, Result};

/// What is known of a device's end. Once lost, a device stays lost.
#[derive(Debug, Default)]
pub(super) struct Health {
    lost: AtomicBool,
    reason: Mutex<String>,
    /// The first error that no scope caught.
    rejected: Mutex<Option<String>>,
}

impl Health {
    /// The device is gone. The first reason is kept: those that follow are its consequences.
    pub fn lose(&self, reason: &str) {
        let mut kept = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.lost.swap(true, Ordering::AcqRel) {
            reason.clone_into(&mut kept);
        }
    }

    /// The device rejected a call outside every scope.
    pub fn reject(&self, message: String) {
        self.rejected.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(message);
    }

    /// The error of a lost device, or of a call rejected outside every scope.
    fn check(&self, during: &'static str) -> Result<()> {
        if self.lost.load(Ordering::Acquire) {
            let reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone();
            return Err(Error::DeviceLost { during, reason });
        }
        match self.rejected.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(message) => Err(Error::Device { during, message }),
            None => Ok(()),
        }
    }
}

/// Error scopes for everything wgpu can report. They belong to the thread that opened them.
pub(super) struct Scopes {
    memory: wgpu::ErrorScopeGuard,
    validation: wgpu::ErrorScopeGuard,
    internal: wgpu::ErrorScopeGuard,
}

impl Scopes {
    /// Catches the errors of the calls that follow on this thread.
    pub fn open(device: &wgpu::Device) -> Self {
        Self {
            memory: device.push_error_scope(wgpu::ErrorFilter::OutOfMemory),
            validation: device.push_error_scope(wgpu::ErrorFilter::Validation),
            internal: device.push_error_scope(wgpu::ErrorFilter::Internal),
        }
    }

    /// Ends the scopes at once; the future gives the first error, memory before the rest. (On native it is ready.)
    pub fn close(self) -> impl Future<Output = Option<wgpu::Error>> + use<> {
        let internal = self.internal.pop();
        let validation = self.validation.pop();
        let memory = self.memory.pop();
        async move {
            let (internal, validation) = (internal.await, validation.await);
            memory.await.or(internal).or(validation)
        }
    }
}

impl Gpu {
    /// Runs `call` inside error scopes, at once; the future tells how it went.
    pub(in crate::engine) fn scoped<T, F: FnOnce() -> T>(
        &self,
        during: &'static str,
        call: F,
    ) -> impl Future<Output = Result<T>> + use<'_, T, F> {
        let scopes = Scopes::open(&self.device);
        let value = call();
        let rejected = scopes.close();
        async move { self.judge(rejected.await, during).await.map(|()| value) }
    }

    /// As [`Gpu::scoped`], for native code that cannot await. wgpu's scopes never make it wait.
    pub(in crate::engine) fn scoped_now<T>(&self, during: &'static str, call: impl FnOnce() -> T) -> Result<T> {
        pollster::block_on(self.scoped(during, call))
    }

    /// The typed error for what a scope caught. A lost device makes innocent calls invalid, so it is asked first.
    pub(super) async fn judge(&self, rejected: Option<wgpu::Error>, during: &'static str) -> Result<()> {
        match rejected {
            None => Ok(()),
            Some(wgpu::Error::OutOfMemory { .. }) => Err(Error::OutOfMemory { during }),
            Some(error) => {
                self.probe(during).await?;
                Err(Error::Device { during, message: error.to_string() })
            }
        }
    }

    /// Fails if the device is gone. A destroyed device accepts every call in silence, except that it cannot map a new
    /// buffer, and the callback for lost devices, where it is ours at all, runs only when the device is polled.
    pub(in crate::engine) async fn probe(&self, during: &'static str) -> Result<()> {
        self.health.check(during)?;
        let scopes = Scopes::open(&self.device);
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("wgflow probe"),
            size: 16,
            usage: wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: true,
        });
        let mapped = buffer.get_mapped_range_mut(..).is_ok();
        let rejected = scopes.close().await;
        match (mapped, rejected) {
            (_, Some(wgpu::Error::OutOfMemory { .. })) => Err(Error::OutOfMemory { during }),
            (true, None) => Ok(()),
            (_, rejected) => {
                self.poll_quietly();
                let reason = rejected.map_or_else(|| "it was destroyed".to_owned(), |error| error.to_string());
                self.health.lose(&reason);
                self.health.check(during)
            }
        }
    }

    /// [`Gpu::probe`] for native code that cannot await.
    pub(in crate::engine) fn probe_now(&self, during: &'static str) -> Result<()> {
        pollster::block_on(self.probe(during))
    }

    /// Lets wgpu run callbacks and free what is no longer used.
    pub(in crate::engine) fn poll_quietly(&self) {
        // Its failures show in what is asked next.
        let _ = self.poll(wgpu::PollType::Poll);
    }

    /// Whether submission `index` is done, waiting for at most `limit`.
    pub(in crate::engine) fn done_within(
        &self,
        index: &wgpu::SubmissionIndex,
        limit: Duration,
        during: &'static str,
    ) -> Result<bool> {
        match self.poll(wgpu::PollType::Wait { submission_index: Some(index.clone()), timeout: Some(limit) }) {
            Some(Ok(_)) => self.health.check(during).map(|()| true),
            Some(Err(wgpu::PollError::Timeout)) => self.health.check(during).map(|()| false),
            // A submission that never reached the queue has no valid number: the device was already gone.
            other => {
                self.probe_now(during)?;
                Err(Error::Device { during, message: format!("waiting for a submission gave {other:?}") })
            }
        }
    }

    /// Waits for submission `index`, or fails after the limit of the options.
    pub(in crate::engine) fn wait_for(&self, index: &wgpu::SubmissionIndex, during: &'static str) -> Result<()> {
        let limit = self.options.wait_limit;
        if self.done_within(index, limit, during)? {
            return Ok(());
        }
        self.probe_now(during)?;
        Err(Error::Timeout { during, seconds: limit.as_secs() })
    }

    /// Polls the device. `None` if it was lost: wgpu 30 panics when a driver reports that during a poll.
    fn poll(&self, how: wgpu::PollType) -> Option<Result<wgpu::PollStatus, wgpu::PollError>> {
        let turn = self.turn();
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| self.device.poll(how)));
        drop(turn);
        if polled.is_err() {
            self.health.lose("the driver reported a lost device");
        }
        polled.ok()
    }
}
