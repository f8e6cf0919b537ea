// Transcendental functions of our own, four numbers at a time: clamped polynomials, finite for every finite input.
// WGSL allows tanh an error of 1e-5 and sin one of 2^-11, drivers differ, and some return NaN for tanh of a large
// argument. Step by step the arithmetic of `impl Real for f32` in src/engine/real.rs, which documents the errors.

// e^x = 2^n e^r with |r| <= ln2 / 2; x is clamped to [-87, 88].
fn real_exp(x: vec4<f32>) -> vec4<f32> {
    let c = clamp(x, vec4<f32>(-87.0), vec4<f32>(88.0));
    let n = floor(c * 1.44269504088896340736 + 0.5);
    // ln 2 in two parts: n times the first is exact.
    let r = c - n * 0.693359375 - n * -2.1219444e-4;
    let p6 = 1.0 / 720.0 + r * (1.0 / 5040.0);
    let p4 = 1.0 / 24.0 + r * (1.0 / 120.0 + r * p6);
    let p = 1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + r * p4)));
    return p * bitcast<vec4<f32>>((vec4<i32>(n) + vec4<i32>(127)) << vec4<u32>(23u));
}

// 2^x = 2^n 2^r with |r| <= 1/2, by the polynomial with the least relative error there; x lies in [-126, 126.5].
fn real_exp2(x: vec4<f32>) -> vec4<f32> {
    let n = floor(x + 0.5);
    let r = x - n;
    let p3 = 5.5507133e-2 + r * (9.675541e-3 + r * 1.3276472e-3);
    let p = 1.0000001 + r * (0.69314697 + r * (0.2402212 + r * p3));
    return bitcast<vec4<f32>>(bitcast<vec4<i32>>(p) + (vec4<i32>(n) << vec4<u32>(23u)));
}

// ln x = e ln2 + ln m with m in [sqrt(1/2), sqrt(2)), ln m = 2 atanh((m-1)/(m+1)); x is positive and normal.
fn real_ln(x: vec4<f32>) -> vec4<f32> {
    let bits = bitcast<vec4<u32>>(x);
    let whole = bitcast<vec4<f32>>((bits & vec4<u32>(0x007fffffu)) | vec4<u32>(0x3f800000u));
    let high = whole > vec4<f32>(1.41421356237309504880);
    let m = select(whole, 0.5 * whole, high);
    let e = vec4<i32>(bits >> vec4<u32>(23u)) - vec4<i32>(127) + select(vec4<i32>(0), vec4<i32>(1), high);
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    let p7 = 1.0 / 7.0 + z * (1.0 / 9.0 + z * (1.0 / 11.0));
    let p = 1.0 + z * (1.0 / 3.0 + z * (0.2 + z * p7));
    return vec4<f32>(e) * 0.69314718055994530942 + 2.0 * s * p;
}

// Beyond 20 the quotient vanishes next to 1, so the clamp changes no result.
fn real_tanh(x: vec4<f32>) -> vec4<f32> {
    let c = clamp(x, vec4<f32>(-20.0), vec4<f32>(20.0));
    return 1.0 - 2.0 / (real_exp(2.0 * c) + 1.0);
}

struct SinCos {
    sin: vec4<f32>,
    cos: vec4<f32>,
}

// Of an angle in [-1, 1] radian: Taylor polynomials; the first term left out is below 2e-9 at 1.
fn sin_cos_unit(x: vec4<f32>) -> SinCos {
    let z = x * x;
    let p9 = 1.0 / 362880.0 + z * (-1.0 / 39916800.0);
    let sin = x + x * z * (-1.0 / 6.0 + z * (1.0 / 120.0 + z * (-1.0 / 5040.0 + z * p9)));
    let p8 = 1.0 / 40320.0 + z * (-1.0 / 3628800.0);
    let cos = 1.0 + z * (-0.5 + z * (1.0 / 24.0 + z * (-1.0 / 720.0 + z * p8)));
    return SinCos(sin, cos);
}

// Of `x` turns, x in [0, 1]. The nearest quarter turn is taken off exactly; what remains is at most pi/4.
fn sin_cos_turns(x: vec4<f32>) -> SinCos {
    let nearest = floor(4.0 * x + 0.5);
    let rest = sin_cos_unit((x - 0.25 * nearest) * 6.28318530717958647692);
    let quarter = vec4<u32>(nearest) & vec4<u32>(3u);
    // 0: (s, c)   1: (c, -s)   2: (-s, -c)   3: (-c, s)
    let swap = (quarter & vec4<u32>(1u)) == vec4<u32>(1u);
    let sin = select(rest.sin, rest.cos, swap);
    let cos = select(rest.cos, rest.sin, swap);
    let sin_down = quarter >= vec4<u32>(2u);
    let cos_down = (quarter == vec4<u32>(1u)) | (quarter == vec4<u32>(2u));
    return SinCos(select(sin, -sin, sin_down), select(cos, -cos, cos_down));
}

struct Gelu {
    value: vec4<f32>,
    slope: vec4<f32>,
}

// 0.5 x (1 + tanh(u)), u = sqrt(2/pi) (x + 0.044715 x^3), and its derivative: the tanh form of `flax.linen.gelu`, as
// x sigma(2u). Beyond |x| = 10 the gate is 0 or 1, so the clamp only keeps the cube finite, and the exponent below 126.
fn gelu(x: vec4<f32>) -> Gelu {
    let scale = 2.0 * 0.7978845608028654;
    let cubic = scale * 0.044715;
    let log2_e = 1.44269504088896340736;
    let c = clamp(x, vec4<f32>(-10.0), vec4<f32>(10.0));
    let c2 = c * c;
    let gate = 1.0 / (1.0 + real_exp2(c * (-scale * log2_e - cubic * log2_e * c2)));
    let slope = scale + 3.0 * cubic * c2;
    return Gelu(x * gate, gate + c * gate * (1.0 - gate) * slope);
}
