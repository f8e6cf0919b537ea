//! Files that are on this machine already, and the record of the first download.

use std::fs;

use wgflow::fetch::{self, Verified};

use crate::scene::{LENGTH, Scene, hdf5, npz, sha256};
use crate::server::{Reply, Server, serve};
use crate::{FILE, NAME, TAG, bad_then_good};

const TRAIN: &str = "cube-single-play-v0.npz";
const VAL: &str = "cube-single-play-v0-val.npz";
const TASK: &str = "cube-single-play-singletask-task2-v0";

/// A server that must not be asked, and a scene that would ask it.
fn nobody(test: &str) -> (Server, Scene) {
    let server = Server::start(|_| Reply::new("404 Not Found", b""));
    let scene = Scene::new(test, std::slice::from_ref(&server.url));
    (server, scene)
}

#[test]
fn the_folders_of_other_programs_are_honoured_without_a_connection() {
    let (server, mut scene) = nobody("honoured");
    let minari = "minari/D4RL/pen/human-v2/data";
    let files = [
        (format!("ogbench/{TRAIN}"), npz(1)),
        (format!("ogbench/{VAL}"), npz(2)),
        (format!("d4rl/{FILE}"), hdf5(3)),
        (format!("{minari}/main_data.hdf5"), hdf5(4)),
        (format!("{minari}/metadata.json"), b"{\"total_steps\": 1}".to_vec()),
    ];
    for (path, bytes) in &files {
        scene.allow(path.rsplit('/').next().unwrap(), bytes);
        scene.put(path, bytes);
    }
    for (name, path) in [(TASK, &files[0].0), (NAME, &files[2].0), ("D4RL/pen/human-v2", &files[3].0)] {
        for offline in [false, true] {
            scene.options.offline = offline;
            let fetched = scene.fetch(name).0.unwrap();
            assert_eq!((&fetched.paths[0], fetched.verified), (&scene.root.join(path), Verified::LooksWhole));
            assert_eq!(fetch::locate(name, &scene.options).unwrap(), Some(scene.root.join(path)));
        }
    }
    assert_eq!(server.connections(), 0);
    assert!(!scene.options.folders.cache.exists(), "our folder was made for nothing");
}

#[test]
fn offline_opens_no_connection() {
    let (server, mut scene) = nobody("offline");
    scene.options.offline = true;
    for name in [NAME, TASK, "D4RL/pen/human-v2", &format!("{}/x/data.npz", server.url)] {
        let error = scene.fetch(name).0.unwrap_err().to_string();
        assert!(error.contains("--offline"), "{error}");
        assert_eq!(fetch::locate(name, &scene.options).unwrap(), None);
    }
    assert_eq!(server.connections(), 0);
    // The same without it does connect, so that the count means something.
    scene.options.offline = false;
    scene.fetch(NAME).0.unwrap_err();
    assert_eq!(server.connections(), 1);
}

#[test]
fn what_is_not_a_name_of_a_dataset_is_not_located() {
    let (_server, scene) = nobody("not-a-name");
    for name in ["data/my.npz", "../x", "C:\\data\\x.npz", "cube-single"] {
        assert_eq!(fetch::locate(name, &scene.options).unwrap(), None, "{name}");
        assert!(scene.fetch(name).0.is_err());
    }
}

#[test]
fn damaged_files_of_other_programs_are_passed_over() {
    let (_server, mut scene, bytes) = bad_then_good("damaged", |request, bytes| serve(request, bytes, TAG));
    // As an interrupted D4RL download leaves it, under the final name.
    scene.allow(FILE, &bytes[..LENGTH / 2]);
    scene.put(&format!("d4rl/{FILE}"), &bytes[..LENGTH / 2]);
    let error = fetch::locate(NAME, &scene.options).unwrap_err().to_string();
    assert!(error.contains("cut off") && error.contains("wgflow download hopper-medium-v2"), "{error}");
    let (fetched, events) = scene.fetch(NAME);
    assert_eq!(fs::read(&fetched.unwrap().paths[0]).unwrap(), bytes);
    assert!(events[0].contains("Damaged"), "{events:?}");
    assert_eq!(fs::read(scene.root.join("d4rl").join(FILE)).unwrap().len(), LENGTH / 2, "another program's file was touched");
}

#[test]
fn the_first_download_is_recorded_and_later_ones_are_held_against_it() {
    let (server, scene, bytes) = bad_then_good("record", |request, bytes| match request.before {
        0 | 1 => serve(request, bytes, TAG),
        _ => serve(request, &hdf5(9), TAG),
    });
    let fetched = scene.fetch(NAME).0.unwrap();
    let path = &fetched.paths[0];
    assert_eq!((fetched.verified, server.connections()), (Verified::FirstUse, 1));
    let record = fs::read_to_string(path.with_extension("hdf5.sha256")).unwrap();
    assert!(record.ends_with(&format!("\n{}  {FILE}\n", sha256(&bytes))) && record.starts_with('#'), "{record}");

    // Nothing is asked again.
    assert_eq!(scene.fetch(NAME).0.unwrap().verified, Verified::Recorded);
    assert_eq!(server.connections(), 1);

    // It rots on disk: seen, and fetched again.
    let mut rotten = bytes.clone();
    rotten[LENGTH / 2] ^= 1;
    let mut scene = scene;
    scene.allow(FILE, &rotten);
    fs::write(path, &rotten).unwrap();
    assert!(fetch::locate(NAME, &scene.options).unwrap_err().to_string().contains("recorded at the first download"));
    assert_eq!(scene.fetch(NAME).0.unwrap().verified, Verified::Recorded);
    assert_eq!((fs::read(path).unwrap(), server.connections()), (bytes, 2));

    // It is deleted here, and another file lies at the host: refused, by both mirrors' turn.
    fs::remove_file(path).unwrap();
    scene.options.mirrors.truncate(1);
    let error = scene.fetch(NAME).0.unwrap_err().to_string();
    assert!(error.contains("recorded at the first download") && error.contains(".sha256"), "{error}");
}

