//! Cards: suspects the lines that whoever wrote them has marked, and those that are always suspect.
//!
//! T1 holds by C1, C2 and C3, T2 since cards are cleared in a capture or a restore (C4). Works
//! everywhere alike, and asks nothing of the system, but where a VM has much opaque memory: there
//! the kernel may tell which pages were written ([`Auto`]).

use super::{Auto, Tracker};
use crate::cards::Marks;
use crate::error::Result;
use crate::pages::{Live, Opaque, PageIndex, PageSet};
use std::ops::Range;

/// The backend that reads cards.
pub struct ByCards {
    marks: Marks,
    /// Whether each capture is to compare everything, to see that nothing was missed.
    checked: bool,
    /// The page that is audited next.
    audit_page: usize,
    /// Pages that are audited in [`AUDIT_SPAN`] captures and restores, and what of that is due, in
    /// parts of a page.
    audit: u32,
    audit_due: u64,
    /// Whether `opaque` is what the arena told before the last capture.
    told: bool,
    opaque: Opaque,
    auto: Auto,
    /// Pages whose cards are to be cleared.
    found: PageSet,
    /// Pages that are suspect as a whole: opaque ones, but for those that are watched and were not
    /// written.
    whole: PageSet,
}

/// Captures and restores that a budget of audited pages is for.
pub const AUDIT_SPAN: u64 = 16;

/// `RLUA_TRACKER_CARDS`.
pub const ID: i32 = 3;

impl ByCards {
    /// Reads these cards, which outlive the tracker.
    pub fn new(marks: Marks, auto: Auto, audit: u32, checked: bool) -> ByCards {
        ByCards {
            marks,
            checked,
            audit_page: 0,
            audit,
            audit_due: 0,
            told: false,
            opaque: Opaque::default(),
            auto,
            found: PageSet::default(),
            whole: PageSet::default(),
        }
    }

    /// Clears the cards of pages that were looked at. Those of others stay: there is no snapshot of
    /// these, so they are compared or copied as a whole first.
    unsafe fn clear(&mut self) {
        // SAFETY: pages of the region.
        unsafe { self.marks.clear(self.found.iter().map(PageIndex::get)) }
    }
}

impl Tracker for ByCards {
    fn ask(&mut self, used_pages: usize) -> Option<&mut Opaque> {
        self.told = false;
        self.auto.ask(&mut self.opaque, used_pages);
        Some(&mut self.opaque)
    }

    fn noted_pages(&self) -> Option<&PageSet> {
        self.opaque.noted.then_some(&self.opaque.pages)
    }

    unsafe fn find(&mut self, live: Live, suspects: &mut PageSet) -> Result<()> {
        self.found.clear();
        self.found.resize(live.used_pages)?;
        // SAFETY: the caller's contract; pages of the region.
        unsafe {
            self.whole.clear();
            self.whole.resize(live.used_pages)?;
            self.auto.find(live, &self.opaque, &mut self.whole)?;
            // Whatever Lua has marked of noted pages says less, and stays.
            let others = self.opaque.pages.others(live.used_pages);
            let found = &mut self.found;
            self.marks.each_page(others, live.used_pages, |page| found.insert(page));
        }
        suspects.insert_all(&self.found, live.used_pages);
        suspects.insert_all(&self.whole, live.used_pages);
        Ok(())
    }

    fn lines(&self, page: usize) -> u64 {
        if self.whole.contains(page) {
            return u64::MAX;
        }
        // SAFETY: a page of the region.
        unsafe { self.marks.lines(page) }
    }

    fn audited(&mut self, pages: usize) -> Range<usize> {
        if self.checked {
            return 0..pages;
        }
        self.audit_due += u64::from(self.audit);
        let due = (self.audit_due / AUDIT_SPAN) as usize;
        self.audit_due %= AUDIT_SPAN;
        let first = if self.audit_page < pages { self.audit_page } else { 0 };
        let end = pages.min(first + due);
        self.audit_page = end;
        first..end
    }

    fn is_checked(&self) -> bool {
        self.checked
    }

    unsafe fn captured(&mut self, live: Live, changed: &PageSet) {
        // SAFETY: the caller's contract.
        unsafe {
            self.clear();
            self.auto.captured(live, &self.opaque, changed);
        }
        self.told = true;
    }

    unsafe fn expect_writes(&mut self, live: Live, pages: &PageSet) {
        // SAFETY: the caller's contract.
        unsafe { self.auto.expect_writes(live, &self.opaque, pages) }
    }

    unsafe fn restored(&mut self, live: Live) {
        // SAFETY: the caller's contract.
        unsafe {
            self.clear();
            self.auto.restored(live, &self.opaque);
        }
    }

    fn is_left_alone(&self) -> bool {
        // SAFETY: the table lives.
        unsafe { !self.marks.is_entered() }
    }

    fn suspects_alone(&self) -> Option<&[u32]> {
        if !self.told || !self.is_left_alone() {
            return None;
        }
        self.opaque.lines.get()
    }

    fn id(&self) -> i32 {
        if self.auto.is_watching() { super::uffd::ID } else { ID }
    }
}
