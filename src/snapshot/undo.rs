//! Undo log: what one capture replaced in the mirror. Every byte that a capture or a restore copies
//! is copied here.
//!
//! ```text
//!  changes   page 3: lines 0, 9     page 7: line 2
//!  log       | line 0 | line 9 |    | line 2 |          one after the other, in pages of the store
//!  whole     page 5: nearly all of its lines, so the page itself; the mirror got another
//!  cut       pages that the mirror lost at its end, as a whole
//! ```

use super::lines::{self, LINES_PER_PAGE, Mask, each};
use super::store::PageStore;
use crate::error::{Error, Flaw, Result};
use crate::pages::{Live, PageIndex, PagePtr, PageSet};
use crate::units::{LINE_BYTES, PAGE_SIZE};
use std::{mem, ptr};

type Line = [u64; LINE_BYTES / 8];

/// Copies one page.
///
/// # Safety
/// Both are whole pages, one of them outside the region; nothing else touches them meanwhile.
#[inline]
pub unsafe fn copy_page(from: *const u8, to: *mut u8) {
    // SAFETY: the caller's contract. A raw copy, not a slice: Lua aliases the region (R3).
    unsafe { ptr::copy_nonoverlapping(from, to, PAGE_SIZE) }
}

/// Copies one line.
///
/// # Safety
/// Both are whole lines, aligned to 8 bytes, that nothing else touches during the call.
#[inline(always)]
pub unsafe fn copy_line(from: *const u8, to: *mut u8) {
    // SAFETY: the caller's contract.
    unsafe { to.cast::<Line>().write(from.cast::<Line>().read()) }
}

/// Copies those lines of one page.
///
/// # Safety
/// Both are whole pages, aligned as pages are, that nothing else touches during the call.
pub unsafe fn copy_lines(mask: Mask, from: *const u8, to: *mut u8) {
    // SAFETY: the caller's contract.
    unsafe {
        match mask {
            Mask::MAX => copy_page(from, to),
            _ => each(mask)
                .map(|line| line * LINE_BYTES)
                .for_each(|offset| copy_line(from.add(offset), to.add(offset))),
        }
    }
}

/// Makes those lines of the second page equal to the first's; answers the lines that were not.
///
/// # Safety
/// Both are whole pages, aligned as pages are, that nothing else touches during the call.
pub unsafe fn equalize(suspects: Mask, from: *const u8, to: *mut u8) -> Mask {
    // SAFETY: the caller's contract.
    unsafe {
        let mask = lines::differing_in(suspects, from, to);
        each(mask)
            .for_each(|line| copy_line(from.add(line * LINE_BYTES), to.add(line * LINE_BYTES)));
        mask
    }
}

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
    /// Pages of which nearly every line was replaced: the mirror's own, as they were.
    whole: Vec<(PageIndex, PagePtr)>,
    cut: Vec<PagePtr>,
}

/// So many lines of a page are kept as the whole page: one copy instead of two, for little memory.
const NEARLY_ALL: u32 = LINES_PER_PAGE as u32 * 7 / 8;

/// Pages whose lines are on their way from memory while one is exchanged.
const AHEAD: usize = 8;

impl Undo {
    /// Moves those lines that two versions of a page differ in: the mirror's into the log, the live
    /// ones into the mirror. Where these are nearly all, the mirror gets another page.
    ///
    /// After an error, which only missing memory is, nothing has changed.
    ///
    /// # Safety
    /// Both are whole pages, and nothing else touches them during the call.
    #[inline(always)]
    unsafe fn exchange(
        &mut self,
        page: PageIndex,
        suspects: Mask,
        live: *const u8,
        mirror: &mut [PagePtr],
        store: &mut PageStore,
    ) -> Result<()> {
        let mirrored = mirror[page.get()];
        // SAFETY: the caller's contract.
        let mask = unsafe { lines::differing_in(suspects, live, mirrored) };
        if mask == 0 {
            return Ok(());
        }
        if mask.count_ones() >= NEARLY_ALL {
            store.reserve(1)?;
            self.whole.try_reserve(1).map_err(|_| Error::NoMemoryForPages { wanted_pages: 1 })?;
            let copy = store.take();
            // SAFETY: the caller's contract; the copy is a page of the store.
            unsafe { copy_page(live, copy) };
            mirror[page.get()] = copy;
            self.whole.push((page, mirrored));
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
        for line in each(mask) {
            let offset = line * LINE_BYTES;
            // SAFETY: inside the pages; the log has room for the mask's lines.
            unsafe {
                let place = self.line(self.line_count);
                copy_line(mirrored.add(offset), place);
                copy_line(live.add(offset), mirrored.add(offset));
            }
            self.line_count += 1;
        }
        Ok(())
    }

    /// Exchanges each of the `pages` below `end`, in the lines of it that may differ.
    ///
    /// After an error, which only missing memory is, those before are exchanged.
    ///
    /// # Safety
    /// As for [`exchange`](Self::exchange), for all of them.
    pub unsafe fn exchange_all(
        &mut self,
        pages: &PageSet,
        end: usize,
        lines_of: impl Fn(usize) -> Mask,
        live: Live,
        mirror: &mut [PagePtr],
        store: &mut PageStore,
    ) -> Result<()> {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has it; the caller's contract.
            return unsafe { self.exchange_all_avx2(pages, end, lines_of, live, mirror, store) };
        }
        // SAFETY: the caller's contract.
        unsafe { self.exchange_all_anywhere(pages, end, lines_of, live, mirror, store) }
    }

