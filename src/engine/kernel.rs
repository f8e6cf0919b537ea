//! What an engine must know of a kernel: its contract, its shaders and its CPU twin.
//!
//! A kernel works on *problems*: each is a struct of offsets and sizes, [`Problem`] here and `struct Problem` in the
//! shader, compared field by field in `tests/contracts.rs`. One dispatch runs a table of them.

use std::fmt::Debug;

use super::memory::{Arena, Region};
use super::packed::{Form, Panels};
use super::precision::Precision;
use super::product::Factors;
use super::real::Real;

/// One field of a problem: its name and `"u32"` or `"f32"`. Fields are four bytes each, in order, without gaps.
pub type Field = (&'static str, &'static str);

/// The offsets, sizes and modes of one problem of a kernel. Declared with [`problem!`](crate::engine::problem).
pub trait Problem: bytemuck::Pod + Debug {
    /// The fields in order. The first is `first_group`: where the problem's workgroups start within its dispatch.
    const FIELDS: &'static [Field];
}

/// Declares a kernel's problem. The builder fills in `first_group`, the first field of every problem.
#[macro_export]
#[doc(hidden)]
macro_rules! __problem {
    ($(#[$doc:meta])* pub struct $name:ident { $($(#[$field_doc:meta])* pub $field:ident: $kind:ident,)* }) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
        pub struct $name {
            /// Where the problem's workgroups start within its dispatch; filled in by the engine.
            pub first_group: u32,
            $($(#[$field_doc])* pub $field: $kind,)*
        }
        impl $crate::engine::Problem for $name {
            const FIELDS: &'static [$crate::engine::Field] =
                &[("first_group", "u32"), $((stringify!($field), stringify!($kind)),)*];
        }
    };
}

/// Stands for "no such operand" in an offset field.
pub const NONE: u32 = u32::MAX;

/// Rows of a block of a twin that works row by row: a quarter of the usual batch, so that a block of 512 columns stays in the
/// second-level cache, and four threads can share a product. The same for all, so that a row stays with its thread.
pub const PART: u32 = 64;

/// One operation: the contract between a shader, its twin and the plan.
pub trait Operation: 'static {
    /// Its offsets and sizes.
    type Problem: Problem;
    /// The stem of its files, its first shader's entry point, and its name in plans and profiles.
    const NAME: &'static str;
    /// Its shaders: the plain one first, then other [variants](Variant) where they pay.
    const SHADERS: &'static [Shader];
    /// The matrix of weights that the twin can use packed.
    const PACKED_READ: Option<PackedRead> = None;
    /// Whether the blocks, where they are as many as there are [parts](PART) of the rows of what it writes first, keep to those
    /// rows: block b then touches only part b of every region of activations that has as many rows.
    const BY_ROWS: bool = false;
    /// Whether it goes once through much memory and computes little, so that memory alone sets its pace. A processor lets one
    /// thread do it late in an update, beside what others compute.
    const STREAMS: bool = false;
    /// Into how many blocks the twin's work is cut. Blocks write disjoint elements, and depend on the shape only, never
    /// on the number of threads.
    fn blocks(problem: &Self::Problem) -> u32;
    /// Runs block `block` of the operation on the CPU.
    fn twin<R: Real>(problem: &Self::Problem, cx: &Context<'_, R>, block: u32);
}

/// A read of an operation that its twin can use packed, as the right factor of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedRead {
    /// Which read, counted in the order of their declaration.
    pub index: usize,
    /// Whether the right factor is the matrix's transpose.
    pub transposed: bool,
}

/// The programs that a kernel may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// For GPUs; every kernel has it.
    Plain,
    /// Matrix products in larger blocks, with the same bits; for GPUs that are faster so.
    Large,
    /// For software adapters.
    Software,
    /// Matrix products for those of them whose subgroups have 16 invocations or more: Mesa's, where the environment variable
    /// `LP_NATIVE_VECTOR_WIDTH` is 512. The program `wgflow` sets it; a program of your own does so before it looks for adapters.
    Subgroup,
}

/// One WGSL program of a kernel.
#[derive(Debug)]
pub struct Shader {
    /// Entry point: the file's stem.
    pub entry: &'static str,
    /// Texts to concatenate: shared functions, then the file.
    pub source: &'static [&'static str],
    /// Number of workgroups for a problem (its words, in the order of its fields).
    pub groups: fn(&[u32]) -> u32,
    /// What it is for.
    pub variant: Variant,
}

