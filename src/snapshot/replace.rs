//! Replace: a capture under the newest label once more.
//!
//! The log before the newest snapshot is exchanged with the mirror: the mirror becomes the older
//! snapshot, the log leads to the one that is replaced, and the live region is captured against the
//! older one. Should memory run out, a second exchange undoes the first.
//!
//! ```text
//!               older               newest
//!  before       undo {to older}  <- mirror = newest
//!  after swap   mirror = older   -> redo {to newest}
//! ```

use super::lines::Mask;
use super::undo::equalize;
use super::{History, NO_LOG};
use crate::error::Result;
use crate::pages::Live;
use crate::tracker::Tracker;

impl History {
    /// Makes the newest snapshot what is live. After an error nothing has changed.
    pub(super) unsafe fn replace_newest(
        &mut self,
        live: Live,
        tracker: &mut dyn Tracker,
    ) -> Result<()> {
        let newest = self.snapshots.len() - 1;
        let newest_pages = self.mirror.len();
        // SAFETY: the contract of capture().
        unsafe {
            match newest.checked_sub(1) {
                None => {
                    self.find(live, live.used_pages.max(newest_pages), tracker)?;
                    self.reserve_mirror(live.used_pages)?;
                    self.follow(live, |page| tracker.lines(page));
                }
                Some(older) => {
                    let older_pages = self.snapshots[older].used_pages as usize;
                    let widest = live.used_pages.max(newest_pages).max(older_pages);
                    self.find(live, widest, tracker)?;
                    let redo = self.swap_to_older(older, widest)?;
                    let redone = &self.logs[redo as usize];
                    redone.changed_pages().for_each(|page| self.pages.insert(page.get()));
                    self.pages.insert_range(newest_pages.min(older_pages), older_pages);
                    let moved = self
                        .reserve_mirror(live.used_pages)
                        .and_then(|()| self.move_changes(live, older, |_| Mask::MAX));
                    if let Err(error) = moved {
                        self.swap_back(older, redo, newest_pages);
                        return Err(error);
                    }
                    self.give_log(redo);
                }
            }
            self.noted = self.noted.filter(|&at| at < newest);
            self.snapshots[newest].used_pages = live.used_pages as u32;
            self.finish(live, tracker);
        }
        Ok(())
    }

    /// Makes the mirror what the snapshot before the newest holds. Answers the log that leads back.
    unsafe fn swap_to_older(&mut self, older: usize, widest: usize) -> Result<u32> {
        let redo = match self.snapshots[older].log {
            NO_LOG => self.take_log()?,
            log => log,
        };
        let used_pages = self.snapshots[older].used_pages as usize;
        let log = &mut self.logs[redo as usize];
        if let Err(error) = log.reserve_swap(&mut self.mirror, widest) {
            if self.snapshots[older].log == NO_LOG {
                self.give_log(redo);
            }
            return Err(error);
        }
        // SAFETY: the log holds what the newest snapshot took from this mirror.
        unsafe { log.swap(&mut self.mirror, used_pages) };
        self.snapshots[older].log = NO_LOG;
        Ok(redo)
    }

    /// Undoes [`swap_to_older`](Self::swap_to_older).
    unsafe fn swap_back(&mut self, older: usize, redo: u32, newest_pages: usize) {
        let log = &mut self.logs[redo as usize];
        // SAFETY: the log leads from this mirror; room was reserved.
        unsafe { log.swap(&mut self.mirror, newest_pages) };
        if log.is_empty() {
            self.give_log(redo);
        } else {
            self.snapshots[older].log = redo;
        }
    }

    /// Makes the mirror what is live, and keeps nothing of what it was. In the set stay the pages
    /// that did differ, and those that are new.
    unsafe fn follow(&mut self, live: Live, lines_of: impl Fn(usize) -> Mask) {
        let kept = live.used_pages.min(self.mirror.len());
        self.mirror.drain(kept..).for_each(|page| self.store.give(page));
        let mirror = &self.mirror;
        // SAFETY: the contract of capture(); the mirror's pages are the store's.
        self.pages.retain(|page| unsafe {
            page < kept && equalize(lines_of(page), live.page(page), mirror[page]) != 0
        });
        self.pages.insert_range(kept, live.used_pages);
        // SAFETY: as above.
        unsafe { self.extend_mirror(live) };
    }
}
