//! Arena: the allocator over the region. Every byte of a VM comes from here.
//!
//! Lua tells an old size when it frees, and the kind of object when it allocates, so blocks carry
//! no headers. Small blocks come from slabs (`slabs`), larger ones are runs (`runs`); slabs
//! are runs themselves, so that freed memory of one size serves every other.
//!
//! # Invariants
//! - A1 *inside*: all allocator state lies inside the region, as offsets, never pointers. A copy
//!   of the used pages is a copy of the allocator.
//! - A2 *tiled*: runs tile the used part without gap or overlap; a free run is in exactly one bin,
//!   no two neighbours are free, and the run at the top is not; a free block is in exactly one
//!   slab's list, a slab with a free block in exactly one class's.
//! - A3 *total*: never panics, never asks the system's allocator; NULL when the limit is reached;
//!   a shrink never fails.
//! - A4 *reproducible*: the same requests give the same offsets, on every machine.
//! - C2 *marked*: the lines of what it hands out, resizes (the old extent and the new), frees, and
//!   writes for itself are marked in the region's cards; but for the header, which is suspect.
//! - Z1 *zero*: memory that the top rises over is zero, up to the end of the last page. So a page's
//!   bytes depend on what was requested and written since it came into use, not on what lay there
//!   before, and the same inputs give the same bytes again after a restore.
//!
//! Every operation is O(1), but for the moves that growing blocks and the slab map need.
//!
//! # Not here
//! Who wrote a page ([`crate::tracker`]) and what the blocks mean (`crate::lua`).

mod blocks;
mod check;
pub mod classes;
pub mod kinds;
pub mod layout;
mod opaque;
mod runs;
mod slabs;
mod view;

use crate::cards::{Cards, Marks};
use crate::error::{Error, ImageError, Result};
use crate::region::{self, Region};
use crate::units::PAGE_SIZE;
use classes::{MAX_SMALL, class_for, list_of_shape, shape};
pub use kinds::{Block, HOST};
use layout::*;
use runs::stride_for;
use std::ffi::c_void;
use std::mem::{ManuallyDrop, offset_of};
use std::ptr;
pub use view::{Blocks, Run, View};

/// Units that the first slab map covers: 256 KiB.
const FIRST_MAP_UNITS: usize = 256;

/// Where the first block of an arena lies, if it is a large one: the state.
pub const MAIN_OFFSET: usize = FIRST + runs::stride_for(FIRST_MAP_UNITS);

/// The allocator's handle: what cannot lie in the region, because it must not roll back.
#[repr(C)]
pub struct Arena {
    /// Copy of the region's base, one load away from the allocation function. The first field:
    /// `src/lua/blocks.c` reads it.
    base: *mut u8,
    /// Of `table`.
    cards: Marks,
    /// Retired when the arena is dropped.
    region: ManuallyDrop<Region>,
    /// The most that `used_bytes` has been. Outside the region, since it must not fall in a
    /// restore: bytes beyond it were never written (Z1).
    peak_bytes: usize,
    /// Retired, too.
    table: ManuallyDrop<Cards>,
}

const _: () = assert!(offset_of!(Arena, base) == 0);

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: each is taken once, here.
        unsafe {
            ManuallyDrop::take(&mut self.table).retire(self.peak_bytes);
            region::retire(ManuallyDrop::take(&mut self.region), self.peak_bytes);
        }
    }
}

// SAFETY: `base` points into the region that this owns.
unsafe impl Send for Arena {}

