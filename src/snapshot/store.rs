//! Page store: the memory behind snapshots, in pages.
//!
//! Pages are taken and given back one at a time; the system is asked for many at once. A page
//! given back is reused first, while the cache still holds it.

use crate::error::{Error, Result};
use crate::pages::PagePtr;
use crate::sys::memory::{self, LARGE_PAGE_BYTES};
use crate::units::PAGE_SIZE;
use std::alloc::{self, Layout};

/// The least that the system is asked for, in pages.
const CHUNK_PAGES_MIN: usize = 16;

struct Chunk {
    start: *mut u8,
    layout: Layout,
}

/// Pages outside the region.
#[derive(Default)]
pub struct PageStore {
    chunks: Vec<Chunk>,
    free: Vec<PagePtr>,
    total_pages: usize,
    /// Plays a system that has no more memory than this.
    #[cfg(test)]
    pub limit_pages: Option<usize>,
}

// SAFETY: the store owns its chunks; raw pointers only for lack of references (R3).
unsafe impl Send for PageStore {}

impl PageStore {
    /// Makes sure that `pages` pages can be taken without asking the system.
    ///
    /// After an error nothing has changed.
    pub fn reserve(&mut self, pages: usize) -> Result<()> {
        let missing = pages.saturating_sub(self.free.len());
        if missing == 0 {
            return Ok(());
        }
        let ahead = missing.max(CHUNK_PAGES_MIN).max(self.total_pages / 8);
        if self.grow(ahead) || self.grow(missing) {
            return Ok(());
        }
        Err(Error::NoMemoryForPages { wanted_pages: pages })
    }

    fn grow(&mut self, pages: usize) -> bool {
        #[cfg(test)]
        if self.limit_pages.is_some_and(|limit| self.total_pages + pages > limit) {
            return false;
        }
        let large = pages * PAGE_SIZE >= LARGE_PAGE_BYTES;
        let boundary = if large { LARGE_PAGE_BYTES } else { PAGE_SIZE };
        let Ok(layout) = Layout::from_size_align(pages * PAGE_SIZE, boundary) else {
            return false;
        };
        // Giving back must not allocate: the free list has room for every page there is.
        let room = self.total_pages + pages - self.free.len();
        if self.free.try_reserve(room).is_err() || self.chunks.try_reserve(1).is_err() {
            return false;
        }
        // SAFETY: the layout's size is not zero.
        let start = unsafe { alloc::alloc(layout) };
        if start.is_null() {
            return false;
        }
        if large {
            // SAFETY: allocated just now, at such a boundary.
            unsafe { memory::expect_large_pages(start, pages * PAGE_SIZE) };
        }
        self.chunks.push(Chunk { start, layout });
        self.total_pages += pages;
        // Reversed, so that pages are taken in the order of their addresses.
        self.free.extend((0..pages).rev().map(|page| start.wrapping_add(page * PAGE_SIZE)));
        true
    }

    /// Takes a page that was reserved; its bytes are arbitrary.
    #[inline]
    pub fn take(&mut self) -> PagePtr {
        self.free.pop().expect("pages are reserved before they are taken")
    }

    /// Gives a page back.
    #[inline]
    pub fn give(&mut self, page: PagePtr) {
        self.free.push(page);
    }

    /// Returns everything to the system when no page is in use.
    pub fn release_if_unused(&mut self) {
        if self.free.len() == self.total_pages {
            *self = PageStore::default();
        }
    }

    /// Pages in use.
    pub fn used_pages(&self) -> usize {
        self.total_pages - self.free.len()
    }

    /// The pages that are not in use, for the check.
    pub fn free_pages(&self) -> &[PagePtr] {
        &self.free
    }
}

impl Drop for PageStore {
    fn drop(&mut self) {
        for chunk in &self.chunks {
            // SAFETY: allocated by grow() with this layout.
            unsafe { alloc::dealloc(chunk.start, chunk.layout) };
        }
    }
}
