//! The heap of programs that live for milliseconds.
//!
//! musl's own maps and unmaps a page for every few objects, which took 0.3 of an ADD's 2.4 ms.

#![expect(
    unsafe_code,
    reason = "an allocator hands out memory that only its callers keep apart"
)]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, Ordering};

use dlmalloc::Dlmalloc;

/// An allocator for `#[global_allocator]`: dlmalloc, behind a lock that costs no call while nobody else wants it.
pub struct Heap {
    is_taken: AtomicBool,
    heap: UnsafeCell<Dlmalloc>,
}

// SAFETY: the heap is touched by `with` alone, which lets one thread at a time.
unsafe impl Sync for Heap {}

impl Heap {
    /// A heap without memory; the first allocation maps some.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "a static needs a constant, which Default is not"
    )]
    pub const fn new() -> Self {
        Self {
            is_taken: AtomicBool::new(false),
            heap: UnsafeCell::new(Dlmalloc::new()),
        }
    }

    /// Calls dlmalloc, which never panics, under the lock. A mutex of the standard library knows poison, which
    /// took a tenth of the instructions of an ADD.
    #[inline]
    fn with<T>(&self, call: impl FnOnce(&mut Dlmalloc) -> T) -> T {
        while self.is_taken.swap(true, Ordering::Acquire) {
            std::thread::yield_now();
        }
        // SAFETY: whoever has set the flag is alone here until it is cleared.
        let done = call(unsafe { &mut *self.heap.get() });
        self.is_taken.store(false, Ordering::Release);
        done
    }
}

// SAFETY: dlmalloc gives each allocation memory of its own, as large and as aligned as the layout says, and the lock
// keeps threads apart.
unsafe impl GlobalAlloc for Heap {
    // SAFETY: whoever calls it keeps to the contract of GlobalAlloc.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller promises a layout that is not empty.
        unsafe { self.with(|heap| heap.malloc(layout.size(), layout.align())) }
    }

    // SAFETY: as above.
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller promises that the memory is from here, with this layout.
        unsafe { self.with(|heap| heap.free(memory, layout.size(), layout.align())) }
    }

    // SAFETY: as above.
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller promises a layout that is not empty.
        unsafe { self.with(|heap| heap.calloc(layout.size(), layout.align())) }
    }

    // SAFETY: as above.
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the memory is from here, with this layout, and a size that is not 0.
        unsafe { self.with(|heap| heap.realloc(memory, layout.size(), layout.align(), size)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_aligned_zeroed_where_asked_and_keeps_what_is_in_it() {
        let heap = Heap::new();
        for align in [1, 8, 64, 4096] {
            let layout = Layout::from_size_align(100, align).unwrap();
            // SAFETY: each pointer is used within its layout, and given back with it once.
            unsafe {
                let zeroed = heap.alloc_zeroed(layout);
                assert_eq!(zeroed as usize % align, 0);
                assert_eq!(std::slice::from_raw_parts(zeroed, 100), [0; 100]);
                zeroed.write_bytes(7, 100);
                let grown = heap.realloc(zeroed, layout, 100_000);
                assert_eq!(grown as usize % align, 0);
                assert_eq!(std::slice::from_raw_parts(grown, 100), [7; 100]);
                let layout = Layout::from_size_align(100_000, align).unwrap();
                let other = heap.alloc(layout);
                assert_ne!(grown, other);
                heap.dealloc(grown, layout);
                heap.dealloc(other, layout);
            }
        }
    }
}
