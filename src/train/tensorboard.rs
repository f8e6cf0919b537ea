//! TensorBoard event files: the run's scalars in the format that `tensorboard --logdir` reads.
//!
//! A file is a row of records: length, its checksum, an `Event` message, its checksum (TensorFlow
//! `core/lib/io/record_writer.h`, `core/util/event.proto`). Scalars need six fields of that message, written here by hand.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::lock::host;
use super::metrics::Line;
use crate::error::{Error, Result};

/// One file a lane and sitting: `tensorboard/lane0/events.out.tfevents.*`.
#[derive(Debug)]
pub struct Events {
    lanes: Vec<(PathBuf, File)>,
}

impl Events {
    /// Opens a new file for each of `lanes` lanes below `folder`, for a run that goes on after update `step`. What earlier
    /// sittings logged beyond that update is then hidden by TensorBoard.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(folder: &Path, lanes: usize, step: u64) -> Result<Self> {
        let (now, process) = (seconds(), std::process::id());
        let open = |lane: usize| {
            let folder = folder.join(format!("lane{lane}"));
            std::fs::create_dir_all(&folder).map_err(Error::io(&folder, "create"))?;
            let path = folder.join(format!("events.out.tfevents.{now:017.6}.{}.{process}", host()));
            let mut file = OpenOptions::new().create_new(true).append(true).open(&path).map_err(Error::io(&path, "create"))?;
            let mut version = event(now, 0);
            bytes(&mut version, 3, b"brain.Event:2");
            let mut start = event(now, step + 1);
            // SessionLog { status: START }: events of earlier files from this step on are stale.
            bytes(&mut start, 7, &[0x08, 0x01]);
            let records = [version, start].iter().flat_map(|message| record(message)).collect::<Vec<u8>>();
            file.write_all(&records).map_err(Error::io(&path, "write"))?;
            Ok((path, file))
        };
        Ok(Self { lanes: (0..lanes).map(open).collect::<Result<_>>()? })
    }

    /// Appends a line's values.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn append(&mut self, line: &Line) -> Result<()> {
        let Some((path, file)) = self.lanes.get_mut(line.lane) else { return Ok(()) };
        let mut summary = Vec::new();
        for (name, value) in &line.values {
            let mut scalar = Vec::new();
            bytes(&mut scalar, 1, name.as_bytes());
            scalar.push(field(2, FIXED_32));
            scalar.extend((*value as f32).to_le_bytes());
            bytes(&mut summary, 1, &scalar);
        }
        let mut message = event(seconds(), line.step);
        bytes(&mut message, 5, &summary);
        file.write_all(&record(&message)).map_err(Error::io(path, "append"))
    }
}

fn seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

const VARINT: u8 = 0;
const FIXED_64: u8 = 1;
const LENGTH: u8 = 2;
const FIXED_32: u8 = 5;

const fn field(number: u8, wire_type: u8) -> u8 {
    number << 3 | wire_type
}

/// Event { wall_time, step }, to be continued.
fn event(wall_time: f64, step: u64) -> Vec<u8> {
    let mut message = vec![field(1, FIXED_64)];
    message.extend(wall_time.to_le_bytes());
    message.push(field(2, VARINT));
    varint(&mut message, step);
    message
}

fn bytes(message: &mut Vec<u8>, number: u8, content: &[u8]) {
    message.push(field(number, LENGTH));
    varint(message, content.len() as u64);
    message.extend(content);
}

fn varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

fn record(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u64).to_le_bytes();
    [&length[..], &masked_crc(&length), message, &masked_crc(message)].concat()
}

/// TensorFlow's masked CRC-32C: a sum over bytes that hold sums themselves would be weak.
fn masked_crc(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Field numbers and contents of a message whose fields are read as TensorFlow's parser would.
    fn fields(mut message: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let mut found = Vec::new();
        while let [tag, rest @ ..] = message {
            let mut at = 0;
            let mut number = |rest: &[u8]| {
                let (mut value, mut shift) = (0u64, 0);
                loop {
                    let byte = rest[at];
                    at += 1;
                    value |= u64::from(byte & 0x7f) << shift;
                    shift += 7;
                    if byte & 0x80 == 0 {
                        return value;
                    }
                }
            };
            let content = match tag & 7 {
                VARINT => number(rest).to_le_bytes().to_vec(),
                LENGTH => {
                    let len = number(rest) as usize;
                    at += len;
                    rest[at - len..at].to_vec()
                }
                wire => {
                    at = if wire == FIXED_64 { 8 } else { 4 };
                    rest[..at].to_vec()
                }
            };
            found.push((tag >> 3, content));
            message = &rest[at..];
        }
        found
    }

    #[test]
    fn scalars_come_back_from_the_file() {
        let folder = std::env::temp_dir().join(format!("wgflow-tensorboard-{}", std::process::id()));
        let mut events = Events::open(&folder, 2, 300).unwrap();
        let values = vec![("train/critic_loss".to_owned(), 0.25), ("eval/actor/success".to_owned(), 1.0)];
        events.append(&Line { step: 400, lane: 1, values }).unwrap();
        let mut bytes = &std::fs::read(&events.lanes[1].0).unwrap()[..];
        let mut messages = Vec::new();
        while !bytes.is_empty() {
            let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            assert_eq!(bytes[8..12], masked_crc(&bytes[..8]));
            let message = &bytes[12..12 + length];
            assert_eq!(bytes[12 + length..16 + length], masked_crc(message));
            messages.push(fields(message));
            bytes = &bytes[16 + length..];
        }
        assert_eq!(messages.len(), 3);
        assert_eq!(messages[0][2], (3, b"brain.Event:2".to_vec()));
        assert_eq!(messages[1][1..], [(2, 301u64.to_le_bytes().to_vec()), (7, vec![8, 1])]);
        assert_eq!(messages[2][1], (2, 400u64.to_le_bytes().to_vec()));
        let scalars: Vec<_> = fields(&messages[2][2].1).iter().map(|(_, scalar)| fields(scalar)).collect();
        assert_eq!(scalars[0], [(1, b"train/critic_loss".to_vec()), (2, 0.25f32.to_le_bytes().to_vec())]);
        assert_eq!(scalars[1], [(1, b"eval/actor/success".to_vec()), (2, 1f32.to_le_bytes().to_vec())]);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    /// The standard check value of CRC-32C is 0xe3069283 for "123456789".
    #[test]
    fn the_checksum_is_the_masked_one() {
        assert_eq!(u32::from_le_bytes(masked_crc(b"123456789")), 0xe306_9283_u32.rotate_right(15).wrapping_add(0xa282_ead8));
    }
}