/// A kernel, with its types erased.
#[derive(Debug)]
pub struct Kernel {
    /// Its name.
    pub name: &'static str,
    /// Its problem's fields.
    pub fields: &'static [Field],
    /// Its programs.
    pub shaders: &'static [Shader],
    /// The read that the twin can use packed; see [`Operation::PACKED_READ`].
    pub packed_read: Option<PackedRead>,
    /// Whether the twin's blocks keep to rows; see [`Operation::BY_ROWS`].
    pub by_rows: bool,
    /// Whether memory sets its pace; see [`Operation::STREAMS`].
    pub streams: bool,
    /// Blocks of a problem's twin.
    pub blocks: fn(&[u32]) -> u32,
    /// The twin at f32.
    pub twin_f32: Twin<f32>,
    /// The twin at f64: the oracle.
    pub twin_f64: Twin<f64>,
}

/// A twin with its problem as words.
pub type Twin<R> = fn(&[u32], &Context<'_, R>, u32);

impl Kernel {
    /// The kernel of an operation.
    pub const fn of<O: Operation>() -> Self {
        Self {
            name: O::NAME,
            fields: O::Problem::FIELDS,
            shaders: O::SHADERS,
            packed_read: O::PACKED_READ,
            by_rows: O::BY_ROWS,
            streams: O::STREAMS,
            blocks: |words| O::blocks(&typed::<O::Problem>(words)),
            twin_f32: vectorised::<O>,
            twin_f64: |words, cx, block| O::twin::<f64>(&typed::<O::Problem>(words), cx, block),
        }
    }
}

/// The words of a problem as its struct.
pub fn typed<P: Problem>(words: &[u32]) -> P {
    bytemuck::pod_read_unaligned(bytemuck::cast_slice(words))
}

/// The f32 twin, compiled once for each instruction set that `pulp` knows; the processor decides at run time which runs.
/// A twin fuses only where it says so and never reorders, so every instruction set that can fuse gives the same bits.
fn vectorised<O: Operation>(words: &[u32], cx: &Context<'_, f32>, block: u32) {
    struct Run<'a, O: Operation>(O::Problem, &'a Context<'a, f32>, u32);
    impl<O: Operation> pulp::WithSimd for Run<'_, O> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, _: S) {
            O::twin::<f32>(&self.0, self.1, self.2);
        }
    }
    pulp::Arch::new().dispatch(Run::<O>(typed(words), cx, block));
}

/// The memory a twin works on: one lane's share of every arena, the dataset, and the lane's scalars.
///
/// # Safety contract
/// `row_mut` hands out exclusive rows of memory that other threads work on as well. Whoever builds a context promises
/// that blocks running at the same time write disjoint elements, and that none reads what another writes: the plan's
/// hazards give the first between operations, [`Operation::blocks`] between blocks of one.
#[derive(Debug)]
pub struct Context<'a, R> {
    floats: [(*mut R, usize); 3],
    words: (*mut u32, usize),
    records: &'a [f32],
    scalars: &'a [R],
    packed: Option<Panels<'a, R>>,
    precision: Precision,
    declared: Option<(&'a [Region], &'a [Region])>,
}

impl<'a, R: Real> Context<'a, R> {
    /// A context over a lane's arenas.
    ///
    /// # Safety
    /// The pointers are valid for the given lengths while the context lives; see the safety contract above.
    pub unsafe fn new(floats: [(*mut R, usize); 3], words: (*mut u32, usize), records: &'a [f32], scalars: &'a [R]) -> Self {
        Self { floats, words, records, scalars, packed: None, precision: Precision::Plain, declared: None }
    }

    /// The same with packed weights, which hold what the arena holds.
    #[must_use]
    pub(super) fn with_packed(self, packed: Panels<'a, R>) -> Self {
        Self { packed: Some(packed), ..self }
    }

