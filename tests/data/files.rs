//! Makes npz files byte by byte, so that they can lie.

use std::path::{Path, PathBuf};

use flate2::{Compression, Crc, write::DeflateEncoder};

/// An npy file. `shape` and `descr` are written as given, so that they can lie; `descr` carries its own quotes.
pub fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    header(&format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"), data)
}

pub fn header(text: &str, data: &[u8]) -> Vec<u8> {
    let text = format!("{text:<117}\n");
    [b"\x93NUMPY\x01\x00", &u16::try_from(text.len()).unwrap().to_le_bytes()[..], text.as_bytes(), data].concat()
}

pub fn f4(shape: &str, values: &[f32]) -> Vec<u8> {
    npy("'<f4'", shape, &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
}

/// Two trajectories of three rows in pointmaze-medium: four transitions.
pub fn good() -> Vec<(&'static str, Vec<u8>)> {
    let observations: Vec<f32> = (0..12_u8).map(|i| f32::from(i) * 2.0).collect();
    vec![
        ("observations.npy", f4("(6, 2)", &observations)),
        ("actions.npy", f4("(6, 2)", &[0.5; 12])),
        ("terminals.npy", npy("'|b1'", "(6,)", &[0, 0, 1, 0, 0, 1])),
    ]
}

/// The good file with one array in place of another, or beside them where the name is new.
pub fn with(name: &'static str, array: Vec<u8>) -> Vec<u8> {
    let mut entries = good();
    entries.retain(|entry| entry.0 != name);
    entries.push((name, array));
    archive(&entries)
}

pub fn without(name: &str) -> Vec<u8> {
    archive(&good().into_iter().filter(|entry| entry.0 != name).collect::<Vec<_>>())
}

/// A ZIP file of deflated entries.
pub fn archive(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in entries {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        std::io::Write::write_all(&mut encoder, data).unwrap();
        let stored = encoder.finish().unwrap();
        let mut crc = Crc::new();
        crc.update(data);
        // Version, flags, method, time, date; CRC and sizes; lengths of name and extra field.
        let mut common = [20, 0, 0, 0, 8, 0, 0, 0, 0, 0].to_vec();
        for number in [crc.sum(), u32::try_from(stored.len()).unwrap(), u32::try_from(data.len()).unwrap()] {
            common.extend(number.to_le_bytes());
        }
        common.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        common.extend([0, 0]);
        directory
            .extend([b"PK\x01\x02\x14\x00", &common[..], &[0; 10], &u32::try_from(file.len()).unwrap().to_le_bytes()].concat());
        directory.extend(name.bytes());
        file.extend([b"PK\x03\x04", &common[..], name.as_bytes(), &stored].concat());
    }
    let (count, start) = (u16::try_from(entries.len()).unwrap().to_le_bytes(), u32::try_from(file.len()).unwrap());
    let bytes = u32::try_from(directory.len()).unwrap().to_le_bytes();
    file.extend(directory);
    file.extend([b"PK\x05\x06", &[0; 4][..], &count, &count, &bytes, &start.to_le_bytes(), &[0, 0]].concat());
    file
}

/// Overwrites bytes of the directory record of `observations.npy`, the first; offsets as in APPNOTE 4.3.12.
pub fn forge(mut file: Vec<u8>, offset: usize, bytes: &[u8]) -> Vec<u8> {
    let record = file.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    file[record + offset..][..bytes.len()].copy_from_slice(bytes);
    file
}

/// Overwrites bytes at an offset; from the end of the file where it is negative.
pub fn patch(mut file: Vec<u8>, offset: isize, bytes: &[u8]) -> Vec<u8> {
    let start = if offset < 0 { file.len() - offset.unsigned_abs() } else { offset.unsigned_abs() };
    file[start..][..bytes.len()].copy_from_slice(bytes);
    file
}

/// The good file as one above 4 GiB would be written: sizes and offset of the first entry, and the end record, in zip64.
pub fn zip64() -> Vec<u8> {
    let file = archive(&good());
    let (body, end) = file.split_at(file.len() - 22);
    let directory = body.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    let (local, record) = body.split_at(directory);
    let long = |at: usize| u64::from(u32::from_le_bytes(record[at..at + 4].try_into().unwrap())).to_le_bytes();
    let extra = [&[1, 0, 24, 0][..], &long(24), &long(20), &long(42)].concat();
    let name_end = 46 + "observations.npy".len();
    let mut record = [&record[..name_end], &extra, &record[name_end..]].concat();
    record[20..28].fill(0xFF);
    record[30] = u8::try_from(extra.len()).unwrap();
    record[42..46].fill(0xFF);
    let numbers = [3, 3, record.len() as u64, local.len() as u64].map(u64::to_le_bytes).concat();
    let end64 = [b"PK\x06\x06", &44_u64.to_le_bytes()[..], &[45, 0, 45, 0], &[0; 8], &numbers].concat();
    let locator = [b"PK\x06\x07", &[0; 4][..], &((local.len() + record.len()) as u64).to_le_bytes(), &[1, 0, 0, 0]].concat();
    let end = [&end[..8], &[0xFF; 12], &end[20..]].concat();
    [local, &record, &end64, &locator, &end].concat()
}

/// Writes a file into this test run's own folder.
pub fn write(name: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}
