//! Uffd: the kernel tells which pages of opaque memory were written (`sys::written`).
//!
//! Which pages that are is told anew each time: the *scope*. Other pages are neither protected nor
//! reported.
//!
//! ```text
//!              written in four captures in a row
//!    cold     ----------------------------------->     hot
//!  protected,                                        not protected,
//!  told by the kernel                                always suspected
//!             <-----------------------------------
//!                 unchanged in two or more
//! ```
//!
//! A write to a protected page faults, which costs as much as several comparisons; a game writes
//! to much the same pages in each frame. So a page that is written again and again stays
//! unprotected, and is compared.
//!
//! T1 holds for cold pages by the kernel's word, page by page, which is tried out when the library
//! first uses it, and for hot ones since they are suspected always. No sign from elsewhere stands
//! in for the pages' own state: a count of the process's faults was one, and neither sees the
//! writes of a child that shares the memory nor can be had under every seccomp filter. T2 holds
//! since pages are protected in a capture, where nothing runs. Where the kernel stops answering, or
//! in a forked child, which loses the protection, every page is suspected.

use crate::error::{Error, Result};
use crate::pages::{Live, PageIndex, PageSet};
use crate::sys::written;
use crate::units::PAGE_SIZE;

/// `RLUA_TRACKER_UFFD`.
pub const ID: i32 = 2;

/// A page turns hot when it is written in so many captures in a row, and cold when it was not in so
/// many. Comparing pays even where only some of the captures find a write, but each hot page among
/// cold ones also costs a call to protect those on both sides: a page that is written by chance
/// must not turn hot.
const HOT_AFTER: u16 = 4;
const COLD_AFTER: u16 = 2;
/// A page that faults at once when it has turned cold is written without a change, as Lua's stack
/// is: it stays hot twice as long the next time, up to this.
const PATIENCE_MAX: u16 = 64;

/// Lifting the protection of all pages at once pays from one page in so many on.
const LIFT_ALL_FROM: usize = 8;

/// The backend for one region.
pub struct Uffd {
    /// False once the kernel has failed us.
    works: bool,
    base: *mut u8,
    /// Used pages when the last `find` looked.
    found_pages: usize,
    /// Pages that may be protected.
    protected_pages: usize,
    hot: PageSet,
    hot_pages: usize,
    /// Pages that faulted in the last interval.
    faulted_pages: usize,
    /// Pages that lost their protection in this interval, as far as is known.
    written: PageSet,
    /// Captures so far.
    captures: u32,
    writes: Vec<Writes>,
}

/// When a page was written.
#[derive(Clone, Copy, Default)]
struct Writes {
    /// The last capture that found it so, and how many in a row did.
    last: u32,
    in_a_row: u16,
    /// Captures without a change until it turns cold.
    patience: u16,
    /// The capture that it turned cold in.
    cooled: u32,
}

impl Writes {
    fn note(&mut self, capture: u32) {
        let follows = capture.wrapping_sub(self.last) == 1;
        self.in_a_row = if follows { self.in_a_row.saturating_add(1) } else { 1 };
        self.last = capture;
    }

    /// Notes a fault; answers whether the page turns hot.
    fn turns_hot(&mut self, capture: u32) -> bool {
        self.note(capture);
        let cooled_in_error = capture.wrapping_sub(self.cooled) <= COLD_AFTER.into();
        if cooled_in_error {
            self.patience = (self.patience * 2).min(PATIENCE_MAX);
        } else {
            self.patience = COLD_AFTER;
        }
        cooled_in_error || self.in_a_row >= HOT_AFTER
    }

    /// Notes whether a hot page had changed; answers whether it turns cold.
    fn turns_cold(&mut self, capture: u32, changed: bool) -> bool {
        if changed {
            self.note(capture);
        }
        let cold = capture.wrapping_sub(self.last) >= self.patience.into();
        if cold {
            self.cooled = capture;
        }
        cold
    }
}

