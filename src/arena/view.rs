//! View: runs and slabs of an arena, or of a copy of its used part.

use super::classes::{Shape, list_of_shape, shape};
use super::kinds::{Block, FREE, KIND_MASK, MAP, SLAB};
use super::layout::*;
use std::ops::{ControlFlow, Range};

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

/// Bits for the blocks of one slab.
type Bits = [u64; 2];

/// The most blocks that a slab has, of 8 bytes: those of the shortest one.
const MAX_BLOCKS: usize = 128;

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
        let head = self.head(at);
        let run = match head & KIND_MASK {
            FREE => Run::Free,
            SLAB => Run::Slab,
            MAP => Run::Map,
            kind => Run::Block(kind),
        };
        (run, (head & !KIND_MASK) as usize)
    }

    /// The same in one number.
    pub fn head(self, at: usize) -> u32 {
        // SAFETY: runs tile the used part (A2).
        unsafe { (*self.base.add(at - HEAD).cast::<Head>()).stride_kind }
    }

    /// Bytes of the map that mean something.
    pub fn map_bytes(self) -> usize {
        // SAFETY: the header is part of it.
        unsafe { (*self.header()).map_units as usize }
    }

    /// The blocks of the slab at `at`.
    ///
    /// # Safety
    /// It is one.
    pub unsafe fn slab(self, at: usize) -> Blocks {
        let start = self.base.wrapping_add(at);
        let mut free = [0; 2];
        // SAFETY: the contract above.
        unsafe {
            let Slab { fresh, shape: number, free: mut next, .. } = start.cast::<Slab>().read();
            let shape = shape(number);
            while next != 0 {
                let index = shape.index(next as usize);
                free[index / 64] |= 1 << (index % 64);
                next = start.add(next as usize).cast::<u16>().read();
            }
            Blocks { start, at, shape, number, fresh, free }
        }
    }

    /// Hands on every live block of the slab at `at`, by rising offset; ends early where `found`
    /// breaks.
    ///
    /// # Safety
    /// It is one.
    pub unsafe fn each_in_slab<T>(
        self,
        at: usize,
        found: &mut impl FnMut(Block) -> ControlFlow<T>,
    ) -> ControlFlow<T> {
        // SAFETY: the contract above.
        let blocks = unsafe { self.slab(at) };
        blocks.within(at..usize::MAX).try_for_each(found)
    }
}

/// The blocks of one slab, while its view lives.
pub struct Blocks {
    start: *const u8,
    at: usize,
    shape: Shape,
    number: u16,
    fresh: u16,
    free: Bits,
}

impl Blocks {
    /// Other bytes for a slab that has others: which are live, and of what kinds.
    pub fn signature(&self) -> [u8; 20 + MAX_BLOCKS / 2] {
        let mut bytes = [0; 20 + MAX_BLOCKS / 2];
        bytes[..2].copy_from_slice(&self.number.to_le_bytes());
        bytes[2..4].copy_from_slice(&self.fresh.to_le_bytes());
        bytes[4..12].copy_from_slice(&self.free[0].to_le_bytes());
        bytes[12..20].copy_from_slice(&self.free[1].to_le_bytes());
        let kinds = self.shape.blocks().div_ceil(2);
        // SAFETY: the kinds lie behind the slab's header.
        let from = unsafe { std::slice::from_raw_parts(self.start.add(SLAB_KINDS), kinds) };
        bytes[20..20 + kinds].copy_from_slice(from);
        bytes
    }

    /// Whether hosts write to them, and threads may be among them.
    pub fn are_opaque(&self) -> bool {
        list_of_shape(self.number) >= CLASSES
    }

    /// Where those lie that have some of these bytes and were ever handed out.
    fn places(&self, bytes: Range<usize>) -> Range<usize> {
        let (first, size) = (self.shape.first as usize, self.shape.size as usize);
        let from = bytes.start.saturating_sub(self.at).max(first);
        let to = bytes.end.saturating_sub(self.at).min(self.fresh as usize);
        match from < to {
            true => (from - first) / size..(to - 1 - first) / size + 1,
            false => 0..0,
        }
    }

    /// All bytes of the blocks that have some of these.
    pub fn around(&self, bytes: Range<usize>) -> Option<Range<usize>> {
        let places = self.places(bytes);
        let (first, size) = (self.at + self.shape.first as usize, self.shape.size as usize);
        (!places.is_empty()).then(|| first + places.start * size..first + places.end * size)
    }

    /// The live blocks that have some of these bytes, by rising offset.
    #[inline]
    pub fn within(&self, bytes: Range<usize>) -> impl Iterator<Item = Block> + '_ {
        let (first, size) = (self.shape.first as usize, self.shape.size as usize);
        let opaque = self.are_opaque();
        let is_live = |index: &usize| self.free[index / 64] >> (index % 64) & 1 == 0;
        self.places(bytes).filter(is_live).map(move |index| {
            // SAFETY: the kinds lie behind the slab's header, four bits each.
            let two = unsafe { self.start.add(SLAB_KINDS + index / 2).read() };
            let kind = (two >> (index % 2 * 4)) as u32 & KIND_MASK;
            Block { offset: self.at + first + index * size, bytes: size, kind, opaque }
        })
    }
}
