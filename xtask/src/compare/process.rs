//! A program under comparison: started once, then timed round after round over its pipes.
//!
//! It prints a line of JSON with `"ready": true` when it is warm. For each line it reads it works for a round and prints
//! `{"ms": ...}`, the milliseconds of one update. When its input ends it leaves. Other lines that it prints are passed over.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// How long a silence lasts before it is asked whether the program still runs.
const GLANCE: Duration = Duration::from_millis(200);

/// What a program says of itself when it is ready.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Facts {
    /// Versions of what it is made of.
    #[serde(default)]
    pub versions: BTreeMap<String, String>,
    /// What it runs on.
    #[serde(default)]
    pub device: String,
    /// Of programs that act: the first action, to compare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Vec<f64>>,
}

/// A running program.
#[derive(Debug)]
pub struct Program {
    child: Child,
    /// Closed before the program is waited for.
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    /// The last line of its standard error.
    complaint: Arc<Mutex<String>>,
    timeout: Duration,
}

impl Program {
    /// Starts a program and waits until it is ready, at most `timeout` as for each round later.
    ///
    /// # Errors
    /// A sentence with the last line of its standard error, if it cannot be started, ends, or is silent for too long.
    pub fn start(command: &mut Command, timeout: Duration) -> Result<(Self, Facts), String> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("it cannot be started: {error}"))?;
        let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) else {
            return Err("it has no pipes".to_owned());
        };
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            lines.take_while(|line| sender.send(line.clone()).is_ok()).for_each(drop);
        });
        let complaint = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&complaint);
        std::thread::spawn(move || keep_last(errors, &kept));
        let input = child.stdin.take();
        let mut program = Self { child, input, lines, complaint, timeout };
        let facts = program.answer("ready")?;
        let facts = serde_json::from_value(facts).map_err(|error| format!("its ready line is not understood: {error}"))?;
        Ok((program, facts))
    }

    /// Lets the program work for a round; milliseconds of one update.
    ///
    /// # Errors
    /// As [`Program::start`], and if the answer is no positive number.
    pub fn round(&mut self) -> Result<f64, String> {
        // A program that is gone is told about by what it answers.
        let _ = self.input.as_mut().map(|input| input.write_all(b"\n").and_then(|()| input.flush()));
        let ms = self.answer("ms")?["ms"].as_f64();
        ms.filter(|ms| ms.is_finite() && *ms > 0.0).ok_or_else(|| "it answered a round with no positive number".to_owned())
    }

    /// The next line that is an object with `key`.
    fn answer(&mut self, key: &str) -> Result<serde_json::Value, String> {
        let end = Instant::now() + self.timeout;
        let mut gone = false;
        loop {
            match self.lines.recv_timeout(GLANCE) {
                Ok(line) => match serde_json::from_str::<serde_json::Value>(&line) {
                    Ok(value) if value.get(key).is_some() => return Ok(value),
                    _ => {}
                },
                Err(RecvTimeoutError::Disconnected) => return Err(self.ended()),
                Err(RecvTimeoutError::Timeout) if gone => return Err(self.ended()),
                Err(RecvTimeoutError::Timeout) if Instant::now() >= end => {
                    return Err(format!("it was silent for {} s", self.timeout.as_secs()));
                }
                // Its helpers may hold its pipes open after it is gone.
                Err(RecvTimeoutError::Timeout) => gone = self.child.try_wait().is_ok_and(|ended| ended.is_some()),
            }
        }
    }

    /// Why a program ended that should not have.
    fn ended(&mut self) -> String {
        self.input = None;
        let status = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        // The rest of what it said.
        std::thread::sleep(GLANCE);
        let complaint = self.complaint.lock().map_or_else(|_| String::new(), |line| line.clone());
        if complaint.is_empty() { format!("it ended: {status}") } else { complaint }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.input = None;
        for _ in 0..40 {
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        // It does not leave by itself; that it cannot be killed either is nothing we could help.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps the last line that is not empty.
fn keep_last(stream: impl Read, kept: &Mutex<String>) {
    for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).trim().to_owned();
        if let (false, Ok(mut kept)) = (line.is_empty(), kept.lock()) {
            *kept = line;
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn start(script: &str, timeout: u64) -> Result<(Program, Facts), String> {
        Program::start(Command::new("sh").args(["-c", script]), Duration::from_secs(timeout))
    }

    #[test]
    fn rounds_are_answered_one_by_one() {
        let script = r#"echo warming up; echo '{"note": 1}'
            echo '{"ready": true, "versions": {"peer": "1.2"}, "device": "here", "threads": 2}'
            n=0; while read line; do n=$((n + 1)); echo chatter; echo "{\"ms\": $n.5}"; done"#;
        let (mut program, facts) = start(script, 20).unwrap();
        assert_eq!((facts.versions["peer"].as_str(), facts.device.as_str()), ("1.2", "here"));
        assert_eq!([program.round(), program.round()], [Ok(1.5), Ok(2.5)]);
    }

    #[test]
    fn what_goes_wrong_is_told() {
        assert_eq!(start("echo first >&2; echo 'no module' >&2; exit 3", 20).unwrap_err(), "no module");
        assert_eq!(start("exit 3", 20).unwrap_err(), "it ended: exit status: 3");
        assert_eq!(start("sleep 3", 1).unwrap_err(), "it was silent for 1 s");
        let absent = Program::start(&mut Command::new("/nonexistent/program"), Duration::from_secs(1)).unwrap_err();
        assert!(absent.starts_with("it cannot be started"), "{absent}");
        for answer in [r#"{"ms": 0}"#, r#"{"ms": "fast"}"#, r#"{"ms": null}"#] {
            let (mut program, _) =
                start(&format!("echo '{{\"ready\": true}}'; read line; echo '{answer}'; read line"), 20).unwrap();
            assert_eq!(program.round().unwrap_err(), "it answered a round with no positive number", "{answer}");
        }
        // A helper that lives on holds the pipes.
        assert_eq!(start("sleep 5 & echo 'no device' >&2; exit 1", 20).unwrap_err(), "no device");
        let (mut program, _) = start(r#"echo '{"ready": true}'; read line; echo 'out of memory' >&2"#, 20).unwrap();
        assert_eq!(program.round().unwrap_err(), "out of memory");
    }
}
