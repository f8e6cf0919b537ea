//! Between the host's memory and the device's: staging buffers, and copies of regions row by row.
//!
//! Nothing here blocks, except where it says so: reads are futures, and writes leave with the next submission.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Instant;

use super::gpu::Gpu;
use super::memory::Region;
use crate::error::{Error, Result};

/// Words of a staging buffer at most (32 MiB): larger transfers go in parts.
const STAGING_WORDS: usize = 8 << 20;

const READING: &str = "reading memory back";
const WRITING: &str = "writing memory";

/// Whether a read may block the thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// It sleeps until the device is done.
    Block,
    /// It gives control back to the executor.
    Yield,
}

/// The outcome of a mapping, and who waits for it.
#[derive(Default)]
struct Mapping {
    done: Option<Result<(), wgpu::BufferAsyncError>>,
    waker: Option<Waker>,
}

/// The staging buffer of a run's reads, kept between them.
#[derive(Debug, Default)]
pub(super) struct Staging {
    buffer: Option<wgpu::Buffer>,
}

impl Staging {
    /// `count` words of `source`, from word `first`.
    pub async fn read(
        &mut self,
        gpu: &Gpu,
        source: &wgpu::Buffer,
        first: u64,
        count: usize,
        waiting: Waiting,
    ) -> Result<Vec<u32>> {
        gpu.probe(READING).await?;
        let mut words = Vec::with_capacity(count);
        while words.len() < count {
            let part = STAGING_WORDS.min(count - words.len());
            let offset = (first + words.len() as u64) * 4;
            // While it is mapped it is ours: a future that is dropped half-way drops the buffer too.
            let staging = self.take(gpu, part).await?;
            read_part(gpu, source, offset, &staging, part, waiting, &mut words).await?;
            self.buffer = Some(staging);
        }
        Ok(words)
    }

    /// A buffer of at least `words`.
    async fn take(&mut self, gpu: &Gpu, words: usize) -> Result<wgpu::Buffer> {
        let bytes = words as u64 * 4;
        if let Some(buffer) = self.buffer.take().filter(|buffer| buffer.size() >= bytes) {
            return Ok(buffer);
        }
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        gpu.scoped(READING, || gpu.buffer("staging", bytes.next_power_of_two().max(4096), usage, false)).await
    }
}

/// Copies, maps, and appends `part` words to `words`.
async fn read_part(
    gpu: &Gpu,
    source: &wgpu::Buffer,
    offset: u64,
    staging: &wgpu::Buffer,
    part: usize,
    waiting: Waiting,
    words: &mut Vec<u32>,
) -> Result<()> {
    let bytes = part as u64 * 4;
    let mapping = Arc::new(Mutex::new(Mapping::default()));
    let start = || {
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("read") });
        encoder.copy_buffer_to_buffer(source, offset, staging, 0, bytes);
        let index = gpu.send(encoder.finish());
        let mapping = Arc::clone(&mapping);
        staging.map_async(wgpu::MapMode::Read, 0..bytes, move |outcome| {
            let mut mapping = mapping.lock().unwrap_or_else(PoisonError::into_inner);
            mapping.done = Some(outcome);
            if let Some(waker) = mapping.waker.take() {
                waker.wake();
            }
        });
        index
    };
    let index = gpu.scoped(READING, start).await?;
    if waiting == Waiting::Block {
        gpu.wait_for(&index, READING)?;
    }
    let mapped = mapped(gpu, &mapping).await?;
    let range = mapped.and_then(|()| staging.get_mapped_range(0..bytes).map_err(|error| error.to_string()));
    match range {
        Ok(range) => words.extend(bytemuck::cast_slice::<u8, u32>(&range)),
        Err(message) => {
            gpu.probe(READING).await?;
            return Err(Error::Device { during: READING, message });
        }
    }
    staging.unmap();
    Ok(())
}

