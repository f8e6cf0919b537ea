//! `matmul_nn`: the forward product of a layer, with what follows it fused: bias, GELU, clip, tangent, or an Euler step.

use std::ops::Range;

use super::prelude::*;
use crate::engine::gelu;
use crate::engine::product::{MutOperand, Operand, Right, product};

/// Rows up to which a block is some columns of every row: several threads can then share few rows, as acting has them.
const FEW_ROWS: u32 = 32;

/// Columns of such a block: whole panels on every processor. A block of 128 costs a single state's action 10 % more on one
/// thread, since there are more of them.
const COLS: u32 = 256;

problem! {
    /// out = epilogue(a b + bias).
    pub struct MatmulNnProblem {
        /// Activations: a, [rows, depth].
        pub a: u32,
        /// Elements between rows of a.
        pub a_stride: u32,
        /// Weights: b, [depth, cols].
        pub b: u32,
        /// Elements between rows of b.
        pub b_stride: u32,
        /// Weights: bias, `[cols]`; `NONE` for 0.
        pub bias: u32,
        /// Activations: out, [rows, cols].
        pub out: u32,
        /// Elements between rows of out.
        pub out_stride: u32,
        /// Activations: GELU's derivative, or the value before the clip; `NONE` if not wanted.
        pub second: u32,
        /// Elements between rows of `second`.
        pub second_stride: u32,
        /// Activations: where the Euler step starts, or the sums that a layer's other inputs made.
        pub x: u32,
        /// Elements between rows of x.
        pub x_stride: u32,
        /// Activations: `[cols]`, added to every row of those sums.
        pub shift: u32,
        /// Rows.
        pub rows: u32,
        /// Columns of a and rows of b, padding included.
        pub depth: u32,
        /// Columns of b, padding not counted.
        pub cols: u32,
        /// 0: none. 1: GELU. 2: clip to [-1, 1]. 3: Euler step. 4: Euler step, then clip. 5: hyperbolic tangent.
        /// 6: GELU of z + x + shift.
        pub epilogue: u32,
        /// Number of Euler steps that make up the unit of time.
        pub steps: u32,
    }
}

/// What happens to `z = a b + bias` before it is stored.
#[derive(Clone, Copy, Debug)]
pub enum Epilogue {
    /// out = z.
    None,
    /// out = GELU(z); its derivative at z goes to `derivative`, for the backward pass.
    Gelu {
        /// [rows, cols], where a backward pass follows.
        derivative: Option<Region>,
    },
    /// out = clip(z, -1, 1); z itself goes to `raw`.
    Clip {
        /// [rows, cols], where someone needs it.
        raw: Option<Region>,
    },
    /// out = x + z / steps: one Euler step of `dx/dt = z`, clipped to [-1, 1] if `last`.
    Euler {
        /// [rows, cols]: the state before the step.
        x: Region,
        /// Steps in the whole integration.
        steps: u32,
        /// Whether the integration ends here.
        last: bool,
    },
    /// out = tanh(z): a squashed action.
    Tanh,
    /// out = GELU(z + base + shift): z is what one part of a layer's input adds to the sums that its other parts made.
    GeluOnto {
        /// [rows, cols]: a sum for each row.
        base: Region,
        /// [1, cols]: the same for every row.
        shift: Region,
    },
}

impl Epilogue {
    fn second(self) -> Option<Region> {
        match self {
            Self::Gelu { derivative } => derivative,
            Self::Clip { raw } => raw,
            Self::None | Self::Euler { .. } | Self::Tanh | Self::GeluOnto { .. } => None,
        }
    }

    /// What it reads beside the product, and how many steps it is one of.
    fn operands(self) -> (Option<Region>, Option<Region>, u32) {
        match self {
            Self::Euler { x, steps, .. } => (Some(x), None, steps),
            Self::GeluOnto { base, shift } => (Some(base), Some(shift), 1),
            Self::None | Self::Gelu { .. } | Self::Clip { .. } | Self::Tanh => (None, None, 1),
        }
    }

    fn mode(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Gelu { .. } => 1,
            Self::Clip { .. } => 2,
            Self::Euler { last, .. } => 3 + u32::from(last),
            Self::Tanh => 5,
            Self::GeluOnto { .. } => 6,
        }
    }
}

