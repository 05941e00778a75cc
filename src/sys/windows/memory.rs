//! Address space at 4 GiB boundaries.
//!
//! A reservation at an address is refused where any of it is taken, so we ask for
//! [`crate::sys::slots`], one after the other. Where none can be had, the system is asked for a
//! range that is 4 GiB larger; the boundary inside of it is tried once it has been given back,
//! since a reservation cannot be trimmed.

use super::REGION_ALIGNMENT;
use crate::sys::Refused;
use crate::sys::slots::Slots;
use std::ffi::c_void;
use std::ptr::{self, NonNull};

const MEM_COMMIT: u32 = 0x1000;
const MEM_RESERVE: u32 = 0x2000;
const MEM_DECOMMIT: u32 = 0x4000;
const MEM_RELEASE: u32 = 0x8000;
const PAGE_NOACCESS: u32 = 0x01;
const PAGE_READWRITE: u32 = 0x04;

const ERROR_INVALID_ADDRESS: u32 = 487;

/// Between the give-back of a larger range and the second try another thread may take a part.
const TRIES: usize = 8;

#[link(name = "kernel32")]
unsafe extern "system" {
    fn VirtualAlloc(start: *mut c_void, bytes: usize, kind: u32, access: u32) -> *mut c_void;
    fn VirtualFree(start: *mut c_void, bytes: usize, kind: u32) -> i32;
    fn GetLastError() -> u32;
}

static SLOTS: Slots = Slots::new();

/// The same on every processor that is supported.
pub fn system_page_bytes() -> usize {
    4096
}

pub fn reserve(bytes: usize) -> Result<NonNull<u8>, Refused> {
    reserve_slot(bytes).or_else(|| reserve_anywhere(bytes)).ok_or(Refused)
}

fn reserve_slot(bytes: usize) -> Option<NonNull<u8>> {
    while let Some(slot) = SLOTS.take() {
        match map(slot * REGION_ALIGNMENT, bytes) {
            Ok(base) => return Some(base),
            Err(ERROR_INVALID_ADDRESS) => SLOTS.is_foreign(slot),
            Err(_) => {
                SLOTS.give(slot);
                break;
            }
        }
    }
    None
}

fn reserve_anywhere(bytes: usize) -> Option<NonNull<u8>> {
    for _ in 0..TRIES {
        let whole = map(0, bytes + REGION_ALIGNMENT).ok()?;
        let boundary = whole.addr().get().next_multiple_of(REGION_ALIGNMENT);
        free(whole);
        if let Ok(base) = map(boundary, bytes) {
            return Some(base);
        }
    }
    None
}

/// Reserves a range, at an address that is not 0 there and nowhere else; the error is the system's
/// number.
fn map(address: usize, bytes: usize) -> Result<NonNull<u8>, u32> {
    let start = ptr::without_provenance_mut(address);
    // SAFETY: a reservation touches no other one; for the number see GetLastError().
    unsafe {
        let base = VirtualAlloc(start, bytes, MEM_RESERVE, PAGE_NOACCESS);
        NonNull::new(base.cast()).ok_or_else(|| GetLastError())
    }
}

/// The whole of a reservation.
fn free(base: NonNull<u8>) {
    // SAFETY: callers pass what they reserved and what nothing uses any more.
    unsafe { VirtualFree(base.as_ptr().cast(), 0, MEM_RELEASE) };
}

pub unsafe fn commit(start: *mut u8, bytes: usize) -> Result<(), Refused> {
    if bytes == 0 {
        return Ok(());
    }
    // SAFETY: the caller owns the range; what is committed already stays as it is.
    match unsafe { VirtualAlloc(start.cast(), bytes, MEM_COMMIT, PAGE_READWRITE) }.is_null() {
        false => Ok(()),
        true => Err(Refused),
    }
}

/// Another process may take the memory between the two calls. Then the range is refused, and no
/// longer readable: the only caller gives a region up whose bytes it could not clear.
pub unsafe fn discard(start: *mut u8, bytes: usize) -> Result<(), Refused> {
    if bytes == 0 {
        return Ok(());
    }
    // SAFETY: the caller's contract.
    match unsafe { VirtualFree(start.cast(), bytes, MEM_DECOMMIT) } {
        0 => Err(Refused),
        // SAFETY: the caller's contract.
        _ => unsafe { commit(start, bytes) },
    }
}

pub fn map_table(bytes: usize) -> Result<NonNull<u8>, Refused> {
    map(0, bytes).map_err(|_| Refused)
}

pub unsafe fn unmap_table(start: NonNull<u8>, _bytes: usize) {
    free(start);
}

/// Windows has them for processes with a privilege, in memory that is never paged out.
pub unsafe fn expect_large_pages(_start: *mut u8, _bytes: usize) {}

pub unsafe fn use_large_pages(_start: *mut u8, _bytes: usize) {}

pub unsafe fn release(base: NonNull<u8>, _bytes: usize) {
    free(base);
    // After the reservation is gone. A region elsewhere lies in no slot, or in one that is free
    // from now on.
    SLOTS.give(base.addr().get() / REGION_ALIGNMENT);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_outside_the_slots_is_aligned_and_all_of_it_is_given_back() {
        for bytes in [4096, 1 << 20, 1 << 32] {
            let base = reserve_anywhere(bytes).unwrap();
            assert!(base.addr().get().is_multiple_of(REGION_ALIGNMENT));
            // SAFETY: reserved above, and released once.
            unsafe {
                commit(base.as_ptr().add(bytes - 4096), 4096).unwrap();
                base.as_ptr().add(bytes - 1).write(1);
                release(base, bytes);
            }
            let again = map(base.addr().get(), bytes).unwrap();
            free(again);
        }
    }

    #[test]
    fn a_slot_that_somebody_has_is_passed_over() {
        let ours = reserve_slot(4096).unwrap();
        let next = ours.addr().get() + REGION_ALIGNMENT;
        if let Ok(foreign) = map(next, 4096) {
            let after = reserve_slot(4096).unwrap();
            assert_ne!(after.addr().get(), next);
            free(foreign);
            // SAFETY: reserved above, and released once.
            unsafe { release(after, 4096) };
        }
        // SAFETY: as above.
        unsafe { release(ours, 4096) };
    }

    #[test]
    fn discarded_memory_is_zero_and_can_be_written() {
        let base = reserve(1 << 20).unwrap();
        // SAFETY: inside the reservation, which is released once.
        unsafe {
            let start = base.as_ptr();
            commit(start, 1 << 20).unwrap();
            start.write_bytes(0xaa, 1 << 20);
            discard(start.add(4096), 8192).unwrap();
            assert_eq!((start.add(4095).read(), start.add(4096).read()), (0xaa, 0));
            assert_eq!((start.add(12287).read(), start.add(12288).read()), (0, 0xaa));
            start.add(4096).write(1);
            release(base, 1 << 20);
        }
    }
}
