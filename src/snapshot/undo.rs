//! Undo log: what one capture replaced in the mirror.
//!
//! ```text
//!  changes   page 3: lines 0, 9     page 7: line 2
//!  log       | line 0 | line 9 |    | line 2 |          one after the other, in pages of the store
//!  cut       pages that the mirror lost at its end, as a whole
//! ```

use super::lines::{self, LINE_BYTES, LINES_PER_PAGE, Mask};
use super::store::PageStore;
use crate::error::{Error, Result};
use crate::tracker::{Live, PagePtr, PageSet};
use crate::units::PageIndex;

/// Lines of one page.
struct Change {
    page: PageIndex,
    mask: Mask,
}

/// What one capture replaced. Its pages are the store's; whoever drops it clears it first.
#[derive(Default)]
pub struct Undo {
    /// Rising by page.
    changes: Vec<Change>,
    log: Vec<PagePtr>,
    line_count: usize,
    cut: Vec<PagePtr>,
}

impl Undo {
    /// Moves the lines that two versions of a page differ in: the mirror's into the log, the live
    /// ones into the mirror.
    ///
    /// After an error, which only missing memory is, nothing has changed.
    ///
    /// # Safety
    /// Both are whole pages, and nothing else touches them during the call.
    #[inline]
    unsafe fn exchange(
        &mut self,
        page: PageIndex,
        live: *const u8,
        mirrored: PagePtr,
        store: &mut PageStore,
    ) -> Result<()> {
        // SAFETY: the caller's contract.
        let mask = unsafe { lines::differing(live, mirrored) };
        if mask == 0 {
            return Ok(());
        }
        let line_count = self.line_count + mask.count_ones() as usize;
        if line_count > self.log.len() * LINES_PER_PAGE {
            store.reserve(1)?;
            self.log.try_reserve(1).map_err(|_| Error::NoMemoryForPages { wanted_pages: 1 })?;
            self.log.push(store.take());
        }
        self.changes.try_reserve(1).map_err(|_| Error::NoMemoryForPages { wanted_pages: 1 })?;
        self.changes.push(Change { page, mask });
        for line in lines::each(mask) {
            let offset = line * LINE_BYTES;
            // SAFETY: inside the pages; the log has room for the mask's lines.
            unsafe {
                let place = self.line(self.line_count);
                lines::copy_line(mirrored.add(offset), place);
                lines::copy_line(live.add(offset), mirrored.add(offset));
            }
            self.line_count += 1;
        }
        Ok(())
    }

    /// Exchanges each of the `pages` below `end`.
    ///
    /// After an error, which only missing memory is, those before are exchanged.
    ///
    /// # Safety
    /// As for [`exchange`](Self::exchange), for all of them.
    pub unsafe fn exchange_all(
        &mut self,
        pages: &PageSet,
        end: usize,
        live: Live,
        mirror: &[PagePtr],
        store: &mut PageStore,
    ) -> Result<()> {
        let mut pages = pages.iter().take_while(|page| page.get() < end);
        let mut next = pages.next();
        while let Some(page) = next {
            next = pages.next();
            if let Some(next) = next {
                lines::prefetch(live.page(next.get()));
                lines::prefetch(mirror[next.get()]);
            }
            // SAFETY: the caller's contract.
            unsafe { self.exchange(page, live.page(page.get()), mirror[page.get()], store)? };
        }
        Ok(())
    }

    /// Whether nothing was replaced.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.cut.is_empty()
    }

    /// Where a line of the log lies.
    fn line(&self, at: usize) -> *mut u8 {
        self.log[at / LINES_PER_PAGE].wrapping_add(at % LINES_PER_PAGE * LINE_BYTES)
    }

    /// Makes room for pages that are cut off.
    pub fn reserve_cut(&mut self, pages: usize) -> Result<()> {
        self.cut.try_reserve(pages).map_err(|_| Error::NoMemoryForPages { wanted_pages: pages })
    }

    /// Takes the mirror's pages from `kept` on. Room was reserved.
    pub fn cut(&mut self, mirror: &mut Vec<PagePtr>, kept: usize) {
        self.cut.extend(mirror.drain(kept..));
    }

    /// Gives the mirror back what was cut off.
    pub fn uncut(&mut self, mirror: &mut Vec<PagePtr>) {
        mirror.append(&mut self.cut);
    }

    /// Puts the lines back into the mirror, and hands each on: page, offset in it, the line.
    ///
    /// # Safety
    /// The mirror names a page for each change, and nothing else touches these during the call.
    pub unsafe fn put_back(
        &self,
        mirror: &[PagePtr],
        mut also: impl FnMut(usize, usize, *const u8),
    ) {
        let mut at = 0;
        for change in &self.changes {
            let index = change.page.get();
            for line in lines::each(change.mask) {
                let from = self.line(at);
                let offset = line * LINE_BYTES;
                // SAFETY: inside the mirror's page, and the log's.
                unsafe { lines::copy_line(from, mirror[index].add(offset)) };
                also(index, offset, from);
                at += 1;
            }
        }
    }

    /// Gives the pages back to the store; keeps its own memory.
    pub fn clear(&mut self, store: &mut PageStore) {
        self.changes.clear();
        self.line_count = 0;
        self.log.drain(..).chain(self.cut.drain(..)).for_each(|page| store.give(page));
    }

    /// Pages with changed lines, rising.
    pub fn changed_pages(&self) -> impl Iterator<Item = PageIndex> + '_ {
        self.changes.iter().map(|change| change.page)
    }

    /// Pages of the store that are held.
    pub fn pages(&self) -> impl Iterator<Item = PagePtr> + '_ {
        self.log.iter().chain(&self.cut).copied()
    }

    /// Verifies the log of a snapshot of `used_pages` pages.
    pub fn check(&self, used_pages: usize) -> std::result::Result<(), String> {
        let lines: usize =
            self.changes.iter().map(|change| change.mask.count_ones() as usize).sum();
        if lines != self.line_count || lines.div_ceil(LINES_PER_PAGE) != self.log.len() {
            return Err("S2: an undo log's lines are not those of its changes".into());
        }
        let rising = self.changes.windows(2).all(|pair| pair[0].page < pair[1].page);
        let inside = self.changes.last().is_none_or(|last| last.page.get() < used_pages);
        if !rising || !inside || self.changes.iter().any(|change| change.mask == 0) {
            return Err("S2: an undo log's changes are misplaced".into());
        }
        Ok(())
    }
}
