//! The arithmetic of the CPU twins, once, at two precisions.
//!
//! At `f64` a twin is the oracle that every shader is tested against: libm's functions, exact constants. At `f32` it is
//! the default engine of a machine without a GPU: the shaders' own polynomials (`shaders/shared/math.wgsl`), with fused
//! multiply-adds where they cost most, since drivers differ in `tanh`, `exp` and `sin` and some return NaN for large arguments.

use std::fmt::{Debug, Display};
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub, SubAssign};

use super::product::Element;

/// A floating-point number of a twin: `f32` or `f64`.
pub trait Real:
    Element
    + PartialOrd
    + Debug
    + Display
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// The nearest value of this precision.
    fn of(value: f64) -> Self;
    /// The exact value.
    fn to_f64(self) -> f64;
    /// Square root.
    fn sqrt(self) -> Self;
    /// Absolute value.
    fn abs(self) -> Self;
    /// Largest integer not above.
    fn floor(self) -> Self;
    /// e^x. At f32 clamped to [-87, 88], hence finite; relative error below 2e-7.
    fn exp(self) -> Self;
    /// 2^x; at f32 for x in [-126, 126.5], relative error below 3e-7.
    fn exp2(self) -> Self;
    /// Natural logarithm of a positive normal number; at f32 absolute error below 2e-7 on (0, 1].
    fn ln(self) -> Self;
    /// Hyperbolic tangent; at f32 absolute error below 5e-7, finite for every finite input.
    fn tanh(self) -> Self;
    /// (sin, cos) of an angle in [-1, 1] radian; at f32 within 2 ulp.
    fn sin_cos_unit(self) -> (Self, Self);
    /// (sin, cos) of `self` turns, `self` in [0, 1].
    fn sin_cos_turns(self) -> (Self, Self);
    /// Whether the value is NaN or infinite, read from its bits.
    fn is_non_finite(self) -> bool;
    /// 1 / self; at f32 within 2e-7 of it, relatively, for numbers in [1, 2^126].
    fn reciprocal(self) -> Self;
    /// `self * factor + term`; at f32 rounded once, on every processor.
    fn fused(self, factor: Self, term: Self) -> Self;

    /// The larger of two numbers.
    #[inline(always)]
    fn at_least(self, low: Self) -> Self {
        if self > low { self } else { low }
    }
    /// The smaller of two numbers.
    #[inline(always)]
    fn at_most(self, high: Self) -> Self {
        if self < high { self } else { high }
    }
    /// `self` clipped to [-1, 1], the range of actions.
    #[inline(always)]
    fn clip(self) -> Self {
        self.at_least(-Self::ONE).at_most(Self::ONE)
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    fn of(value: f64) -> Self {
        value
    }
    fn to_f64(self) -> f64 {
        self
    }
    fn sqrt(self) -> Self {
        self.sqrt()
    }
    fn abs(self) -> Self {
        self.abs()
    }
    fn floor(self) -> Self {
        self.floor()
    }
    fn exp(self) -> Self {
        self.exp()
    }
    fn exp2(self) -> Self {
        self.exp2()
    }
    fn ln(self) -> Self {
        self.ln()
    }
    fn tanh(self) -> Self {
        self.tanh()
    }
    fn sin_cos_unit(self) -> (Self, Self) {
        self.sin_cos()
    }
    fn sin_cos_turns(self) -> (Self, Self) {
        (self * std::f64::consts::TAU).sin_cos()
    }
    fn is_non_finite(self) -> bool {
        !self.is_finite()
    }
    fn reciprocal(self) -> Self {
        1.0 / self
    }
    fn fused(self, factor: Self, term: Self) -> Self {
        self * factor + term
    }
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    #[inline(always)]
    fn of(value: f64) -> Self {
        value as Self
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        self.sqrt()
    }
    #[inline(always)]
    fn abs(self) -> Self {
        self.abs()
    }
    #[inline(always)]
    fn floor(self) -> Self {
        self.floor()
    }

    // e^x = 2^n e^r with |r| <= ln2/2; the Taylor polynomial of degree 6 leaves 1.2e-7.
    #[inline(always)]
    fn exp(self) -> Self {
        let x = self.at_least(-87.0).at_most(88.0);
        // Adding 1.5 2^23 rounds to the nearest integer and leaves it in the sum's low bits.
        const ROUND: f32 = 12_582_912.0;
        let rounded = x.mul_add(std::f32::consts::LOG2_E, ROUND);
        let n = rounded - ROUND;
        // ln 2 in two parts: n times the first is exact.
        let r = n.mul_add(2.121_944_4e-4, n.mul_add(-355.0 / 512.0, x));
        let p = r.mul_add(1.0 / 720.0, 1.0 / 120.0).mul_add(r, 1.0 / 24.0).mul_add(r, 1.0 / 6.0);
        let p = p.mul_add(r, 0.5).mul_add(r, 1.0).mul_add(r, 1.0);
        // 2^n: n lies in [-126, 127], since x is clamped (a NaN too).
        p * Self::from_bits((rounded.to_bits() << 23).wrapping_add(1f32.to_bits()))
    }

    // 2^x = 2^n 2^r with |r| <= 1/2, by a polynomial whose largest relative error there, 8e-8, is the least possible. The
    // argument needs no second part of a logarithm, no clamp and no product with 2^n: what GELU's gate can do without.
    #[inline(always)]
    fn exp2(self) -> Self {
        const ROUND: f32 = 12_582_912.0;
        let rounded = self + ROUND;
        let r = self - (rounded - ROUND);
        let p = r.mul_add(1.327_647_2e-3, 9.675_541e-3).mul_add(r, 5.550_713_3e-2);
        let p = p.mul_add(r, 0.240_221_2).mul_add(r, 0.693_146_97).mul_add(r, 1.000_000_1);
        Self::from_bits(p.to_bits().wrapping_add(rounded.to_bits() << 23))
    }

    // ln x = e ln2 + ln m with m in [sqrt(1/2), sqrt(2)), ln m = 2 atanh((m-1)/(m+1)).
    #[inline(always)]
    fn ln(self) -> Self {
        let bits = self.to_bits();
        let mut e = (bits >> 23) as i32 - 127;
        let mut m = Self::from_bits(bits & 0x007f_ffff | 0x3f80_0000);
        if m > std::f32::consts::SQRT_2 {
            m *= 0.5;
            e += 1;
        }
        let s = (m - 1.0) / (m + 1.0);
        let z = s * s;
        let p = 1.0 / 7.0 + z * (1.0 / 9.0 + z * (1.0 / 11.0));
        let p = 1.0 + z * (1.0 / 3.0 + z * (0.2 + z * p));
        e as Self * std::f32::consts::LN_2 + 2.0 * s * p
    }

    #[inline(always)]
    fn tanh(self) -> Self {
        // Beyond 20 the quotient vanishes next to 1, so the clamp changes no result.
        let x = self.at_least(-20.0).at_most(20.0);
        1.0 - 2.0 / (Real::exp(2.0 * x) + 1.0)
    }

    // Taylor polynomials; the first term left out is below 2e-9 at 1.
    #[inline(always)]
    fn sin_cos_unit(self) -> (Self, Self) {
        let z = self * self;
        let p = 1.0 / 362_880.0 + z * (-1.0 / 39_916_800.0);
        let s = self + self * z * (-1.0 / 6.0 + z * (1.0 / 120.0 + z * (-1.0 / 5040.0 + z * p)));
        let p = 1.0 / 40_320.0 + z * (-1.0 / 3_628_800.0);
        let c = 1.0 + z * (-0.5 + z * (1.0 / 24.0 + z * (-1.0 / 720.0 + z * p)));
        (s, c)
    }

    // The nearest quarter turn is taken off exactly; what remains is at most pi/4.
    #[inline(always)]
    fn sin_cos_turns(self) -> (Self, Self) {
        let quarter = (4.0 * self + 0.5).floor();
        let (s, c) = ((self - 0.25 * quarter) * std::f32::consts::TAU).sin_cos_unit();
        match quarter as i32 & 3 {
            0 => (s, c),
            1 => (c, -s),
            2 => (-s, -c),
            _ => (-c, s),
        }
    }

    #[inline(always)]
    fn is_non_finite(self) -> bool {
        self.to_bits() & 0x7f80_0000 == 0x7f80_0000
    }
    // The bits' difference is a first guess, 5 % off; a step of Newton's leaves 0.25 %, one of Halley's 2e-8. A vector
    // division keeps the processor from multiplying for longer than these five operations take.
    #[inline(always)]
    fn reciprocal(self) -> Self {
        let y = Self::from_bits(0x7ef3_11c7_u32.wrapping_sub(self.to_bits()));
        let y = y.mul_add((-self).mul_add(y, 1.0), y);
        let e = (-self).mul_add(y, 1.0);
        y.mul_add(e.mul_add(e, e), y)
    }
    #[inline(always)]
    fn fused(self, factor: Self, term: Self) -> Self {
        self.mul_add(factor, term)
    }
}

