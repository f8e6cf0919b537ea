//! One request for one file, or for the rest of it.

use std::io::{ErrorKind, Read};

use ureq::http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED};
use ureq::{Agent, Body, http::Response};

use super::{Failure, Limits};

pub(super) struct Client {
    agent: Agent,
}

/// The head of an answer that brings bytes, and the bytes.
pub(super) struct Answer {
    /// The place in the file at which the bytes begin.
    pub(super) from: u64,
    /// The length of the whole file.
    pub(super) total: Option<u64>,
    /// What names this version of the file: a strong ETag, else the time of change.
    pub(super) validator: Option<String>,
    pub(super) body: Box<dyn Read>,
}

impl Client {
    /// Opens no connection yet. Proxies come from the usual environment variables (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`).
    pub(super) fn new(limits: &Limits) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(limits.redirects)
            .timeout_resolve(Some(limits.connect))
            .timeout_connect(Some(limits.connect))
            .timeout_recv_response(Some(limits.stall))
            .timeout_per_read(Some(limits.stall))
            // A connection that was cut is not one to use again.
            .max_idle_connections(0)
            .user_agent(concat!("wgflow/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.new_agent() }
    }

    /// Asks for a file, or for the rest of it from `rest` on, if it is still the version that `rest` names.
    pub(super) fn get(&self, url: &str, rest: Option<(u64, &str)>) -> Result<Answer, Failure> {
        // An address over https must not lead to plain http; a proxy does not lead back to this machine.
        let config = self.agent.get(url).config().https_only(!url.starts_with("http://"));
        let mut request = if is_here(url) { config.proxy(None).build() } else { config.build() };
        if let Some((from, validator)) = rest {
            request = request.header("Range", format!("bytes={from}-")).header("If-Range", validator);
        }
        let response = request.call().map_err(failure)?;
        let (from, total) = span(&response, rest.map(|(from, _)| from))?;
        if is_page(response.headers()) {
            return Err(Failure::Mirror("it sent a web page".into()));
        }
        let headers = response.headers();
        if let Some((_, asked)) = rest.filter(|_| from > 0) {
            // Some servers send the rest of whatever is there now.
            let name = if asked.starts_with('"') { ETAG } else { LAST_MODIFIED };
            if text(headers, &name).is_some_and(|given| given != asked) {
                return Err(Failure::Refused("the file has changed since the first part of it was sent".into()));
            }
        }
        let validator = validator(headers);
        Ok(Answer { from, total, validator, body: Box::new(response.into_body().into_reader()) })
    }
}

fn is_here(url: &str) -> bool {
    let host = url.split('/').nth(2).unwrap_or_default();
    let port = host.rfind(':').filter(|_| !host.ends_with(']')).unwrap_or(host.len());
    ["localhost", "127.0.0.1", "[::1]"].contains(&&host[..port])
}

/// Where the answer's bytes begin, and the length of the whole.
fn span(response: &Response<Body>, asked: Option<u64>) -> Result<(u64, Option<u64>), Failure> {
    let status = response.status().as_u16();
    match (status, asked) {
        // Also to a request for the rest: the server knows no ranges, or the file has changed. All of it follows.
        (200, _) => Ok((0, text(response.headers(), &CONTENT_LENGTH).and_then(|n| n.parse().ok()))),
        (206, Some(asked)) => match text(response.headers(), &CONTENT_RANGE).and_then(range) {
            Some((from, total)) if from == asked => Ok((from, total)),
            _ => Err(Failure::Refused("it sent another part than the one asked for".into())),
        },
        (416, Some(_)) => Err(Failure::Refused("it has no more of the file than the part that is here".into())),
        (408 | 429 | 500..=599, _) => Err(Failure::Cut(format!("it answered {}", response.status()))),
        _ => Err(Failure::Mirror(format!("it answered {}", response.status()))),
    }
}

/// `bytes 100-199/200`: the first place, and the whole length unless it is `*`.
fn range(text: &str) -> Option<(u64, Option<u64>)> {
    let (span, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let from = span.split_once('-')?.0.parse().ok()?;
    Some((from, total.parse().ok()))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

fn validator(headers: &HeaderMap) -> Option<String> {
    // RFC 9110, 13.1.5: If-Range takes no weak ETag.
    let strong = text(headers, &ETAG).filter(|tag| !tag.starts_with("W/"));
    strong.or_else(|| text(headers, &LAST_MODIFIED)).map(str::to_owned)
}

fn is_page(headers: &HeaderMap) -> bool {
    text(headers, &CONTENT_TYPE).is_some_and(|kind| kind.to_lowercase().starts_with("text/html"))
}

/// What a failed request means for the next attempt.
fn failure(error: ureq::Error) -> Failure {
    match error {
        ureq::Error::TooManyRedirects => Failure::Mirror("it redirects in a loop, or too often".into()),
        ureq::Error::RequireHttpsOnly(to) => Failure::Mirror(format!("it redirects to {to}, which is not https")),
        ureq::Error::BadUri(_)
        | ureq::Error::Http(_)
        | ureq::Error::RedirectFailed
        | ureq::Error::InvalidProxyUrl
        | ureq::Error::Tls(_)
        | ureq::Error::Rustls(_) => Failure::Mirror(error.to_string()),
        // A certificate that is not right, or no TLS at all.
        ureq::Error::Io(cause) if cause.kind() == ErrorKind::InvalidData => Failure::Mirror(cause.to_string()),
        ureq::Error::Timeout(_) => Failure::Cut(format!("it did not answer in time ({error})")),
        _ => Failure::Cut(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        assert_eq!(range("bytes 100-199/200"), Some((100, Some(200))));
        assert_eq!(range("bytes 100-199/*"), Some((100, None)));
        for wrong in ["bytes */200", "100-199/200", "bytes 100-199", "bytes x-1/2", ""] {
            assert_eq!(range(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn this_machine_is_known_by_its_names() {
        for url in ["http://localhost/x", "http://127.0.0.1:80/x", "https://[::1]:80/x", "https://[::1]/x"] {
            assert!(is_here(url), "{url}");
        }
        for url in ["http://localhost.org/x", "https://example.org/localhost", "https://[::2]/x", "x"] {
            assert!(!is_here(url), "{url}");
        }
    }

    #[test]
    fn only_an_address_given_as_http_asks_over_http() {
        // Refused before any connection: port 9 of this machine would refuse in other words.
        let client = Client::new(&Limits::default());
        let problem = |url| match client.get(url, None) {
            Err(Failure::Mirror(problem) | Failure::Cut(problem)) => problem,
            _ => String::new(),
        };
        assert!(problem("HTTP://127.0.0.1:9/").contains("not https"));
        assert!(!problem("http://127.0.0.1:9/").contains("not https"));
    }
}
