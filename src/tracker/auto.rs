//! Auto: lets the kernel watch a VM's opaque memory, or has it compared where that has been cheaper
//! lately.
//!
//! A choice changes what a capture costs, never what it keeps: either way every page that was
//! written since the same moment is suspected, and the choice changes in a capture (T2).
//!
//! Little opaque memory, as nearly all VMs have, is always compared, without a system call. The
//! costs below are of one machine; what matters is their ratio. The other choice has to look better
//! by a margin for several captures in a row, so that a VM at the border does not flap.

use super::Uffd;
use crate::error::Result;
use crate::pages::{Live, Opaque, PageSet};
use crate::sys::written;
use crate::units::PAGE_SIZE;

/// Asking for the pages that were written, and protecting these again; a look at each page.
const WATCH_ASK_NS: u64 = 700;
const WATCH_CALLS_NS: u64 = 4000;
const WATCH_PAGE_NS: u64 = 4;
/// The fault of the first write to a protected page, finding it, comparing and protecting it.
const WATCH_FAULT_NS: u64 = 2200;
/// Comparing a page, while both copies fit the second-level cache, the third, and neither.
const COMPARE_NEAR_NS: u64 = 130;
const COMPARE_FAR_NS: u64 = 160;
const COMPARE_MEMORY_NS: u64 = 400;
const NEAR_PAGES: usize = (1 << 20) / PAGE_SIZE;
const FAR_PAGES: usize = (8 << 20) / PAGE_SIZE;

/// Fewer opaque pages than these are compared: that takes less than to ask the kernel.
const FEW_PAGES: usize = 64;

/// Captures in a row that the other choice has to look better, and by how many percent.
const PATIENCE: u32 = 3;
const MARGIN_PERCENT: u64 = 115;

/// Captures until the watch is tried again, where descriptors or memory had run out.
const RETRY_AFTER: u32 = 1000;
const NEVER: u32 = u32::MAX;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Choice {
    Watch,
    Compare,
}

/// Who says what of opaque memory was written.
pub struct Auto {
    base: *mut u8,
    reserved_bytes: usize,
    choice: Choice,
    /// Whether the choice stays.
    fixed: bool,
    watch: Option<Uffd>,
    /// Captures until the watch may be tried.
    wait: u32,
    /// Opaque pages of the last capture; 0 before the first.
    pages: usize,
    /// What a capture costs with the watch: a running mean.
    watch_ns: u64,
    better_for: u32,
}

// SAFETY: `base` is only handed to the kernel.
unsafe impl Send for Auto {}

impl Auto {
    /// Chooses for a region of `reserved_bytes` from `base`.
    ///
    /// # Safety
    /// The range is one reservation, which outlives this.
    pub unsafe fn new(base: *mut u8, reserved_bytes: usize) -> Auto {
        Auto {
            base,
            reserved_bytes,
            choice: Choice::Compare,
            fixed: false,
            watch: None,
            wait: 0,
            pages: 0,
            watch_ns: WATCH_ASK_NS,
            better_for: 0,
        }
    }

    /// Compares always.
    pub fn compare() -> Auto {
        // SAFETY: the range is not looked at.
        Auto { fixed: true, ..unsafe { Auto::new(std::ptr::null_mut(), 0) } }
    }

    /// Has the kernel watch always; refuses where it does not.
    ///
    /// # Safety
    /// As for [`Auto::new`].
    pub unsafe fn watch(base: *mut u8, reserved_bytes: usize) -> Result<Auto> {
        // SAFETY: the caller's contract.
        unsafe {
            let watch = Some(Uffd::watch(base, reserved_bytes)?);
            let auto = Auto::new(base, reserved_bytes);
            Ok(Auto { choice: Choice::Watch, fixed: true, watch, ..auto })
        }
    }

    /// Says what it wants to know of a VM of so many pages.
    pub fn ask(&self, opaque: &mut Opaque, used_pages: usize) {
        let wanted = self.pages >= FEW_PAGES || self.fixed && self.is_watching();
        opaque.pages.clear();
        // Where there is no memory to note them, all are marked.
        opaque.noted = wanted && opaque.pages.resize(used_pages).is_ok();
        opaque.watched = opaque.noted && self.is_watching();
    }

    /// Whether the kernel tells.
    pub fn is_watching(&self) -> bool {
        self.choice == Choice::Watch && self.watch.as_ref().is_some_and(Uffd::works)
    }

    /// What a capture costs with the watch where nothing was written.
    fn watch_idle_ns(&self) -> u64 {
        WATCH_ASK_NS + self.pages as u64 * WATCH_PAGE_NS
    }

