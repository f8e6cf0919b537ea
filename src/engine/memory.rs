//! Where a run's state lives: a few arenas, and regions inside them.
//!
//! wgpu tracks whole buffers, so many small buffers cost a barrier and a binding each; a few large ones cost neither.
//! A region is a matrix: rows lie `stride` elements apart, and every stride and offset is a multiple of [`PAD`], so that
//! a kernel loads `vec4`s without edge branches. The elements between a row's last column and the next multiple of
//! [`PAD`] are *padding*: they are zero, and every kernel leaves them zero.

/// Columns are padded to a multiple of this.
pub const PAD: u32 = 4;

/// Regions start at a multiple of this many elements (64 bytes of f32): one cache line, and the same alignment in every lane.
const ALIGNMENT: u32 = 16;

/// `columns`, rounded up to a multiple of [`PAD`].
pub const fn padded(columns: u32) -> u32 {
    columns.next_multiple_of(PAD)
}

/// The buffers of a run. Each kernel argument lives in one fixed arena, so that a shader never chooses between bindings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Arena {
    /// Network parameters: trained nets first, in one contiguous range, then their targets.
    Weights,
    /// Gradients, first and second Adam moments of the trained range, one after the other, each laid out like it.
    Training,
    /// Everything computed within one update, and the metrics ring.
    Activations,
    /// Integers: clock, seeds, sampled rows. Of `u32`, since a GPU may flush them to zero if they were stored as floats.
    Words,
}

impl Arena {
    /// Every arena, in the order of its binding.
    pub const ALL: [Self; 4] = [Self::Weights, Self::Training, Self::Activations, Self::Words];

    /// The arena's place in [`Arena::ALL`], and its binding number in every shader.
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// A matrix in an arena: `rows` x `cols`, row-major, rows `stride` elements apart. A vector is one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// The buffer it lies in.
    pub arena: Arena,
    /// Its first element, counted from the start of a lane's share of the arena.
    pub offset: u32,
    /// Number of rows.
    pub rows: u32,
    /// Number of columns that hold values; the padding follows.
    pub cols: u32,
    /// Elements from one row to the next; a multiple of [`PAD`].
    pub stride: u32,
}

impl Region {
    /// The columns `first .. first + count`; `first` is a multiple of [`PAD`].
    #[must_use]
    pub fn columns(self, first: u32, count: u32) -> Self {
        debug_assert!(first.is_multiple_of(PAD) && first + count <= self.stride, "columns {first}+{count} of {self:?}");
        Self { offset: self.offset + first, cols: count, ..self }
    }

    /// The rows `first .. first + count`.
    #[must_use]
    pub fn rows(self, first: u32, count: u32) -> Self {
        debug_assert!(first + count <= self.rows, "rows {first}+{count} of {self:?}");
        Self { offset: self.offset + first * self.stride, rows: count, ..self }
    }

    /// Column `index` alone, for reading: it may start anywhere, so kernels do not take it.
    #[must_use]
    pub const fn column(self, index: u32) -> Self {
        Self { offset: self.offset + index, cols: 1, ..self }
    }

    /// Columns including the padding.
    pub const fn padded_cols(self) -> u32 {
        padded(self.cols)
    }

    /// Number of values, padding not counted.
    pub const fn len(self) -> usize {
        self.rows as usize * self.cols as usize
    }

    /// Whether the region holds no value.
    pub const fn is_empty(self) -> bool {
        self.rows == 0 || self.cols == 0
    }

    /// One past the last element it touches, padding included.
    pub const fn end(self) -> u32 {
        self.offset + (self.rows - 1) * self.stride + self.padded_cols()
    }

    /// Whether the two share an element. Exact for views of one parent; errs on the side of `true` otherwise.
    pub fn overlaps(self, other: Self) -> bool {
        if self.arena != other.arena || self.is_empty() || other.is_empty() {
            return false;
        }
        if self.end() <= other.offset || other.end() <= self.offset {
            return false;
        }
        if self.stride != other.stride || self.rows == 1 && other.rows == 1 {
            return true;
        }
        // Same stride: side by side in the same rows means disjoint. `shift` is other's first column, seen from self's.
        let shift = (i64::from(other.offset) - i64::from(self.offset)).rem_euclid(i64::from(self.stride));
        shift < i64::from(self.padded_cols()) || shift + i64::from(other.padded_cols()) > i64::from(self.stride)
    }
}

/// Hands out regions. Nothing is allocated here: an engine allocates what [`Memory::used`] says, once per lane.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    used: [u32; 4],
    trained: u32,
    /// Where each net's weights end.
    nets: Vec<u32>,
}

impl Memory {
    /// Empty arenas.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new region of `rows` x `cols` in `arena`.
    pub fn alloc(&mut self, arena: Arena, rows: u32, cols: u32) -> Region {
        let used = &mut self.used[arena.index()];
        let region = Region { arena, offset: *used, rows, cols, stride: padded(cols) };
        *used = (*used + rows * region.stride).next_multiple_of(ALIGNMENT);
        region
    }

