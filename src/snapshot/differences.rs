//! What a capture or a restore changed, and what differs from the newest snapshot: for whoever
//! follows a state.

use super::{History, lines};
use crate::pages::{Live, PageIndex};

impl History {
    /// Hands on what the last capture, which added a snapshot, found changed or new: pages, and
    /// lines of them.
    pub fn each_added(&self, mut found: impl FnMut(usize, u64)) {
        let held = self.snapshots.len();
        let Some(before) = held.checked_sub(2).map(|at| &self.snapshots[at]) else { return };
        if let Some(undo) = self.logs.get(before.log as usize) {
            undo.each_changed(&mut found);
        }
        let (first, end) = (before.used_pages as usize, self.snapshots[held - 1].used_pages);
        (first..end as usize).for_each(|page| found(page, u64::MAX));
    }

    /// Pages that the last restore may have changed.
    pub fn restored_pages(&self) -> impl Iterator<Item = usize> + '_ {
        self.pages.iter().chain(self.undone.iter()).map(PageIndex::get)
    }

    /// Hands on what differs from the newest snapshot, among the lines of each page that may:
    /// pages, and lines of them.
    ///
    /// # Safety
    /// Nothing writes to the region during the call.
    pub unsafe fn each_difference(
        &self,
        live: Live,
        mut lines_of: impl FnMut(usize) -> u64,
        mut found: impl FnMut(usize, u64),
    ) {
        for page in 0..live.used_pages {
            let differing = match (lines_of(page), self.mirror.get(page)) {
                (0, _) => 0,
                // SAFETY: whole pages; the contract above.
                (lines, Some(&kept)) => unsafe {
                    lines::differing_in(lines, live.page(page), kept)
                },
                (_, None) => u64::MAX,
            };
            if differing != 0 {
                found(page, differing);
            }
        }
    }
}
