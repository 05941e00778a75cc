//! Cards: a byte for each line of a region says that the line may have been written.
//!
//! ```text
//!  +-----------------------------+---------+--------------------------+
//!  | a byte for each 128 bytes   | Entered | a card for each 64 bytes |
//!  +-----------------------------+---------+--------------------------+
//!      <- of a thread that was            ^ what lua_State holds    ->
//!         entered: where it begins, plus 1
//! ```
//!
//! Whoever writes to the region marks cards: Lua, patched (`vendor/patches`, overrides/cards.h),
//! and the arena. What is written by those who cannot know it is suspected at each capture. The
//! table is outside the region: it is not part of the state, and does not roll back. It grows with
//! the region, to both sides. A few tables of closed VMs are kept, cleared, for the next one.
//!
//! A set card stands for its line and for the line before it: so one mark is enough for a value of
//! 16 bytes, or a node of 24, that lies on two lines, when the line of its end is marked.
//!
//! # Invariants
//! - C1 *marked*: a store to the region, to memory that is neither fresh nor suspect, marks the
//!   line, or the one after it, in the same interval.
//! - C4 *kept*: cards are cleared only inside a capture or a restore that succeeded; where no
//!   snapshot is held, where a delta is applied, which alone asks for them then.
//!
//! # Not here
//! What the arena marks (C2: [`crate::arena`]), what is suspect (C3: `crate::vm`), who reads the
//! cards ([`crate::tracker`]).

use crate::error::{Error, Result};
use crate::sys::memory;
use crate::units::{LINE_BYTES, PAGE_SIZE};
use std::ptr::{self, NonNull};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Cards of a page.
const CARDS: usize = PAGE_SIZE / LINE_BYTES;
/// A thread's state is longer than this, so at most one begins in each such part.
const THREAD_BYTES: usize = 128;

/// Threads that were entered, before the cards; C's `rlua_Entered`.
#[repr(C)]
struct Entered {
    /// The byte of the region's first part; the others lie below it.
    threads: *mut u8,
    count: u32,
    /// More threads were entered than the list has room for: the bytes tell all of them.
    overflow: u8,
    /// Whether the main thread was entered, or the allocator by a host. It is in no list.
    main: u8,
    /// The byte of the highest thread that was entered.
    highest: usize,
    list: [usize; ENTERED_MAX],
    unused: u32,
    /// Which bits of a line's number count: all (overrides/cards.h).
    mask: u32,
}
const ENTERED_MAX: usize = (PAGE_SIZE - 32) / 8;
const _: () = assert!(size_of::<Entered>() == PAGE_SIZE);

/// Bytes for threads, and for cards, of so many bytes of a region.
fn needs(region_bytes: usize) -> (usize, usize) {
    // One page's cards more: the card after the last line is looked at.
    let cards = (region_bytes.div_ceil(PAGE_SIZE) + 1) * CARDS;
    (region_bytes.div_ceil(THREAD_BYTES), cards)
}

/// The table of one region.
pub struct Cards {
    start: NonNull<u8>,
    bytes: usize,
    /// Where `Entered` lies.
    middle: usize,
    /// What of the table can be used, and for how many bytes of the region that is enough.
    low: usize,
    high: usize,
    covered_bytes: usize,
}

// SAFETY: owned like a box.
unsafe impl Send for Cards {}

impl Cards {
    /// A table for up to `region_bytes`, which is entered, and nothing marked. It covers nothing
    /// yet.
    pub fn new(region_bytes: usize) -> Result<Cards> {
        let page = memory::system_page_bytes();
        let (threads, cards) = needs(region_bytes);
        let middle = threads.next_multiple_of(page);
        let bytes = (middle + PAGE_SIZE + cards).next_multiple_of(page);
        if let Some(spare) = take_spare(bytes) {
            // SAFETY: the table covers a first page.
            unsafe { spare.marks().enter() };
            return Ok(spare);
        }
        let no_room = |_| Error::NoAddressSpace { wanted_bytes: bytes };
        let start = memory::map(bytes).map_err(no_room)?;
        let (low, high) = (middle, middle);
        let mut table = Cards { start, bytes, middle, low, high, covered_bytes: 0 };
        table.cover(1)?;
        // SAFETY: inside the table, which is zero and covers a first page.
        unsafe {
            (*table.marks().entered()).threads = start.as_ptr().add(middle - 1);
            (*table.marks().entered()).mask = u32::MAX;
            // What is being made is written to.
            table.marks().enter();
        }
        Ok(table)
    }

