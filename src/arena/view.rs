//! View: the runs of an arena, or of a copy of its used part, without a look into them.

use super::kinds::{FREE, KIND_MASK, MAP, SLAB};
use super::layout::*;

/// What lies between two heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// Nothing, behind its links.
    Free,
    /// Small blocks.
    Slab,
    /// A byte for each unit.
    Map,
    /// A block by itself, of that kind.
    Block(u32),
}

/// An arena's own state, read only.
#[derive(Clone, Copy)]
pub struct View {
    base: *const u8,
}

impl View {
    /// Of what begins at `base`.
    ///
    /// # Safety
    /// It is an arena's used part, or a copy, consistent (A2); it lives as long as the view, and
    /// nothing writes to it.
    pub unsafe fn new(base: *const u8) -> View {
        View { base }
    }

    /// First byte.
    pub fn base(self) -> *const u8 {
        self.base
    }

    fn header(self) -> *const Header {
        self.base.cast()
    }

    /// Bytes of the used part.
    pub fn used_bytes(self) -> usize {
        // SAFETY: the header is part of it.
        unsafe { (*self.header()).top as usize }
    }

    /// The first run, behind the header and its own head.
    pub const FIRST: usize = FIRST;
    /// Bytes of a head, before each run's first byte.
    pub const HEAD: usize = HEAD;
    /// Bytes at the beginning that mean something; up to the first head is nothing.
    pub const HEADER_BYTES: usize = size_of::<Header>();
    /// Bytes of a free run that mean something.
    pub const LINKS: usize = size_of::<FreeLinks>();

    /// What the run at `at` is, and how many bytes it is from there to the next. `at` is a run.
    pub fn run(self, at: usize) -> (Run, usize) {
        // SAFETY: runs tile the used part (A2).
        let head = unsafe { self.base.add(at - HEAD).cast::<Head>().read() };
        let stride = (head.stride_kind & !KIND_MASK) as usize;
        let run = match head.stride_kind & KIND_MASK {
            FREE => Run::Free,
            SLAB => Run::Slab,
            MAP => Run::Map,
            kind => Run::Block(kind),
        };
        (run, stride)
    }

    /// Bytes of the map that mean something.
    pub fn map_bytes(self) -> usize {
        // SAFETY: the header is part of it.
        unsafe { (*self.header()).map_units as usize }
    }
}
