//! Address space at 4 GiB boundaries.
//!
//! An address is a hint: where it is taken, the kernel chooses another one, and we go on to the
//! next of [`crate::sys::slots`]. Where none can be had, we reserve 4 GiB more than needed and
//! trim.

use super::REGION_ALIGNMENT;
use crate::sys::Refused;
use crate::sys::slots::Slots;
use std::ptr::{self, NonNull};

static SLOTS: Slots = Slots::new();

pub fn system_page_bytes() -> usize {
    // SAFETY: sysconf has no preconditions.
    match unsafe { libc::sysconf(libc::_SC_PAGESIZE) } {
        bytes if bytes > 0 => bytes as usize,
        _ => 16384,
    }
}

pub fn reserve(bytes: usize) -> Result<NonNull<u8>, Refused> {
    reserve_slot(bytes).or_else(|| reserve_by_trimming(bytes)).ok_or(Refused)
}

fn reserve_slot(bytes: usize) -> Option<NonNull<u8>> {
    while let Some(slot) = SLOTS.take() {
        match map(slot * REGION_ALIGNMENT, bytes, libc::PROT_NONE, 0) {
            Some(base) if base.addr().get() == slot * REGION_ALIGNMENT => return Some(base),
            Some(elsewhere) => {
                unmap(elsewhere.as_ptr(), bytes);
                SLOTS.is_foreign(slot);
            }
            None => {
                SLOTS.give(slot);
                break;
            }
        }
    }
    None
}

fn reserve_by_trimming(bytes: usize) -> Option<NonNull<u8>> {
    let whole = map(0, bytes + REGION_ALIGNMENT, libc::PROT_NONE, 0)?.as_ptr();
    let before_bytes = whole.addr().next_multiple_of(REGION_ALIGNMENT) - whole.addr();
    // SAFETY: both stay inside the mapping made above, which is 4 GiB larger than `bytes`.
    let (base, end) = unsafe { (whole.add(before_bytes), whole.add(before_bytes + bytes)) };
    unmap(whole, before_bytes);
    unmap(end, REGION_ALIGNMENT - before_bytes);
    NonNull::new(base)
}

fn map(address: usize, bytes: usize, rights: i32, flags: i32) -> Option<NonNull<u8>> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE | flags;
    // SAFETY: it replaces a mapping with MAP_FIXED alone, which discard() passes for its own range.
    let base =
        unsafe { libc::mmap(ptr::without_provenance_mut(address), bytes, rights, flags, -1, 0) };
    NonNull::new(base.cast::<u8>()).filter(|_| base != libc::MAP_FAILED)
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

/// No advice makes pages zero here; a new mapping in the old one's place has fresh ones.
pub unsafe fn discard(start: *mut u8, bytes: usize) -> Result<(), Refused> {
    if bytes == 0 {
        return Ok(());
    }
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    map(start.addr(), bytes, rights, libc::MAP_FIXED).map(|_| ()).ok_or(Refused)
}

pub fn map_table(bytes: usize) -> Result<NonNull<u8>, Refused> {
    map(0, bytes, libc::PROT_NONE, 0).ok_or(Refused)
}

pub unsafe fn unmap_table(start: NonNull<u8>, bytes: usize) {
    unmap(start.as_ptr(), bytes);
}

/// The kernel has no such pages for what can be written.
pub unsafe fn expect_large_pages(_start: *mut u8, _bytes: usize) {}

pub unsafe fn use_large_pages(_start: *mut u8, _bytes: usize) {}

pub unsafe fn release(base: NonNull<u8>, bytes: usize) {
    unmap(base.as_ptr(), bytes);
    // After the mapping is gone. A region that was trimmed lies in no slot of ours, or in one that
    // is free from now on.
    SLOTS.give(base.addr().get() / REGION_ALIGNMENT);
}