    /// Makes sure that the first `region_bytes` have cards.
    #[inline]
    pub fn cover(&mut self, region_bytes: usize) -> Result<()> {
        if region_bytes <= self.covered_bytes { Ok(()) } else { self.cover_more(region_bytes) }
    }

    #[cold]
    fn cover_more(&mut self, region_bytes: usize) -> Result<()> {
        let page = memory::system_page_bytes();
        let (threads, cards) = needs(region_bytes);
        let low = (self.middle - threads) / page * page;
        let high = (self.middle + PAGE_SIZE + cards).next_multiple_of(page);
        let start = self.start.as_ptr();
        let commit = |from: usize, to: usize| match from < to {
            // SAFETY: inside the table, at pages of the system.
            true => unsafe { memory::commit(start.add(from), to - from) },
            false => Ok(()),
        };
        commit(low, self.low)
            .and_then(|()| commit(self.high, high))
            .map_err(|_| Error::Commit { wanted_bytes: high - low })?;
        (self.low, self.high, self.covered_bytes) = (low, high, region_bytes);
        Ok(())
    }

    /// Gives up the table of a closed VM, which wrote to the first `written_bytes` of its region.
    pub fn retire(self, written_bytes: usize) {
        if self.covered_bytes > SPARE_REGION_BYTES || spares().iter().all(Option::is_some) {
            return;
        }
        // SAFETY: the table covers what was written, and the card after it. C4: nobody is left who
        // could ask what was written.
        unsafe { self.marks().clear(0..written_bytes.div_ceil(PAGE_SIZE) + 1) };
        if let Some(place) = spares().iter_mut().find(|place| place.is_none()) {
            *place = Some(self);
        }
    }

    /// Cards of a region of so many bytes.
    pub fn count(region_bytes: usize) -> usize {
        region_bytes.div_ceil(LINE_BYTES)
    }

    /// The way to the cards, while the table lives.
    pub fn marks(&self) -> Marks {
        // SAFETY: inside the table.
        Marks { first: unsafe { self.start.as_ptr().add(self.middle + PAGE_SIZE) } }
    }
}

/// Tables of closed VMs, with nothing marked and nobody entered: a program that opens and closes
/// VMs is spared the system calls and the page faults of a new one, as with its regions.
static SPARES: Mutex<[Option<Cards>; 4]> = Mutex::new([const { None }; 4]);

/// A table that covers more is given back.
const SPARE_REGION_BYTES: usize = 8 << 20;

fn spares() -> MutexGuard<'static, [Option<Cards>; 4]> {
    SPARES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take_spare(bytes: usize) -> Option<Cards> {
    let fits =
        |spare: &&mut Option<Cards>| spare.as_ref().is_some_and(|spare| spare.bytes == bytes);
    spares().iter_mut().find(fits)?.take()
}

impl Drop for Cards {
    fn drop(&mut self) {
        // SAFETY: the pair is what new() mapped; the owner outlives every use.
        unsafe { memory::unmap(self.start, self.bytes) }
    }
}

/// A table's cards. Raw: Lua's C writes them too. Offsets are those of the region.
///
/// All functions share one contract.
///
/// # Safety
/// The table lives, and offsets lie in the part of its region that it covers.
#[derive(Clone, Copy)]
pub struct Marks {
    first: *mut u8,
}

// SAFETY: who uses it sees to who else does.
unsafe impl Send for Marks {}

#[allow(clippy::missing_safety_doc)] // said once, on the type
impl Marks {
    /// The first line's card: what C is given.
    pub fn first(self) -> *mut u8 {
        self.first
    }

    fn entered(self) -> *mut Entered {
        self.first.wrapping_sub(PAGE_SIZE).cast()
    }

    /// Marks the line of one byte.
    #[inline(always)]
    pub unsafe fn mark(self, offset: usize) {
        // SAFETY: the contract.
        unsafe { self.first.add(offset / LINE_BYTES).write(1) }
    }

    /// Marks the lines of a small range, at least one byte long.
    #[inline(always)]
    pub unsafe fn mark_block(self, offset: usize, bytes: usize) {
        let (first, last) = (offset / LINE_BYTES, (offset + bytes - 1) / LINE_BYTES);
        // SAFETY: the contract.
        unsafe {
            self.first.add(last).write(1); // which stands for the line before, too
            if last - first > 1 {
                ptr::write_bytes(self.first.add(first), 1, last - first);
            }
        }
    }

    /// Marks the lines of a range.
    pub unsafe fn mark_range(self, offset: usize, bytes: usize) {
        let first = offset / LINE_BYTES;
        let end = (offset + bytes).div_ceil(LINE_BYTES);
        // SAFETY: the contract.
        unsafe { ptr::write_bytes(self.first.add(first), 1, end - first) }
    }