/// out = epilogue(a b + bias), a `[rows, depth]`, b `[depth, cols]`.
#[derive(Debug)]
pub struct MatmulNn;

impl Operation for MatmulNn {
    type Problem = MatmulNnProblem;
    const NAME: &'static str = "matmul_nn";
    const SHADERS: &'static [Shader] = &[
        shader!("matmul_nn", "math", "epilogue", "product",
            groups: |p: MatmulNnProblem| p.rows.div_ceil(32) * p.cols.div_ceil(32)),
        shader!(@Large "matmul_nn_large", "math", "epilogue", "product",
            groups: |p: MatmulNnProblem| p.rows.div_ceil(64) * p.cols.div_ceil(64)),
        shader!(@Software "matmul_nn_rows", "math", "epilogue", "product", "park",
            groups: |p: MatmulNnProblem| p.rows.div_ceil(16) * p.cols.div_ceil(128)),
        shader!(@Subgroup "matmul_nn_subgroup", "math", "epilogue", "product", "tile", "broadcast", groups: |p: MatmulNnProblem| p.rows.div_ceil(64) * p.cols.div_ceil(64)),
    ];

    const PACKED_READ: Option<PackedRead> = Some(PackedRead { index: 1, transposed: false });

    const BY_ROWS: bool = true;

    fn blocks(p: &MatmulNnProblem) -> u32 {
        if p.rows <= FEW_ROWS { p.cols.div_ceil(COLS) } else { p.rows.div_ceil(ROWS) }
    }

    #[inline(always)]
    fn twin<R: Real>(p: &MatmulNnProblem, cx: &Context<'_, R>, block: u32) {
        let part = Part::of(p, block);
        let (first, col) = (part.rows.start, part.cols.start);
        let (rows, cols) = (part.rows.end - first, padded(part.cols.end - col));
        let factors = cx.factors_of_rows((p.rows, p.cols), (p.depth, padded(p.cols)));
        let b = || {
            let data = cx.matrix(WEIGHTS, p.b + col, (p.depth, cols), p.b_stride, false);
            Right::Plain(Operand { data, shape: (p.depth as usize, cols as usize), strides: (p.b_stride as usize, 1) })
        };
        let panels = cx.packed((p.b, p.depth), false, factors);
        // SAFETY: `Context::matrix` checked the extents; a, b and out lie in different regions.
        unsafe {
            product(
                MutOperand {
                    data: cx.matrix(ACTIVATIONS, p.out + first * p.out_stride + col, (rows, cols), p.out_stride, true),
                    shape: (rows as usize, cols as usize),
                    stride: p.out_stride as usize,
                },
                Operand {
                    data: cx.matrix(ACTIVATIONS, p.a + first * p.a_stride, (rows, p.depth), p.a_stride, false),
                    shape: (rows as usize, p.depth as usize),
                    strides: (p.a_stride as usize, 1),
                },
                panels.map_or_else(b, |panels| Right::panels_from(panels, col as usize, p.depth as usize, factors)),
                factors,
            );
        }
        for row in part.rows {
            finish_row(p, cx, row, &part.cols);
        }
    }
}

/// The part of the product that is a block: rows, and columns without their padding.
struct Part {
    rows: Range<u32>,
    cols: Range<u32>,
}

impl Part {
    #[inline(always)]
    fn of(p: &MatmulNnProblem, block: u32) -> Self {
        if p.rows <= FEW_ROWS {
            return Self { rows: 0..p.rows, cols: block * COLS..p.cols.min((block + 1) * COLS) };
        }
        let (first, end) = block_rows(p.rows, block);
        Self { rows: first..end, cols: 0..p.cols }
    }
}