impl Arena {
    /// An arena that never uses more than `limit_bytes`, rounded down to pages.
    pub fn new(limit_bytes: usize) -> Result<Arena> {
        let limit = limit_bytes / PAGE_SIZE * PAGE_SIZE;
        if limit < FIRST + PAGE_SIZE {
            return Err(Error::NoMemoryForVm { limit_bytes });
        }
        let mut region = Region::reserve(limit)?;
        region.commit_to(FIRST)?;
        let base = region.base().as_ptr();
        let mut table = Cards::new(region.reserved_bytes())?;
        table.cover(region.committed_bytes())?;
        let cards = table.marks();
        let (region, table) = (ManuallyDrop::new(region), ManuallyDrop::new(table));
        let mut arena = Arena { base, cards, region, peak_bytes: FIRST, table };
        // SAFETY: the header's bytes are committed and zero, which is a valid Header.
        unsafe {
            let header = arena.header();
            (*header).magic = MAGIC;
            (*header).limit = limit as u64;
            (*header).top = FIRST as u64;
            let map = arena.alloc_run(FIRST_MAP_UNITS, FIRST_MAP_UNITS, kinds::MAP);
            if map == 0 {
                return Err(Error::NoMemoryForVm { limit_bytes });
            }
            (*header).map = map as u32;
            (*header).map_units = FIRST_MAP_UNITS as u32;
        }
        Ok(arena)
    }

    #[inline(always)]
    fn header(&self) -> *mut Header {
        self.base.cast()
    }

    /// Reads another arena's used part in place of what is there, `chunk` bytes at a time. Nothing
    /// is known of it before [`Arena::check`] says that all is well; after an error the arena is
    /// none.
    pub fn fill(
        &mut self,
        bytes: usize,
        chunk: usize,
        mut read: impl FnMut(&mut [u8]) -> Result<()>,
    ) -> Result<()> {
        let limit = self.limit_bytes();
        let (mut at, bad) = (0, |what| ImageError::bad(format_args!("{what}")).into());
        if bytes > limit || bytes < FIRST + PAGE_SIZE {
            return Err(bad("its size is none"));
        }
        while at < bytes {
            let end = bytes.min(at + chunk);
            self.region.commit_part(end, bytes)?;
            self.table.cover(self.region.committed_bytes())?;
            // SAFETY: committed, and no state lies in the region yet, so that nothing else has a
            // reference to it (R3).
            read(unsafe { std::slice::from_raw_parts_mut(self.base.add(at), end - at) })?;
            at = end;
        }
        self.peak_bytes = bytes;
        // SAFETY: the header's bytes, and the cards of all, are committed.
        let (top, found) = unsafe {
            self.cards.mark_range(0, bytes);
            self.cards.enter();
            ((*self.header()).top, (*self.header()).limit)
        };
        if top != bytes as u64 || found != limit as u64 {
            return Err(bad("its arena has another size"));
        }
        Ok(())
    }

