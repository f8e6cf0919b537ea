//! Weights packed for the CPU engine's products, kept between the products that share them.
//!
//! The ten steps of an Euler integration multiply with the same weights. Copying them into panels once an update, not once a
//! product, saves the copies, and a panel is read as one stream, which the processor fetches ahead.

use std::sync::atomic::{AtomicBool, Ordering};

use super::aligned::Aligned;
use super::kernel::PackedRead;
use super::memory::{Arena, Region};
use super::plan::Op;
use super::precision::Precision;
use super::product::{self, Element, Factors, Operand};

/// The packed weights of every lane.
#[derive(Debug, Default)]
pub struct Packed<R> {
    matrices: Vec<Matrix>,
    /// Panels of every lane, lane after lane.
    panels: Aligned<R>,
    /// For each panel of every lane, whether it holds the weights as they are now.
    fresh: Vec<AtomicBool>,
    /// Elements, and number of panels, of one lane.
    lane: (usize, usize),
    lanes: usize,
    precision: Precision,
}

/// Where one matrix's panels lie in a lane's share.
#[derive(Clone, Copy, Debug)]
struct Matrix {
    region: Region,
    form: Form,
    /// First element, and first panel.
    first: (usize, usize),
    /// Number of panels.
    count: usize,
}

/// In what form a product reads a matrix of weights: one that is read in two forms is packed in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Whether transposed.
    pub transposed: bool,
    /// How the product takes its factors.
    pub factors: Factors,
}

impl Matrix {
    /// Rows and columns of the right factor that the panels hold.
    const fn shape(&self) -> (usize, usize) {
        let shape = (self.region.rows as usize, self.region.padded_cols() as usize);
        if self.form.transposed { (shape.1, shape.0) } else { shape }
    }

    /// Whether it is the matrix of so many rows at this offset, in this form. Rows matter: part of a matrix can be a factor too.
    fn is(&self, (offset, rows): (u32, u32), form: Form) -> bool {
        (self.region.offset, self.region.rows, self.form) == (offset, rows, form)
    }
}

impl<R: Element> Packed<R> {
    /// None, for `lanes` lanes.
    pub fn new(lanes: usize, precision: Precision) -> Self {
        Self { matrices: Vec::new(), panels: Aligned::default(), fresh: Vec::new(), lane: (0, 0), lanes, precision }
    }

    /// The matrix of weights that an operation reads packed, and in what form.
    fn read(&self, op: &Op) -> Option<(Region, Form)> {
        op.kernel.packed_read.map(|PackedRead { index, transposed }| {
            let (region, out) = (op.reads[index], op.writes[0]);
            let factors = Factors::of_rows(self.precision, (out.rows, out.cols), (region.rows, region.padded_cols()));
            (region, Form { transposed, factors })
        })
    }

    /// The index of that matrix, once it is laid out.
    pub fn wanted(&self, op: &Op) -> Option<usize> {
        self.read(op).and_then(|(region, form)| self.find(region, form))
    }

    /// Lays out the panels of what `ops` read, beside those laid out before. Nothing is allocated.
    pub fn lay_out(&mut self, ops: &[Op]) {
        for op in ops {
            let Some((region, form)) = self.read(op) else { continue };
            if self.find(region, form).is_none() {
                let mut matrix = Matrix { region, form, first: self.lane, count: 0 };
                let (depth, cols) = matrix.shape();
                matrix.count = product::panel_count::<R>(cols, form.factors);
                self.lane.0 += matrix.count * product::panel_elements::<R>(depth, form.factors);
                self.lane.1 += matrix.count;
                self.matrices.push(matrix);
            }
        }
    }

    /// Bytes of one lane: its panels, and a flag for each that tells whether it is up to date.
    pub fn lane_bytes(&self) -> u64 {
        (self.lane.0 * size_of::<R>() + self.lane.1) as u64
    }

