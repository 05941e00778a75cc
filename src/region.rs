//! Region: a reserved range of addresses that is committed as it is used.
//!
//! ```text
//! base (multiple of 4 GiB)        committed                     reserved
//!  |-- readable and writable -------|-- no access, costs nothing --|
//! ```
//!
//! A few regions of closed VMs are kept, cleared, for the next VM of the same limit.
//!
//! Lua hashes a pointer by its low 32 bits. At a 4 GiB boundary these are the offset in the
//! region, so `pairs` over tables keyed by objects runs in the same order in every process.
//!
//! # Invariants
//! - R1 *fixed*: the base never moves and is aligned to 4 GiB; the region is at most 4 GiB.
//! - R2 *committed*: every byte below `committed_bytes` can be read and written, and
//!   `committed_bytes` never falls.
//! - R3 *raw*: Rust forms no reference into the region, only raw copies: Lua aliases it.
//!
//! # Not here
//! What the bytes mean ([`crate::arena`]), and who wrote them ([`crate::tracker`]).

use crate::error::{Error, Result};
use crate::sys::Refused;
use crate::sys::memory::{self, LARGE_PAGE_BYTES};
use std::ptr::{self, NonNull};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most that one region can reserve.
pub const MAX_BYTES: usize = 1 << 32;

/// The first commit, and the least that a later one adds.
const COMMIT_STEP: usize = 64 << 10;

/// A region is put onto large pages once it reaches this; a smaller one would only grow by it.
const LARGE_FROM: usize = 4 << 20;

/// A reserved range; released when dropped.
pub struct Region {
    base: NonNull<u8>,
    reserved_bytes: usize,
    committed_bytes: usize,
    /// Beyond this the system has given no memory yet, as far as is known.
    touched_bytes: usize,
    /// Below this it is on large pages, where the system gives any.
    large_bytes: usize,
}

// SAFETY: the region is owned like a box; raw pointers into it are the VM's affair.
unsafe impl Send for Region {}

impl Region {
    /// Reserves at least `bytes`, rounded up to system pages.
    pub fn reserve(bytes: usize) -> Result<Region> {
        if bytes > MAX_BYTES {
            return Err(Error::LimitTooLarge { wanted_bytes: bytes, max_bytes: MAX_BYTES });
        }
        let reserved_bytes = bytes.max(1).next_multiple_of(memory::system_page_bytes());
        if let Some(spare) = take_spare(reserved_bytes) {
            return Ok(spare);
        }
        let reserve = || {
            let base = memory::reserve(reserved_bytes)?;
            let (committed_bytes, touched_bytes, large_bytes) = (0, 0, 0);
            Ok(Region { base, reserved_bytes, committed_bytes, touched_bytes, large_bytes })
        };
        reserve().or_else(|_: Refused| {
            // Spare regions of other sizes may hold the address space that is missing.
            drop(std::mem::take(&mut *spares()));
            reserve().map_err(|_| Error::NoAddressSpace { wanted_bytes: reserved_bytes })
        })
    }

    /// First byte of the region.
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Bytes of addresses that are ours.
    pub fn reserved_bytes(&self) -> usize {
        self.reserved_bytes
    }

    /// Bytes that can be read and written (R2).
    pub fn committed_bytes(&self) -> usize {
        self.committed_bytes
    }

    /// Makes the first `end` bytes usable. Commits ahead, by an eighth, so that a growing arena
    /// makes few system calls.
    ///
    /// Never panics and allocates nothing: Lua's allocation function calls it.
    #[inline]
    pub fn commit_to(&mut self, end: usize) -> Result<()> {
        if end <= self.committed_bytes { Ok(()) } else { self.commit_more(end) }
    }

    #[cold]
    fn commit_more(&mut self, end: usize) -> Result<()> {
        if end > self.reserved_bytes {
            return Err(Error::Commit { wanted_bytes: end });
        }
        let ahead = self.committed_bytes.saturating_add((end / 8).max(COMMIT_STEP));
        let ahead = end.max(ahead).min(self.reserved_bytes);
        // Where memory is short, what is needed may still be there when what is nice is not.
        if self.commit_exactly(ahead) || self.commit_exactly(end) {
            self.use_large_pages(end);
            return Ok(());
        }
        Err(Error::Commit { wanted_bytes: end - self.committed_bytes })
    }