    /// The same code, compiled for registers twice as wide.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    #[target_feature(enable = "avx2")]
    unsafe fn exchange_all_avx2(
        &mut self,
        pages: &PageSet,
        end: usize,
        lines_of: impl Fn(usize) -> Mask,
        live: Live,
        mirror: &mut [PagePtr],
        store: &mut PageStore,
    ) -> Result<()> {
        // SAFETY: the caller's contract.
        unsafe { self.exchange_all_anywhere(pages, end, lines_of, live, mirror, store) }
    }

    #[inline(always)]
    unsafe fn exchange_all_anywhere(
        &mut self,
        pages: &PageSet,
        end: usize,
        lines_of: impl Fn(usize) -> Mask,
        live: Live,
        mirror: &mut [PagePtr],
        store: &mut PageStore,
    ) -> Result<()> {
        let pages = pages.iter().take_while(|page| page.get() < end);
        let mut pages = pages.map(|page| (page, lines_of(page.get())));
        let mut coming = [(PageIndex(0), 0); AHEAD];
        let (mut at, mut count) = (0, 0);
        loop {
            while count < AHEAD
                && let Some((page, suspects)) = pages.next()
            {
                lines::prefetch(suspects, live.page(page.get()));
                lines::prefetch(suspects, mirror[page.get()]);
                coming[(at + count) % AHEAD] = (page, suspects);
                count += 1;
            }
            if count == 0 {
                break;
            }
            let (page, suspects) = coming[at];
            (at, count) = ((at + 1) % AHEAD, count - 1);
            let from = live.page(page.get());
            // SAFETY: the caller's contract.
            unsafe { self.exchange(page, suspects, from, mirror, store)? };
        }
        Ok(())
    }

    /// Whether nothing was replaced.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.whole.is_empty() && self.cut.is_empty()
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

    /// Puts the lines back into the mirror, and hands each on: page, offset in it, the line. The
    /// log is to be cleared then.
    ///
    /// # Safety
    /// The mirror names a page for each change, and nothing else touches these during the call.
    pub unsafe fn put_back(
        &mut self,
        mirror: &mut [PagePtr],
        mut also: impl FnMut(usize, usize, *const u8),
    ) {
        for (page, kept) in &mut self.whole {
            mem::swap(kept, &mut mirror[page.get()]);
            let back = mirror[page.get()];
            (0..PAGE_SIZE)
                .step_by(LINE_BYTES)
                .for_each(|offset| also(page.get(), offset, back.wrapping_add(offset)));
        }
        let mut at = 0;
        for change in &self.changes {
            let index = change.page.get();
            for line in each(change.mask) {
                let from = self.line(at);
                let offset = line * LINE_BYTES;
                // SAFETY: inside the mirror's page, and the log's.
                unsafe { copy_line(from, mirror[index].add(offset)) };
                also(index, offset, from);
                at += 1;
            }
        }
    }

    /// Of a copy of the newer snapshot, which has `used_pages` pages, makes the wanted lines those
    /// of the older.
    ///
    /// # Safety
    /// `copy` has a page for each mask.
    pub unsafe fn copy_to(&self, copy: *mut u8, used_pages: usize, wanted: &[Mask]) {
        let wanted = |page: usize| wanted.get(page).copied().unwrap_or(0);
        let whole = self.whole.iter().map(|&(page, kept)| (page.get(), kept));
        let cut = self.cut.iter().enumerate().map(|(at, &kept)| (used_pages + at, kept));
        // SAFETY: the contract above; the pages are the store's.
        unsafe {
            for (page, kept) in whole.chain(cut) {
                copy_lines(wanted(page), kept, copy.wrapping_add(page * PAGE_SIZE));
            }
            let mut first = 0;
            for &Change { page, mask } in &self.changes {
                let to = copy.wrapping_add(page.get() * PAGE_SIZE);
                for line in each(mask & wanted(page.get())) {
                    let before = (mask & ((1 << line) - 1)).count_ones() as usize;
                    copy_line(self.line(first + before), to.add(line * LINE_BYTES));
                }
                first += mask.count_ones() as usize;
            }
        }
    }

