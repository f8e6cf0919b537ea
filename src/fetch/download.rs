//! One file from a list of addresses: each is tried until it fails without progress, then the next.

use std::fs;
use std::path::Path;
use std::thread;

use super::check::{self, Expected, State, Verified};
use super::http::Client;
use super::lock::Lock;
use super::part::Part;
use super::{Event, Failure, Limits};
use crate::error::{Error, Result};
use crate::files::beside;

/// Where one file comes from and goes to.
pub(super) struct Job<'a> {
    /// Its final place.
    pub(super) path: &'a Path,
    pub(super) urls: &'a [String],
    pub(super) pinned: Option<&'a str>,
    pub(super) limits: &'a Limits,
    /// What the user can do if all fails.
    pub(super) hint: &'a str,
}

impl Job<'_> {
    /// Downloads the file.
    ///
    /// # Errors
    /// [`Error::Network`] with every address's failure; [`Error::Io`] from this machine's side. The part is kept in both
    /// cases, unless what arrived was wrong.
    pub(super) fn run(&self, observer: &mut dyn FnMut(Event<'_>)) -> Result<Verified> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(Error::io(folder, "create"))?;
        let lock = Lock::take(self.path, observer)?;
        // Another process may have brought it meanwhile.
        if let State::Good(verified) = check::state(self.path, self.pinned)? {
            lock.done();
            return Ok(verified);
        }
        // Where nothing keeps others off, a part of our own, which nobody else goes on with.
        let ending = if lock.holds() { ".part".into() } else { format!(".{}.part", std::process::id()) };
        let part = beside(self.path, &ending);
        let verified = self.try_all(&part, observer);
        let empty = || fs::metadata(&part).is_ok_and(|part| part.len() == 0);
        match verified {
            Ok(_) => lock.done(),
            // The error is what counts; the leftovers go as far as that is possible.
            Err(_) if !lock.holds() || empty() => drop((fs::remove_file(&part), fs::remove_file(beside(&part, ".json")))),
            Err(_) => {}
        }
        verified
    }

    fn try_all(&self, part: &Path, observer: &mut dyn FnMut(Event<'_>)) -> Result<Verified> {
        let expected = check::expected(self.path, self.pinned);
        let client = Client::new(self.limits);
        let mut part = Part::open(part.to_path_buf())?;
        let mut problems = Vec::new();
        for url in self.urls {
            match self.try_one(&client, url, &mut part, expected.as_ref(), observer)? {
                Ok(()) => return self.finish(part, url, expected, observer),
                Err(problem) => problems.push(format!("{url}: {problem}")),
            }
        }
        Err(Error::Network {
            what: self.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            problem: format!("no mirror served it ({})", problems.join("; ")),
            remedy: format!("the same command goes on where this one stopped; {}", self.hint),
        })
    }

    /// Attempts until the part is whole and right. The inner error says why this address was given up.
    fn try_one(
        &self,
        client: &Client,
        url: &str,
        part: &mut Part,
        expected: Option<&Expected>,
        observer: &mut dyn FnMut(Event<'_>),
    ) -> Result<Result<(), String>> {
        let (mut left, mut pause, mut best) = (self.limits.tries, self.limits.pause, part.length_of(url));
        loop {
            let resumed = part.length_of(url) > 0;
            let attempt = attempt(client, url, part, observer).and_then(|()| self.judge(part, expected));
            let problem = match attempt {
                Ok(()) => return Ok(Ok(())),
                Err(Failure::Local(error)) => return Err(error),
                Err(Failure::Mirror(problem)) => return Ok(Err(problem)),
                Err(Failure::Cut(problem)) => {
                    part.sync()?;
                    problem
                }
                Err(Failure::Refused(problem)) => {
                    part.restart(url, None, None)?;
                    // What was there before this attempt may be to blame: once more, from the start.
                    if !resumed {
                        return Ok(Err(problem));
                    }
                    problem
                }
            };
            if part.length_of(url) >= best.saturating_add(self.limits.progress) {
                (left, pause, best) = (self.limits.tries, self.limits.pause, part.length_of(url));
            } else {
                left = left.saturating_sub(1);
            }
            if left == 0 {
                return Ok(Err(problem));
            }
            observer(Event::Failed { url, problem: &problem, pause });
            thread::sleep(pause);
            pause = pause.saturating_mul(2);
        }
    }

    /// Is the part, whose server said that this was all, the file?
    fn judge(&self, part: &Part, expected: Option<&Expected>) -> Result<(), Failure> {
        part.look(self.path).map_err(Failure::Local)?.map_err(Failure::Refused)?;
        expected.map_or(Ok(()), |expected| check::compare(&part.sha256(), expected).map_err(Failure::Refused))
    }

    fn finish(&self, part: Part, url: &str, expected: Option<Expected>, observer: &mut dyn FnMut(Event<'_>)) -> Result<Verified> {
        let sha256 = part.sha256();
        let verified = expected.map_or(Verified::FirstUse, |expected| expected.by);
        if verified != Verified::Recorded {
            let by = if verified == Verified::Pinned { "as pinned" } else { "nobody pinned it" };
            let remark = format!("recorded by wgflow at the first complete download, {by}: {} bytes from {url}", part.length());
            check::write_record(self.path, &sha256, &remark)?;
        }
        part.put(self.path)?;
        observer(Event::Finished { path: self.path, sha256: &sha256, verified });
        Ok(verified)
    }
}

/// One request, from where the part ends to where the file does.
fn attempt(client: &Client, url: &str, part: &mut Part, observer: &mut dyn FnMut(Event<'_>)) -> Result<(), Failure> {
    // What another address sent stays until this one sends something.
    let (note, here) = (part.note(), part.length_of(url));
    if here > 0 && note.total == Some(here) {
        return Ok(());
    }
    let rest = note.validator.as_deref().filter(|_| here > 0).map(|validator| (here, validator));
    observer(Event::Asking { url, from: rest.map_or(0, |(from, _)| from) });
    let known = note.total;
    let mut answer = client.get(url, rest)?;
    if answer.from == 0 {
        part.restart(url, answer.validator, answer.total).map_err(Failure::Local)?;
    } else if known != answer.total {
        return Err(Failure::Refused("the file's length has changed since the first part of it was sent".into()));
    }
    let mut buffer = vec![0; 64 << 10];
    loop {
        match answer.body.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => part.write(&buffer[..n]).map_err(Failure::Local)?,
            Err(error) => return Err(Failure::Cut(format!("the connection broke ({error})"))),
        }
        observer(Event::Progress { done: part.length(), total: answer.total });
    }
    match answer.total {
        Some(total) if part.length() < total => {
            Err(Failure::Cut(format!("it closed the connection after {} of {total} bytes", part.length())))
        }
        Some(total) if part.length() > total => Err(Failure::Refused(format!("it sent more than the {total} bytes it stated"))),
        _ => Ok(()),
    }
}
