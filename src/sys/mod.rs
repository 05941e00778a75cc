//! What the operating system gives us: the contract of a platform.
//!
//! A port adds one folder beside `linux/`, with the functions that are called here as
//! `platform::`, and touches nothing else. What each does, and what holds before it is called,
//! stands here once; a platform's file tells only how. `slots` is where regions may lie, on all of
//! them. `model` is a platform of plain memory, for Miri, which knows no memory maps. A target that
//! has no folder is refused by `build.rs`, before anything is compiled.
//!
//! Nothing here allocates, and nothing panics.
//!
//! # Not here
//! Policy. What is reserved and when memory is committed is decided in [`crate::region`].

#[cfg(all(target_os = "linux", not(miri)))]
mod linux;
#[cfg(all(target_os = "linux", not(miri)))]
use linux as platform;

#[cfg(all(target_os = "windows", not(miri)))]
mod windows;
#[cfg(all(target_os = "windows", not(miri)))]
use windows as platform;

#[cfg(all(target_os = "macos", not(miri)))]
mod macos;
#[cfg(all(target_os = "macos", not(miri)))]
use macos as platform;

#[cfg(miri)]
mod model;
#[cfg(miri)]
use model as platform;

#[cfg(not(miri))]
mod slots;
#[cfg(any(not(target_os = "linux"), miri))]
mod unwatched;

/// Bits of an address that a program can use.
pub const ADDRESS_BITS: u32 = platform::ADDRESS_BITS;

/// Every reservation starts at a multiple of this.
pub const REGION_ALIGNMENT: usize = platform::REGION_ALIGNMENT;

/// Places that a reservation can start at, in all of the address space.
pub const REGION_SLOTS: usize = (1 << ADDRESS_BITS) / REGION_ALIGNMENT;

/// The system refused, and nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// Address space, reserved, committed, released.
pub mod memory {
    use super::{REGION_ALIGNMENT, Refused, platform};
    use std::ptr::NonNull;

    /// The system's page size in bytes: what reservations and commits are rounded to.
    pub fn system_page_bytes() -> usize {
        platform::memory::system_page_bytes()
    }

    /// Reserves `bytes` of address space that cannot be read or written yet, at a multiple of
    /// [`REGION_ALIGNMENT`]. Addresses of released reservations are given again as late as
    /// possible: a pointer into one is then still recognised as stale.
    pub fn reserve(bytes: usize) -> Result<NonNull<u8>, Refused> {
        debug_assert!(bytes > 0 && bytes <= 1 << 32, "{bytes} bytes are no region");
        debug_assert!(bytes.is_multiple_of(system_page_bytes()));
        let base = platform::memory::reserve(bytes)?;
        debug_assert!(base.addr().get().is_multiple_of(REGION_ALIGNMENT));
        Ok(base)
    }

    /// Makes `bytes` from `start` readable and writable. Fresh bytes are zero.
    ///
    /// # Safety
    /// The range lies in one reservation and is aligned to the system page.
    pub unsafe fn commit(start: *mut u8, bytes: usize) -> Result<(), Refused> {
        debug_assert!(start.addr().is_multiple_of(system_page_bytes()));
        debug_assert!(bytes.is_multiple_of(system_page_bytes()));
        // SAFETY: the caller's contract.
        unsafe { platform::memory::commit(start, bytes) }
    }

    /// Gives the memory of a committed range back; it stays committed and reads as zero.
    ///
    /// # Safety
    /// The range lies in one reservation, is aligned to the system page, and holds nothing needed.
    pub unsafe fn discard(start: *mut u8, bytes: usize) -> Result<(), Refused> {
        debug_assert!(start.addr().is_multiple_of(system_page_bytes()));
        debug_assert!(bytes.is_multiple_of(system_page_bytes()));
        // SAFETY: the caller's contract.
        unsafe { platform::memory::discard(start, bytes) }
    }

    /// A range of addresses for a table, at no boundary but a page's. As of [`reserve`], it costs
    /// nothing until it is committed.
    pub fn map(bytes: usize) -> Result<NonNull<u8>, Refused> {
        debug_assert!(bytes > 0 && bytes.is_multiple_of(system_page_bytes()));
        platform::memory::map_table(bytes)
    }

    /// Gives them back.
    ///
    /// # Safety
    /// The pair is of [`map`], and nothing points into the range.
    pub unsafe fn unmap(start: NonNull<u8>, bytes: usize) {
        // SAFETY: the caller's contract.
        unsafe { platform::memory::unmap_table(start, bytes) }
    }

    /// Bytes of a large page. Where lines all over a range are looked at, as by a snapshot, large
    /// pages cost a fraction of what small ones do, which the processor has to look up one by one.
    pub const LARGE_PAGE_BYTES: usize = 2 << 20;