/// `0.5 x (1 + tanh(u))`, `u = sqrt(2/pi) (x + 0.044715 x^3)`: GELU in the tanh form of `flax.linen.gelu`, and its
/// derivative. As `x sigma(2u)`, which is the same with less work, and sigma by a power of 2. Beyond |x| = 10 the gate is 0 or
/// 1 at both precisions, so the clamp only keeps the cube finite, and the power's exponent below 126.
#[inline(always)]
pub fn gelu<R: Real>(x: R) -> (R, R) {
    const SCALE: f64 = 2.0 * 0.797_884_560_802_865_4;
    const CUBIC: f64 = SCALE * 0.044_715;
    let c = x.at_least(R::of(-10.0)).at_most(R::of(10.0));
    let c2 = c * c;
    let (scale, cubic) = (R::of(-SCALE * std::f64::consts::LOG2_E), R::of(-CUBIC * std::f64::consts::LOG2_E));
    let gate = (R::ONE + (c * cubic.fused(c2, scale)).exp2()).reciprocal();
    let slope = R::of(3.0 * CUBIC).fused(c2, R::of(SCALE));
    (x * gate, (c * gate * slope).fused(R::ONE - gate, gate))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worst(points: impl Iterator<Item = f64>, ours: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64, relative: bool) -> f64 {
        points
            .map(|x| {
                let x = x as f32;
                let want = exact(f64::from(x));
                let scale = if relative { want.abs().max(1e-30) } else { 1.0 };
                (f64::from(ours(x)) - want).abs() / scale
            })
            .fold(0.0, f64::max)
    }
    fn grid(low: f64, high: f64) -> impl Iterator<Item = f64> {
        (0..=200_000).map(move |i| low + (high - low) * f64::from(i) / 200_000.0)
    }

    #[test]
    fn the_polynomials_are_as_close_as_documented() {
        assert!(worst(grid(-80.0, 80.0), Real::exp, f64::exp, true) < 3e-7);
        assert!(worst(grid(-126.0, 126.5), Real::exp2, f64::exp2, true) < 3e-7);
        assert!(worst(grid(1.0, 3.0), Real::reciprocal, f64::recip, true) < 2e-7);
        assert!(worst(grid(1.0, 1e5), Real::reciprocal, f64::recip, true) < 2e-7);
        assert!(worst(grid(1e30, 6e37), Real::reciprocal, f64::recip, true) < 2e-7);
        assert!(worst(grid(-30.0, 30.0), Real::tanh, f64::tanh, false) < 5e-7);
        assert!(worst(grid(1e-8, 1.0), Real::ln, f64::ln, false) < 2e-6);
        assert!(worst(grid(0.5, 1.0), Real::ln, f64::ln, false) < 2e-7);
        assert!(worst(grid(-1.0, 1.0), |x| x.sin_cos_unit().0, f64::sin, false) < 1.2e-7);
        assert!(worst(grid(-1.0, 1.0), |x| x.sin_cos_unit().1, f64::cos, false) < 1.2e-7);
        let tau = std::f64::consts::TAU;
        assert!(worst(grid(0.0, 1.0), |x| x.sin_cos_turns().0, |x| (tau * x).sin(), false) < 3e-7);
        assert!(worst(grid(0.0, 1.0), |x| x.sin_cos_turns().1, |x| (tau * x).cos(), false) < 3e-7);
        assert!(worst(grid(-20.0, 20.0), |x| gelu(x).0, |x| gelu(x).0, false) < 2e-6);
        assert!(worst(grid(-20.0, 20.0), |x| gelu(x).1, |x| gelu(x).1, false) < 2e-6);
    }

    #[test]
    fn the_polynomials_are_finite_for_every_finite_input() {
        for x in [0.0, 1.0, 13.0, 88.0, 1e3, 1e10, 1e30, f32::MAX] {
            for x in [x, -x] {
                let (g, d) = gelu(x);
                for y in [Real::exp(x), Real::tanh(x), g, d] {
                    assert!(!y.is_non_finite(), "{x}");
                }
            }
        }
        assert!(f32::NAN.is_non_finite() && f32::INFINITY.is_non_finite() && !f32::MAX.is_non_finite());
    }

    #[test]
    fn the_gelu_derivative_is_the_slope_of_gelu() {
        for x in grid(-6.0, 6.0).step_by(997) {
            let h = 1e-6;
            let slope = (gelu(x + h).0 - gelu(x - h).0) / (2.0 * h);
            assert!((gelu(x).1 - slope).abs() < 1e-9, "{x}");
        }
    }
}
