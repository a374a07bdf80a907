//! Asking for memory before it is needed.
#![allow(unsafe_code)]

/// Bytes of a cache line.
const LINE_BYTES: usize = 64;

/// The most lines asked for at once. The hardware's own prefetcher follows a stream once it has begun; more requests
/// than the line fill buffers hold only wait.
const MAX_LINES: usize = 12;

/// Asks for all of some bytes, which somebody will read in order.
#[inline]
pub(crate) fn prefetch_all(bytes: &[u8]) {
    bytes.chunks(MAX_LINES * LINE_BYTES).for_each(prefetch);
}

/// Asks the machine to bring the first lines of `values` near. Does nothing where there is no such instruction.
#[inline]
pub(crate) fn prefetch<T>(values: &[T]) {
    let bytes = size_of_val(values);
    for line in 0..bytes.div_ceil(LINE_BYTES).min(MAX_LINES) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the address is inside `values`, and a prefetch has no effect but on caches.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(values.as_ptr().cast::<i8>().add(line * LINE_BYTES));
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: the address is inside `values`; a prefetch has no effect but on caches and touches no register.
        unsafe {
            let address = values.as_ptr().cast::<u8>().add(line * LINE_BYTES);
            std::arch::asm!("prfm pldl1keep, [{}]", in(reg) address, options(readonly, nostack, preserves_flags));
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let _ = line;
    }
}
