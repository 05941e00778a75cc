//! Kinds: what each block holds, so that a region can be read linearly.
//!
//! Whoever allocates says what for, in what Lua passes as the old size of a new block: Lua's tag of
//! an object, or 16 and a kind (`src/lua/overrides/kinds.h`). A slab has four bits for each block
//! behind its header, a run the low four bits of its head. A block keeps its kind when it gets
//! another size. The kind of a block that is free means nothing.
//!
//! # Invariants
//! - K1 *kinds*: every live block has the kind that it was allocated for.
//! - K2 *slack*: what a vector's block has behind what was asked for is zero.
//!
//! # Not here
//! What the words of each kind mean (`src/lua/canon.c`).

use super::Arena;
use super::classes::shape;
use super::layout::*;
use super::view::View;
use std::ops::ControlFlow;

/// The bits of a run's head that hold its kind.
pub const KIND_MASK: u32 = 15;

/// Of a run that is free.
pub const FREE: u32 = 0;
/// An object of Lua, but for a thread: its tag tells which.
pub const OBJECT: u32 = 1;
/// A thread behind its extra space; the first block of an arena is the state itself.
pub const THREAD: u32 = 2;
/// Bytes of a host, and all that was allocated without a word of what for.
pub const HOST: u32 = 3;
/// A thread's stack.
pub const STACK: u32 = 7;
/// A slab of small blocks. Of runs alone.
pub const SLAB: u32 = 13;
/// The slab map. Of a run alone.
pub const MAP: u32 = 14;

const _: () = assert!(TAG_HOST == TAG_KIND + HOST as usize);

/// Kinds by what the allocation function is told: 0, Lua's tags, 16 and a kind. Long enough that
/// the mask bounds the index.
static OF_TAG: [u8; 32] = of_tag();

const fn of_tag() -> [u8; 32] {
    let mut of = [HOST as u8; 32];
    let (mut tag, proto) = (TAG_STRING, 10);
    while tag <= proto {
        of[tag] = if tag == TAG_THREAD { THREAD as u8 } else { OBJECT as u8 };
        tag += 1;
    }
    let mut kind = HOST as usize;
    while kind < SLAB as usize {
        of[TAG_KIND + kind] = kind as u8;
        kind += 1;
    }
    of
}

/// The kind of the block at `place` in a slab.
///
/// # Safety
/// It is a slab of an arena, or of a copy of one, and a block lies there.
#[inline]
pub(super) unsafe fn kind_in(slab: *const Slab, place: usize) -> u32 {
    // SAFETY: the contract above.
    unsafe {
        let index = shape((*slab).shape).index(place);
        let byte = slab.cast::<u8>().add(SLAB_KINDS + index / 2).read();
        (byte >> (index % 2 * 4)) as u32 & KIND_MASK
    }
}

/// The kind of a new block.
#[inline(always)]
pub fn of(tag: usize) -> u32 {
    OF_TAG[tag & (OF_TAG.len() - 1)] as u32
}

/// Whether hosts write to a new block: whoever says nothing of it may be one.
#[inline(always)]
pub fn is_opaque(tag: usize) -> bool {
    tag == TAG_USERDATA || matches!(of(tag), THREAD | HOST)
}

/// Whether a block of that kind holds elements, whose owner knows how many: what is behind them is
/// zero (K2).
#[inline(always)]
pub fn is_vector(kind: u32) -> bool {
    kind > HOST
}

/// A live block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// From the region's base.
    pub offset: usize,
    /// As many as it has room for.
    pub bytes: usize,
    /// One of the constants above, or of the kinds of `src/lua/overrides/kinds.h`.
    pub kind: u32,
    /// Whether hosts write to it.
    pub opaque: bool,
}

/// All functions below share one contract.
///
/// # Safety
/// The arena is initialised and consistent (A2); slabs and blocks are its own.
impl Arena {
    /// Notes the kind of the block at `place` in a slab. Mostly it is what was there before, and
    /// then nothing is written.
    #[inline(always)]
    pub(super) unsafe fn set_kind(&mut self, at: usize, place: usize, kind: u32) {
        // SAFETY: the contract above; the kinds lie behind the header.
        unsafe {
            let index = shape((*self.slab(at)).shape).index(place);
            let offset = at + SLAB_KINDS + index / 2;
            let byte = self.base.add(offset);
            let shift = index % 2 * 4;
            let old = byte.read();
            let new = old & !(0xf << shift) | (kind as u8) << shift;
            if new != old {
                byte.write(new);
                self.cards.mark(offset);
            }
        }
    }

    /// The kind of a live block.
    ///
    /// # Safety
    /// One starts at `offset`.
    #[inline]
    pub unsafe fn kind_of(&self, offset: usize) -> u32 {
        // SAFETY: the contract above.
        unsafe {
            match self.slab_of(offset) {
                0 => self.run_kind(offset),
                at => kind_in(self.slab(at), offset - at),
            }
        }
    }

    /// Hands on every live block, by rising offset; ends early where `found` breaks.
    ///
    /// Cost: the heads of runs and slabs, and a step for each block.
    pub fn each_block<T>(&self, mut found: impl FnMut(Block) -> ControlFlow<T>) -> ControlFlow<T> {
        let (mut run, top) = (FIRST, self.used_bytes());
        // SAFETY: runs tile the part up to the top (A2).
        unsafe {
            let view = View::new(self.base);
            while run < top {
                match self.run_kind(run) {
                    FREE | MAP => {}
                    SLAB => view.each_in_slab(run, &mut found)?,
                    kind => {
                        let (bytes, opaque) = (self.stride(run) - HEAD, self.is_opaque(run));
                        found(Block { offset: run, bytes, kind, opaque })?;
                    }
                }
                run += self.stride(run);
            }
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::c_void;
    use std::ptr;

    #[test]
    fn blocks_are_found_in_order_with_the_kind_they_were_made_for() {
        let count = if cfg!(miri) { 40 } else { 400 };
        let mut arena = Arena::new(1 << 21).unwrap();
        let base = arena.base() as usize;
        let ud: *mut c_void = ptr::from_mut(&mut arena).cast();
        let tags = [0, 4, 5, 8, 16 + 4, 16 + 7, 16 + 12];
        let mut blocks = Vec::new();
        for n in 1..count {
            let (size, tag) = (n * n % 1500 + 1, tags[n % tags.len()]);
            // SAFETY: the arena is live and used here only; one of its blocks.
            unsafe {
                let block = Arena::allocate(ud, ptr::null_mut(), tag, size);
                match n % 5 {
                    0 => _ = Arena::allocate(ud, block, size, 0),
                    1 => {
                        let grown = Arena::allocate(ud, block, size, 3 * size);
                        blocks.push((grown as usize - base, 3 * size, of(tag)));
                    }
                    _ => blocks.push((block as usize - base, size, of(tag))),
                }
            }
        }
        blocks.sort();
        let mut expected = blocks.iter();
        let _ = arena.each_block(|block| {
            let &(offset, size, kind) = expected.next().expect("a block that is none");
            assert_eq!((block.offset, block.kind), (offset, kind));
            assert!(block.bytes >= size);
            ControlFlow::<()>::Continue(())
        });
        assert_eq!(expected.next(), None);
    }
}
