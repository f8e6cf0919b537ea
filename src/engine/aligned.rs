//! Memory that begins at a cache line, for the CPU engine's vectors.
//!
//! An allocator gives large blocks that begin 16 bytes into a line, so every vector of 64 bytes would straddle two.

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
        let lines = (len * size_of::<R>()).div_ceil(size_of::<Line>());
        Self { lines: vec![bytemuck::Zeroable::zeroed(); lines], len, numbers: PhantomData }
    }

    /// Makes it at least `len` long; if it has to grow, what it held is gone.
    pub fn at_least(&mut self, len: usize) {
        if self.len < len {
            *self = Self::zeroed(len);
        }
    }
}

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