    /// Makes room for what `ops` read. What was packed before is packed again if the room has to grow.
    pub fn make_room(&mut self, ops: &[Op]) {
        let known = self.matrices.len();
        self.lay_out(ops);
        if self.matrices.len() > known {
            self.panels = Aligned::zeroed(self.lane.0 * self.lanes);
            self.fresh = (0..self.lane.1 * self.lanes).map(|_| AtomicBool::new(false)).collect();
        }
    }

    /// The index of the matrix that `region` is in this form.
    fn find(&self, region: Region, form: Form) -> Option<usize> {
        self.matrices.iter().position(|matrix| matrix.is((region.offset, region.rows), form))
    }

    /// Indices of the matrices that share an element with `region`.
    pub fn overlapping(&self, region: Region) -> impl Iterator<Item = usize> + '_ {
        let shares = move |(_, matrix): &(usize, &Matrix)| matrix.region.overlaps(region);
        self.matrices.iter().enumerate().filter(shares).map(|(index, _)| index)
    }

    /// Number of panels of a matrix.
    pub fn count(&self, matrix: usize) -> usize {
        self.matrices[matrix].count
    }

    /// Notes that the weights of a matrix are no longer what its panels hold.
    pub fn spoil(&self, matrix: usize, lane: usize) {
        let Matrix { first, count, .. } = self.matrices[matrix];
        let start = lane * self.lane.1 + first.1;
        self.fresh[start..start + count].iter().for_each(|fresh| fresh.store(false, Ordering::Relaxed));
    }

    /// The same for every matrix in `region` of a lane that the host has written.
    pub fn written(&self, region: Region, lane: usize) {
        if region.arena == Arena::Weights {
            self.overlapping(region).for_each(|matrix| self.spoil(matrix, lane));
        }
    }

    /// The same for everything in an arena.
    pub fn spoil_all(&self, arena: Arena, lane: usize) {
        if arena == Arena::Weights {
            (0..self.matrices.len()).for_each(|matrix| self.spoil(matrix, lane));
        }
    }

    /// The address of every lane's panels, for those who fill them.
    pub fn address(&mut self) -> *mut R {
        self.panels.as_mut_ptr()
    }

    /// Fills panel `panel` of a matrix from `weights`, a lane's share of that arena, unless it holds them already.
    ///
    /// # Safety
    /// `panels` is [`Packed::address`] and still valid, `weights` reaches as far as the matrix, nobody writes either meanwhile,
    /// and nobody else fills this panel.
    pub unsafe fn fill(&self, panels: *mut R, (matrix, panel): (usize, usize), lane: usize, weights: *const R) {
        let Matrix { region, first, form, .. } = self.matrices[matrix];
        if self.fresh[lane * self.lane.1 + first.1 + panel].swap(true, Ordering::Relaxed) {
            return;
        }
        let (shape, stride) = (self.matrices[matrix].shape(), region.stride as usize);
        let strides = if form.transposed { (1, stride) } else { (stride, 1) };
        // SAFETY: the matrix's part of `weights`, and this panel.
        unsafe {
            let to = panels.add(lane * self.lane.0 + first.0 + panel * product::panel_elements::<R>(shape.0, form.factors));
            let from = weights.add(region.offset as usize);
            product::pack(to, Operand { data: from, shape, strides }, panel, form.factors);
        }
    }

    /// The panels of one lane, as a twin finds them.
    pub fn of_lane(&self, panels: *const R, lane: usize) -> Panels<'_, R> {
        Panels { matrices: &self.matrices, data: panels.wrapping_add(lane * self.lane.0) }
    }
}

/// One lane's packed weights.
#[derive(Clone, Copy, Debug)]
pub struct Panels<'a, R> {
    matrices: &'a [Matrix],
    data: *const R,
}

impl<R> Panels<'_, R> {
    /// The panels of the matrix of so many rows at an offset of the weights, in this form.
    pub fn find(&self, place: (u32, u32), form: Form) -> Option<*const R> {
        let matrix = self.matrices.iter().find(|matrix| matrix.is(place, form))?;
        Some(self.data.wrapping_add(matrix.first.0))
    }
}