/// Waits for a mapping without blocking. On native somebody has to poll the device, so every look does.
async fn mapped(gpu: &Gpu, mapping: &Mutex<Mapping>) -> Result<Result<(), String>> {
    let (began, limit) = (Instant::now(), gpu.options().wait_limit);
    poll_fn(|cx| {
        gpu.poll_quietly();
        let mut mapping = mapping.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outcome) = mapping.done.take() {
            return Poll::Ready(Ok(outcome.map_err(|error| error.to_string())));
        }
        if began.elapsed() > limit {
            return Poll::Ready(Err(Error::Timeout { during: READING, seconds: limit.as_secs() }));
        }
        mapping.waker = Some(cx.waker().clone());
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// A run of words to copy: first in the packed values, first in the target, and their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    from: usize,
    to: u64,
    words: usize,
}

/// `spans` in parts, each small enough for one staging buffer.
pub(super) fn parts(spans: &[Span]) -> Vec<Vec<Span>> {
    let (mut parts, mut total) = (Vec::<Vec<Span>>::new(), STAGING_WORDS);
    for span in spans.iter().flat_map(|span| span.pieces()) {
        if total + span.words > STAGING_WORDS {
            parts.push(Vec::new());
            total = 0;
        }
        total += span.words;
        if let Some(last) = parts.last_mut() {
            last.push(span);
        }
    }
    parts
}

/// Submits copies of `spans` of `values` to `target`: one of the [`parts`].
pub(super) fn write(gpu: &Gpu, target: &wgpu::Buffer, values: &[u32], spans: &[Span]) -> Result<wgpu::SubmissionIndex> {
    gpu.probe_now(WRITING)?;
    let total: usize = spans.iter().map(|span| span.words).sum();
    let send = || {
        let staging = gpu.buffer("staging", total as u64 * 4, wgpu::BufferUsages::COPY_SRC, true);
        let mut range = staging.get_mapped_range_mut(..)?;
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("write") });
        let mut at = 0;
        for span in spans {
            let bytes = bytemuck::cast_slice(&values[span.from..span.from + span.words]);
            range.slice(at..at + bytes.len()).copy_from_slice(bytes);
            encoder.copy_buffer_to_buffer(&staging, at as u64, target, span.to * 4, bytes.len() as u64);
            at += bytes.len();
        }
        drop(range);
        staging.unmap();
        Ok(gpu.send(encoder.finish()))
    };
    gpu.scoped_now(WRITING, send)?.or_else(|error: wgpu::MapRangeError| {
        gpu.probe_now(WRITING)?;
        Err(Error::Device { during: WRITING, message: error.to_string() })
    })
}

impl Span {
    /// `words` words, all together.
    pub const fn whole(words: usize) -> Self {
        Self { from: 0, to: 0, words }
    }

    /// The same in pieces that fit a staging buffer.
    fn pieces(self) -> impl Iterator<Item = Self> {
        (0..self.words).step_by(STAGING_WORDS).map(move |done| Self {
            from: self.from + done,
            to: self.to + done as u64,
            words: STAGING_WORDS.min(self.words - done),
        })
    }
}

/// A region's values, row-major without padding, made ready to be copied: the words, and where they go. `base` is the
/// number of the region's first element in its buffer.
///
/// A region as wide as its rows is one copy, its padding written as zeros; of a view of columns each row is a copy of its
/// own, so that its neighbours keep what they hold.
pub(super) fn spans(region: Region, base: u64, mut values: Vec<u32>) -> (Vec<u32>, Vec<Span>) {
    let (rows, cols, stride) = (region.rows as usize, region.cols as usize, region.stride as usize);
    let whole = rows == 1 || cols == stride;
    if !whole && region.padded_cols() == region.stride {
        let mut padded = Vec::with_capacity(rows * stride);
        for row in values.chunks_exact(cols) {
            padded.extend_from_slice(row);
            padded.resize(padded.len().next_multiple_of(stride), 0);
        }
        values = padded;
    } else if !whole {
        let row = |row: usize| Span { from: row * cols, to: base + (row * stride) as u64, words: cols };
        return (values, (0..rows).map(row).collect());
    }
    let span = Span { from: 0, to: base, words: values.len() };
    (values, vec![span])
}

/// Words from a region's first value to its last.
pub(super) const fn extent(region: Region) -> usize {
    (region.rows as usize - 1) * region.stride as usize + region.cols as usize
}

/// The region's values among the words of its [`extent`], row-major without padding.
pub(super) fn pick(region: Region, words: &[u32]) -> impl Iterator<Item = u32> {
    words.chunks(region.stride as usize).flat_map(move |row| row.iter().copied().take(region.cols as usize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Arena, Memory};

    #[test]
    fn a_view_of_columns_is_written_row_by_row_and_a_whole_region_at_once() {
        let mut memory = Memory::new();
        let parent = memory.alloc(Arena::Activations, 3, 10);
        let (words, all) = spans(parent, 64, (0..30).collect());
        assert_eq!(all, [Span { from: 0, to: 64, words: 36 }]);
        assert_eq!(words[8..14], [8, 9, 0, 0, 10, 11]);
        let view = parent.columns(4, 3);
        let (words, rows) = spans(view, 68, (0..9).collect());
        assert_eq!(words.len(), 9);
        let row = |i: u64| Span { from: i as usize * 3, to: 68 + i * 12, words: 3 };
        assert_eq!(rows, [row(0), row(1), row(2)]);
    }

    #[test]
    fn values_are_picked_from_between_their_neighbours() {
        let mut memory = Memory::new();
        let view = memory.alloc(Arena::Activations, 3, 12).columns(4, 3);
        let all: Vec<u32> = (0..36).collect();
        let words = &all[4..4 + extent(view)];
        assert_eq!(pick(view, words).collect::<Vec<_>>(), [4, 5, 6, 16, 17, 18, 28, 29, 30]);
    }

    #[test]
    fn long_spans_are_cut_without_loss() {
        let words = 2 * STAGING_WORDS + 5;
        let parts: Vec<Span> = Span { from: 3, to: 7, words }.pieces().collect();
        assert_eq!(parts.iter().map(|part| part.words).sum::<usize>(), words);
        assert_eq!(super::parts(&parts).len(), 3);
        assert_eq!(parts[2], Span { from: 3 + 2 * STAGING_WORDS, to: 7 + 2 * STAGING_WORDS as u64, words: 5 });
    }
}