    /// Large pages for a region that is worth it: what is in use when that is seen is put onto
    /// them, what comes later gets them when it is first used.
    fn use_large_pages(&mut self, end: usize) {
        let whole = end.next_multiple_of(LARGE_PAGE_BYTES).min(self.reserved_bytes);
        if end < LARGE_FROM || whole <= self.large_bytes {
            return;
        }
        // SAFETY: inside the reservation, and at such boundaries (R1); what is used is committed.
        unsafe {
            if self.large_bytes == 0 {
                memory::use_large_pages(self.base.as_ptr(), LARGE_FROM);
                self.large_bytes = LARGE_FROM;
            }
            let start = self.base.as_ptr().add(self.large_bytes);
            memory::expect_large_pages(start, whole - self.large_bytes);
        }
        self.large_bytes = whole;
    }

    /// Commits the next part of so many bytes, which are used for the first time: on large pages
    /// from the start, where they are worth it, which the system gives for whole ones alone.
    pub fn commit_part(&mut self, end: usize, bytes: usize) -> Result<()> {
        let whole = |end: usize| end.next_multiple_of(LARGE_PAGE_BYTES).min(self.reserved_bytes);
        if bytes < LARGE_FROM || self.touched_bytes > 0 {
            return self.commit_to(end);
        }
        let (part, all) = (whole(end), whole(bytes));
        if self.large_bytes < all {
            // SAFETY: inside the reservation, and at such boundaries (R1).
            unsafe { memory::expect_large_pages(self.base.as_ptr(), all) };
            self.large_bytes = all;
        }
        self.commit_to(part).or_else(|_| self.commit_to(end))
    }

    fn commit_exactly(&mut self, end: usize) -> bool {
        let page = memory::system_page_bytes();
        let target = end.div_ceil(page) * page;
        // SAFETY: the range is the reservation's next part, page-aligned at both ends (R1).
        let done = unsafe {
            let start = self.base.as_ptr().add(self.committed_bytes);
            memory::commit(start, target - self.committed_bytes)
        };
        if done.is_ok() {
            self.committed_bytes = target;
        }
        done.is_ok()
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the pair is what reserve() was asked for; the owner outlives every pointer.
        unsafe { memory::release(self.base, self.reserved_bytes) }
    }
}

/// Regions of closed VMs, cleared, for the next VM of the same limit; the oldest first.
///
/// Fresh memory costs a page fault a page, and giving it back costs time too: together more than
/// all else that a short VM costs. A program that opens and closes VMs is spared both.
static SPARES: Mutex<Spares> = Mutex::new([const { None }; SPARES_MAX]);

/// No hole between two of them.
type Spares = [Option<Region>; SPARES_MAX];

const SPARES_MAX: usize = 4;

/// Memory that all spare regions keep, about; the rest goes back to the system.
const SPARE_BYTES: usize = 8 << 20;

fn spares() -> MutexGuard<'static, Spares> {
    SPARES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take_spare(reserved_bytes: usize) -> Option<Region> {
    let mut spares = spares();
    let fits = |spare: &Option<Region>| {
        spare.as_ref().is_some_and(|region| region.reserved_bytes == reserved_bytes)
    };
    let at = spares.iter().position(fits)?;
    spares[at..].rotate_left(1);
    spares[SPARES_MAX - 1].take()
}

/// Gives a closed VM's region up. `written_bytes` from the base may hold what it wrote.
pub fn retire(mut region: Region, written_bytes: usize) {
    debug_assert!(written_bytes <= region.committed_bytes, "written beyond the commit (R2)");
    let room = {
        let spares = spares();
        if spares[SPARES_MAX - 1].is_some() {
            return;
        }
        let kept: usize = spares.iter().flatten().map(|region| region.touched_bytes).sum();
        SPARE_BYTES.saturating_sub(kept)
    };
    // Not under the lock: clearing takes long.
    if region.clear(written_bytes, room) {
        let mut spares = spares();
        if let Some(place) = spares.iter_mut().find(|place| place.is_none()) {
            *place = Some(region);
        }
    }
}