// SAFETY: `base` is only handed to the kernel.
unsafe impl Send for Uffd {}

impl Uffd {
    /// Watches a region of `reserved_bytes` from `base`.
    ///
    /// # Safety
    /// The range is one reservation, which outlives the tracker.
    pub unsafe fn watch(base: *mut u8, reserved_bytes: usize) -> Result<Uffd> {
        let unavailable = |why| Error::TrackerUnavailable { name: "uffd", why };
        written::probe().map_err(|refusal| unavailable(refusal.why))?;
        // SAFETY: the caller's contract.
        unsafe { written::register(base, reserved_bytes) }
            .map_err(|_| unavailable("the kernel does not register the region"))?;
        Ok(Uffd {
            works: true,
            base,
            found_pages: 0,
            protected_pages: 0,
            hot: PageSet::default(),
            hot_pages: 0,
            faulted_pages: 0,
            written: PageSet::default(),
            captures: PATIENCE_MAX.into(), // no page has just turned cold
            writes: Vec::new(),
        })
    }

    /// Whether the kernel still answers.
    pub fn works(&self) -> bool {
        self.works
    }

    /// Makes room for what is known of so many pages.
    pub fn reserve(&mut self, pages: usize) -> Result<()> {
        self.hot.resize(pages)?;
        self.written.resize(pages)?;
        let more = pages.saturating_sub(self.writes.len());
        self.writes
            .try_reserve(more)
            .map_err(|_| Error::NoMemoryForPages { wanted_pages: pages })?;
        self.writes.resize(self.writes.len() + more, Writes::default());
        Ok(())
    }

    /// Begins where the live pages equal the newest snapshot.
    ///
    /// # Safety
    /// Nothing writes to the region during the call.
    pub unsafe fn begin(&mut self, live: Live, scope: &PageSet) -> Result<()> {
        self.reserve(live.used_pages)?;
        self.found_pages = live.used_pages;
        self.written.insert_all(scope, live.used_pages);
        // SAFETY: the caller's contract.
        unsafe { self.protect(scope) };
        Ok(())
    }

    /// Lifts all protection: pages are compared from here on.
    ///
    /// # Safety
    /// As for [`Uffd::begin`].
    pub unsafe fn end(&mut self, live: Live) {
        // SAFETY: the region is registered. Should it fail, each page faults by itself.
        let _ = unsafe { written::unprotect(live.base, live.used_pages) };
    }

    /// Learns from a capture that compared all pages of the scope, as if they had been watched.
    /// There was a call of [`reserve`](Self::reserve) for the pages.
    pub fn observe(&mut self, scope: &PageSet, changed: &PageSet) {
        self.written.clear();
        let cold = |page: &usize| scope.contains(*page) && !self.hot.contains(*page);
        for page in changed.iter().map(PageIndex::get).filter(cold) {
            self.written.insert(page);
        }
        self.learn(changed);
        self.written.clear();
    }

    /// Pages that fault in a frame like the last one, and pages that are compared then.
    pub fn load(&self) -> (usize, usize) {
        (self.faulted_pages, self.hot_pages)
    }

    /// Turns pages hot and cold. The latter join `written`, to be protected.
    fn learn(&mut self, changed: &PageSet) {
        self.faulted_pages = self.written.count();
        self.captures = self.captures.wrapping_add(1);
        let Uffd { captures, hot, written, writes, .. } = self;
        for page in written.iter().map(|page| page.get()) {
            if writes[page].turns_hot(*captures) {
                hot.insert(page);
            }
        }
        hot.retain(|page| {
            let cold = writes[page].turns_cold(*captures, changed.contains(page));
            if cold {
                written.insert(page);
            }
            !cold
        });
        self.hot_pages = hot.count();
    }

