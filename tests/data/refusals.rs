//! Files that are damaged, forged, or make no sense: each gives one clear error, at once, that names its place.

use std::time::{Duration, Instant};

use wgflow::data::npz::Npz;
use wgflow::data::{LoadOptions, load};

use super::files::{archive, f4, forge, good, header, npy, patch, with, without, write, zip64};
use super::for_task;

const END: &str = "`zip directory`: expected an end record";

/// The error that loading gives, which must name the file and come quickly.
fn refusal(name: &str, bytes: &[u8], options: &LoadOptions) -> String {
    let path = write(name, bytes);
    let start = Instant::now();
    let text = load(&path, options).map(|_| "loaded").unwrap_err().to_string();
    assert!(start.elapsed() < Duration::from_secs(2), "{name} took {:?}", start.elapsed());
    assert!(text.starts_with(&path.display().to_string()), "{text}");
    text
}

/// Checks a list of bad files: each error must contain every one of its texts.
fn all_refused(group: &str, cases: Vec<(Vec<u8>, &[&str])>) {
    for (number, (bytes, texts)) in cases.into_iter().enumerate() {
        let text = refusal(&format!("pointmaze-medium-{group}-{number}.npz"), &bytes, &LoadOptions::default());
        for expected in texts {
            assert!(text.contains(expected), "{group} {number}: {text}\nlacks: {expected}");
        }
    }
}

#[test]
fn files_that_are_something_else_are_called_by_their_name() {
    let cases: Vec<(Vec<u8>, &[&str])> = vec![
        (b"".to_vec(), &["`format`: expected one of: OGBench npz, D4RL HDF5", "found an empty file"]),
        (b"hello, this is text".to_vec(), &["`format`", "found an unknown format (it begins with \"hello, t\")"]),
        (b"\x89HDF\r\n\x1a\n....".to_vec(), &["`/`: expected sound HDF5 structures"]),
        (f4("(1,)", &[0.0]), &["`format`", "a single npy array", "numpy.savez_compressed"]),
        (b"\x80\x04\x95".to_vec(), &["`format`", "a pickle", "runs code"]),
        (b"\x1f\x8b\x08".to_vec(), &["`format`", "a gzip file", "gunzip"]),
        (b"version https://git-lfs.github.com/spec/v1".to_vec(), &["`format`", "a Git LFS pointer", "git lfs pull"]),
        (b"<!DOCTYPE html>".to_vec(), &["`format`", "a web page", "download the file again"]),
    ];
    all_refused("other", cases);
    let text = load("no-such-file.npz", &LoadOptions::default()).unwrap_err().to_string();
    assert!(text.starts_with("no-such-file.npz: cannot open"), "{text}");
}

#[test]
fn damaged_and_forged_archives_are_refused() {
    let file = archive(&good());
    let twice = [good(), good()].concat();
    let mut both = good();
    both.push(("actions", b"x".to_vec()));
    let cases: Vec<(Vec<u8>, &[&str])> = vec![
        (file[..4].to_vec(), &[END, "copy or download it again"]),
        (file[..file.len() / 2].to_vec(), &[END]),
        (file[..file.len() - 22].to_vec(), &[END]),
        (file[..file.len() - 1].to_vec(), &[END]),
        (file[10..].to_vec(), &["`format`", "an unknown format"]),
        (archive(&[]), &["`observations`: expected an array of this name, found only []"]),
        (patch(file.clone(), -12, &[4]), &["`zip directory`: expected 4 entries", "found 3"]),
        (patch(file.clone(), -6, &[0]), &["`zip directory`: expected a directory that ends at byte"]),
        (patch(file.clone(), -18, &[1]), &["`zip directory`: expected an archive in one part"]),
        (forge(file.clone(), 1, b"X"), &["`zip directory`: expected whole directory records"]),
        (forge(file.clone(), 46, b"O"), &["`Observations.npy`: expected a local header", "of the same name"]),
        (forge(file.clone(), 46, b"\xFF"), &["`zip directory`: expected entry names in UTF-8"]),
        (forge(file.clone(), 42, &[9]), &["`observations.npy`: expected a local header (50 4b 03 04)"]),
        (forge(file.clone(), 42, &[0xFE; 4]), &["`zip directory`", "bytes at byte 4278124286", "found 0 before the end"]),
        (forge(file.clone(), 8, &[1]), &["`observations.npy`: expected an entry without a password"]),
        (forge(file.clone(), 10, &[12]), &["`observations.npy`: expected compression 0 (stored) or 8 (deflate), found 12"]),
        (forge(file.clone(), 10, &[0]), &["`observations.npy`", "as many as are stored, found a claim of 176"]),
        (forge(file.clone(), 16, &[0; 4]), &["`observations`: expected CRC-32 00000000, found"]),
        (forge(file.clone(), 20, &[0xFF; 4]), &["`observations.npy`: expected a zip64 extra field"]),
        (forge(file.clone(), 20, &[0xFF, 1]), &["`observations.npy`", "before the next entry, found 511"]),
        (forge(file.clone(), 24, &[0, 0, 0, 0xF0]), &["`observations.npy`: expected at most 1032 bytes from each", "4026531"]),
        (forge(file.clone(), 28, &[0xFF, 0xFF]), &["`zip directory`: expected whole directory records"]),
        (patch(file.clone(), 3, b"X"), &["`format`"]),
        (patch(file.clone(), 46, &[0xFF; 8]), &["`observations`: expected", "deflated data, found a broken stream"]),
        (archive(&twice), &["`observations.npy`: expected one entry of this name, found two"]),
        (archive(&both), &["`actions`: expected one entry for this key, found one with and one without .npy"]),
        (patch(zip64(), -34, &[9]), &["`zip directory`: expected a zip64 end record"]),
    ];
    all_refused("archive", cases);
}

