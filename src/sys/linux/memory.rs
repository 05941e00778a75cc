//! Address space at 4 GiB boundaries.
//!
//! The kernel aligns to pages only, so we ask for [`crate::sys::slots`]: addresses that are
//! multiples of 4 GiB, in a part of the address space where neither the program, nor its libraries,
//! nor the heap lies. `MAP_FIXED_NOREPLACE` answers EEXIST for a slot that is taken. Where the
//! kernel refuses the whole part (valgrind does) or all slots are taken, we reserve 4 GiB more than
//! needed and trim.

use super::REGION_ALIGNMENT;
use crate::sys::Refused;
use crate::sys::slots::Slots;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};

static SLOTS: Slots = Slots::new();

/// Set once the kernel has refused a slot for a reason of its own: it refuses all of them.
static REFUSES_SLOTS: AtomicBool = AtomicBool::new(false);

pub fn system_page_bytes() -> usize {
    // The C library knows it; this is no system call.
    // SAFETY: sysconf has no preconditions.
    match unsafe { libc::sysconf(libc::_SC_PAGESIZE) } {
        bytes if bytes > 0 => bytes as usize,
        _ => 4096,
    }
}

pub fn reserve(bytes: usize) -> Result<NonNull<u8>, Refused> {
    if !REFUSES_SLOTS.load(Ordering::Relaxed)
        && let Some(base) = reserve_slot(bytes)
    {
        return Ok(base);
    }
    reserve_by_trimming(bytes).ok_or(Refused)
}

fn reserve_slot(bytes: usize) -> Option<NonNull<u8>> {
    while let Some(slot) = SLOTS.take() {
        match map(slot * REGION_ALIGNMENT, bytes, libc::MAP_FIXED_NOREPLACE) {
            Ok(base) if base.addr().get() == slot * REGION_ALIGNMENT => return Some(base),
            // A kernel older than 4.17 takes the address for a hint.
            Ok(base) => {
                unmap(base.as_ptr(), bytes);
                SLOTS.is_foreign(slot);
            }
            Err(libc::EEXIST) => SLOTS.is_foreign(slot),
            Err(error) => {
                SLOTS.give(slot);
                let passing = [libc::ENOMEM, libc::EAGAIN].contains(&error);
                REFUSES_SLOTS.fetch_or(!passing, Ordering::Relaxed);
                break;
            }
        }
    }
    None
}

fn reserve_by_trimming(bytes: usize) -> Option<NonNull<u8>> {
    let whole = map(0, bytes + REGION_ALIGNMENT, 0).ok()?.as_ptr();
    let before_bytes = whole.addr().next_multiple_of(REGION_ALIGNMENT) - whole.addr();
    // SAFETY: both stay inside the mapping made above, which is 4 GiB larger than `bytes`.
    let (base, end) = unsafe { (whole.add(before_bytes), whole.add(before_bytes + bytes)) };
    unmap(whole, before_bytes);
    unmap(end, REGION_ALIGNMENT - before_bytes);
    NonNull::new(base)
}

/// Reserves a range; the error is the system's number.
fn map(address: usize, bytes: usize, flags: i32) -> Result<NonNull<u8>, i32> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | flags;
    // SAFETY: NOREPLACE or no fixed address: the call replaces no mapping.
    let base = unsafe {
        libc::mmap(ptr::without_provenance_mut(address), bytes, libc::PROT_NONE, flags, -1, 0)
    };
    match NonNull::new(base.cast::<u8>()) {
        Some(start) if base != libc::MAP_FAILED => Ok(start),
        _ => Err(super::last_error()),
    }
}

fn unmap(base: *mut u8, bytes: usize) {
    if bytes > 0 {
        // SAFETY: callers pass ranges that they mapped and that nothing uses any more.
        unsafe { libc::munmap(base.cast(), bytes) };
    }
}

pub unsafe fn commit(start: *mut u8, bytes: usize) -> Result<(), Refused> {
    // SAFETY: the caller owns the range; more rights on it invalidate nothing.
    match unsafe { libc::mprotect(start.cast(), bytes, libc::PROT_READ | libc::PROT_WRITE) } {
        0 => Ok(()),
        _ => Err(Refused),
    }
}

pub fn map_table(bytes: usize) -> Result<NonNull<u8>, Refused> {
    map(0, bytes, 0).map_err(|_| Refused)
}

pub unsafe fn unmap_table(start: NonNull<u8>, bytes: usize) {
    unmap(start.as_ptr(), bytes);
}

pub unsafe fn expect_large_pages(start: *mut u8, bytes: usize) {
    // SAFETY: the caller's contract; an answer is not needed.
    unsafe { libc::madvise(start.cast(), bytes, libc::MADV_HUGEPAGE) };
}

pub unsafe fn use_large_pages(start: *mut u8, bytes: usize) {
    // Linux 6.1. In libc for some targets only.
    const MADV_COLLAPSE: i32 = 25;
    // SAFETY: the caller's contract; an answer is not needed.
    unsafe { libc::madvise(start.cast(), bytes, MADV_COLLAPSE) };
}

pub unsafe fn discard(start: *mut u8, bytes: usize) -> Result<(), Refused> {
    // SAFETY: the caller's contract.
    match unsafe { libc::madvise(start.cast(), bytes, libc::MADV_DONTNEED) } {
        0 => Ok(()),
        _ => Err(Refused),
    }
}

pub unsafe fn release(base: NonNull<u8>, bytes: usize) {
    unmap(base.as_ptr(), bytes);
    // After the mapping is gone. A region that was trimmed lies in no slot of ours, or in one that
    // is free from now on.
    SLOTS.give(base.addr().get() / REGION_ALIGNMENT);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trimmed_region_is_aligned_and_all_of_it_is_given_back() {
        for bytes in [4096, 1 << 20, 1 << 32] {
            let base = reserve_by_trimming(bytes).unwrap();
            assert!(base.addr().get().is_multiple_of(REGION_ALIGNMENT));
            // SAFETY: reserved above, and released once.
            unsafe {
                commit(base.as_ptr().add(bytes - 4096), 4096).unwrap();
                base.as_ptr().add(bytes - 1).write(1);
                release(base, bytes);
            }
        }
    }
}