#[test]
fn a_dataset_of_several_files_is_complete_only_with_all() {
    let (train, val) = (npz(5), npz(6));
    let (first, second) = (train.clone(), val.clone());
    let server = Server::start(move |request| match (request.path.ends_with("-val.npz"), request.before) {
        (false, _) => serve(request, &first, TAG),
        (true, 0) => Reply::new("404 Not Found", b""),
        (true, _) => serve(request, &second, TAG),
    });
    let mut scene = Scene::new("several", std::slice::from_ref(&server.url));
    scene.allow(TRAIN, &train);
    scene.allow(VAL, &val);
    assert!(scene.fetch(TASK).0.unwrap_err().to_string().contains(VAL));
    assert_eq!(fetch::locate(TASK, &scene.options).unwrap(), None);
    let fetched = scene.fetch(TASK).0.unwrap();
    assert_eq!(fetched.name, "cube-single-play-v0");
    assert_eq!(fetched.paths.iter().map(|path| fs::read(path).unwrap()).collect::<Vec<_>>(), [train, val]);
    // Of the two, one is of this run and one of the last.
    assert_eq!(fetched.verified, Verified::FirstUse);
    assert_eq!(server.requests().iter().filter(|request| request.path == format!("/{TRAIN}")).count(), 1);
}

#[test]
fn metadata_that_is_no_json_is_refused() {
    let data = hdf5(7);
    let file = data.clone();
    let server = Server::start(move |request| match request.path.ends_with(".json") {
        true => Reply::new("200 OK", b"{\"total_steps\": "),
        false => serve(request, &file, TAG),
    });
    let mut scene = Scene::new("metadata", std::slice::from_ref(&server.url));
    scene.allow("main_data.hdf5", &data);
    let error = scene.fetch("mujoco/hopper/expert-v0").0.unwrap_err().to_string();
    assert!(error.contains("metadata.json") && error.contains("not JSON"), "{error}");
    assert_eq!(server.requests()[0].path, "/mujoco/hopper/expert-v0/data/main_data.hdf5");
}

#[test]
fn two_at_once_download_once() {
    let (server, mut scene, bytes) = bad_then_good("two", |request, bytes| {
        let mut reply = serve(request, bytes, TAG);
        reply.drip = Some((10_000, std::time::Duration::from_millis(20)));
        reply
    });
    scene.options.limits.stall = std::time::Duration::from_secs(5);
    let both = std::thread::scope(|scope| {
        let runs = [(); 2].map(|()| scope.spawn(|| scene.fetch(NAME)));
        runs.map(|run| run.join().unwrap())
    });
    for (fetched, _) in &both {
        assert_eq!(fs::read(&fetched.as_ref().unwrap().paths[0]).unwrap(), bytes);
    }
    assert_eq!(server.connections(), 1);
    assert!(!scene.options.folders.cache.join("d4rl").join(format!("{FILE}.lock")).exists());
}

#[test]
fn another_folder_gets_a_copy_where_there_is_one() {
    let (server, mut scene) = nobody("to");
    let bytes = hdf5(8);
    scene.allow(FILE, &bytes);
    scene.put(&format!("d4rl/{FILE}"), &bytes);
    scene.options.to = Some(scene.root.join("there"));
    // Left from a file that is gone: it says nothing of the copy.
    scene.put(&format!("there/{FILE}.sha256"), format!("{}  {FILE}\n", "0".repeat(64)).as_bytes());
    let fetched = scene.fetch(NAME).0.unwrap();
    assert_eq!(fetched.paths, [scene.root.join("there").join(FILE)]);
    assert_eq!(fs::read(&fetched.paths[0]).unwrap(), bytes);
    assert_eq!(fetch::locate(NAME, &scene.options).unwrap().as_ref(), fetched.paths.first());
    assert_eq!(server.connections(), 0);
    // And by its address, straight there.
    let file = bytes.clone();
    let server = Server::start(move |request| serve(request, &file, TAG));
    scene.allow("data.hdf5", &bytes);
    let fetched = scene.fetch(&format!("{}/a/data.hdf5?download=true", server.url)).0.unwrap();
    assert!(fetched.paths[0].starts_with(scene.root.join("there")) && fetched.paths[0].ends_with("data.hdf5"));
    assert_eq!(server.requests()[0].path, "/a/data.hdf5?download=true");
}

#[test]
fn settings_are_checked_before_anything_is_asked() {
    let (server, mut scene) = nobody("settings");
    scene.options.sha256 = Some("abc".into());
    assert!(scene.fetch(NAME).0.unwrap_err().to_string().contains("64 hexadecimal digits"));
    scene.options.sha256 = None;
    scene.options.mirrors = vec!["ftp://host".into()];
    assert!(scene.fetch(NAME).0.unwrap_err().to_string().contains("ftp://host"));
    assert_eq!(server.connections(), 0);
}
