//! Auto: chooses the backend that would have been cheapest in the last captures.
//!
//! ```text
//!            few written pages                 nearly all written
//!   watch  <------------------->  compare  <------------------->  copy
//! ```
//!
//! A choice changes what a capture costs, never what it keeps: each backend reports every written
//! page since the same moment, the last take. Turning to the watch, pages are compared once more,
//! then protected, with nothing running between (T2).
//!
//! A VM starts with the watch: its first capture copies all pages anyway.
//!
//! The costs below are of one machine; what matters is their ratio. A choice has to look better by
//! a margin for several captures in a row, so that a VM at the border does not flap.

use super::compare::differs;
use super::{Compare, Copy, Live, PagePtr, PageSet, Tracker, Uffd};
use crate::error::Result;
use crate::units::PAGE_SIZE;

/// Finding that the process has not faulted; else a scan of the page table: the system calls, and
/// each used page.
const WATCH_IDLE_NS: u64 = 900;
const WATCH_CALL_NS: u64 = 3000;
const WATCH_PAGE_NS: u64 = 3;
/// The fault of the first write to a protected page.
const WATCH_FAULT_NS: u64 = 1200;
/// Comparing a page, while both copies fit the second-level cache, the third, and neither.
const COMPARE_NEAR_NS: u64 = 110;
const COMPARE_FAR_NS: u64 = 220;
const COMPARE_MEMORY_NS: u64 = 400;
const NEAR_PAGES: usize = (1 << 20) / PAGE_SIZE;
const FAR_PAGES: usize = (8 << 20) / PAGE_SIZE;
/// Copying a page for nothing, and the memory that it takes for as long as the snapshot is held.
const COPY_PAGE_NS: u64 = 700;

/// Captures in a row that another choice has to look better, and by how much. Each time the watch
/// is left, coming back takes twice as many: a VM that writes what is there already looks busy to
/// the watch, and idle to the comparison.
const PATIENCE: u32 = 4;
const PATIENCE_MAX: u32 = 1024;
const MARGIN_PERCENT: u64 = 130;
/// While everything is copied, one page of so many is compared too, to learn from.
const SAMPLE_EVERY: usize = 16;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Choice {
    Watch,
    Compare,
    Copy,
}

/// The backend that chooses among the others.
pub struct Auto {
    base: *mut u8,
    reserved_bytes: usize,
    choice: Choice,
    watch: Option<Uffd>,
    watch_refused: bool,
    /// Written pages in a capture: a running mean, in sixteenths of a page.
    written_x16: u64,
    better_for: u32,
    watch_patience: u32,
    /// Where the next sample starts.
    sampled: usize,
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
            choice: Choice::Watch,
            watch: None,
            watch_refused: false,
            written_x16: 0,
            better_for: 0,
            watch_patience: PATIENCE,
            sampled: 0,
        }
    }

    fn cost_ns(&self, choice: Choice, used_pages: usize) -> u64 {
        let (used, written) = (used_pages as u64, self.written_x16 / 16);
        match choice {
            Choice::Watch if self.watch_refused => u64::MAX / MARGIN_PERCENT,
            Choice::Watch if written == 0 => WATCH_IDLE_NS,
            Choice::Watch => WATCH_CALL_NS + used * WATCH_PAGE_NS + written * WATCH_FAULT_NS,
            Choice::Compare if used_pages <= NEAR_PAGES => used * COMPARE_NEAR_NS,
            Choice::Compare if used_pages <= FAR_PAGES => used * COMPARE_FAR_NS,
            Choice::Compare => used * COMPARE_MEMORY_NS,
            Choice::Copy => used.saturating_sub(written) * COPY_PAGE_NS,
        }
    }

    fn cheapest(&self, used_pages: usize) -> Choice {
        let all = [Choice::Watch, Choice::Compare, Choice::Copy];
        all.into_iter()
            .min_by_key(|&choice| self.cost_ns(choice, used_pages))
            .unwrap_or(self.choice)
    }

    /// Learns from a capture; answers the choice for the next one.
    fn learn(&mut self, used_pages: usize, written: usize) -> Choice {
        self.written_x16 = (self.written_x16 * 7 + written as u64 * 16) / 8;
        let best = self.cheapest(used_pages);
        let now = self.cost_ns(self.choice, used_pages);
        if self.cost_ns(best, used_pages) * MARGIN_PERCENT / 100 < now {
            self.better_for += 1;
        } else {
            self.better_for = 0;
        }
        let wanted = if best == Choice::Watch { self.watch_patience } else { PATIENCE };
        if self.better_for < wanted {
            return self.choice;
        }
        self.better_for = 0;
        best
    }

    /// Estimates how many pages were written from some of them, others each time.
    unsafe fn sample(&mut self, live: Live, baseline: &[PagePtr]) -> usize {
        self.sampled = (self.sampled + 1) % SAMPLE_EVERY;
        let pages = baseline.iter().enumerate().skip(self.sampled).step_by(SAMPLE_EVERY);
        // SAFETY: the caller's contract.
        let written = pages.filter(|&(at, &page)| unsafe { differs(live.page(at), page) }).count();
        (written * SAMPLE_EVERY).min(baseline.len())
    }

    /// Protects the pages, now that what was written is known. Where the kernel refuses, pages are
    /// compared.
    unsafe fn start_watch(&mut self, live: Live) {
        if self.watch.is_none() {
            // SAFETY: the contract of new().
            self.watch = unsafe { Uffd::watch(self.base, self.reserved_bytes) }.ok();
        }
        if let Some(watch) = &mut self.watch {
            // SAFETY: the caller's contract.
            let _ = unsafe { watch.restart(live) };
            if watch.works() {
                self.choice = Choice::Watch;
                return;
            }
        }
        self.watch_refused = true;
        self.choice = Choice::Compare;
    }
}

