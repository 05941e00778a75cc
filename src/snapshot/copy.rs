//! Copy: a held snapshot in one piece, which goes from one snapshot to another by what changed
//! between them.

use super::History;
use super::lines::Mask;
use super::undo::copy_lines;
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

    fn resize(&mut self, pages: usize) -> Result<()> {
        let more = pages.saturating_sub(self.0.len());
        self.0.try_reserve_exact(more).map_err(no_memory(pages))?;
        self.0.resize(pages, [0; PAGE_SIZE / 16]);
        Ok(())
    }
}

fn no_memory<T>(wanted_pages: usize) -> impl FnOnce(T) -> Error {
    move |_| Error::NoMemoryForPages { wanted_pages }
}

impl History {
    /// A copy of the n-th newest snapshot, which is held.
    ///
    /// Cost: the used pages, and what the snapshots between replaced.
    pub fn copy_of(&self, n: usize) -> Result<Copy> {
        let at = self.snapshots.len() - n;
        let pages = self.snapshots[at].used_pages as usize;
        let mut copy = Copy(Vec::new());
        copy.resize(pages)?;
        self.read(at, &Self::masks(pages, Mask::MAX)?, &mut copy);
        Ok(copy)
    }

    /// Makes a copy of the `from`-th newest snapshot one of the `to`-th. Hands on which lines of
    /// which pages may differ. After an error the copy is none.
    ///
    /// Cost: what changed between them, and what the snapshots behind `to` replaced.
    pub fn move_copy(
        &self,
        copy: &mut Copy,
        (from, to): (usize, usize),
        mut found: impl FnMut(usize, Mask),
    ) -> Result<()> {
        let held = self.snapshots.len();
        let (from, to) = (held - from, held - to);
        let (first, last) = (from.min(to), from.max(to));
        let pages = self.snapshots[to].used_pages as usize;
        let mut lines = Self::masks(pages, 0)?;
        let logs = self.snapshots.range(first..last);
        for log in logs.filter_map(|held| self.logs.get(held.log as usize)) {
            log.each_changed(|page, mask| {
                if let Some(lines) = lines.get_mut(page) {
                    *lines |= mask;
                }
            });
        }
        // What not all of them have is in no log, or in a log as it was cut off.
        let between = self.snapshots.range(first..=last);
        let fewest = between.map(|held| held.used_pages as usize).min().unwrap_or(0);
        lines.iter_mut().skip(fewest).for_each(|lines| *lines = Mask::MAX);
        copy.resize(pages)?;
        self.read(to, &lines, copy);
        let changed = lines.iter().enumerate().filter(|&(_, &lines)| lines != 0);
        changed.for_each(|(page, &lines)| found(page, lines));
        Ok(())
    }

    fn masks(pages: usize, mask: Mask) -> Result<Vec<Mask>> {
        let mut masks = Vec::new();
        masks.try_reserve_exact(pages).map_err(no_memory(pages))?;
        masks.resize(pages, mask);
        Ok(masks)
    }

    /// Reads those lines of each page of the snapshot at `at`: as the mirror has them, then as each
    /// log on the way has them.
    fn read(&self, at: usize, wanted: &[Mask], copy: &mut Copy) {
        let to: *mut u8 = copy.0.as_mut_ptr().cast();
        let newest = self.snapshots.len() - 1;
        // SAFETY: the copy has a page for each mask; the others are pages of the store (S1).
        unsafe {
            for (page, (&mask, &kept)) in wanted.iter().zip(&self.mirror).enumerate() {
                copy_lines(mask, kept, to.add(page * PAGE_SIZE));
            }
            for older in (at..newest).rev() {
                let used_pages = self.snapshots[older + 1].used_pages as usize;
                if let Some(undo) = self.logs.get(self.snapshots[older].log as usize) {
                    undo.copy_to(to, used_pages, wanted);
                }
            }
        }
    }

    /// Notes that somebody keeps a copy of the n-th newest snapshot, until that is held no longer.
    pub fn note(&mut self, n: usize) {
        self.noted = Some(self.snapshots.len() - n);
    }

    /// Which snapshot was noted last: it is the n-th newest, and as it was.
    pub fn noted(&self) -> Option<usize> {
        self.noted.map(|at| self.snapshots.len() - at)
    }
}
