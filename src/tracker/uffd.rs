//! Uffd: the kernel tells which pages were written (`sys::written`).
//!
//! Costs about half a microsecond per page that is written, at the write, and next to nothing for
//! those that are not. T1 and T2 hold by the kernel's word, which is tried out when the library
//! first uses it. Where the kernel stops answering, or in a forked child, which loses the
//! protection, this turns into the comparing backend: that one needs no interval to have begun.

use super::{Compare, Live, PagePtr, PageSet, Tracker};
use crate::error::{Error, Result};
use crate::sys::written;

/// `RLUA_TRACKER_UFFD`.
pub const ID: i32 = 2;

/// The backend for one region.
pub struct Uffd {
    /// False once the kernel has failed us: then pages are compared.
    works: bool,
    /// Pages that the last scan protected, from the base.
    protected_pages: usize,
    /// Page faults of the process when the interval began, or before.
    faults: u64,
    /// The same when it was last asked for. Older is safe too: a scan too many.
    faults_asked: u64,
}

impl Uffd {
    /// Watches a region of `reserved_bytes` from `base`.
    ///
    /// # Safety
    /// The range is one reservation, which outlives the tracker.
    pub unsafe fn watch(base: *mut u8, reserved_bytes: usize) -> Result<Uffd> {
        let unavailable = |why| Error::TrackerUnavailable { name: "uffd", why };
        written::probe().map_err(unavailable)?;
        // SAFETY: the caller's contract.
        unsafe { written::register(base, reserved_bytes) }
            .map_err(|_| unavailable("the kernel does not register the region"))?;
        Ok(Uffd { works: true, protected_pages: 0, faults: 0, faults_asked: 0 })
    }

    /// Reports and protects; an error ends the use of the kernel.
    unsafe fn scan(&mut self, live: Live, report: &mut dyn FnMut(usize, usize)) {
        // SAFETY: the region is registered and the used pages are committed.
        let taken = unsafe { written::take_written(live.base, live.used_pages, report) };
        self.works = taken.is_ok();
        self.protected_pages = live.used_pages;
    }

    /// Compares where the kernel has not answered. What an interrupted scan reported is in `dirty`
    /// already; comparing finds the rest.
    unsafe fn or_compare(
        &self,
        live: Live,
        baseline: &[PagePtr],
        dirty: &mut PageSet,
    ) -> Result<()> {
        if self.works {
            return Ok(());
        }
        // SAFETY: the caller's contract.
        unsafe { Compare.take(live, baseline, dirty) }
    }

    /// Whether the kernel still answers.
    pub fn works(&self) -> bool {
        self.works
    }
}

impl Tracker for Uffd {
    unsafe fn take(&mut self, live: Live, baseline: &[PagePtr], dirty: &mut PageSet) -> Result<()> {
        let known = baseline.len();
        // SAFETY: the caller's contract.
        unsafe {
            if self.works {
                // All used pages are scanned, also those the baseline does not have yet: they are
                // protected from now on.
                self.scan(live, &mut |first, end: usize| dirty.insert_range(first, end.min(known)));
                self.faults = self.faults_asked;
            }
            self.or_compare(live, baseline, dirty)
        }
    }

    unsafe fn peek(&mut self, live: Live, baseline: &[PagePtr], dirty: &mut PageSet) -> Result<()> {
        if live.used_pages <= self.protected_pages && self.is_untouched() {
            return Ok(());
        }
        let known = baseline.len();
        // SAFETY: the caller's contract.
        unsafe {
            if self.works {
                let report = &mut |first, end: usize| dirty.insert_range(first, end.min(known));
                let peeked = written::peek_written(live.base, live.used_pages, report);
                self.works = peeked.is_ok();
            }
            self.or_compare(live, baseline, dirty)
        }
    }

    /// A protected page cannot be written without a fault, and all that were used are protected. A
    /// scan walks the page table of each of them; an idle VM is spared that.
    /// In a forked child the count starts anew, so it must not be asked.
    fn is_untouched(&mut self) -> bool {
        if !self.works || self.protected_pages == 0 || written::probe().is_err() {
            return false;
        }
        self.faults_asked = written::faults();
        self.faults_asked == self.faults
    }

    /// One call lifts the protection of all pages, at a seventh of a fault for each.
    unsafe fn expect_writes(&mut self, live: Live, pages: usize) {
        if self.works && pages > live.used_pages / 8 {
            // SAFETY: the region is registered. Should it fail, each page faults by itself.
            let _ = unsafe { written::unprotect(live.base, live.used_pages) };
        }
    }

    unsafe fn restart(&mut self, live: Live) -> Result<()> {
        if self.works {
            // SAFETY: the caller's contract.
            unsafe { self.scan(live, &mut |_, _| {}) };
            self.faults = written::faults();
        }
        Ok(())
    }

    fn id(&self) -> i32 {
        if self.works { ID } else { super::compare::ID }
    }
}
