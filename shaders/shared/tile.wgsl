// The sums of a tile of 64 rows by a quad of columns for each of 16 invocations: shared by the subgroup variants of the products,
// whose `struct Problem` it reads and whose `finish_four` it calls.

// Four rows a matrix, a row a column of it. Every index is a constant once all is inlined: of an array that a loop indexes
// llvmpipe would make memory.
alias Sums = array<mat4x4<f32>, 16>;

// Hands every four rows to `finish_four`.
fn finish_tile(p: Problem, lane: u32, row: u32, quad: u32, sums: Sums) {
    finish_four(p, lane, row, quad, sums[0]);
    finish_four(p, lane, row + 4u, quad, sums[1]);
    finish_four(p, lane, row + 8u, quad, sums[2]);
    finish_four(p, lane, row + 12u, quad, sums[3]);
    finish_four(p, lane, row + 16u, quad, sums[4]);
    finish_four(p, lane, row + 20u, quad, sums[5]);
    finish_four(p, lane, row + 24u, quad, sums[6]);
    finish_four(p, lane, row + 28u, quad, sums[7]);
    finish_four(p, lane, row + 32u, quad, sums[8]);
    finish_four(p, lane, row + 36u, quad, sums[9]);
    finish_four(p, lane, row + 40u, quad, sums[10]);
    finish_four(p, lane, row + 44u, quad, sums[11]);
    finish_four(p, lane, row + 48u, quad, sums[12]);
    finish_four(p, lane, row + 52u, quad, sums[13]);
    finish_four(p, lane, row + 56u, quad, sums[14]);
    finish_four(p, lane, row + 60u, quad, sums[15]);
}