#[test]
fn sizes_that_lie_are_refused_before_memory_is_taken() {
    let observations = |shape: &str| with("observations.npy", f4(shape, &[0.0; 12]));
    let size = good()[0].1.len();
    let [low, high] = u16::try_from(size + 8).unwrap().to_le_bytes();
    // The header and the directory agree on one row more, or less, than the stream holds.
    let longer = [("observations.npy", f4("(7, 2)", &[0.0; 12])), ("actions.npy", vec![])];
    let shorter = [("observations.npy", f4("(5, 2)", &[0.0; 12])), ("actions.npy", vec![])];
    let [less, _] = u16::try_from(size - 8).unwrap().to_le_bytes();
    let rest = |mut entries: Vec<(&'static str, Vec<u8>)>, rows: usize| {
        let mut ends = vec![0; rows];
        ends[rows - 1] = 1;
        entries[1] = ("actions.npy", f4(&format!("({rows}, 2)"), &vec![0.0; 2 * rows]));
        entries.push(("terminals.npy", npy("'|b1'", &format!("({rows},)"), &ends)));
        archive(&entries)
    };
    let cases: Vec<(Vec<u8>, &[&str])> = vec![
        (observations("(1099511627776, 2)"), &["`observations`: expected 8796093022208 bytes for shape", "found 48 in the file"]),
        (observations("(4611686018427387904, 8)"), &["`observations`: expected a shape whose size fits into memory"]),
        (observations("(99999999999999999999999, 2)"), &["`observations`: expected an npy header"]),
        (observations("(5, 2)"), &["`observations`: expected 40 bytes", "found 48 in the file"]),
        (observations("(9223372036854775807, 0)"), &["`observations`: expected 0 bytes", "found 48 in the file"]),
        (forge(rest(longer.to_vec(), 7), 24, &[low, high]), &["`observations`: expected", "the data ends early"]),
        (forge(rest(shorter.to_vec(), 5), 24, &[less]), &["`observations`", "it goes on past the declared size"]),
        (forge(archive(&good()), 24, &[5, 0]), &["`observations`: expected 48 bytes", "found 0 in the file"]),
    ];
    all_refused("size", cases);
    // A true bomb: a thousandfold deflated, honest in every size, 4 MiB of zeros in 4 KiB.
    let rows = 1 << 19;
    let bomb = vec![
        ("observations.npy", npy("'<f4'", &format!("({rows}, 2)"), &vec![0; 8 * rows])),
        ("actions.npy", npy("'<f4'", &format!("({rows}, 2)"), &vec![0; 8 * rows])),
        ("terminals.npy", npy("'|b1'", &format!("({rows},)"), &vec![0; rows])),
    ];
    let options = LoadOptions { max_bytes: 1 << 20, ..LoadOptions::default() };
    let text = refusal("pointmaze-medium-bomb.npz", &archive(&bomb), &options);
    assert!(text.contains("`observations`: expected at most 1048576 bytes in all") && text.contains("max_bytes"), "{text}");
    let capped = Npz::open_capped(write("bomb.npz", &archive(&bomb)), 1 << 20).unwrap();
    let text = capped.f32("actions").unwrap_err().to_string();
    assert!(text.contains("`actions`: expected at most 1048576 bytes, found 4194304"), "{text}");
}

