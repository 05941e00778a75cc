//! Pages: a page's place, a set of pages, the part of a region that holds state, and what of it is
//! opaque.
//!
//! # Not here
//! Who wrote a page (`crate::tracker`) and what is kept of it (`crate::snapshot`).

use crate::error::{Error, Result};
use crate::units::PAGE_SIZE;

/// A page's bytes, outside the region.
pub type PagePtr = *mut u8;

/// Position of a page in the region, counted from its base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PageIndex(pub u32);

impl PageIndex {
    /// The index as an array index.
    pub fn get(self) -> usize {
        self.0 as usize
    }
}

/// The used part of a region, while Lua is not running.
#[derive(Clone, Copy)]
pub struct Live {
    /// First byte, aligned to a page.
    pub base: *mut u8,
    /// Pages from the base that hold state.
    pub used_pages: usize,
}

impl Live {
    /// First byte of a page, which may lie beyond the used ones, in what is committed.
    #[inline]
    pub fn page(&self, index: usize) -> *mut u8 {
        self.base.wrapping_add(index * PAGE_SIZE)
    }
}

/// What an arena tells of its opaque memory, which hosts may have written to without a word, before
/// a capture or a restore.
#[derive(Default)]
pub struct Opaque {
    /// Whether the pages that are opaque as a whole are wanted in `pages`; then they are not
    /// marked.
    pub noted: bool,
    /// Whether these are watched: else all of them are suspects.
    pub watched: bool,
    /// Pages that are opaque as a whole. Has room for all used pages where it is wanted.
    pub pages: PageSet,
    /// How many there are, wanted or not.
    pub whole_pages: usize,
    /// All of its lines, where they are few.
    pub lines: FewLines,
}

/// A few lines of a region, by number.
#[derive(Default)]
pub struct FewLines {
    at: [u32; FEW],
    /// Beyond [`FEW`]: too many.
    count: usize,
}

/// As many as the libraries' own userdata lie on, and some of a host's.
const FEW: usize = 24;

impl FewLines {
    /// None.
    pub fn clear(&mut self) {
        self.count = 0;
    }

    /// Adds `first ..= last`.
    pub fn add(&mut self, first: usize, last: usize) {
        for line in first..=last.min(first + FEW) {
            if let Some(place) = self.at.get_mut(self.count) {
                *place = line as u32;
            }
            self.count = (self.count + 1).min(FEW + 1);
        }
    }

    /// There are too many.
    pub fn give_up(&mut self) {
        self.count = FEW + 1;
    }

    /// The lines, unless there were too many to note.
    pub fn get(&self) -> Option<&[u32]> {
        self.at.get(..self.count)
    }
}

/// A set of pages, one bit each.
#[derive(Default)]
pub struct PageSet {
    words: Vec<u64>,
}

impl PageSet {
    /// Makes room for `pages` pages. The only call that allocates.
    pub fn resize(&mut self, pages: usize) -> Result<()> {
        let words = pages.div_ceil(64);
        if words > self.words.len() {
            self.words
                .try_reserve(words - self.words.len())
                .map_err(|_| Error::NoMemoryForPages { wanted_pages: pages })?;
            self.words.resize(words, 0);
        }
        Ok(())
    }

    /// The pages below `end` that are not in the set: 64 at a time, a bit each.
    pub fn others(&self, end: usize) -> impl Iterator<Item = u64> + '_ {
        (0..end.div_ceil(64)).map(move |at| {
            let below = (end - at * 64).min(64);
            let held = self.words.get(at).copied().unwrap_or(0);
            !held & u64::MAX >> (64 - below)
        })
    }

    /// Adds a page, for which the set was resized.
    #[inline]
    pub fn insert(&mut self, index: usize) {
        debug_assert!(index / 64 < self.words.len(), "page {index}: the set has no room");
        self.words[index / 64] |= 1 << (index % 64);
    }

    /// Adds some of 64 pages, a bit each, for which the set was resized.
    #[inline]
    pub fn insert_64(&mut self, at: usize, pages: u64) {
        self.words[at] |= pages;
    }

    /// Whether a page is in the set.
    #[inline]
    pub fn contains(&self, index: usize) -> bool {
        self.words.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 != 0)
    }

    /// Adds `first .. end`.
    pub fn insert_range(&mut self, first: usize, end: usize) {
        let (mut at, words) = (first, &mut self.words);
        while at < end {
            let many = (64 - at % 64).min(end - at);
            words[at / 64] |= u64::MAX >> (64 - many) << (at % 64);
            at += many;
        }
    }

    /// Adds the pages of another set, below `end`.
    pub fn insert_all(&mut self, other: &PageSet, end: usize) {
        for (at, &word) in other.words.iter().enumerate().take(end.div_ceil(64)) {
            let above = (at * 64 + 64).saturating_sub(end) as u32;
            let word = word.checked_shl(above).map_or(0, |word| word >> above);
            if word != 0 {
                self.words[at] |= word;
            }
        }
    }

    /// Takes out the pages that are not to stay.
    pub fn retain(&mut self, mut stays: impl FnMut(usize) -> bool) {
        for (at, word) in self.words.iter_mut().enumerate() {
            let mut rest = *word;
            while rest != 0 {
                let bit = rest.trailing_zeros();
                rest &= rest - 1;
                if !stays(at * 64 + bit as usize) {
                    *word &= !(1 << bit);
                }
            }
        }
    }

    /// Takes every page out.
    pub fn clear(&mut self) {
        self.words.fill(0);
    }

    /// Pages in the set.
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The pages, rising.
    pub fn iter(&self) -> impl Iterator<Item = PageIndex> + '_ {
        self.words.iter().enumerate().flat_map(|(at, &word)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                if rest == 0 {
                    return None;
                }
                let bit = rest.trailing_zeros();
                rest &= rest - 1;
                Some(PageIndex(at as u32 * 64 + bit))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_lists_each_page_once_and_rising() {
        let mut set = PageSet::default();
        set.resize(300).unwrap();
        for page in [299, 0, 64, 63, 64, 128] {
            set.insert(page);
        }
        let pages: Vec<u32> = set.iter().map(|page| page.0).collect();
        assert_eq!(pages, [0, 63, 64, 128, 299]);
        assert_eq!(set.count(), 5);
        set.clear();
        assert_eq!(set.iter().count(), 0);
    }

    #[test]
    fn ranges_and_unions_are_those_of_single_pages() {
        for (first, end) in [(0, 0), (0, 1), (5, 64), (63, 65), (64, 128), (1, 300), (130, 131)] {
            let (mut set, mut single) = (PageSet::default(), PageSet::default());
            set.resize(300).unwrap();
            single.resize(300).unwrap();
            set.insert_range(first, end);
            (first..end).for_each(|page| single.insert(page));
            assert_eq!(set.words, single.words, "{first} to {end}");
            for below in [0, 1, 63, 64, 65, 299, 300] {
                let mut all = PageSet::default();
                all.resize(300).unwrap();
                all.insert_all(&set, below);
                let pages = |set: &PageSet| set.iter().map(PageIndex::get).collect::<Vec<_>>();
                let wanted: Vec<_> = (first..end).filter(|&page| page < below).collect();
                assert_eq!(pages(&all), wanted, "{first} to {end} below {below}");
                let mut others = PageSet { words: set.others(below).collect() };
                assert!(others.iter().all(|page| page.get() < below && !set.contains(page.get())));
                others.insert_all(&set, below);
                assert_eq!(others.count(), below, "not {first} to {end}");
            }
        }
    }
}