    /// Ends a net: its weights are those allocated since the last one ended.
    pub fn end_net(&mut self) {
        self.nets.push(self.used[Arena::Weights.index()]);
    }

    /// Ends the range of trained weights and lays out its gradients and moments. Call once, after the last trained net
    /// and before the first target.
    pub fn seal_trained(&mut self) {
        self.trained = self.used[Arena::Weights.index()];
        self.used[Arena::Training.index()] = 3 * self.trained;
    }

    /// The same memory without gradients and moments, for acting.
    #[must_use]
    pub fn without_training(&self) -> Self {
        let mut used = self.used;
        used[Arena::Training.index()] = 0;
        Self { used, ..self.clone() }
    }

    /// Elements of the trained range, padding included.
    pub const fn trained(&self) -> u32 {
        self.trained
    }

    /// The trained range net by net, each as one row; what no net ended counts as one.
    pub fn trained_nets(&self) -> Vec<Region> {
        let mut ends: Vec<u32> = self.nets.iter().copied().filter(|&end| end < self.trained).collect();
        ends.push(self.trained);
        let starts = [0].into_iter().chain(ends.iter().copied());
        let net = |(offset, end)| Region { arena: Arena::Weights, offset, rows: 1, cols: end - offset, stride: end - offset };
        starts.zip(ends.iter().copied()).map(net).collect()
    }

    /// The gradient of a trained weight: same shape, same offset, in the training arena.
    pub const fn gradient_of(weights: Region) -> Region {
        Region { arena: Arena::Training, ..weights }
    }

    /// The first (`order` 1) or second (`order` 2) Adam moment of a trained weight.
    pub const fn moment_of(&self, weights: Region, order: u32) -> Region {
        Region { arena: Arena::Training, offset: weights.offset + order * self.trained, ..weights }
    }

    /// Elements in use per lane, in the order of [`Arena::ALL`].
    pub const fn used(&self) -> [u32; 4] {
        self.used
    }

    /// Bytes per lane at 4 bytes an element.
    pub fn bytes(&self) -> u64 {
        self.used.iter().map(|&elements| u64::from(elements) * 4).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn column_views_of_one_parent_overlap_only_where_they_share_a_column() {
        let mut memory = Memory::new();
        let before = memory.alloc(Arena::Activations, 3, 5);
        let parent = memory.alloc(Arena::Activations, 7, 20);
        let left = parent.columns(0, 6);
        let right = parent.columns(8, 12);
        assert!(!left.overlaps(right) && !right.overlaps(left));
        assert!(left.overlaps(parent) && parent.overlaps(right));
        assert!(parent.columns(4, 8).overlaps(right), "column 8 is shared");
        assert!(!before.overlaps(parent));
        assert!(!parent.rows(0, 3).overlaps(parent.rows(3, 4)));
        assert!(parent.rows(0, 4).overlaps(parent.rows(3, 4)));
        assert!(!left.overlaps(Region { arena: Arena::Weights, ..left }), "arenas are apart");
    }

    #[test]
    fn the_padding_belongs_to_its_column_view() {
        let mut memory = Memory::new();
        let parent = memory.alloc(Arena::Activations, 2, 12);
        let odd = parent.columns(0, 5); // touches columns 0..8
        assert!(odd.overlaps(parent.columns(4, 4)));
        assert!(!odd.overlaps(parent.columns(8, 4)));
    }

    #[test]
    fn gradients_and_moments_follow_the_trained_range() {
        let mut memory = Memory::new();
        let w = memory.alloc(Arena::Weights, 5, 7);
        memory.seal_trained();
        let target = memory.alloc(Arena::Weights, 5, 7);
        assert!(target.offset >= memory.trained());
        assert_eq!(Memory::gradient_of(w).offset, w.offset);
        assert_eq!(memory.moment_of(w, 2).offset, w.offset + 2 * memory.trained());
        assert_eq!(memory.used()[Arena::Training.index()], 3 * memory.trained());
    }

    #[test]
    fn trained_nets_share_out_the_trained_range() {
        let mut memory = Memory::new();
        for (rows, cols) in [(5, 7), (2, 3)] {
            memory.alloc(Arena::Weights, rows, cols);
            memory.alloc(Arena::Weights, 1, cols);
            memory.end_net();
        }
        memory.seal_trained();
        memory.alloc(Arena::Weights, 5, 7);
        memory.end_net();
        let nets: Vec<_> = memory.trained_nets().iter().map(|net| (net.offset, net.cols)).collect();
        assert_eq!(nets, [(0, 64), (64, 32)], "of whole lines, and without the target");
        let mut one = Memory::new();
        one.alloc(Arena::Weights, 5, 7);
        one.seal_trained();
        assert_eq!(one.trained_nets().len(), 1);
    }
}
