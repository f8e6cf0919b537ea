//! The frames of the protocol that `python/wgflow_envs.py` documents.

use std::io::{self, Read, Write};

use crate::envs::Step;

/// What a server says first.
pub(super) const MAGIC: &[u8; 8] = b"wgfenvs1";

/// A frame beyond this is no frame: a thousand environments with a thousand values each stay far below.
const LARGEST: usize = 1 << 28;

/// Length of a frame's head.
const HEAD: usize = 5;

/// A letter and a payload.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub kind: u8,
    pub payload: Vec<u8>,
}

impl Frame {
    /// A start of the episodes (environment, seed).
    pub(super) fn reset(starts: &[(usize, u64)]) -> Self {
        let bytes = |&(index, seed): &(usize, u64)| [(index as u32).to_le_bytes().as_slice(), &seed.to_le_bytes()].concat();
        Self { kind: b'R', payload: starts.iter().flat_map(bytes).collect() }
    }

    /// A step of the active environments.
    pub(super) fn step(active: &[bool], actions: &[f32]) -> Self {
        let mut payload: Vec<u8> = active.iter().map(|&active| active.into()).collect();
        payload.extend(actions.iter().flat_map(|v| v.to_le_bytes()));
        Self { kind: b'S', payload }
    }

    /// In one write: a pipe is asked once.
    pub(super) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let mut bytes = (self.payload.len() as u32).to_le_bytes().to_vec();
        bytes.push(self.kind);
        bytes.extend_from_slice(&self.payload);
        to.write_all(&bytes)?;
        to.flush()
    }

    /// The next frame; `None` where the stream ends between two.
    pub(super) fn read(from: &mut impl Read) -> io::Result<Option<Self>> {
        let mut head = [0; HEAD];
        match from.read(&mut head)? {
            0 => return Ok(None),
            read => from.read_exact(&mut head[read..])?,
        }
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        if length > LARGEST || !b"HAOTE".contains(&head[4]) {
            let found = format!("\"{}\" where a frame should begin", head.escape_ascii());
            return Err(io::Error::new(io::ErrorKind::InvalidData, found));
        }
        let mut payload = vec![0; length];
        from.read_exact(&mut payload)?;
        Ok(Some(Self { kind: head[4], payload }))
    }
}

fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.chunks_exact(N).map(|word| std::array::from_fn(|i| word[i]))
}

/// Observations, if there are `count` values.
pub(super) fn observations(payload: &[u8], count: usize) -> Option<Vec<f32>> {
    (payload.len() == 4 * count).then(|| words(payload).map(f32::from_le_bytes).collect())
}

/// What `count` environments answered to a step, and whether all of them tell successes; `None` if the length is wrong.
pub(super) fn steps(payload: &[u8], count: usize, obs_dim: usize) -> Option<(Vec<Step>, bool)> {
    let (observations, rest) = payload.split_at_checked(4 * count * obs_dim)?;
    let (rewards, flags) = rest.split_at_checked(8 * count)?;
    if flags.len() != count {
        return None;
    }
    let observations: Vec<f32> = words(observations).map(f32::from_le_bytes).collect();
    let step = |((observation, reward), flag): ((&[f32], [u8; 8]), &u8)| Step {
        observation: observation.to_vec(),
        reward: f64::from_le_bytes(reward),
        success: flag & 1 != 0,
        terminated: flag & 2 != 0,
        truncated: flag & 4 != 0,
    };
    let steps = observations.chunks_exact(obs_dim).zip(words(rewards)).zip(flags).map(step).collect();
    Some((steps, flags.iter().all(|flag| flag & 8 != 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_they_were_written_and_torn_ones_refused() {
        let frame = Frame { kind: b'O', payload: vec![1, 2, 3] };
        let mut bytes = Vec::new();
        frame.write(&mut bytes).unwrap();
        assert_eq!(bytes, [3, 0, 0, 0, b'O', 1, 2, 3]);
        assert_eq!(Frame::read(&mut bytes.as_slice()).unwrap(), Some(frame));
        assert_eq!(Frame::read(&mut [].as_slice()).unwrap(), None);
        for cut in 1..bytes.len() {
            assert!(Frame::read(&mut &bytes[..cut]).is_err(), "{cut} bytes");
        }
        assert!(Frame::read(&mut b"hello world".as_slice()).unwrap_err().to_string().contains("hello"));
        assert!(Frame::read(&mut [0, 0, 0, 0xff, b'O'].as_slice()).is_err(), "4 GiB are not asked for");
    }

    #[test]
    fn requests_have_the_documented_layout() {
        assert_eq!(Frame::reset(&[(1, 2)]).payload, [1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Frame::step(&[true, false], &[1.0]).payload, [1, 0, 0, 0, 0x80, 0x3f]);
    }

    #[test]
    fn steps_are_taken_apart_and_wrong_lengths_refused() {
        let mut payload: Vec<u8> = [1.0_f32, 2.0, 3.0, 4.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        payload.extend([0.5_f64, -1.0].iter().flat_map(|v| v.to_le_bytes()));
        payload.extend([1 + 2 + 8, 4]);
        let (two, tells) = steps(&payload, 2, 2).unwrap();
        assert_eq!((two[0].observation.as_slice(), two[0].reward), ([1.0, 2.0].as_slice(), 0.5));
        assert_eq!((two[0].success, two[0].terminated, two[0].truncated), (true, true, false));
        assert_eq!((two[1].observation.as_slice(), two[1].reward), ([3.0, 4.0].as_slice(), -1.0));
        assert_eq!((two[1].success, two[1].terminated, two[1].truncated, tells), (false, false, true, false));
        for wrong in [payload.len() - 1, 0, 16] {
            assert!(steps(&payload[..wrong], 2, 2).is_none(), "{wrong} bytes");
        }
        assert!(steps(&payload, 2, 1).is_none() && observations(&payload, 3).is_none());
    }
}
