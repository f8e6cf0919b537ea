//! Downloads that go on where they stopped, and those that must not.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use wgflow::fetch::Verified;

use crate::scene::{LENGTH, Scene, hdf5, sha256};
use crate::server::{Reply, Request, Server, serve};
use crate::{FILE, NAME, TAG, asked, bad_then_good};

/// Where the requests to `/bad` began.
fn starts(server: &Server) -> Vec<Option<usize>> {
    asked(server, "/bad").iter().map(|request| request.from).collect()
}

#[test]
fn a_download_cut_anywhere_resumes_there() {
    let bytes = hdf5(3);
    let file = bytes.clone();
    // The path carries the place of the cut.
    let server = Server::start(move |request| {
        let at: usize = request.path.split('/').nth(1).unwrap().parse().unwrap();
        if request.before == 0 { serve(request, &file, TAG).cut(at) } else { serve(request, &file, TAG) }
    });
    let mut random = StdRng::seed_from_u64(0);
    let mut cuts: Vec<usize> = (0..60).map(|_| random.random_range(0..LENGTH)).collect();
    cuts.extend([0, 1, 65_535, 65_536, 65_537, LENGTH - 1]);
    for cut in cuts {
        let mut scene = Scene::new("cuts", &[format!("{}/{cut}", server.url)]);
        scene.allow(FILE, &bytes);
        scene.fetch(NAME).0.unwrap_or_else(|error| panic!("cut after {cut} bytes: {error}"));
        let requests = asked(&server, &format!("/{cut}/"));
        let last = requests.last().unwrap();
        assert_eq!((last.before, last.from), (1, Some(cut).filter(|cut| *cut > 0)), "cut after {cut} bytes");
        assert_eq!(last.if_range.as_deref(), last.from.map(|_| TAG));
    }
}

#[test]
fn a_download_cut_again_and_again_ends_while_it_advances() {
    let (server, scene, _) = bad_then_good("advances", |request, bytes| serve(request, bytes, TAG).cut(9_000));
    scene.fetch(NAME).0.unwrap();
    // Far more attempts than may fail in a row.
    assert_eq!(starts(&server), (0..12).map(|k| Some(9_000 * k).filter(|at| *at > 0)).collect::<Vec<_>>());
}

#[test]
fn a_server_may_send_less_than_was_asked_for() {
    let (server, scene, _) = bad_then_good("less", |request, bytes| match request.from {
        None => serve(request, bytes, TAG).cut(10_000),
        Some(from) => {
            let end = (from + 30_000).min(LENGTH);
            Reply::new("206 Partial Content", &bytes[from..end])
                .header(format!("Content-Range: bytes {from}-{}/{LENGTH}", end - 1))
                .header(format!("ETag: {TAG}"))
        }
    });
    scene.fetch(NAME).0.unwrap();
    assert_eq!(starts(&server), [None, Some(10_000), Some(40_000), Some(70_000)]);
}

#[test]
fn a_server_without_ranges_sends_all_again() {
    let (server, scene, _) = bad_then_good("no-ranges", |request, bytes| {
        let whole = Reply::new("200 OK", bytes).header(format!("ETag: {TAG}"));
        if request.before == 0 { whole.cut(40_000) } else { whole }
    });
    scene.fetch(NAME).0.unwrap();
    assert_eq!(starts(&server), [None, Some(40_000)]);
}

#[test]
fn without_a_name_for_its_version_a_file_is_sent_again() {
    for header in ["ETag: W/\"weak\"", "X-Nothing: 1"] {
        let (server, scene, _) = bad_then_good("nameless", move |request, bytes| {
            let mut reply = serve(request, bytes, TAG);
            reply.headers = vec![header.to_owned()];
            if request.before == 0 { reply.cut(40_000) } else { reply }
        });
        scene.fetch(NAME).0.unwrap();
        assert_eq!(starts(&server), [None, None], "{header}");
    }
    let time = "Thu, 01 Oct 2026 00:00:00 GMT";
    let (server, scene, _) = bad_then_good("dated", move |request, bytes| {
        let mut reply = serve(request, bytes, time);
        reply.headers.pop();
        let reply = reply.header(format!("Last-Modified: {time}"));
        if request.before == 0 { reply.cut(40_000) } else { reply }
    });
    scene.fetch(NAME).0.unwrap();
    assert_eq!(starts(&server), [None, Some(40_000)]);
    assert_eq!(asked(&server, "/bad")[1].if_range.as_deref(), Some(time));
}

/// The file changes after a cut; `second` answers the request for the rest.
fn changes(test: &str, requests: usize, second: impl Fn(&Request, &[u8]) -> Reply + Send + Sync + 'static) {
    let (old, new) = (hdf5(4), hdf5(5));
    let (before, after) = (old, new.clone());
    let server = Server::start(move |request| match request.before {
        0 => serve(request, &before, "\"old\"").cut(40_000),
        1 => second(request, &after),
        _ => serve(request, &after, "\"new\""),
    });
    let mut scene = Scene::new(test, &[format!("{}/bad", server.url)]);
    scene.allow(FILE, &new);
    scene.fetch(NAME).0.unwrap_or_else(|error| panic!("{test}: {error}"));
    assert_eq!(starts(&server).len(), requests, "{test}");
    assert_eq!(starts(&server).last().unwrap().filter(|_| requests > 2), None, "{test}");
}