    /// Puts another arena's used part in place of what is there, which nothing is known of before
    /// [`Arena::check`]. All of it counts as written, also what lay behind the end, and no thread
    /// as entered.
    ///
    /// After an error nothing has changed.
    pub fn replace(&mut self, bytes: &[u8]) -> Result<()> {
        let limit = self.limit_bytes();
        let bad = |what| Error::from(ImageError::bad(format_args!("{what}")));
        let header = bytes.get(..FIRST).ok_or_else(|| bad("its size is none"))?;
        let field = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("8 bytes"));
        let (top, found) = (field(offset_of!(Header, top)), field(offset_of!(Header, limit)));
        if bytes.len() > limit || top != bytes.len() as u64 || found != limit as u64 {
            return Err(bad("its arena has another size"));
        }
        self.reach(bytes.len())?;
        let (end, peak) = (bytes.len(), self.peak_bytes);
        // SAFETY: committed, and the caller sees to it that nothing else uses it. What lies behind
        // the end, up to a page's, is zero again (Z1).
        unsafe {
            self.base.copy_from_nonoverlapping(bytes.as_ptr(), end);
            let page_end = end.next_multiple_of(PAGE_SIZE).min(peak.next_multiple_of(PAGE_SIZE));
            ptr::write_bytes(self.base.add(end), 0, page_end.min(peak).saturating_sub(end));
            self.cards.clear(std::iter::empty());
            // A snapshot may have had more than either state.
            self.cards.mark_range(0, peak);
            self.cards.enter();
        }
        Ok(())
    }

    /// Makes sure that another arena's used part of so many bytes can be put in place, with cards.
    pub fn reach(&mut self, bytes: usize) -> Result<()> {
        self.region.commit_to(bytes)?;
        self.table.cover(self.region.committed_bytes())?;
        self.peak_bytes = self.peak_bytes.max(bytes);
        Ok(())
    }

    /// First byte of the region.
    pub fn base(&self) -> *mut u8 {
        self.base
    }

    /// The cards of the region, while the arena lives.
    pub fn cards(&self) -> Marks {
        self.table.marks()
    }

    /// Marks the header, which whoever allocates writes to (C3).
    pub fn suspect_header(&self) {
        // SAFETY: inside the region.
        unsafe { self.cards.mark_range(0, FIRST) };
    }

    /// Bytes of addresses from the base that belong to the region.
    pub fn reserved_bytes(&self) -> usize {
        self.region.reserved_bytes()
    }

    /// Bytes from the base that hold state: what a snapshot has to keep.
    pub fn used_bytes(&self) -> usize {
        // SAFETY: the header is initialised.
        unsafe { (*self.header()).top as usize }
    }

    /// The most that `used_bytes` has been.
    pub fn peak_bytes(&self) -> usize {
        self.peak_bytes
    }

    /// Bytes that the system has been asked for.
    pub fn committed_bytes(&self) -> usize {
        self.region.committed_bytes()
    }

    /// What `used_bytes` can never exceed.
    pub fn limit_bytes(&self) -> usize {
        // SAFETY: the header is initialised.
        unsafe { (*self.header()).limit as usize }
    }

    /// A block of `size` bytes, or NULL at the limit. Aligned to 8; opaque ones to 16.
    #[inline(always)]
    unsafe fn alloc(&mut self, size: usize, tag: usize) -> *mut u8 {
        let kind = kinds::of(tag);
        // SAFETY: the arena is consistent between calls.
        unsafe {
            if kinds::is_opaque(tag) && (kind != kinds::THREAD || size <= MAX_SMALL) {
                return self.alloc_opaque(size, kind);
            }
            if size <= MAX_SMALL {
                return self.alloc_small(size, kind);
            }
            self.alloc_large(size, if tag == TAG_STRING { size } else { 0 }, kind)
        }
    }

    #[inline(always)]
    unsafe fn free(&mut self, block: *mut u8) -> *mut u8 {
        let offset = block.addr().wrapping_sub(self.base.addr());
        // SAFETY: the block is one of ours (the caller).
        unsafe {
            match self.slab_of(offset) {
                0 => self.free_large(offset),
                slab => self.free_block(slab, offset),
            }
        }
    }

    #[inline(never)]
    unsafe fn free_large(&mut self, offset: usize) -> *mut u8 {
        // SAFETY: the run is one of ours (the caller).
        unsafe {
            if self.is_opaque(offset) {
                self.note_opaque(offset, self.stride(offset), 0);
            }
            self.free_run(offset);
        }
        ptr::null_mut()
    }

    #[inline(always)]
    unsafe fn alloc_small(&mut self, size: usize, kind: u32) -> *mut u8 {
        // SAFETY: the arena is consistent between calls.
        unsafe {
            let class = class_for(size);
            let block = self.alloc_block(class, kind);
            if !block.is_null() {
                clear_slack(block, size, shape(class as u16).size as usize, kind);
            }
            block
        }
    }

    #[inline(never)]
    unsafe fn alloc_large(&mut self, size: usize, filled: usize, kind: u32) -> *mut u8 {
        // SAFETY: the arena is consistent between calls.
        unsafe {
            match self.alloc_run(size, filled, kind) {
                0 => ptr::null_mut(),
                run => {
                    let block = self.base.add(run);
                    clear_slack(block, size, self.stride(run) - HEAD, kind);
                    block
                }
            }
        }
    }

    /// Gives a block another size, in place where it can. NULL, and the block untouched, when it
    /// has to grow and cannot.
    #[inline(never)]
    unsafe fn resize(&mut self, block: *mut u8, size: usize) -> *mut u8 {
        let offset = block.addr().wrapping_sub(self.base.addr());
        // SAFETY: the block is one of ours (the caller); the copy stays in both blocks.
        unsafe {
            let slab = self.slab_of(offset);
            let held;
            if self.is_opaque(offset) {
                return self.resize_opaque(block, size);
            }
            if slab == 0 {
                held = self.stride(offset) - HEAD;
                self.cards.mark_range(offset, held);
                // A block that shrinks to half moves down where there is room below: what stays
                // behind at a former peak would keep the arena that large.
                let sinks = size <= held / 2 && {
                    let lower = self.find(stride_for(size)); // far below the limit
                    lower != 0 && lower < offset
                };
                if !sinks && self.resize_run(offset, size) {
                    let holds = self.stride(offset) - HEAD;
                    self.cards.mark_range(offset, holds);
                    clear_slack(block, size, holds, self.kind_of(offset));
                    return block;
                }
            } else {
                let number = (*self.slab(slab)).shape;
                held = shape(number).size as usize;
                self.cards.mark_block(offset, held);
                if size <= held && class_for(size) == list_of_shape(number) {
                    clear_slack(block, size, held, self.kind_of(offset));
                    return block;
                }
            }
            let kind = self.kind_of(offset);
            let moved = match size <= MAX_SMALL {
                true => self.alloc_small(size, kind),
                false => self.alloc_large(size, held.min(size), kind),
            };
            if moved.is_null() {
                // A shrink that finds no smaller place stays where it is: the map, not the size,
                // tells where a block belongs (A3).
                if size > held {
                    return moved;
                }
                clear_slack(block, size, held, kind);
                return block;
            }
            ptr::copy_nonoverlapping(block, moved, held.min(size));
            self.free(block);
            moved
        }
    }

    /// As [`allocate`](Self::allocate), for hosts (`lua_getallocf`): nobody knows when they write
    /// to what they are given. Lua's own requests come this way where a host's function hands them
    /// on (`lua_setallocf`); others pass no tag.
    ///
    /// # Safety
    /// As for [`allocate`](Self::allocate).
    pub unsafe extern "C" fn allocate_for_host(
        ud: *mut c_void,
        block: *mut c_void,
        old_size: usize,
        new_size: usize,
    ) -> *mut c_void {
        // SAFETY: the caller's contract. Lua may know nothing of the call.
        unsafe {
            let arena = &mut *ud.cast::<Arena>();
            arena.cards().enter();
            if block.is_null() && new_size > 0 {
                return arena.alloc_opaque(new_size, kinds::of(old_size)).cast();
            }
            Arena::allocate(ud, block, old_size, new_size)
        }
    }

    /// Lua's allocation function (`lua_Alloc`). `ud` is the arena.
    ///
    /// # Safety
    /// `ud` is a live arena that nothing else uses during the call; `block` is NULL or one of its
    /// blocks.
    pub unsafe extern "C" fn allocate(
        ud: *mut c_void,
        block: *mut c_void,
        old_size: usize,
        new_size: usize,
    ) -> *mut c_void {
        // SAFETY: by the contract above.
        unsafe {
            let arena = &mut *ud.cast::<Arena>();
            if new_size == 0 {
                if block.is_null() {
                    return ptr::null_mut();
                }
                return arena.free(block.cast()).cast();
            }
            if block.is_null() {
                return arena.alloc(new_size, old_size).cast();
            }
            arena.resize(block.cast(), new_size).cast()
        }
    }
}

/// Makes the slack of a vector zero (K2); its lines are marked.
///
/// # Safety
/// The block has `held` bytes.
#[inline(always)]
unsafe fn clear_slack(block: *mut u8, size: usize, held: usize, kind: u32) {
    if kinds::is_vector(kind) && size < held {
        // SAFETY: the contract above.
        unsafe { ptr::write_bytes(block.add(size), 0, held - size) }
    }
}
