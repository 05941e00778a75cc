//! Check: verifies S1 and S2 of a history.

use super::{History, NO_LOG};
use crate::error::Flaw;
use std::ptr;

fn damaged(what: &str) -> std::result::Result<(), Flaw> {
    Err(Flaw::Damaged(what.into()))
}

impl History {
    /// Verifies S1 and S2. It does not verify S3: that takes a copy made at the capture.
    pub fn check(&self) -> std::result::Result<(), Flaw> {
        let newest_pages = self.snapshots.back().map_or(0, |newest| newest.used_pages as usize);
        if self.mirror.len() != newest_pages {
            return damaged("S1: the mirror's length is not the newest snapshot's");
        }
        let mut pages = Vec::new();
        let free = self.store.free_pages();
        let total = self.store.used_pages() + free.len();
        pages.try_reserve(total).map_err(|_| Flaw::NoMemory)?;
        let logs = self.snapshots.iter().filter(|snapshot| snapshot.log != NO_LOG);
        if logs.clone().count() + self.spare.len() != self.logs.len() {
            return damaged("S2: a log is in two places or nowhere");
        }
        for snapshot in logs {
            let undo = &self.logs[snapshot.log as usize];
            undo.check(snapshot.used_pages as usize)?;
            if pages.len() + undo.pages().count() > total {
                return damaged("S2: a page is in two places");
            }
            pages.extend(undo.pages());
        }
        if pages.len() + self.mirror.len() + free.len() != total {
            return damaged("S2: a page is in two places or nowhere");
        }
        pages.extend(self.mirror.iter().chain(free));
        pages.sort_unstable();
        if pages.windows(2).any(|pair| pair[0] == pair[1]) || pages.contains(&ptr::null_mut()) {
            return damaged("S2: a page is in two places");
        }
        Ok(())
    }
}