    /// Makes room for [`swap`](Self::swap), there and back, where the mirror has up to
    /// `most_pages` pages.
    pub fn reserve_swap(&mut self, mirror: &mut Vec<PagePtr>, most_pages: usize) -> Result<()> {
        let more = most_pages.saturating_sub(mirror.len());
        mirror
            .try_reserve(more)
            .and_then(|()| self.cut.try_reserve(most_pages.saturating_sub(self.cut.len())))
            .map_err(|_| Error::NoMemoryForPages { wanted_pages: most_pages })
    }

    /// Exchanges the log with the mirror: the mirror becomes what the older snapshot holds, of
    /// `used_pages` pages, and the log leads to what the mirror was. Again, and both are as before.
    ///
    /// # Safety
    /// The log leads from this mirror; nothing else touches its pages during the call.
    pub unsafe fn swap(&mut self, mirror: &mut Vec<PagePtr>, used_pages: usize) {
        for (page, kept) in &mut self.whole {
            mem::swap(kept, &mut mirror[page.get()]);
        }
        let mut at = 0;
        for change in &self.changes {
            for line in each(change.mask) {
                // SAFETY: inside the mirror's page, and the log's.
                unsafe {
                    let ours = self.line(at).cast::<Line>();
                    let theirs = mirror[change.page.get()].add(line * LINE_BYTES).cast::<Line>();
                    ptr::swap(ours, theirs);
                }
                at += 1;
            }
        }
        if mirror.len() > used_pages {
            self.cut(mirror, used_pages);
        } else {
            self.uncut(mirror);
        }
        debug_assert_eq!(mirror.len(), used_pages);
    }

    /// Gives the pages back to the store; keeps its own memory.
    pub fn clear(&mut self, store: &mut PageStore) {
        self.changes.clear();
        self.line_count = 0;
        let whole = self.whole.drain(..).map(|(_, page)| page);
        let pages = self.log.drain(..).chain(whole).chain(self.cut.drain(..));
        pages.for_each(|page| store.give(page));
    }

    /// Pages with changed lines.
    pub fn changed_pages(&self) -> impl Iterator<Item = PageIndex> + '_ {
        let whole = self.whole.iter().map(|&(page, _)| page);
        self.changes.iter().map(|change| change.page).chain(whole)
    }

    /// Hands on pages, and lines of them, that were replaced.
    pub fn each_changed(&self, mut found: impl FnMut(usize, Mask)) {
        self.changes.iter().for_each(|change| found(change.page.get(), change.mask));
        self.whole.iter().for_each(|&(page, _)| found(page.get(), Mask::MAX));
    }

    /// Pages of the store that are held.
    pub fn pages(&self) -> impl Iterator<Item = PagePtr> + '_ {
        let whole = self.whole.iter().map(|&(_, page)| page);
        self.log.iter().chain(&self.cut).copied().chain(whole)
    }

    /// Verifies the log of a snapshot of `used_pages` pages.
    pub fn check(&self, used_pages: usize) -> std::result::Result<(), Flaw> {
        let lines: usize =
            self.changes.iter().map(|change| change.mask.count_ones() as usize).sum();
        if lines != self.line_count || lines.div_ceil(LINES_PER_PAGE) != self.log.len() {
            return Err(Flaw::Damaged(
                "S2: an undo log's lines are not those of its changes".into(),
            ));
        }
        let rising = self.changes.windows(2).all(|pair| pair[0].page < pair[1].page)
            && self.whole.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let inside = self.changed_pages().all(|page| page.get() < used_pages);
        if !rising || !inside || self.changes.iter().any(|change| change.mask == 0) {
            return Err(Flaw::Damaged("S2: an undo log's changes are misplaced".into()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(align(4096))]
    struct Page([u8; PAGE_SIZE]);

    #[test]
    fn equal_pages_after_equalize_whatever_differed() {
        let one = Page([0; PAGE_SIZE]);
        for set in [0, 1, 1 << 63, 0xf0f0 << 20, u64::MAX] {
            let mut other = Page([0; PAGE_SIZE]);
            each(set).for_each(|line| other.0[line * LINE_BYTES + 5] = 1);
            // SAFETY: two pages of ours.
            assert_eq!(unsafe { equalize(u64::MAX, one.0.as_ptr(), other.0.as_mut_ptr()) }, set);
            assert_eq!(one.0, other.0);
        }
    }
}