    /// Asks for large pages in a range that is about to be used. A hint.
    ///
    /// # Safety
    /// The range is the caller's and begins at a large page's boundary.
    pub unsafe fn expect_large_pages(start: *mut u8, bytes: usize) {
        // What shares the last of the system's pages with the range is not the caller's.
        let bytes = bytes - bytes % system_page_bytes();
        // SAFETY: the caller's contract.
        unsafe { platform::memory::expect_large_pages(start, bytes) }
    }

    /// Puts a range that is in use onto large pages; what it holds stays. A hint.
    ///
    /// # Safety
    /// As for [`expect_large_pages`]; it is readable and writable.
    pub unsafe fn use_large_pages(start: *mut u8, bytes: usize) {
        // SAFETY: the caller's contract.
        unsafe { platform::memory::use_large_pages(start, bytes) }
    }

    /// Gives a reservation back.
    ///
    /// # Safety
    /// `base` and `bytes` are what [`reserve`] was asked for, and nothing points into the range.
    pub unsafe fn release(base: NonNull<u8>, bytes: usize) {
        // SAFETY: the caller's contract.
        unsafe { platform::memory::release(base, bytes) }
    }
}

/// Which pages of a range were written, told by the kernel.
///
/// A registered range is write-protected page by page. The first write to a page, by whoever
/// shares this memory and by the kernel for him, ends its protection, and nothing else is seen of
/// it. So the pages that are not protected are those that were written, or never protected.
///
/// Any of these may be refused at any time, from one moment to the next (a seccomp filter). What
/// was answered before stays true.
pub mod written {
    use super::{Refused, memory, platform};
    use std::fmt;

    /// Why the kernel does not tell which pages were written.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Refusal {
        /// The end of a sentence.
        pub why: &'static str,
        /// It may be different the next time: descriptors or memory ran out.
        pub passing: bool,
    }

    impl fmt::Display for Refusal {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.why)
        }
    }

    /// Whether the kernel tells, tried by doing it; the answer is kept, unless it is a passing
    /// refusal. A forked child, which has lost all protection, is refused.
    pub fn probe() -> Result<(), Refusal> {
        platform::written::probe()
    }

    /// Registers a range, committed or not; again does no harm. Releasing the memory ends it.
    ///
    /// # Safety
    /// The range is a reservation of the caller's.
    pub unsafe fn register(start: *mut u8, bytes: usize) -> Result<(), Refused> {
        debug_assert!(start.addr().is_multiple_of(memory::system_page_bytes()));
        // SAFETY: the caller's contract.
        unsafe { platform::written::register(start, bytes) }
    }

    /// Reports the pages that are not protected, as ranges of page indexes: first and end, rising.
    /// Pages that were never touched may be left out.
    ///
    /// # Safety
    /// The range is registered.
    pub unsafe fn scan(
        start: *mut u8,
        pages: usize,
        report: &mut dyn FnMut(usize, usize),
    ) -> Result<(), Refused> {
        // SAFETY: the caller's contract.
        unsafe { platform::written::scan(start, pages, report) }
    }

    /// Protects pages: those that are written from now on are reported.
    ///
    /// # Safety
    /// The range is registered.
    pub unsafe fn protect(start: *mut u8, pages: usize) -> Result<(), Refused> {
        // SAFETY: the caller's contract.
        unsafe { platform::written::protect(start, pages) }
    }

    /// Lifts the protection of pages that are about to be written, at once instead of by a fault
    /// each. They count as written.
    ///
    /// # Safety
    /// The range is registered.
    pub unsafe fn unprotect(start: *mut u8, pages: usize) -> Result<(), Refused> {
        // SAFETY: the caller's contract.
        unsafe { platform::written::unprotect(start, pages) }
    }
}

/// The threads of the process.
pub mod thread {
    use super::platform;

    /// A number that is the calling thread's own while it lives, never 0.
    #[inline(always)]
    pub fn id() -> usize {
        platform::thread::id()
    }
}

/// The environment of the process.
pub mod environment {
    use super::platform;
    use std::ffi::CStr;

    /// Hands on the bytes of a variable; `None` where it is not set. Copies nothing.
    pub fn variable<T>(name: &CStr, look: impl FnOnce(Option<&[u8]>) -> T) -> T {
        platform::environment::variable(name, look)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_has_one_number_of_its_own() {
        let here = thread::id();
        assert_eq!(here, thread::id());
        let there = std::thread::scope(|scope| scope.spawn(thread::id).join()).unwrap();
        assert!(here != 0 && there != 0 && here != there);
    }

    #[test]
    fn a_variable_that_is_not_set_is_none() {
        assert!(environment::variable(c"RLUA_NO_SUCH_VARIABLE", |value| value.is_none()));
    }
}