#[test]
fn arrays_of_unknown_kinds_are_refused_by_name() {
    let kind = |descr: &str| with("actions.npy", npy(descr, "(6, 2)", &[0; 48]));
    let raw = |bytes: &[u8]| with("actions.npy", bytes.to_vec());
    let fortran = header("{'descr': '<f4', 'fortran_order': True, 'shape': (6, 2), }", &[0; 48]);
    let cases: Vec<(Vec<u8>, &[&str])> = vec![
        (kind("'|O'"), &["`actions`: expected numbers of type f4, f8", "found an object array, which needs pickle"]),
        (kind("[('x', '<f4'), ('y', '<f4')]"), &["`actions`", "found a structured array with named fields"]),
        (kind("'<U4'"), &["`actions`", "found text ('<U4')"]),
        (kind("'|S4'"), &["`actions`", "found text ('|S4')"]),
        (kind("'|V4'"), &["`actions`", "found raw records ('|V4')"]),
        (kind("'<M8[s]'"), &["`actions`", "found dates or durations"]),
        (kind("'<c8'"), &["`actions`", "found complex numbers"]),
        (kind("'>f4'"), &["`actions`", "found big-endian numbers ('>f4')", "astype('<f4')"]),
        (kind("'<f2'"), &["`actions`", "found '<f2'"]),
        (kind("''"), &["`actions`", "found ''"]),
        (kind("3"), &["`actions`: expected an npy header with descr"]),
        (raw(&fortran), &["`actions`", "found column-major (Fortran) order", "ascontiguousarray"]),
        (raw(b"\x93NUMPX\x01\x00\x00\x00"), &["`actions`: expected an npy array", "NUMPX"]),
        (raw(b"not an array at all"), &["`actions`: expected an npy array", "not an a"]),
        (raw(b"\x93NUMPY\x09\x00\x00\x00"), &["`actions`", "found version 9"]),
        (raw(b"\x93NUMPY\x02\x00\xFF\xFF\xFF\x7F"), &["`actions`", "header of at most 65536 bytes, found 2147483647"]),
        (raw(b"\x93NUMPY\x01\x00\xFF\xFF{'descr'"), &["`actions`", "the data ends early"]),
        (raw(b""), &["`actions`: expected 0 bytes, found fewer"]),
        (raw(&header("{'descr': __import__('os'), }", &[])), &["`actions`: expected an npy header with descr", "__import__"]),
    ];
    all_refused("kind", cases);
}

