// The sum over a workgroup of 64 invocations, in a fixed order: eight sums of eight, then the sum of those. Two barriers
// instead of the six of a binary tree.

var<workgroup> wg_terms: array<vec4<f32>, 64>;
var<workgroup> wg_eights: array<vec4<f32>, 8>;

// Every invocation of the workgroup calls it and gets the sum. It may be called again at once: the second barrier lies
// between the last read of one call and the first write of the next.
fn sum_64(local: u32, term: vec4<f32>) -> vec4<f32> {
    wg_terms[local] = term;
    workgroupBarrier();
    if (local < 8u) {
        let i = 8u * local;
        let low = (wg_terms[i] + wg_terms[i + 1u]) + (wg_terms[i + 2u] + wg_terms[i + 3u]);
        let high = (wg_terms[i + 4u] + wg_terms[i + 5u]) + (wg_terms[i + 6u] + wg_terms[i + 7u]);
        wg_eights[local] = low + high;
    }
    workgroupBarrier();
    let low = (wg_eights[0] + wg_eights[1]) + (wg_eights[2] + wg_eights[3]);
    let high = (wg_eights[4] + wg_eights[5]) + (wg_eights[6] + wg_eights[7]);
    return low + high;
}