    /// The same at a precision that the processor has.
    #[must_use]
    pub(super) fn at(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// How a product with a layer's weights of this shape, or for their gradient, takes its factors.
    #[inline(always)]
    pub fn factors(&self, shape: (u32, u32)) -> Factors {
        Factors::of(self.precision, shape)
    }

    /// The same for a result of so many rows and columns, padding not counted, of a product with weights of this shape, as they
    /// are or transposed.
    #[inline(always)]
    pub fn factors_of_rows(&self, out: (u32, u32), weights: (u32, u32)) -> Factors {
        Factors::of_rows(self.precision, out, weights)
    }

    /// The panels of the matrix of so many rows at an offset of the weights, as it is or transposed, for a product that takes its
    /// factors so, if it is packed.
    #[inline(always)]
    pub fn packed(&self, place: (u32, u32), transposed: bool, factors: Factors) -> Option<*const R> {
        self.packed.and_then(|packed| packed.find(place, Form { transposed, factors }))
    }

    /// The same, refusing every access outside the regions an operation declared. Used by tests.
    #[must_use]
    pub fn checked(mut self, reads: &'a [Region], writes: &'a [Region]) -> Self {
        self.declared = Some((reads, writes));
        self
    }

    /// The scalar in slot `slot` of the lane's table.
    #[inline(always)]
    pub fn scalar(&self, slot: u32) -> R {
        self.scalars[slot as usize]
    }

    /// The dataset's records: [obs | action | next obs | reward, mask], each segment padded.
    #[inline(always)]
    pub fn records(&self) -> &'a [f32] {
        self.records
    }

    /// `len` elements of a float arena.
    #[inline(always)]
    pub fn row(&self, arena: Arena, offset: u32, len: u32) -> &[R] {
        self.check(arena, offset, len, false);
        // SAFETY: inside the arena (checked above); nobody writes it meanwhile (the contract of `Context`).
        unsafe { std::slice::from_raw_parts(self.floats[arena.index()].0.add(offset as usize), len as usize) }
    }

    /// `len` elements of a float arena, to be written.
    #[inline(always)]
    #[allow(clippy::mut_from_ref, reason = "exclusive by the contract of `Context`, not by its borrow")]
    pub fn row_mut(&self, arena: Arena, offset: u32, len: u32) -> &mut [R] {
        self.check(arena, offset, len, true);
        // SAFETY: inside the arena (checked above); nobody else touches it meanwhile (the contract of `Context`).
        unsafe { std::slice::from_raw_parts_mut(self.floats[arena.index()].0.add(offset as usize), len as usize) }
    }

    /// `len` words.
    #[inline(always)]
    pub fn words(&self, offset: u32, len: u32) -> &[u32] {
        self.check(Arena::Words, offset, len, false);
        // SAFETY: as in `row`.
        unsafe { std::slice::from_raw_parts(self.words.0.add(offset as usize), len as usize) }
    }

    /// `len` words, to be written.
    #[inline(always)]
    #[allow(clippy::mut_from_ref, reason = "exclusive by the contract of `Context`, not by its borrow")]
    pub fn words_mut(&self, offset: u32, len: u32) -> &mut [u32] {
        self.check(Arena::Words, offset, len, true);
        // SAFETY: as in `row_mut`.
        unsafe { std::slice::from_raw_parts_mut(self.words.0.add(offset as usize), len as usize) }
    }

    /// The address of `rows` rows of `cols` elements, `stride` apart, for a matrix product.
    #[inline(always)]
    pub fn matrix(&self, arena: Arena, offset: u32, (rows, cols): (u32, u32), stride: u32, write: bool) -> *mut R {
        if self.declared.is_some() {
            (0..rows).for_each(|row| self.check(arena, offset + row * stride, cols, write));
        }
        let end = offset as usize + (rows as usize - 1) * stride as usize + cols as usize;
        assert!(end <= self.floats[arena.index()].1, "a twin left its arena");
        self.floats[arena.index()].0.wrapping_add(offset as usize)
    }

    #[inline(always)]
    fn check(&self, arena: Arena, offset: u32, len: u32, write: bool) {
        let size = if arena == Arena::Words { self.words.1 } else { self.floats[arena.index()].1 };
        assert!(offset as usize + len as usize <= size, "a twin left its arena");
        if let Some((reads, writes)) = self.declared {
            assert_declared(if write { writes } else { reads }, arena, offset, len, write);
        }
    }
}

#[cold]
fn assert_declared(regions: &[Region], arena: Arena, offset: u32, len: u32, write: bool) {
    let inside = |region: &Region| {
        region.arena == arena && offset >= region.offset && {
            let (row, col) = ((offset - region.offset) / region.stride, (offset - region.offset) % region.stride);
            row < region.rows && col + len <= region.padded_cols()
        }
    };
    assert!(
        regions.iter().any(inside),
        "a twin {} {len} elements at {offset} of {arena:?}, outside what its operation declared",
        if write { "wrote" } else { "read" }
    );
}