    /// Whether one of the cards of `COUNT` pages is set.
    #[inline(always)]
    unsafe fn any<const COUNT: usize>(self, page: usize) -> bool {
        // SAFETY: the contract. A loop that the compiler turns into wide registers.
        unsafe {
            let words = self.first.add(page * CARDS).cast::<u64>();
            (0..COUNT * CARDS / 8).fold(0, |any, at| any | words.add(at).read()) != 0
        }
    }

    /// Hands on the pages below `end` that may have been written, but for those that are not looked
    /// at: `others` has a bit for each page, and so has what is handed on, with the place in 64s.
    pub unsafe fn each_page(
        self,
        others: impl Iterator<Item = u64>,
        end: usize,
        found: impl FnMut(usize, u64),
    ) {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has it; the contract.
            return unsafe { self.each_page_avx2(others, end, found) };
        }
        // SAFETY: the contract.
        unsafe { self.each_page_anywhere(others, end, found) }
    }

    /// The same code, compiled for registers twice as wide.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    #[target_feature(enable = "avx2")]
    unsafe fn each_page_avx2(
        self,
        others: impl Iterator<Item = u64>,
        end: usize,
        found: impl FnMut(usize, u64),
    ) {
        // SAFETY: the contract.
        unsafe { self.each_page_anywhere(others, end, found) }
    }

    #[inline(always)]
    unsafe fn each_page_anywhere(
        self,
        others: impl Iterator<Item = u64>,
        end: usize,
        mut found: impl FnMut(usize, u64),
    ) {
        const GROUP: usize = 8;
        // SAFETY: the contract; the table has the cards of one page more.
        unsafe {
            for (at, pages) in others.enumerate() {
                // Those with a card, and those whose first card stands for the page before, too.
                let (mut marked, mut before) = (0, 0);
                for group in (0..64).step_by(GROUP) {
                    let wanted = pages >> group & 0xff;
                    // Few pages are written to in a frame. Which, no branch foresees.
                    if wanted == 0 || wanted == 0xff && !self.any::<GROUP>(at * 64 + group) {
                        continue;
                    }
                    let last = GROUP - (wanted as u8).leading_zeros() as usize;
                    for bit in group..group + last {
                        let page = at * 64 + bit;
                        marked |= u64::from(self.any::<1>(page)) << bit;
                        before |= u64::from(self.first.add(page * CARDS).read()) << bit;
                    }
                }
                marked &= pages;
                before &= pages;
                if marked != 0 {
                    found(at, marked | before >> 1);
                    if before & 1 != 0 && at > 0 {
                        found(at - 1, 1 << 63);
                    }
                }
            }
            if end > 0 && self.first.add(end * CARDS).read() != 0 {
                found((end - 1) / 64, 1 << ((end - 1) % 64));
            }
        }
    }

    /// The lines of a page that may have been written.
    #[inline(always)]
    pub unsafe fn lines(self, page: usize) -> u64 {
        // SAFETY: the contract; the table has the cards of one page more.
        unsafe {
            let next = self.first.add((page + 1) * CARDS).read() as u64;
            let marked = self.marked(page);
            marked | marked >> 1 | next << 63
        }
    }

    /// A page's cards, a bit each.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    #[inline(always)]
    unsafe fn marked(self, page: usize) -> u64 {
        use std::arch::x86_64::{_mm_loadu_si128, _mm_movemask_epi8, _mm_slli_epi16};
        // SAFETY: the contract; every x86-64 has SSE2.
        unsafe {
            let cards = self.first.add(page * CARDS);
            let sixteen = |at: usize| {
                let bytes = _mm_loadu_si128(cards.add(16 * at).cast());
                // The bit of each byte, which is 0 or 1, to where it is taken from.
                (_mm_movemask_epi8(_mm_slli_epi16(bytes, 7)) as u64) << (16 * at)
            };
            sixteen(0) | sixteen(1) | sixteen(2) | sixteen(3)
        }
    }

    /// A page's cards, a bit each.
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    #[inline(always)]
    unsafe fn marked(self, page: usize) -> u64 {
        let mut marked = 0;
        // SAFETY: the contract.
        let words = unsafe { self.first.add(page * CARDS).cast::<[u64; CARDS / 8]>().read() };
        for (at, word) in words.iter().enumerate() {
            // Eight bytes, each 0 or 1, into eight bits.
            marked |= (word.to_le().wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * at);
        }
        marked
    }

    /// Whether a thread was entered since the cards were cleared: else Lua has written nothing.
    pub unsafe fn is_entered(self) -> bool {
        // SAFETY: the contract.
        unsafe {
            let entered = self.entered();
            (*entered).count > 0 || (*entered).main != 0
        }
    }

    /// Notes that the VM was written to from outside Lua.
    pub unsafe fn enter(self) {
        // SAFETY: the contract.
        unsafe { (*self.entered()).main = 1 }
    }

    /// Clears a page's cards.
    #[inline(always)]
    unsafe fn clear_page(self, page: usize) {
        // SAFETY: the contract.
        unsafe {
            self.first.add(page * CARDS).cast::<[u64; CARDS / 8]>().write([0; CARDS / 8]);
        }
    }

    /// Clears the cards of these pages, and forgets which threads were entered (C4).
    pub unsafe fn clear(self, pages: impl Iterator<Item = usize>) {
        // SAFETY: the contract; a thread's byte lies in the table.
        unsafe {
            pages.for_each(|page| self.clear_page(page));
            let entered = self.entered();
            if (*entered).overflow != 0 {
                let highest = (*entered).threads.sub((*entered).highest);
                ptr::write_bytes(highest, 0, (*entered).highest + 1);
                (*entered).overflow = 0;
            }
            (*entered).main = 0;
            for at in 0..(*entered).count as usize {
                let offset = (*entered).list[at] & (u32::MAX as usize);
                (*entered).threads.sub(offset / THREAD_BYTES).write(0);
            }
            (*entered).count = 0;
            (*entered).highest = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_stands_for_its_line_and_the_one_before() {
        let mut cards = Cards::new(4 * PAGE_SIZE).unwrap();
        cards.cover(4 * PAGE_SIZE).unwrap();
        let marks = cards.marks();
        // SAFETY: inside the region's size.
        unsafe {
            marks.mark(PAGE_SIZE);
            assert_eq!((marks.lines(0), marks.lines(1), marks.lines(2)), (1 << 63, 1, 0));
            marks.mark(PAGE_SIZE + 5 * LINE_BYTES + 63);
            assert_eq!(marks.lines(1), 0b110001);
            let mut pages = Vec::new();
            marks.each_page([0xf].into_iter(), 4, |at, found| pages.push((at, found)));
            assert_eq!(pages, [(0, 0b11)]);
            marks.clear(0..4);
            assert_eq!((marks.lines(0), marks.lines(1)), (0, 0));
            for (offset, bytes, lines) in
                [(0, 1, 1), (60, 8, 0b11), (64, 512, 0x1ff), (100, 200, 0b11111)]
            {
                marks.mark_block(offset, bytes);
                assert_eq!(marks.lines(0), lines, "{offset} {bytes}");
                marks.clear(0..1);
                marks.mark_range(offset, bytes);
                assert_eq!(marks.lines(0), lines, "{offset} {bytes}");
                marks.clear(0..1);
            }
            marks.mark_range(0, 4 * PAGE_SIZE);
            assert_eq!((0..4).filter(|&page| marks.lines(page) == u64::MAX).count(), 4);
        }
    }

    #[test]
    fn a_retired_table_comes_back_without_a_mark() {
        let bytes = 123 * PAGE_SIZE; // a size that no other test uses
        let mut cards = Cards::new(bytes).unwrap();
        cards.cover(bytes).unwrap();
        let first = cards.marks().first();
        // SAFETY: inside the region's size; the bytes of two threads, the second beyond the list.
        unsafe {
            cards.marks().mark_range(0, bytes);
            cards.marks().first().add(bytes / LINE_BYTES).write(1);
            let entered = cards.marks().entered();
            (*entered).list[0] = 5 * THREAD_BYTES;
            (*entered).count = 1;
            (*entered).highest = 9;
            (*entered).overflow = 1;
            (*entered).threads.sub(5).write(1);
            (*entered).threads.sub(9).write(1);
        }
        cards.retire(bytes);
        let cards = Cards::new(bytes).unwrap();
        assert_eq!(cards.marks().first(), first);
        assert_eq!(cards.covered_bytes, bytes);
        // SAFETY: as above.
        unsafe {
            let entered = &*cards.marks().entered();
            assert_eq!((entered.count, entered.overflow, entered.main), (0, 0, 1));
            assert_eq!((entered.highest, entered.mask), (0, u32::MAX));
            assert!((0..bytes / THREAD_BYTES).all(|at| entered.threads.sub(at).read() == 0));
            assert!((0..=bytes / LINE_BYTES).all(|at| first.add(at).read() == 0));
        }
    }
}
