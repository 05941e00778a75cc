//! Cards: suspects the lines that whoever wrote them has marked, and those that are always suspect.
//!
//! T1 holds by C1, C2 and C3, T2 since cards are cleared in a capture or a restore (C4). Works
//! everywhere alike, and asks nothing of the system.

use super::Tracker;
use crate::cards::Marks;
use crate::error::Result;
use crate::pages::{Live, PageIndex, PageSet};
use std::ops::Range;

/// The backend that reads cards.
pub struct ByCards {
    marks: Marks,
    /// Whether each capture is to compare everything, to see that nothing was missed.
    checked: bool,
    /// The page that is audited next.
    audit_page: usize,
    /// Captures and restores until then.
    audit_wait: u32,
    /// Pages whose cards are to be cleared.
    found: PageSet,
}

/// One page is audited in so many captures and restores: well under a hundredth of what these cost.
const AUDIT_EVERY: u32 = 16;

/// `RLUA_TRACKER_CARDS`.
pub const ID: i32 = 3;

impl ByCards {
    /// Reads these cards, which outlive the tracker.
    pub fn new(marks: Marks, checked: bool) -> ByCards {
        ByCards { marks, checked, audit_page: 0, audit_wait: 0, found: PageSet::default() }
    }
}

impl Tracker for ByCards {
    unsafe fn find(&mut self, live: Live, suspects: &mut PageSet) -> Result<()> {
        self.found.clear();
        self.found.resize(live.used_pages)?;
        let found = &mut self.found;
        // SAFETY: pages of the region.
        unsafe { self.marks.each_page(live.used_pages, |page| found.insert(page)) };
        suspects.insert_all(found, live.used_pages);
        Ok(())
    }

    fn lines(&self, page: usize) -> u64 {
        // SAFETY: a page of the region.
        unsafe { self.marks.lines(page) }
    }

    fn audited(&mut self, pages: usize) -> Range<usize> {
        if self.checked {
            return 0..pages;
        }
        if self.audit_wait > 0 {
            self.audit_wait -= 1;
            return 0..0;
        }
        self.audit_wait = AUDIT_EVERY - 1;
        let first = if self.audit_page < pages { self.audit_page } else { 0 };
        self.audit_page = first + 1;
        first..pages.min(first + 1)
    }

    fn is_checked(&self) -> bool {
        self.checked
    }

    unsafe fn captured(&mut self, _live: Live, _changed: &PageSet) {
        // SAFETY: pages of the region. Cards of pages that were not looked at stay: there is no
        // snapshot of those, so they are compared or copied as a whole first.
        unsafe { self.marks.clear(self.found.iter().map(PageIndex::get)) }
    }

    unsafe fn restored(&mut self, _live: Live) {
        // SAFETY: as above.
        unsafe { self.marks.clear(self.found.iter().map(PageIndex::get)) }
    }

    fn wants_suspects(&self) -> bool {
        true
    }

    fn id(&self) -> i32 {
        ID
    }
}