impl Tracker for Auto {
    unsafe fn take(&mut self, live: Live, baseline: &[PagePtr], dirty: &mut PageSet) -> Result<()> {
        let known = live.used_pages.min(baseline.len());
        // SAFETY: the caller's contract; nothing runs between looking at the pages and a start.
        unsafe {
            match (self.choice, &mut self.watch) {
                (Choice::Watch, Some(watch)) => {
                    watch.take(live, baseline, dirty)?;
                    if !watch.works() {
                        self.watch_refused = true;
                        self.choice = Choice::Compare;
                    }
                }
                (Choice::Watch, None) => {
                    Compare.take(live, baseline, dirty)?;
                    self.start_watch(live);
                }
                (Choice::Compare, _) => Compare.take(live, baseline, dirty)?,
                (Choice::Copy, _) => Copy.take(live, baseline, dirty)?,
            }
            if known == 0 {
                return Ok(());
            }
            let written = match self.choice {
                Choice::Copy => self.sample(live, &baseline[..known]),
                _ => dirty.count(),
            };
            match self.learn(known, written) {
                Choice::Watch if self.choice != Choice::Watch => self.start_watch(live),
                next => {
                    if self.choice == Choice::Watch && next != Choice::Watch {
                        self.watch_patience = (self.watch_patience * 2).min(PATIENCE_MAX);
                    }
                    self.choice = next;
                }
            }
        }
        Ok(())
    }

    unsafe fn peek(&mut self, live: Live, baseline: &[PagePtr], dirty: &mut PageSet) -> Result<()> {
        // SAFETY: the caller's contract.
        unsafe {
            match (self.choice, &mut self.watch) {
                (Choice::Watch, Some(watch)) => watch.peek(live, baseline, dirty),
                (Choice::Copy, _) => Copy.take(live, baseline, dirty),
                _ => Compare.take(live, baseline, dirty),
            }
        }
    }

    unsafe fn expect_writes(&mut self, live: Live, pages: usize) {
        if let (Choice::Watch, Some(watch)) = (self.choice, &mut self.watch) {
            // SAFETY: the caller's contract.
            unsafe { watch.expect_writes(live, pages) }
        }
    }

    fn is_untouched(&mut self) -> bool {
        let (Choice::Watch, Some(watch)) = (self.choice, &mut self.watch) else { return false };
        let untouched = watch.is_untouched();
        if untouched {
            // As learn() would: nothing was written, and nothing is cheaper.
            self.written_x16 = self.written_x16 * 7 / 8;
            self.better_for = 0;
        }
        untouched
    }

    unsafe fn restart(&mut self, live: Live) -> Result<()> {
        match (self.choice, &mut self.watch) {
            // SAFETY: the caller's contract.
            (Choice::Watch, Some(watch)) => unsafe { watch.restart(live) },
            _ => Ok(()),
        }
    }

    fn id(&self) -> i32 {
        match (self.choice, &self.watch) {
            (Choice::Watch, Some(watch)) => watch.id(),
            (Choice::Copy, _) => super::copy::ID,
            _ => super::compare::ID,
        }
    }
}
