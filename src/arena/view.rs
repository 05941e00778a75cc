//! View: runs and slabs of an arena, or of a copy of its used part.

use super::classes::{list_of_shape, shape};
use super::kinds::{Block, FREE, KIND_MASK, MAP, OBJECT, SLAB, THREAD, kind_in};
use super::layout::*;
use std::ops::ControlFlow;

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

    fn slab(self, at: usize) -> *const Slab {
        self.base.wrapping_add(at).cast()
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
        unsafe {
            let slab = self.slab(at).read();
            let shape = shape(slab.shape);
            let (size, first) = (shape.size as usize, shape.first as usize);
            let opaque = list_of_shape(slab.shape) >= CLASSES;
            let free = self.free_in(at);
            for index in 0..(slab.fresh as usize - first) / size {
                if free[index / 64] >> (index % 64) & 1 == 1 {
                    continue;
                }
                let place = first + index * size;
                let kind = kind_in(self.slab(at), place);
                found(Block { offset: at + place, bytes: size, kind, opaque })?;
            }
        }
        ControlFlow::Continue(())
    }

    /// Whether an object of the slab at `at` lies on both sides of a place behind its first unit.
    ///
    /// # Safety
    /// As for [`View::each_in_slab`].
    pub unsafe fn object_at(self, at: usize, place: usize) -> bool {
        // SAFETY: the contract above.
        unsafe {
            let slab = self.slab(at).read();
            let shape = shape(slab.shape);
            let (size, first) = (shape.size as usize, shape.first as usize);
            let start = first + (place - at - first) / size * size;
            start < place - at
                && start < slab.fresh as usize
                && matches!(kind_in(self.slab(at), start), OBJECT | THREAD)
        }
    }

    /// Which blocks of a slab are in its free list.
    unsafe fn free_in(self, at: usize) -> Bits {
        let mut bits = [0; 2];
        // SAFETY: the contract above.
        unsafe {
            let slab = self.slab(at).read();
            let shape = shape(slab.shape);
            let mut free = slab.free as usize;
            while free != 0 {
                let index = shape.index(free);
                bits[index / 64] |= 1 << (index % 64);
                free = self.base.add(at + free).cast::<u16>().read() as usize;
            }
        }
        bits
    }
}