impl Region {
    /// Makes every byte zero; keeps up to `room` bytes of memory. False where the system refuses.
    fn clear(&mut self, written_bytes: usize, room: usize) -> bool {
        let page = memory::system_page_bytes();
        let touched = self.touched_bytes.max(written_bytes).next_multiple_of(page);
        let kept = touched.min(room / page * page);
        // SAFETY: the VM is closed, nothing points into the region; the range is committed (R2).
        unsafe {
            let base = self.base.as_ptr();
            ptr::write_bytes(base, 0, written_bytes.min(kept));
            if kept < touched && memory::discard(base.add(kept), touched - kept).is_err() {
                return false;
            }
        }
        self.touched_bytes = kept;
        self.large_bytes = self.large_bytes.min(kept / LARGE_PAGE_BYTES * LARGE_PAGE_BYTES);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::REGION_ALIGNMENT;

    fn is_zero(region: &Region) -> bool {
        let mut copy = vec![1; region.committed_bytes()];
        // SAFETY: committed (R2).
        unsafe { region.base().as_ptr().copy_to(copy.as_mut_ptr(), copy.len()) };
        copy == vec![0; copy.len()]
    }

    #[test]
    fn base_is_aligned_and_bytes_become_usable() {
        let mut region = Region::reserve(1 << 20).unwrap();
        assert_eq!(region.base().addr().get() % REGION_ALIGNMENT, 0);
        region.commit_to(100_000).unwrap();
        assert!(region.committed_bytes() >= 100_000);
        // SAFETY: inside the committed part (R2).
        unsafe {
            region.base().as_ptr().add(99_999).write(7);
            assert_eq!(region.base().as_ptr().add(99_999).read(), 7);
        }
    }

    #[test]
    fn commit_beyond_the_reservation_is_an_error() {
        let mut region = Region::reserve(1 << 16).unwrap();
        assert!(region.commit_to((1 << 16) + 1).is_err());
        region.commit_to(1 << 16).unwrap();
    }

    #[test]
    fn more_than_4_gib_is_refused_with_both_numbers() {
        let error = Region::reserve(1 << 40).err().unwrap().to_string();
        assert!(error.contains("1099511627776") && error.contains("4294967296"), "{error}");
    }

    #[test]
    fn a_retired_region_comes_back_cleared() {
        let bytes = 123 * 4096; // a size that no other test uses
        for written in [bytes, 100, 200_000, bytes] {
            let mut region = Region::reserve(bytes).unwrap();
            region.commit_to(bytes).unwrap();
            // SAFETY: committed (R2).
            unsafe { ptr::write_bytes(region.base().as_ptr(), 0xaa, written) };
            let base = region.base();
            retire(region, written);
            let region = Region::reserve(bytes).unwrap();
            assert_eq!(region.base(), base);
            assert!(is_zero(&region), "{written} bytes were written");
        }
    }

    #[test]
    fn clearing_gives_back_what_there_is_no_room_for() {
        let bytes = 64 * 4096;
        for (room, kept) in [(0, 0), (10_000, 8192), (1 << 20, 50 * 4096)] {
            let mut region = Region::reserve(bytes).unwrap();
            region.commit_to(bytes).unwrap();
            // SAFETY: committed (R2).
            unsafe { ptr::write_bytes(region.base().as_ptr(), 0xaa, 50 * 4096) };
            assert!(region.clear(50 * 4096, room));
            assert_eq!(region.touched_bytes, kept);
            assert!(is_zero(&region), "room for {room}");
        }
    }

    #[test]
    #[cfg_attr(miri, ignore)] // 4 GiB
    fn two_regions_do_not_overlap() {
        let (a, b) = (Region::reserve(1 << 32).unwrap(), Region::reserve(1 << 32).unwrap());
        assert!(a.base().addr().get().abs_diff(b.base().addr().get()) >= MAX_BYTES);
    }
}
