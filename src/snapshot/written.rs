//! Written: the pages that a restore may write to.

use crate::pages::{Live, PageSet};
use crate::units::PAGE_SIZE;
use std::ffi::c_void;

/// What a restore is about to do, page by page.
pub struct Written<'a> {
    pub(super) live: Live,
    /// Pages below which neither the live state nor a snapshot on the way ends.
    pub(super) common_pages: usize,
    pub(super) pages: &'a PageSet,
    pub(super) undone: &'a PageSet,
}

impl Written<'_> {
    /// Whether some of `bytes` bytes in the region may be written.
    #[inline]
    pub fn touches(&self, start: *const c_void, bytes: usize) -> bool {
        let offset = start.addr() - self.live.base.addr();
        let (first, last) = (offset / PAGE_SIZE, (offset + bytes) / PAGE_SIZE);
        last >= self.common_pages
            || (first..=last).any(|page| self.pages.contains(page) || self.undone.contains(page))
    }
}
