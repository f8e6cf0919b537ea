//! `wgflow download` against a local web server that cuts, corrupts, redirects, stalls and lies.
//!
//! At every event of every download the folders are searched for a bad file under a final name (`Scene::fetch`).

#[path = "download/caches.rs"]
mod caches;
#[path = "download/command.rs"]
mod command;
#[path = "download/resume.rs"]
mod resume;
#[path = "download/scene.rs"]
mod scene;
#[path = "download/server.rs"]
mod server;

use std::time::Duration;

use scene::{LENGTH, Scene, hdf5, sha256};
use server::{Reply, Request, Server, serve};
use wgflow::fetch::Verified;

const NAME: &str = "hopper-medium-v2";
const FILE: &str = "hopper_medium-v2.hdf5";
const TAG: &str = "\"one\"";

/// A server whose `/bad` answers as told and whose `/good` has the file; a scene that asks `/bad`, then `/good`.
fn bad_then_good(test: &str, bad: impl Fn(&Request, &[u8]) -> Reply + Send + Sync + 'static) -> (Server, Scene, Vec<u8>) {
    let bytes = hdf5(1);
    let file = bytes.clone();
    let server = Server::start(
        move |request| {
            if request.path.starts_with("/bad") { bad(request, &file) } else { serve(request, &file, TAG) }
        },
    );
    let mut scene = Scene::new(test, &["bad", "good"].map(|mirror| format!("{}/{mirror}", server.url)));
    scene.allow(FILE, &bytes);
    (server, scene, bytes)
}

fn asked(server: &Server, mirror: &str) -> Vec<Request> {
    server.requests().into_iter().filter(|request| request.path.starts_with(mirror)).collect()
}

/// The bad mirror is asked `times` and given up for `problem`, then the good one serves; alone, the bad one gives an error.
fn second_mirror_serves(
    test: &str,
    times: usize,
    problem: &str,
    pinned: bool,
    bad: impl Fn(&Request, &[u8]) -> Reply + Send + Sync + 'static,
) {
    let (server, mut scene, bytes) = bad_then_good(test, bad);
    scene.options.sha256 = pinned.then(|| sha256(&bytes));
    let mirrors = std::mem::take(&mut scene.options.mirrors);
    scene.options.mirrors = mirrors[..1].to_vec();
    let error = scene.fetch(NAME).0.unwrap_err().to_string();
    assert!(error.contains(problem) && error.contains(FILE), "{test}: {error}");
    assert_eq!(asked(&server, "/bad").len(), times, "{test}");
    scene.options.mirrors = mirrors;
    let fetched = scene.fetch(NAME).0.unwrap();
    assert_eq!(std::fs::read(&fetched.paths[0]).unwrap(), bytes, "{test}");
    assert_eq!(fetched.verified, if pinned { Verified::Pinned } else { Verified::FirstUse });
    assert_eq!(asked(&server, "/good").len(), 1, "{test}");
    assert!(scene.parts().is_empty(), "{test}: a part is left");
}

#[test]
fn a_file_with_one_flipped_byte_is_refused_and_the_second_mirror_serves() {
    second_mirror_serves("flipped", 1, "its sha256", true, |request, bytes| {
        let mut bytes = bytes.to_vec();
        bytes[LENGTH / 2] ^= 1;
        serve(request, &bytes, TAG)
    });
}

#[test]
fn nothing_of_a_refused_file_is_kept() {
    let (_server, mut scene, bytes) = bad_then_good("dropped", |request, bytes| {
        let mut bytes = bytes.to_vec();
        bytes[LENGTH / 2] ^= 1;
        serve(request, &bytes, TAG)
    });
    scene.options.sha256 = Some(sha256(&bytes).to_uppercase());
    scene.options.mirrors.truncate(1);
    scene.fetch(NAME).0.unwrap_err();
    assert!(scene.parts().is_empty(), "wrong bytes are kept");
}

#[test]
fn web_pages_and_other_formats_are_refused() {
    let page = b"<!DOCTYPE html><html><body>We moved</body></html>";
    second_mirror_serves("page", 1, "a web page", false, move |_, _| {
        Reply::new("200 OK", page).header("Content-Type: text/html; charset=utf-8")
    });
    // It does not say that it is one.
    second_mirror_serves("secret-page", 1, "a web page", false, move |_, _| Reply::new("200 OK", page));
    second_mirror_serves("archive", 1, "not an HDF5 file", false, |_, _| Reply::new("200 OK", &scene::npz(1)));
    // A file of no known form, and a page that does not begin like one.
    let server = Server::start(|_| Reply::new("200 OK", b"<body>Log in</body>").header("Content-Type: text/html"));
    let scene = Scene::new("page-by-address", &[]);
    let error = scene.fetch(&format!("{}/data.bin", server.url)).0.unwrap_err().to_string();
    assert!(error.contains("a web page"), "{error}");
    second_mirror_serves("empty", 1, "empty", false, |_, _| Reply::new("200 OK", b""));
}

