// Standard normals from random words. Uses shared/math.wgsl and shared/random.wgsl.

// Two pairs by Box and Muller 1958: x and z give the radii, y and w the angles. The radius is at most 5.77.
fn normals(bits: vec4<u32>) -> vec4<f32> {
    let u = vec4<f32>((bits.xxzz >> vec4<u32>(8u)) + vec4<u32>(1u)) * (1.0 / 16777216.0); // in (0, 1]
    let radius = sqrt(max(-2.0 * real_ln(u), vec4<f32>(0.0)));
    let angle = sin_cos_turns(uniforms(bits.yyww));
    return radius * vec4<f32>(angle.cos.x, angle.sin.y, angle.cos.z, angle.sin.w);
}