/// Bias and epilogue of one row of products, in these columns.
#[inline(always)]
fn finish_row<R: Real>(p: &MatmulNnProblem, cx: &Context<'_, R>, row: u32, range: &Range<u32>) {
    let (col, cols) = (range.start, range.end - range.start);
    let out = cx.row_mut(ACTIVATIONS, p.out + row * p.out_stride + col, cols);
    if p.epilogue == 6 {
        let base = cx.row(ACTIVATIONS, p.x + row * p.x_stride + col, cols);
        for ((z, base), shift) in out.iter_mut().zip(base).zip(cx.row(ACTIVATIONS, p.shift + col, cols)) {
            *z = gelu(*z + *base + *shift).0;
        }
        return;
    }
    if p.bias == NONE {
        return;
    }
    let bias = cx.row(WEIGHTS, p.bias + col, cols);
    let second = (p.second != NONE).then(|| cx.row_mut(ACTIVATIONS, p.second + row * p.second_stride + col, padded(cols)));
    match (p.epilogue, second) {
        (1, None) => {
            for (z, bias) in out.iter_mut().zip(bias) {
                *z = gelu(*z + *bias).0;
            }
        }
        (1, Some(derivative)) => {
            for ((z, bias), d) in out.iter_mut().zip(bias).zip(&mut *derivative) {
                (*z, *d) = gelu(*z + *bias);
            }
            derivative[cols as usize..].fill(R::ZERO);
        }
        (2, raw) => {
            for (z, bias) in out.iter_mut().zip(bias) {
                *z += *bias;
            }
            if let Some(raw) = raw {
                raw[..cols as usize].copy_from_slice(out);
                raw[cols as usize..].fill(R::ZERO);
            }
            out.iter_mut().for_each(|z| *z = z.clip());
        }
        (3 | 4, _) => {
            let step = R::ONE / R::of(f64::from(p.steps));
            let x = cx.row(ACTIVATIONS, p.x + row * p.x_stride + col, cols);
            for ((z, bias), x) in out.iter_mut().zip(bias).zip(x) {
                let moved = *x + (*z + *bias) * step;
                *z = if p.epilogue == 4 { moved.clip() } else { moved };
            }
        }
        (5, _) => {
            for (z, bias) in out.iter_mut().zip(bias) {
                *z = (*z + *bias).tanh();
            }
        }
        _ => {
            for (z, bias) in out.iter_mut().zip(bias) {
                *z += *bias;
            }
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel::of::<MatmulNn>();

/// out = epilogue(a b + bias): a [rows, depth] and out [rows, cols] are activations, b [depth, cols] and bias [1, cols]
/// weights. The padding of a's columns meets rows of b that are zero. Only
/// [`Epilogue::None`] may do without a bias, and [`Epilogue::GeluOnto`] has none: it is among the sums that it adds.
pub fn record(
    plan: &mut PlanBuilder,
    label: &str,
    a: Region,
    (b, bias): (Region, Option<Region>),
    out: Region,
    epilogue: Epilogue,
) {
    let (x, shift, steps) = epilogue.operands();
    let second = epilogue.second();
    let like_out = |r: Region| (r.rows, r.cols) == (out.rows, out.cols);
    let like_row = |r: Region| (r.rows, r.cols) == (1, out.cols);
    let fits = a.rows == out.rows && a.padded_cols() == b.rows && b.cols == out.cols;
    let fits = fits && x.is_none_or(like_out) && second.is_none_or(like_out) && shift.is_none_or(like_row);
    let biased = match epilogue {
        Epilogue::None => bias.is_none_or(like_row),
        Epilogue::GeluOnto { .. } => bias.is_none(),
        _ => bias.is_some_and(like_row),
    };
    plan.check(label, fits && biased, || format!("{a:?} x {b:?} + {bias:?} -> {out:?}, {epilogue:?}"));
    let problem = MatmulNnProblem {
        a: a.offset,
        a_stride: a.stride,
        b: b.offset,
        b_stride: b.stride,
        bias: offset(bias),
        out: out.offset,
        out_stride: out.stride,
        second: offset(second),
        second_stride: stride(second),
        x: offset(x),
        x_stride: stride(x),
        shift: offset(shift),
        rows: out.rows,
        depth: b.rows,
        cols: out.cols,
        epilogue: epilogue.mode(),
        steps,
        ..Default::default()
    };
    let reads: Vec<Region> = [a, b].into_iter().chain(bias).chain(x).chain(shift).collect();
    let writes: Vec<Region> = [out].into_iter().chain(second).collect();
    plan.push(label, &KERNEL, &problem, &reads, &writes);
}
