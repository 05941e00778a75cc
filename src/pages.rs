//! Pages: a page's place, a set of pages, and the part of a region that holds state.
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

    /// Adds a page, for which the set was resized.
    #[inline]
    pub fn insert(&mut self, index: usize) {
        debug_assert!(index / 64 < self.words.len(), "page {index}: the set has no room");
        self.words[index / 64] |= 1 << (index % 64);
    }

    /// Whether a page is in the set.
    #[inline]
    pub fn contains(&self, index: usize) -> bool {
        self.words.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 != 0)
    }

    /// Whether any of `first .. end` is in the set.
    pub fn contains_any(&self, first: usize, end: usize) -> bool {
        (first..end).any(|page| self.contains(page))
    }

    /// Adds `first .. end`.
    pub fn insert_range(&mut self, first: usize, end: usize) {
        for index in first..end {
            self.insert(index);
        }
    }

    /// Adds the pages of another set, below `end`.
    pub fn insert_all(&mut self, other: &PageSet, end: usize) {
        other.iter().take_while(|page| page.get() < end).for_each(|page| self.insert(page.get()));
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
}
