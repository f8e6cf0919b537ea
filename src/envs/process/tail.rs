//! The last words of a process: the end of what it wrote to standard error.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Bytes that are kept.
const KEPT: usize = 1 << 14;
/// Lines that a message quotes.
const QUOTED: usize = 4;
/// How long the last words of a process that ended may take to arrive.
const PATIENCE: Duration = Duration::from_secs(1);

/// Reads a stream to its end and remembers its last bytes.
#[derive(Debug)]
pub(super) struct Tail {
    bytes: Arc<Mutex<VecDeque<u8>>>,
    reader: JoinHandle<()>,
}

impl Tail {
    pub(super) fn of(mut stream: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&bytes);
        let reader = std::thread::spawn(move || {
            let mut part = [0; 4096];
            // A stream that breaks has ended.
            while let Ok(read @ 1..) = stream.read(&mut part) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend(&part[..read]);
                let surplus = kept.len().saturating_sub(KEPT);
                kept.drain(..surplus);
            }
        });
        Self { bytes, reader }
    }

    /// The last lines, joined by ` | `; empty if nothing was written.
    pub(super) fn last_words(&self) -> String {
        // A grandchild may hold the stream open, so its end is not waited for without limit.
        let start = Instant::now();
        while !self.reader.is_finished() && start.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
        let kept = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = kept.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        lines[lines.len().saturating_sub(QUOTED)..].join(" | ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept() {
        let text: String = (0..10_000).map(|i| format!("line {i}\n\n")).collect();
        let tail = Tail::of(std::io::Cursor::new(text));
        assert_eq!(tail.last_words(), "line 9996 | line 9997 | line 9998 | line 9999");
        assert!(tail.bytes.lock().unwrap().len() <= KEPT);
        assert_eq!(Tail::of(std::io::empty()).last_words(), "");
    }
}
