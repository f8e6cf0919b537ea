//! One Python process that serves environments.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::frame::{self, Frame, MAGIC};
use super::tail::Tail;
use super::{Hello, PROGRAM, ProcessOptions};
use crate::envs::{Step, SuccessTiming, python};
use crate::error::{Error, Result};

/// Reads the program from standard input, so that no file has to be written, found and cleaned up.
const START: &str = "import sys; exec(compile(sys.stdin.buffer.read(int(sys.argv.pop(1))), 'wgflow_envs.py', 'exec'))";

/// How long a process that closed its output may take to end.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the reading thread hands over; the channel closes after anything but a frame.
enum Heard {
    Frame(Frame),
    /// The end of the stream, or no frame at all.
    End(String),
}

/// A process, ended when dropped.
pub(super) struct Server {
    env: String,
    python: String,
    timeout: Duration,
    child: Child,
    input: ChildStdin,
    output: Receiver<Heard>,
    errors: Tail,
}

/// The payload of an E frame.
#[derive(Deserialize)]
struct Failure {
    problem: String,
    missing: Option<String>,
}

impl Server {
    /// Starts a process with `count` environments.
    pub(super) fn spawn(options: &ProcessOptions, count: usize) -> Result<Self> {
        let program = options.program.as_deref().unwrap_or(PROGRAM);
        let mut command = Command::new(&options.python);
        command.args(["-c", START, &program.len().to_string(), &options.env, &count.to_string()]);
        command.args(options.success_timing.map(|timing| match timing {
            SuccessTiming::Pre => "pre",
            SuccessTiming::Post => "post",
        }));
        command.envs(options.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        leave_signals_to_us(&mut command);
        let python = options.python.display().to_string();
        let cannot = |problem: &std::io::Error| {
            let remedy =
                "name a Python that has the environments with --python or WGFLOW_PYTHON, or make one with `wgflow setup`";
            Error::environment(&options.env, format!("cannot run {python}: {problem}"), remedy)
        };
        let mut child = command.spawn().map_err(|e| cannot(&e))?;
        let (Some(mut input), Some(output), Some(errors)) = (child.stdin.take(), child.stdout.take(), child.stderr.take()) else {
            return Err(cannot(&std::io::Error::other("it has no standard streams")));
        };
        let (sender, receiver) = sync_channel(1);
        std::thread::spawn(move || listen(output, &sender));
        let errors = Tail::of(errors);
        // A process that is gone already says why when it is listened to.
        let _ = input.write_all(program.as_bytes());
        Ok(Self { env: options.env.clone(), python, timeout: options.timeout, child, input, output: receiver, errors })
    }

    /// Waits for the first environment.
    pub(super) fn hello(&mut self) -> Result<Hello> {
        let payload = self.hear(b'H', "starting")?;
        let hello: Option<Hello> = serde_json::from_slice(&payload).ok();
        let usable = hello.filter(|hello| hello.obs_dim > 0 && hello.action_dim > 0 && hello.horizon > 0);
        usable.ok_or_else(|| self.broken(&format!("its greeting is {}", payload.escape_ascii())))
    }

    pub(super) fn send_reset(&mut self, starts: &[(usize, u64)]) -> Result<()> {
        self.send(&Frame::reset(starts), "starting an episode")
    }

    /// First observations of `count` episodes.
    pub(super) fn hear_reset(&mut self, count: usize, obs_dim: usize) -> Result<Vec<f32>> {
        let payload = self.hear(b'O', "starting an episode")?;
        let observations = frame::observations(&payload, count * obs_dim)
            .ok_or_else(|| self.broken(&format!("{} bytes for {count} observations of {obs_dim} values", payload.len())))?;
        self.finite(observations.iter().all(|v| v.is_finite()))?;
        Ok(observations)
    }

    pub(super) fn send_step(&mut self, active: &[bool], actions: &[f32]) -> Result<()> {
        self.send(&Frame::step(active, actions), "stepping")
    }

    /// What a step led to in `count` environments, and whether they tell successes.
    pub(super) fn hear_step(&mut self, count: usize, obs_dim: usize) -> Result<(Vec<Step>, bool)> {
        let payload = self.hear(b'T', "stepping")?;
        let (steps, tells) = frame::steps(&payload, count, obs_dim)
            .ok_or_else(|| self.broken(&format!("{} bytes for {count} steps of {obs_dim} values", payload.len())))?;
        self.finite(steps.iter().all(|step| step.reward.is_finite() && step.observation.iter().all(|v| v.is_finite())))?;
        Ok((steps, tells))
    }

    fn send(&mut self, frame: &Frame, during: &str) -> Result<()> {
        // What is to be told about a process that does not read any more, it has written.
        frame.write(&mut self.input).map_err(|_| match self.hear(0, during) {
            Ok(_) => self.broken("an answer without a question"),
            Err(error) => error,
        })
    }

    /// The payload of the next frame, which must be of this kind; signs of life only start the clock again.
    fn hear(&mut self, kind: u8, during: &str) -> Result<Vec<u8>> {
        loop {
            match self.output.recv_timeout(self.timeout) {
                Ok(Heard::Frame(frame)) if frame.kind == kind => return Ok(frame.payload),
                Ok(Heard::Frame(frame)) if frame.kind == b'A' => {}
                Ok(Heard::Frame(frame)) if frame.kind == b'E' => return Err(self.failed(&frame.payload)),
                Ok(Heard::Frame(frame)) => return Err(self.broken(&format!("an answer {:?}", char::from(frame.kind)))),
                Ok(Heard::End(problem)) if problem.is_empty() => return Err(self.gone(during)),
                Ok(Heard::End(problem)) => return Err(self.broken(&problem)),
                Err(RecvTimeoutError::Disconnected) => return Err(self.gone(during)),
                Err(RecvTimeoutError::Timeout) => return Err(self.silent(during)),
            }
        }
    }

    /// The program reported an error.
    fn failed(&self, payload: &[u8]) -> Error {
        let Ok(failure) = serde_json::from_slice::<Failure>(payload) else {
            return self.broken(&format!("its error is {}", payload.escape_ascii()));
        };
        let Some(module) = failure.missing else {
            return Error::environment(&self.env, failure.problem, "check the environment's id and the versions of its packages");
        };
        let remedy = python::install_advice(&self.env, &module, &self.python);
        Error::environment(&self.env, format!("{} has no module `{module}`", self.python), remedy)
    }

    /// The process does not follow the protocol.
    fn broken(&self, found: &str) -> Error {
        let remedy = "something prints to standard output as Python starts (sitecustomize, a .pth file, a wrapper script): \
                      take it out, or use another Python";
        Error::environment(&self.env, format!("{} does not speak the protocol: {found}", self.python), remedy)
    }

    fn silent(&self, during: &str) -> Error {
        let problem = format!("no answer for {} s while {during}{}", self.timeout.as_secs_f32(), self.last_words());
        Error::environment(&self.env, problem, "lower --parallel if the machine is busy; otherwise the simulator hangs")
    }

    /// The process has ended.
    fn gone(&mut self, during: &str) -> Error {
        let status = self.wait().map_or_else(|| "closed its output".to_owned(), |status| format!("ended ({status})"));
        let killed = status.contains("signal: 9");
        let remedy = if killed { "it was killed, perhaps for lack of memory: lower --parallel" } else { "run it again" };
        Error::environment(&self.env, format!("its process {status} while {during}{}", self.last_words()), remedy)
    }

    fn finite(&self, finite: bool) -> Result<()> {
        let problem = "an observation or a reward is not finite: the simulation became unstable";
        let remedy = "run it again with another --seed; if it repeats, the policy's actions break the simulator";
        if finite { Ok(()) } else { Err(Error::environment(&self.env, problem, remedy)) }
    }

    fn last_words(&self) -> String {
        let words = self.errors.last_words();
        if words.is_empty() { String::new() } else { format!(", its last words: {words}") }
    }

    fn wait(&mut self) -> Option<ExitStatus> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing else to do about either failure.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ctrl-C in a terminal goes to every process of the foreground group: these leave it, and end when this one wants.
fn leave_signals_to_us(command: &mut Command) {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    #[cfg(windows)]
    {
        const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
        std::os::windows::process::CommandExt::creation_flags(command, CREATE_NEW_PROCESS_GROUP);
    }
    #[cfg(not(any(unix, windows)))]
    let _ = command;
}

/// Hands over frames until the stream ends or nobody listens.
fn listen(mut stream: impl Read, to: &SyncSender<Heard>) {
    let mut magic = Vec::new();
    let greeted = stream.by_ref().take(MAGIC.len() as u64).read_to_end(&mut magic);
    let end = match greeted {
        _ if !magic.is_empty() && magic != MAGIC => format!("\"{}\" where a greeting should stand", magic.escape_ascii()),
        Err(error) => error.to_string(),
        Ok(0) => String::new(),
        Ok(_) => loop {
            match Frame::read(&mut stream) {
                Ok(Some(frame)) => {
                    if to.send(Heard::Frame(frame)).is_err() {
                        return;
                    }
                }
                Ok(None) => break String::new(),
                // The process died in the middle of a frame.
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => break String::new(),
                Err(error) => break error.to_string(),
            }
        },
    };
    // Nobody may be left to listen.
    let _ = to.send(Heard::End(end));
}
