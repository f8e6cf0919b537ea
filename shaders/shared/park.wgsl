// Where the barrier-free variants of matmul_nn and matmul_nt, whose `struct Problem` it reads, leave their sums before the epilogue.

// Parks four rows of sums in `out`.
fn park(p: Problem, lane: u32, row: u32, quad: u32, sums: mat4x4<f32>) {
    if (quad < quads_of(p.cols)) {
        let step = p.out_stride / 4u;
        let out = activations_at(lane, p.out) + row * step + quad;
        if (row < p.rows) { activations[out] = sums[0]; }
        if (row + 1u < p.rows) { activations[out + step] = sums[1]; }
        if (row + 2u < p.rows) { activations[out + 2u * step] = sums[2]; }
        if (row + 3u < p.rows) { activations[out + 3u * step] = sums[3]; }
    }
}