    /// Learns from a capture; answers the choice for the next one.
    fn learn(&mut self, pages: usize) -> Choice {
        self.pages = pages;
        let compare_page_ns = match pages {
            _ if pages <= NEAR_PAGES => COMPARE_NEAR_NS,
            _ if pages <= FAR_PAGES => COMPARE_FAR_NS,
            _ => COMPARE_MEMORY_NS,
        };
        let watch_ns = match self.watch.as_ref().map_or((0, 0), Uffd::load) {
            (0, 0) => self.watch_idle_ns(),
            (faulted, hot) => {
                let pages_ns = faulted as u64 * WATCH_FAULT_NS + hot as u64 * compare_page_ns;
                WATCH_CALLS_NS + self.watch_idle_ns() + pages_ns
            }
        };
        self.watch_ns = (self.watch_ns * 3 + watch_ns) / 4;
        let compare_ns = pages as u64 * compare_page_ns;
        let (now, other, change) = match self.choice {
            Choice::Watch => (self.watch_ns, compare_ns, Choice::Compare),
            Choice::Compare => (compare_ns, self.watch_ns, Choice::Watch),
        };
        let better = other * MARGIN_PERCENT / 100 < now && self.wait == 0;
        if self.wait != NEVER {
            self.wait = self.wait.saturating_sub(1);
        }
        self.better_for = if better { self.better_for + 1 } else { 0 };
        if self.better_for < PATIENCE {
            return self.choice;
        }
        self.better_for = 0;
        change
    }

    /// Watches from here on; where the kernel refuses, pages are compared. Answers which it is.
    unsafe fn start_watch(&mut self, live: Live, scope: &PageSet) -> Choice {
        if self.watch.is_none() {
            // SAFETY: the contract of new().
            self.watch = unsafe { Uffd::watch(self.base, self.reserved_bytes) }.ok();
        }
        let watch = self.watch.as_mut();
        // SAFETY: the caller's contract.
        let begun = watch.is_some_and(|watch| unsafe { watch.begin(live, scope) }.is_ok());
        if begun {
            return Choice::Watch;
        }
        let lasting = written::probe().is_err_and(|refusal| !refusal.passing);
        self.wait = if lasting { NEVER } else { RETRY_AFTER };
        Choice::Compare
    }

    /// Adds the noted pages that may have been written.
    ///
    /// # Safety
    /// Nothing writes to the region during the call; so for all below.
    pub unsafe fn find(
        &mut self,
        live: Live,
        opaque: &Opaque,
        suspects: &mut PageSet,
    ) -> Result<()> {
        if let Some(watch) = &mut self.watch {
            if opaque.watched {
                // SAFETY: the caller's contract.
                return unsafe { watch.find(live, &opaque.pages, suspects) };
            }
            watch.reserve(live.used_pages)?;
        }
        suspects.insert_all(&opaque.pages, live.used_pages);
        Ok(())
    }

    /// Begins the next interval, after a capture that found these pages changed.
    ///
    /// # Safety
    /// As for [`find`](Self::find).
    pub unsafe fn captured(&mut self, live: Live, opaque: &Opaque, changed: &PageSet) {
        let scope = &opaque.pages;
        match &mut self.watch {
            // SAFETY: the caller's contract.
            Some(watch) if opaque.watched => unsafe { watch.captured(scope, changed) },
            Some(watch) if opaque.noted => watch.observe(scope, changed),
            _ => {}
        }
        if self.fixed {
            self.pages = opaque.whole_pages;
            return;
        }
        let choice = self.learn(opaque.whole_pages);
        // SAFETY: the caller's contract.
        self.choice = unsafe {
            match (self.choice, choice, &mut self.watch) {
                (Choice::Watch, Choice::Compare, Some(watch)) => {
                    watch.end(live);
                    choice
                }
                (Choice::Compare, Choice::Watch, _) if opaque.noted => {
                    self.start_watch(live, scope)
                }
                // Which pages these are is known the next time.
                (Choice::Compare, Choice::Watch, _) => Choice::Compare,
                _ => choice,
            }
        };
        if self.choice == Choice::Watch && !self.is_watching() {
            self.wait = self.wait.max(RETRY_AFTER);
            self.choice = Choice::Compare;
        }
    }

    /// A restore is about to write to these pages.
    ///
    /// # Safety
    /// As for [`find`](Self::find).
    pub unsafe fn expect_writes(&mut self, live: Live, opaque: &Opaque, pages: &PageSet) {
        if let Some(watch) = self.watch.as_mut().filter(|_| opaque.watched) {
            // SAFETY: the caller's contract.
            unsafe { watch.expect_writes(live, &opaque.pages, pages) }
        }
    }

    /// Begins the next interval, after a restore.
    ///
    /// # Safety
    /// As for [`find`](Self::find).
    pub unsafe fn restored(&mut self, live: Live, opaque: &Opaque) {
        if let Some(watch) = self.watch.as_mut().filter(|_| opaque.watched) {
            // SAFETY: the caller's contract.
            unsafe { watch.restored(live, &opaque.pages) }
        }
    }
}
