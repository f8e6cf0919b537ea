//! Asking for cache lines before they are read, and writing past the caches.

/// Asks for the cache line at `place`, which need not exist, soon.
#[inline(always)]
pub fn fetch<R>(place: *const R) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch of any address is allowed.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(place.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// Asks for the lines of a row soon.
#[inline(always)]
pub fn fetch_row<R>(row: &[R]) {
    row.iter().step_by(64 / size_of::<R>()).for_each(|place| fetch(std::ptr::from_ref(place)));
}

/// The same as [`fetch`] for later: into the second-level cache, where there is room for it.
#[inline(always)]
pub fn fetch_early<R>(place: *const R) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch of any address is allowed.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(place.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// Writes a vector past the caches, if it is a whole line; [`settle`] comes before anyone else may read it.
///
/// # Safety
/// As for a write to `place`, which is aligned to the vector's size.
#[inline(always)]
pub unsafe fn write_past<V: Copy>(place: *mut V, vector: V) {
    #[cfg(target_arch = "x86_64")]
    if size_of::<V>() == 64 {
        // SAFETY: vectors of 64 bytes are AVX-512's.
        unsafe { std::arch::x86_64::_mm512_stream_ps(place.cast(), std::mem::transmute_copy(&vector)) };
        return;
    }
    // SAFETY: the caller's promise.
    unsafe { place.write_unaligned(vector) };
}

/// Waits until other threads can see what was written past the caches.
#[inline(always)]
pub fn settle() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 has it.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}