#[test]
fn data_that_makes_no_sense_is_refused_at_its_place() {
    let mut nan = [0.0; 12];
    nan[7] = f32::NAN;
    let mut infinite = [0.0; 12];
    infinite[0] = f32::NEG_INFINITY;
    let huge = npy("'<f8'", "(6, 2)", &[[0; 88].to_vec(), 1e300_f64.to_le_bytes().to_vec()].concat());
    let mut renamed = good();
    renamed[1].0 = "action.npy";
    let terminals = |flags: &[u8]| with("terminals.npy", npy("'|b1'", &format!("({},)", flags.len()), flags));
    let cases: Vec<(Vec<u8>, &[&str])> = vec![
        (without("observations.npy"), &["`observations`: expected an array of this name, found only [actions, terminals]"]),
        (without("actions.npy"), &["`actions`: expected an array of this name"]),
        (without("terminals.npy"), &["`terminals`: expected an array of this name"]),
        (archive(&renamed), &["`actions`", "found only [action, observations, terminals]", "nearest is `action`"]),
        (
            with("observations.npy", f4("(6, 2)", &nan)),
            &["`observations`: expected finite numbers, found NaN in row 3, column 1"],
        ),
        (with("actions.npy", f4("(6, 2)", &infinite)), &["`actions`: expected finite numbers, found -inf in row 0, column 0"]),
        (with("observations.npy", huge), &["`observations`: expected numbers in the range of f32, found 1e300 at element 11"]),
        (with("observations.npy", f4("(12,)", &[0.0; 12])), &["`observations`: expected shape [12, 2]", "found shape [12]"]),
        (with("observations.npy", f4("(6, 2, 1)", &[0.0; 12])), &["`observations`", "found shape [6, 2, 1]"]),
        (with("observations.npy", f4("()", &[0.0])), &["`observations`", "found shape []"]),
        (with("observations.npy", f4("(4, 3)", &[0.0; 12])), &["`observations`: expected shape [4, 2] (pointmaze-medium"]),
        (with("observations.npy", f4("(6, 0)", &[])), &["`observations`: expected shape [6, 2]", "found shape [6, 0]"]),
        (with("actions.npy", f4("(5, 2)", &[0.0; 10])), &["`actions`: expected shape [6, 2]", "found shape [5, 2]"]),
        (with("actions.npy", f4("(6, 3)", &[0.0; 18])), &["`actions`", "found shape [6, 3]"]),
        (terminals(&[0, 1]), &["`terminals`: expected shape [6]", "found shape [2]"]),
        (terminals(&[0, 0, 1, 0, 0, 0]), &["`terminals`: expected true in the last row, found false in row 5"]),
        (terminals(&[1; 6]), &["`terminals`: expected false in at least one row, found true in all 6 rows"]),
        (terminals(&[0, 0, 7, 0, 0, 1]), &["`terminals`: expected only 0 and 1, found 7 at element 2"]),
        (with("terminals.npy", f4("(6,)", &[0.0, 0.5, 1.0, 0.0, 0.0, 1.0])), &["`terminals`", "found 0.5 at element 1"]),
        (with("qpos.npy", f4("(6, 3)", &[0.0; 18])), &["`qpos`: expected shape [6, 2]", "found shape [6, 3]"]),
        (with("qpos.npy", f4("(6, 2)", &nan)), &["`qpos`: expected finite numbers, found NaN in row 3, column 1"]),
    ];
    all_refused("sense", cases);
    let empty: Vec<_> = vec![
        ("observations.npy", f4("(0, 2)", &[])),
        ("actions.npy", f4("(0, 2)", &[])),
        ("terminals.npy", npy("'|b1'", "(0,)", &[])),
    ];
    all_refused("empty", vec![(archive(&empty), &["`observations`: expected at least one row, found none"])]);
}

#[test]
fn tasks_without_rewards_and_names_without_environments_are_refused() {
    let file = archive(&good());
    let text = refusal("my-robot.npz", &file, &LoadOptions::default());
    assert!(
        text.contains("`file name`: expected a file name that begins with one of antmaze-giant") && text.contains("`env`"),
        "{text}"
    );
    let named = LoadOptions { env: Some("pointmaze-medium".into()), ..LoadOptions::default() };
    assert_eq!(load(write("my-robot.npz", &file), &named).unwrap().env.as_deref(), Some("pointmaze-medium"));
    let text = load(write("pointmaze-medium-9.npz", &file), &for_task(9)).unwrap_err().to_string();
    assert!(text.starts_with("task: expected a task from 1 to 5 of pointmaze-medium, found 9"), "{text}");

    let mut cube = vec![
        ("observations.npy", f4("(3, 28)", &[0.0; 84])),
        ("actions.npy", f4("(3, 5)", &[0.0; 15])),
        ("terminals.npy", npy("'|b1'", "(3,)", &[0, 0, 1])),
    ];
    let text = refusal("cube-single-a.npz", &archive(&cube), &for_task(3));
    assert!(text.contains("`qpos`: expected simulator states, or else `rewards_task3` and `masks_task3`"), "{text}");
    cube.push(("rewards_task3.npy", npy("'|i1'", "(3,)", &[0xFF, 0, 0xFF])));
    let text = refusal("cube-single-b.npz", &archive(&cube), &for_task(3));
    assert!(text.contains("`masks_task3`: expected an array of this name"), "{text}");
    cube.push(("masks_task3.npy", npy("'|i1'", "(3,)", &[1, 2, 1])));
    let text = refusal("cube-single-c.npz", &archive(&cube), &for_task(3));
    assert!(text.contains("`masks_task3`: expected only 0 and 1, found 2 at element 1"), "{text}");
    cube.last_mut().unwrap().1 = npy("'|i1'", "(3,)", &[1, 0, 1]);
    let dataset = load(write("cube-single-d.npz", &archive(&cube)), &for_task(3)).unwrap();
    assert_eq!((dataset.rewards, dataset.masks), (vec![-1.0, 0.0], vec![1.0, 0.0]));
}
