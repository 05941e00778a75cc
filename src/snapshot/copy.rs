//! A copy of a held snapshot, in one piece.

use super::History;
use crate::error::{Error, Result};
use crate::units::PAGE_SIZE;

/// A page, aligned as blocks in it have to be.
type Page = [u128; PAGE_SIZE / 16];

/// The pages of a snapshot.
pub struct Copy(Vec<Page>);

impl Copy {
    /// First byte.
    pub fn start(&self) -> *const u8 {
        self.0.as_ptr().cast()
    }
}

impl History {
    /// A copy of the n-th newest snapshot, which is held.
    ///
    /// Cost: the used pages, and what the snapshots between replaced.
    pub fn copy_of(&self, n: usize) -> Result<Copy> {
        let target = self.snapshots.len() - n;
        let used_pages = |at: usize| self.snapshots[at].used_pages as usize;
        let most = (target..self.snapshots.len()).map(used_pages).max().unwrap_or(0);
        let mut pages: Vec<Page> = Vec::new();
        pages
            .try_reserve_exact(most)
            .map_err(|_| Error::NoMemoryForPages { wanted_pages: most })?;
        for &page in &self.mirror {
            // SAFETY: a page of the store (S1).
            pages.push(unsafe { page.cast::<Page>().read() });
        }
        pages.resize(most, [0; PAGE_SIZE / 16]);
        for older in (target..self.snapshots.len() - 1).rev() {
            if let Some(undo) = self.logs.get(self.snapshots[older].log as usize) {
                // SAFETY: room for the pages of both snapshots; the log leads from the newer one.
                unsafe { undo.copy_to(pages.as_mut_ptr().cast(), used_pages(older + 1)) };
            }
        }
        pages.truncate(used_pages(target));
        Ok(Copy(pages))
    }
}