    /// Protects the cold pages in `written`, in few calls: a range ends before a page that is hot,
    /// or not in the scope. An error ends the use of the kernel.
    unsafe fn protect(&mut self, scope: &PageSet) {
        let Uffd { base, hot, written, found_pages, works, .. } = self;
        let mut protect = |first: usize, end: usize| {
            if first == end {
                return;
            }
            let start = base.wrapping_add(first * PAGE_SIZE);
            // SAFETY: the region is registered, and committed below the pages that were found.
            *works = *works && unsafe { written::protect(start, end - first) }.is_ok();
        };
        let (mut first, mut end) = (0, 0);
        let watched = |page: usize| scope.contains(page) && !hot.contains(page);
        for page in written.iter().map(PageIndex::get).take_while(|page| page < found_pages) {
            if !watched(page) {
                continue;
            }
            if first == end || !(end..page).all(watched) {
                protect(first, end);
                first = page;
            }
            end = page + 1;
        }
        protect(first, end);
        self.protected_pages = self.protected_pages.max(self.found_pages);
        self.written.clear();
    }
}

/// The memory may serve the next VM, whose writes are not to fault.
impl Drop for Uffd {
    fn drop(&mut self) {
        if self.protected_pages > 0 {
            // SAFETY: the region is registered, and there (the contract of watch).
            let _ = unsafe { written::unprotect(self.base, self.protected_pages) };
        }
    }
}

impl Uffd {
    /// Adds the pages of the scope that may have been written since they were last protected.
    ///
    /// # Safety
    /// Nothing writes to the region during the call.
    pub unsafe fn find(
        &mut self,
        live: Live,
        scope: &PageSet,
        suspects: &mut PageSet,
    ) -> Result<()> {
        self.reserve(live.used_pages)?;
        self.written.clear();
        self.found_pages = live.used_pages;
        self.hot.retain(|page| scope.contains(page));
        if self.works {
            let (hot, written) = (&self.hot, &mut self.written);
            let mut report = |first: usize, end: usize| {
                let cold = |&page: &usize| scope.contains(page) && !hot.contains(page);
                (first..end).filter(cold).for_each(|page| written.insert(page));
            };
            // SAFETY: the region is registered.
            let scanned = unsafe { written::scan(live.base, live.used_pages, &mut report) };
            self.works = scanned.is_ok();
        }
        if self.works {
            suspects.insert_all(&self.written, live.used_pages);
            suspects.insert_all(&self.hot, live.used_pages);
        } else {
            suspects.insert_all(scope, live.used_pages);
        }
        Ok(())
    }

    /// Protects what was found, after a capture that found these pages changed.
    ///
    /// # Safety
    /// As for [`find`](Self::find).
    pub unsafe fn captured(&mut self, scope: &PageSet, changed: &PageSet) {
        if !self.works {
            return;
        }
        self.learn(changed);
        // SAFETY: the caller's contract.
        unsafe { self.protect(scope) }
    }

    /// A restore is about to write to these pages, too.
    ///
    /// # Safety
    /// As for [`find`](Self::find).
    pub unsafe fn expect_writes(&mut self, live: Live, scope: &PageSet, pages: &PageSet) {
        if !self.works {
            return;
        }
        let found = self.written.count();
        for page in pages.iter().map(PageIndex::get).take_while(|&page| page < self.found_pages) {
            if scope.contains(page) {
                self.written.insert(page);
            }
        }
        if (self.written.count() - found) * LIFT_ALL_FROM > self.found_pages {
            self.written.insert_all(scope, self.found_pages);
            // SAFETY: the region is registered. Should it fail, each page faults by itself.
            let _ = unsafe { written::unprotect(live.base, self.found_pages) };
        }
    }

    /// Protects what was found and written, after a restore. Where the restored state has opaque
    /// memory elsewhere, the next `find` finds it unprotected.
    ///
    /// # Safety
    /// As for [`find`](Self::find).
    pub unsafe fn restored(&mut self, live: Live, scope: &PageSet) {
        if !self.works {
            return;
        }
        self.found_pages = self.found_pages.min(live.used_pages);
        // SAFETY: the caller's contract.
        unsafe { self.protect(scope) };
    }
}
