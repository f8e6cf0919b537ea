//! Evaluation beside training: a thread that evaluates checkpoints in the order they come, and writes `evaluations.jsonl`.
//!
//! Training hands over the path of a checkpoint and goes on. A failed evaluation (a crashed simulator, a missing Python)
//! is reported and ends nothing; the next checkpoint gets fresh environments.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::environment::Opened;
use super::evaluate::{Evaluation, Quota, evaluate_saved};
use super::evaluations::{self, Normalise, Record, Subject};
use super::saved::Saved;
use crate::error::{Error, Result};

/// What the thread does with a checkpoint.
pub struct Job {
    /// Opens the environments; asked again after a failure.
    pub open: Box<dyn FnMut() -> Result<Opened> + Send>,
    /// Episodes of every policy of every lane, with the lane's own seed.
    pub episodes: usize,
    /// Episodes, from the first, that keep their trajectories.
    pub keep_paths: usize,
    /// CPU threads of a policy.
    pub threads: usize,
    /// Normalised scores.
    pub normalise: Box<Normalise>,
}

/// What became of a checkpoint.
#[derive(Debug)]
pub enum Report {
    /// A lane was evaluated and its records were written.
    Evaluated {
        /// Updates of the checkpoint.
        step: u64,
        /// The lane.
        lane: usize,
        /// Its policies' episodes.
        evaluations: Vec<Evaluation>,
        /// What was appended to `evaluations.jsonl`.
        records: Vec<Record>,
    },
    /// The rest of the checkpoint could not be evaluated.
    Failed {
        /// The checkpoint.
        checkpoint: PathBuf,
        /// Why.
        error: Error,
    },
}

/// From the thread: a report, or the end of a checkpoint.
enum Message {
    Report(Report),
    Finished(PathBuf),
}

/// The thread's handle. Dropping it abandons what is not done.
#[derive(Debug)]
pub struct Background {
    jobs: Sender<PathBuf>,
    messages: Receiver<Message>,
    abandoned: Arc<AtomicBool>,
    pending: Vec<PathBuf>,
}

impl Background {
    /// Starts the thread. Environments are opened with the first checkpoint.
    pub fn start(job: Job) -> Self {
        let (jobs, checkpoints) = channel();
        let (sender, messages) = channel();
        let abandoned = Arc::new(AtomicBool::new(false));
        let worker = Worker { job, envs: None, to: sender, abandoned: Arc::clone(&abandoned) };
        std::thread::spawn(move || worker.run(&checkpoints));
        Self { jobs, messages, abandoned, pending: Vec::new() }
    }

    /// Hands over a checkpoint of a run. It must stay on the disk until it is no longer [`Background::pending`].
    pub fn submit(&mut self, checkpoint: PathBuf) {
        // The thread ends only after this handle.
        let _ = self.jobs.send(checkpoint.clone());
        self.pending.push(checkpoint);
    }

    /// Checkpoints that were not seen to be finished, oldest first.
    pub fn pending(&self) -> &[PathBuf] {
        &self.pending
    }

    /// Whether a checkpoint is waited for, so that it must not be deleted yet.
    pub fn needs(&self, checkpoint: &Path) -> bool {
        self.pending.iter().any(|pending| pending == checkpoint)
    }

    /// The next report, waited for up to `patience`; `None` if none came, or if nothing is pending.
    pub fn wait(&mut self, patience: Duration) -> Option<Report> {
        while !self.pending.is_empty() {
            match self.messages.recv_timeout(patience) {
                Ok(Message::Report(report)) => return Some(report),
                Ok(Message::Finished(checkpoint)) => self.pending.retain(|pending| *pending != checkpoint),
                Err(RecvTimeoutError::Timeout) => return None,
                // The thread is gone, and with it what it had to do.
                Err(RecvTimeoutError::Disconnected) => self.pending.clear(),
            }
        }
        None
    }

    /// What has been reported since, without waiting.
    pub fn poll(&mut self) -> Vec<Report> {
        std::iter::from_fn(|| self.wait(Duration::ZERO)).collect()
    }

    /// Waits until nothing is pending and hands each report to `each`. `proceed` is asked ten times a second; its error
    /// ends the waiting, not the evaluations.
    ///
    /// # Errors
    /// Those of `proceed`.
    pub fn drain(&mut self, each: &mut dyn FnMut(Report), proceed: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        while !self.pending.is_empty() {
            proceed()?;
            if let Some(report) = self.wait(Duration::from_millis(100)) {
                each(report);
            }
        }
        Ok(())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // The thread is not waited for: a simulator may hang. Its processes end with it, or with this process.
        self.abandoned.store(true, Ordering::Relaxed);
    }
}

struct Worker {
    job: Job,
    envs: Option<Opened>,
    to: Sender<Message>,
    abandoned: Arc<AtomicBool>,
}

impl Worker {
    fn run(mut self, checkpoints: &Receiver<PathBuf>) {
        for checkpoint in checkpoints {
            if self.abandoned.load(Ordering::Relaxed) {
                return;
            }
            let failed = self.evaluate(&checkpoint).err();
            if let Some(error) = failed {
                // Environments that failed are of no more use.
                self.envs = None;
                self.tell(Message::Report(Report::Failed { checkpoint: checkpoint.clone(), error }));
            }
            self.tell(Message::Finished(checkpoint));
        }
    }

    /// Nobody listens to an abandoned thread.
    fn tell(&self, message: Message) {
        let _ = self.to.send(message);
    }

    fn evaluate(&mut self, checkpoint: &Path) -> Result<()> {
        let saved = Saved::open(checkpoint)?;
        let mut opened = match self.envs.take() {
            Some(opened) => opened,
            None => (self.job.open)()?,
        };
        for lane in 0..saved.lanes() {
            let report = self.evaluate_lane(&saved, lane, &mut opened)?;
            self.tell(Message::Report(report));
        }
        self.envs = Some(opened);
        Ok(())
    }

    fn evaluate_lane(&self, saved: &Saved, lane: usize, opened: &mut Opened) -> Result<Report> {
        let Job { episodes, keep_paths, threads, .. } = self.job;
        let quota = Quota { episodes, seed: saved.config.seeds[lane], keep_paths };
        let step = saved.step();
        let mut proceed =
            || if self.abandoned.load(Ordering::Relaxed) { Err(Error::Interrupted { step, preempted: false }) } else { Ok(()) };
        let (mut evaluations, mut records) = (Vec::new(), Vec::new());
        for policy in saved.config.agent.policies() {
            let evaluation = evaluate_saved(saved, (lane, policy), opened.envs.as_mut(), &quota, threads, &mut proceed)?;
            let subject = Subject { step, lane, policy, quota: &quota, protocol: None };
            let record = Record::announced(&subject, &opened.setting);
            let record = record.with_results(&evaluation, opened.envs.tells_success(), &self.job.normalise);
            evaluations::append(&evaluations::file(&saved.folder), &record)?;
            evaluations.push(evaluation);
            records.push(record);
        }
        Ok(Report::Evaluated { step, lane, evaluations, records })
    }
}