#[test]
fn a_missing_file_is_not_asked_for_again() {
    second_mirror_serves("404", 1, "404 Not Found", false, |_, _| Reply::new("404 Not Found", b"no such file"));
    second_mirror_serves("403", 1, "403 Forbidden", false, |_, _| Reply::new("403 Forbidden", b""));
}

#[test]
fn a_busy_server_is_asked_again() {
    let (server, scene, bytes) = bad_then_good("503", |request, bytes| match request.before {
        0 => Reply::new("503 Service Unavailable", b"later"),
        1 => Reply::new("429 Too Many Requests", b""),
        _ => serve(request, bytes, TAG),
    });
    let (fetched, events) = scene.fetch(NAME);
    assert_eq!(std::fs::read(&fetched.unwrap().paths[0]).unwrap(), bytes);
    assert_eq!((asked(&server, "/bad").len(), asked(&server, "/good").len()), (3, 0));
    assert!(events.iter().any(|event| event.contains("Failed") && event.contains("503")), "{events:?}");
    // It is busy for good.
    second_mirror_serves("busy", 3, "503", false, |_, _| Reply::new("503 Service Unavailable", b"later"));
}

#[test]
fn redirects_are_followed_but_not_round_in_circles() {
    second_mirror_serves("circle", 6, "redirects in a loop", false, |request, _| {
        Reply::new("302 Found", b"").header(format!("Location: {}", request.path))
    });
    let bytes = hdf5(2);
    let file = bytes.clone();
    let server = Server::start(move |request| match request.path.strip_prefix("/moved") {
        Some(path) => Reply::new("307 Temporary Redirect", b"").header(format!("Location: /here{path}?signed=1")),
        None if request.before == 0 => serve(request, &file, TAG).cut(30_000),
        None => serve(request, &file, TAG),
    });
    let mut scene = Scene::new("moved", &[format!("{}/moved", server.url)]);
    scene.allow(FILE, &bytes);
    scene.fetch(NAME).0.unwrap();
    let places: Vec<Option<usize>> = asked(&server, "/here").iter().map(|request| request.from).collect();
    assert_eq!(places, [None, Some(30_000)]);
}

#[test]
fn a_slow_drip_is_waited_for_and_a_stall_is_not() {
    let (server, mut scene, _) = bad_then_good("drip", |request, bytes| {
        let mut reply = serve(request, bytes, TAG);
        reply.drip = Some((20_000, Duration::from_millis(250)));
        reply
    });
    // Longer than the limit in all, but not between two pieces.
    scene.options.limits.stall = Duration::from_secs(1);
    scene.fetch(NAME).0.unwrap();
    assert_eq!((asked(&server, "/bad").len(), asked(&server, "/good").len()), (1, 0));

    let (server, scene, _) = bad_then_good("stall", |request, bytes| match request.before {
        0 => serve(request, bytes, TAG).stall(50_000),
        _ => serve(request, bytes, TAG),
    });
    scene.fetch(NAME).0.unwrap();
    let places: Vec<Option<usize>> = asked(&server, "/bad").iter().map(|request| request.from).collect();
    assert_eq!(places, [None, Some(50_000)]);

    // It stalls before the first byte, every time.
    second_mirror_serves("silent", 3, "connection broke", false, |request, bytes| serve(request, bytes, TAG).stall(0));
}

#[test]
fn wrong_lengths_are_seen() {
    // It promises more than it has, and knows no ranges: an attempt with progress, then three without.
    second_mirror_serves("promises", 4, "connection broke", false, |_, bytes| {
        Reply::new("200 OK", &bytes[..LENGTH - 1]).stated(Some(LENGTH))
    });
    // It promises less: the rest is never read.
    second_mirror_serves("short", 1, "cut off", false, |_, bytes| Reply::new("200 OK", bytes).stated(Some(LENGTH - 1)));
    // It states no length, and the connection's end looks like the file's.
    second_mirror_serves("silence", 1, "cut off", false, |_, bytes| Reply::new("200 OK", &bytes[..LENGTH - 1]).stated(None));
    second_mirror_serves("chunked", 4, "connection broke", false, |_, bytes| {
        let body = [b"18000\r\n", &bytes[..0x18000], b"\r\n"].concat();
        Reply::new("200 OK", &body).stated(None).header("Transfer-Encoding: chunked")
    });
}

#[test]
fn a_host_that_is_not_there_is_given_up() {
    let (server, mut scene, _) = bad_then_good("nobody", |_, _| unreachable!("never asked"));
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    scene.options.mirrors[0] = format!("http://{free}");
    scene.fetch(NAME).0.unwrap();
    assert_eq!(server.connections(), 1);
}
