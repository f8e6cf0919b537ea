// Philox4x32-10: random numbers that are a pure function of (seed, step, stream, element).
// Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3". The same integers as src/kernels/random.rs.

// The high half of a 64-bit product, from 16-bit halves; no partial sum exceeds 32 bits.
fn mul_high(a: u32, b: u32) -> u32 {
    let a_low = a & 0xffffu;
    let a_high = a >> 16u;
    let b_low = b & 0xffffu;
    let b_high = b >> 16u;
    let low = a_high * b_low + ((a_low * b_low) >> 16u);
    let middle = a_low * b_high + (low & 0xffffu);
    return a_high * b_high + (low >> 16u) + (middle >> 16u);
}

// The ten-round bijection of a counter under a key.
fn philox(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
    var c = counter;
    var k = key;
    for (var round = 0u; round < 10u; round += 1u) {
        c = vec4<u32>(
            mul_high(c.z, 0xcd9e8d57u) ^ c.y ^ k.x,
            c.z * 0xcd9e8d57u,
            mul_high(c.x, 0xd2511f53u) ^ c.w ^ k.y,
            c.x * 0xd2511f53u,
        );
        k += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
    }
    return c;
}

// Four words of element `element` of stream `stream`. `clock` is where [step, seed low, seed high] stand in the words.
fn random_words(clock: u32, stream: u32, element: u32) -> vec4<u32> {
    return philox(vec4<u32>(words[clock], stream, element, 0u), vec2<u32>(words[clock + 1u], words[clock + 2u]));
}

// Numbers in [0, 1) with 24 bits: exact.
fn uniforms(bits: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(bits >> vec4<u32>(8u)) * (1.0 / 16777216.0);
}

// An index below `count`: the high half of a product, so that no division is needed. Its bias is below count / 2^32.
fn below(bits: u32, count: u32) -> u32 {
    return mul_high(bits, count);
}
