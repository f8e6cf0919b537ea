//! What the processor could do if an update were nothing but matrix products.

use std::time::{Duration, Instant};

use crate::engine::Precision;
use crate::engine::product::{Factors, MutOperand, Operand, Right, product};

/// Width of the square product that stands for the peak.
const WIDTH: usize = 512;

/// Floating-point operations of one product.
pub const FLOPS: u64 = 2 * (WIDTH as u64).pow(3);

/// How long `rounds` products of 512 x 512 matrices take on each of `threads` threads, each on its own, at a precision that
/// the processor has.
pub fn time(threads: usize, precision: Precision, rounds: u64) -> Duration {
    let start = Instant::now();
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(move || products(precision, rounds)))));
    start.elapsed()
}

/// The rate of all threads together over about `length`, in GFLOP/s.
pub fn gflops(threads: usize, precision: Precision, length: Duration) -> f64 {
    // A few to wake the threads and to know how many are enough.
    let one = time(threads, precision, 8).as_secs_f64() / 8.0;
    let rounds = (length.as_secs_f64() / one.max(1e-9)).max(8.0) as u64;
    (rounds * FLOPS * threads as u64) as f64 / time(threads, precision, rounds).as_secs_f64() / 1e9
}

fn products(precision: Precision, rounds: u64) {
    let factors = Factors::of(precision, (WIDTH as u32, WIDTH as u32));
    let (a, b) = (vec![0.5f32; WIDTH * WIDTH], vec![0.25f32; WIDTH * WIDTH]);
    let mut out = vec![0f32; WIDTH * WIDTH];
    let operand = |m: &[f32]| Operand { data: m.as_ptr(), shape: (WIDTH, WIDTH), strides: (WIDTH, 1) };
    for _ in 0..rounds {
        let to = MutOperand { data: out.as_mut_ptr(), shape: (WIDTH, WIDTH), stride: WIDTH };
        // SAFETY: three buffers of 512 x 512 elements, none of them shared.
        unsafe { product(to, operand(&a), Right::Plain(operand(&b)), factors) };
    }
    std::hint::black_box(&out);
}

/// How fast all threads together copy memory that is too large for caches, in GB/s read and written, over about `length`.
pub fn copy_gbs(threads: usize, length: Duration) -> f64 {
    /// Bytes that a thread copies at once.
    const BYTES: usize = 64 << 20;
    let copies = move || {
        let (from, mut to) = (vec![1u8; BYTES], vec![0u8; BYTES]);
        let start = Instant::now();
        let mut count = 0u32;
        while count == 0 || start.elapsed() < length {
            to.copy_from_slice(std::hint::black_box(&from));
            std::hint::black_box(&mut to);
            count += 1;
        }
        2.0 * f64::from(count) * BYTES as f64 / start.elapsed().as_secs_f64() / 1e9
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(copies)).collect();
        running.into_iter().filter_map(|thread| thread.join().ok()).sum()
    })
}
