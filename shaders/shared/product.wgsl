// The innermost step of every matrix product.

// sum + a b, for a quad of the depth: `b` holds its four rows.
fn add_product(sum: vec4<f32>, a: vec4<f32>, b: mat4x4<f32>) -> vec4<f32> {
    return fma(a.wwww, b[3], fma(a.zzzz, b[2], fma(a.yyyy, b[1], fma(a.xxxx, b[0], sum))));
}

// The same for four rows of sums, a row a column of the matrix type.
fn add_products(sums: mat4x4<f32>, a: mat4x4<f32>, b: mat4x4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(
        add_product(sums[0], a[0], b),
        add_product(sums[1], a[1], b),
        add_product(sums[2], a[2], b),
        add_product(sums[3], a[3], b),
    );
}
