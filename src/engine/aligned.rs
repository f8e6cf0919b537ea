//! Memory that begins at a cache line, for the CPU engine's vectors, and in large pages where it is large.
//!
//! An allocator gives large blocks that begin 16 bytes into a line, so every vector of 64 bytes would straddle two. And an
//! update goes through more pages of 4 KiB than the processor keeps the addresses of.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

/// A cache line.
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Numbers that begin at a cache line.
#[derive(Clone, Debug)]
pub struct Aligned<R> {
    lines: Vec<Line>,
    len: usize,
    numbers: PhantomData<R>,
}

impl<R> Default for Aligned<R> {
    fn default() -> Self {
        Self { lines: Vec::new(), len: 0, numbers: PhantomData }
    }
}

impl<R: bytemuck::Pod> Aligned<R> {
    /// `len` zeros.
    pub fn zeroed(len: usize) -> Self {
        let count = (len * size_of::<R>()).div_ceil(size_of::<Line>());
        let mut lines = Vec::with_capacity(count);
        ask_for_large_pages(&mut lines);
        // Only now is the memory touched, and so laid out in pages.
        lines.resize(count, bytemuck::Zeroable::zeroed());
        Self { lines, len, numbers: PhantomData }
    }

    /// Makes it at least `len` long; if it has to grow, what it held is gone.
    pub fn at_least(&mut self, len: usize) {
        if self.len < len {
            *self = Self::zeroed(len);
        }
    }
}

/// Asks for large pages under memory that nothing was written to yet. Where the system has none the memory is as good, only
/// slower.
#[cfg(target_os = "linux")]
fn ask_for_large_pages(lines: &mut Vec<Line>) {
    /// What they measure on most processors; smaller memory could hold none.
    const LARGE: usize = 2 << 20;
    let memory = lines.spare_capacity_mut();
    if size_of_val(memory) < LARGE {
        return;
    }
    // SAFETY: a question without arguments that are addresses.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(LARGE);
    let skipped = memory.as_ptr().addr().wrapping_neg() % page;
    let whole = (size_of_val(memory) - skipped) / page * page;
    // SAFETY: whole pages inside the memory, whose contents stay as they are. An error is no matter.
    unsafe { libc::madvise(memory.as_mut_ptr().byte_add(skipped).cast(), whole, libc::MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
fn ask_for_large_pages(_: &mut Vec<Line>) {}

impl<R: bytemuck::Pod> Deref for Aligned<R> {
    type Target = [R];
    fn deref(&self) -> &[R] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }
}

impl<R: bytemuck::Pod> DerefMut for Aligned<R> {
    fn deref_mut(&mut self) -> &mut [R] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::Aligned;

    #[test]
    fn memory_begins_at_a_cache_line_and_is_zero() {
        for len in [0, 1, 15, 16, 17, 1_000_000] {
            let mut numbers = Aligned::<f32>::zeroed(len);
            assert!(len == 0 || numbers.as_ptr().addr().is_multiple_of(64));
            assert_eq!((numbers.len(), numbers.iter().filter(|x| **x == 0.0).count()), (len, len));
            numbers.at_least(20);
            assert_eq!(numbers.len(), len.max(20));
        }
    }
}