#[test]
fn a_file_that_changed_meanwhile_starts_over() {
    changes("changed", 2, |request, new| serve(request, new, "\"new\""));
    // Servers that send the rest of the new file after the part of the old one: seen by the ETag, ...
    let rest = |new: &[u8], range: String| Reply::new("206 Partial Content", &new[40_000..]).header(range);
    changes("if-range-ignored", 3, move |_, new| {
        rest(new, format!("Content-Range: bytes 40000-{}/{LENGTH}", LENGTH - 1)).header("ETag: \"new\"")
    });
    // ... by the length, ...
    changes("longer", 3, move |_, new| rest(new, format!("Content-Range: bytes 40000-{}/{}", LENGTH - 1, LENGTH + 1)));
    // ... or because it is not the part that was asked for.
    changes("other-part", 3, move |_, new| rest(new, format!("Content-Range: bytes 39999-{}/{LENGTH}", LENGTH - 2)));
    changes("no-part", 3, move |_, new| rest(new, "X-Nothing: 1".into()));
    changes("416", 3, |_, _| Reply::new("416 Range Not Satisfiable", b""));
}

/// A scene whose first download stopped after 40,000 bytes, and its part.
fn interrupted(test: &str) -> (Server, Scene, Vec<u8>, PathBuf) {
    // One good answer that is cut; then nothing works until the scene's mirrors are asked again from `/bad`.
    let (server, mut scene, bytes) = bad_then_good(test, |request, bytes| match request.before {
        0 => serve(request, bytes, TAG).cut(40_000),
        1 => Reply::new("404 Not Found", b""),
        _ => serve(request, bytes, TAG),
    });
    scene.options.mirrors.truncate(1);
    scene.fetch(NAME).0.unwrap_err();
    assert_eq!(scene.parts(), [&bytes[..40_000]]);
    let part = scene.options.folders.cache.join("d4rl").join(format!("{FILE}.part"));
    (server, scene, bytes, part)
}

#[test]
fn the_next_run_goes_on() {
    let (server, scene, ..) = interrupted("next-run");
    scene.fetch(NAME).0.unwrap();
    assert_eq!(starts(&server), [None, Some(40_000), Some(40_000)]);
    // What was recorded is the sha256 of both parts.
    assert_eq!(scene.fetch(NAME).0.unwrap().verified, Verified::Recorded);
}

#[test]
fn what_a_crash_left_beyond_the_last_sync_is_not_trusted() {
    let (server, scene, _, part) = interrupted("crash");
    OpenOptions::new().append(true).open(part).unwrap().write_all(&[0; 5_000]).unwrap();
    scene.fetch(NAME).0.unwrap();
    assert_eq!(starts(&server)[2], Some(40_000));
}

#[test]
fn a_part_that_nothing_vouches_for_is_dropped() {
    for note in ["", "{\"url\": 1}", "not JSON"] {
        let (server, scene, _, part) = interrupted("note");
        fs::write(part.with_extension("part.json"), note).unwrap();
        scene.fetch(NAME).0.unwrap();
        assert_eq!(starts(&server)[2], None, "{note}");
    }
}

#[test]
fn a_part_that_went_bad_on_disk_is_sent_again() {
    let (server, mut scene, bytes, part) = interrupted("rot");
    let mut rotten = bytes[..40_000].to_vec();
    rotten[20_000] ^= 1;
    fs::write(part, rotten).unwrap();
    scene.options.sha256 = Some(sha256(&bytes));
    scene.fetch(NAME).0.unwrap();
    assert_eq!(starts(&server)[2..], [Some(40_000), None]);
}

#[test]
fn a_mirror_that_sends_nothing_does_not_cost_the_part_of_another() {
    let bytes = hdf5(6);
    let file = bytes.clone();
    let server = Server::start(move |request| match (request.path.starts_with("/bad"), request.before) {
        (true, 0) => serve(request, &file, TAG).cut(40_000),
        (true, 2) => serve(request, &file, TAG),
        _ => Reply::new("404 Not Found", b""),
    });
    let mut scene = Scene::new("kept", &[format!("{}/bad", server.url)]);
    scene.allow(FILE, &bytes);
    scene.fetch(NAME).0.unwrap_err();
    scene.options.mirrors.insert(0, format!("{}/gone", server.url));
    scene.fetch(NAME).0.unwrap();
    assert_eq!(asked(&server, "/gone").len(), 1);
    assert_eq!(starts(&server), [None, Some(40_000), Some(40_000)]);
}

#[test]
fn parts_of_two_mirrors_are_never_mixed() {
    // Two files of one length and, by chance, one ETag.
    let (other, bytes) = (hdf5(7), hdf5(8));
    let file = bytes.clone();
    let server = Server::start(move |request| match (request.path.starts_with("/bad"), request.before) {
        (true, 0) => serve(request, &other, TAG).cut(40_000),
        (true, _) => Reply::new("503 Service Unavailable", b""),
        _ => serve(request, &file, TAG),
    });
    let mut scene = Scene::new("mixed", &["bad", "good"].map(|mirror| format!("{}/{mirror}", server.url)));
    scene.allow(FILE, &bytes);
    scene.fetch(NAME).0.unwrap();
    assert_eq!((starts(&server).len(), asked(&server, "/good")[0].from), (4, None));
}
