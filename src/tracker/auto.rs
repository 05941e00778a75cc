//! Auto: watches, or compares every page where that has been cheaper lately.
//!
//! A choice changes what a capture costs, never what it keeps: both suspect every page that was
//! written since the same moment, and a change of backend happens in a capture (T2).
//!
//! A small VM starts with comparing, since it may not live for long, and the watch has to be set
//! up; a large one with the watch. Later, comparing wins where a small VM's frames write to
//! different pages each time. The costs below are of one machine; what matters is their ratio. The
//! other choice has to look better by a margin for several captures in a row, so that a VM at the
//! border does not flap.

use super::{Compare, Tracker, Uffd};
use crate::error::Result;
use crate::pages::{Live, PageSet};
use crate::sys::written;
use crate::units::PAGE_SIZE;

/// Asking whether any page was written; what finding and protecting such pages takes beside that;
/// a look at each used page.
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

/// The backend that chooses between the others.
pub struct Auto {
    base: *mut u8,
    reserved_bytes: usize,
    choice: Choice,
    watch: Option<Uffd>,
    /// Captures until the watch may be tried.
    wait: u32,
    /// Used pages of the last capture; 0 before the first.
    used_pages: usize,
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
    /// The range is one reservation, which outlives the tracker.
    pub unsafe fn new(base: *mut u8, reserved_bytes: usize) -> Auto {
        Auto {
            base,
            reserved_bytes,
            choice: Choice::Compare,
            watch: None,
            wait: 0,
            used_pages: 0,
            watch_ns: WATCH_ASK_NS,
            better_for: 0,
        }
    }

    /// The watch, while it is the choice and running.
    fn running_watch(&mut self) -> Option<&mut Uffd> {
        self.watch.as_mut().filter(|_| self.choice == Choice::Watch)
    }

    /// What a capture costs with the watch where nothing was written.
    fn watch_idle_ns(&self) -> u64 {
        WATCH_ASK_NS + self.used_pages as u64 * WATCH_PAGE_NS
    }

    /// Learns from a capture; answers the choice for the next one.
    fn learn(&mut self, used_pages: usize) -> Choice {
        let is_first = std::mem::replace(&mut self.used_pages, used_pages) == 0;
        if is_first && used_pages > NEAR_PAGES {
            return Choice::Watch;
        }
        let compare_page_ns = match used_pages {
            _ if used_pages <= NEAR_PAGES => COMPARE_NEAR_NS,
            _ if used_pages <= FAR_PAGES => COMPARE_FAR_NS,
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
        let compare_ns = used_pages as u64 * compare_page_ns;
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

    /// Watches from here on; where the kernel refuses, pages are compared.
    unsafe fn start_watch(&mut self, live: Live) {
        if self.watch.is_none() {
            // SAFETY: the contract of new().
            self.watch = unsafe { Uffd::watch(self.base, self.reserved_bytes) }.ok();
        }
        // SAFETY: the caller's contract.
        let begun = self.watch.as_mut().is_some_and(|watch| unsafe { watch.begin(live) }.is_ok());
        if !begun {
            let lasting = written::probe().is_err_and(|refusal| !refusal.passing);
            self.wait = if lasting { NEVER } else { RETRY_AFTER };
            self.choice = Choice::Compare;
        }
    }

    /// Sees whether the kernel still answers.
    fn check_watch(&mut self) {
        if self.choice == Choice::Watch && !self.watch.as_ref().is_some_and(Uffd::works) {
            self.wait = NEVER;
            self.choice = Choice::Compare;
        }
    }
}

impl Tracker for Auto {
    unsafe fn find(&mut self, live: Live, suspects: &mut PageSet) -> Result<()> {
        if let Some(watch) = &mut self.watch {
            watch.reserve(live.used_pages)?;
        }
        // SAFETY: the caller's contract.
        unsafe {
            match self.running_watch() {
                Some(watch) => watch.find(live, suspects),
                None => Compare.find(live, suspects),
            }
        }
    }

    unsafe fn captured(&mut self, live: Live, changed: &PageSet) {
        match &mut self.watch {
            // SAFETY: the caller's contract.
            Some(watch) if self.choice == Choice::Watch => unsafe { watch.captured(live, changed) },
            Some(watch) => watch.observe(changed),
            None => {}
        }
        let before = self.choice;
        self.choice = self.learn(live.used_pages);
        // SAFETY: the caller's contract.
        unsafe {
            match (before, self.choice, &mut self.watch) {
                (Choice::Watch, Choice::Compare, Some(watch)) => watch.end(live),
                (Choice::Compare, Choice::Watch, _) => self.start_watch(live),
                _ => {}
            }
        }
        self.check_watch();
    }

    unsafe fn expect_writes(&mut self, live: Live, pages: &PageSet) {
        if let Some(watch) = self.running_watch() {
            // SAFETY: the caller's contract.
            unsafe { watch.expect_writes(live, pages) }
        }
    }

    unsafe fn restored(&mut self, live: Live) {
        if let Some(watch) = self.running_watch() {
            // SAFETY: the caller's contract.
            unsafe { watch.restored(live) }
        }
    }

    fn is_untouched(&mut self) -> bool {
        let untouched = self.running_watch().is_some_and(|watch| watch.is_untouched());
        if untouched {
            // As learn() would: nothing was written, and nothing is cheaper.
            self.watch_ns = (self.watch_ns * 3 + self.watch_idle_ns()) / 4;
            self.better_for = 0;
        }
        untouched
    }

    fn id(&self) -> i32 {
        match (self.choice, &self.watch) {
            (Choice::Watch, Some(watch)) => watch.id(),
            _ => super::compare::ID,
        }
    }
}
