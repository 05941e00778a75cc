//! Slabs: small blocks of one size, without headers.
//!
//! A slab is a run of 1 to 4 KiB. Its 16-byte header holds the free list and the count, so that
//! handing out a block touches the header's page and the block's own, which are mostly the same.
//! Slabs with a free block form a list per class; the one that last got a block back comes first,
//! so that blocks come from pages that are dirty already. A byte map tells which units belong to
//! a slab: a block finds its slab from its address, whatever size its owner claims.

use super::classes::{Shape, list_of_shape, next_shape, shape, units_of_shape};
use super::kinds;
use super::layout::*;
use super::runs::stride_for;
use super::{Arena, FIRST_MAP_UNITS};
use std::ptr;

/// All functions below share one contract.
///
/// # Safety
/// The arena is initialised and consistent (A2); slabs and blocks are its own.
impl Arena {
    #[inline(always)]
    pub(super) unsafe fn slab(&self, slab: usize) -> *mut Slab {
        // SAFETY: a slab's header is its first bytes.
        unsafe { self.base.add(slab).cast() }
    }

    /// The slab that holds the block at `offset`, or 0 when the block is a run.
    #[inline(always)]
    pub(super) unsafe fn slab_of(&self, offset: usize) -> usize {
        let unit = offset / UNIT;
        // SAFETY: the map has `map_units` bytes.
        unsafe {
            let header = self.header();
            if unit >= (*header).map_units as usize {
                return 0;
            }
            match self.base.add((*header).map as usize + unit).read() & PLACE {
                0 => 0,
                place => (unit + 1 - place as usize) * UNIT,
            }
        }
    }

    /// A block of the class, or NULL at the limit.
    #[inline(always)]
    pub(super) unsafe fn alloc_block(&mut self, class: usize, kind: u32) -> *mut u8 {
        // SAFETY: the contract above; every listed slab has a free block.
        unsafe {
            let at = (*self.header()).slabs[class] as usize;
            if at == 0 {
                return self.alloc_in_new_slab(class, kind);
            }
            let slab = self.slab(at);
            let (free, fresh) = ((*slab).free as usize, (*slab).fresh as usize);
            (*slab).used += 1;
            let Shape { size, end, .. } = shape((*slab).shape);
            let block;
            if free != 0 {
                block = slab.cast::<u8>().add(free);
                let next = block.cast::<u16>().read();
                (*slab).free = next;
                if next == 0 && fresh == end as usize {
                    (*self.header()).slabs[class] = (*slab).next;
                }
            } else {
                block = slab.cast::<u8>().add(fresh);
                (*slab).fresh = (fresh + size as usize) as u16;
                if fresh + size as usize == end as usize {
                    (*self.header()).slabs[class] = (*slab).next;
                }
            }
            self.cards.mark(at);
            let place = block.addr() - slab.addr();
            self.cards.mark_block(at + place, size as usize);
            self.set_kind(at, place, kind);
            block
        }
    }

    /// Out of line, and last in its callers, so that the fast path saves no registers for it.
    #[cold]
    #[inline(never)]
    unsafe fn alloc_in_new_slab(&mut self, class: usize, kind: u32) -> *mut u8 {
        // SAFETY: the contract above.
        unsafe {
            match self.new_slab(class) {
                0 => ptr::null_mut(),
                _ => self.alloc_block(class, kind),
            }
        }
    }

    /// Gives the block at `offset` back to its slab. Answers NULL, as the slow paths do that it
    /// ends in: a call in tail position saves no registers.
    #[inline(always)]
    pub(super) unsafe fn free_block(&mut self, at: usize, offset: usize) -> *mut u8 {
        // SAFETY: the contract above.
        unsafe {
            let slab = self.slab(at);
            let number = (*slab).shape;
            let class = list_of_shape(number);
            let was_full = (*slab).free == 0 && (*slab).fresh == shape(number).end;
            self.cards.mark(at);
            self.cards.mark_block(offset, shape(number).size as usize);
            self.base.add(offset).cast::<u16>().write((*slab).free);
            (*slab).free = (offset - at) as u16;
            (*slab).used -= 1;
            if was_full {
                self.list_slab(at, class);
            } else if (*slab).used == 0 {
                return self.empty_slab(at, class);
            }
            ptr::null_mut()
        }
    }

    #[inline(always)]
    unsafe fn list_slab(&mut self, at: usize, class: usize) {
        // SAFETY: the contract above.
        unsafe {
            let first = (*self.header()).slabs[class];
            (*self.slab(at)).next = first;
            if first != 0 {
                (*self.slab(first as usize)).prev = at as u32;
                self.cards.mark(first as usize);
            }
            (*self.header()).slabs[class] = at as u32;
        }
    }

    /// An empty slab is given back, except the last one of its class below the top: a block that
    /// comes and goes would take and give back a slab each time. Of two empty ones the lower stays:
    /// one that stayed behind at a former peak would keep the arena that large.
    #[cold]
    #[inline(never)]
    unsafe fn empty_slab(&mut self, at: usize, class: usize) -> *mut u8 {
        // SAFETY: the contract above.
        unsafe {
            let slab = self.slab(at);
            (*slab).free = 0;
            (*slab).fresh = shape((*slab).shape).first;
            let only = (*self.header()).slabs[class] as usize == at && (*slab).next == 0;
            if !only || (at + self.stride(at)) as u64 == (*self.header()).top {
                let neighbours = [(*slab).next as usize, (*self.header()).slabs[class] as usize];
                let is_spare = |&other: &usize| other > at && (*self.slab(other)).used == 0;
                let higher = neighbours.into_iter().find(is_spare);
                self.drop_slab(higher.unwrap_or(at));
            }
            ptr::null_mut()
        }
    }

    /// Gives an empty slab back.
    unsafe fn drop_slab(&mut self, at: usize) {
        // SAFETY: the contract above; a slab with no used block is in its class's list.
        unsafe {
            let Slab { next, prev, shape: number, .. } = self.slab(at).read();
            let class = list_of_shape(number);
            if (*self.header()).slabs[class] as usize == at {
                (*self.header()).slabs[class] = next;
            } else {
                (*self.slab(prev as usize)).next = next;
                self.cards.mark(prev as usize);
                if next != 0 {
                    (*self.slab(next as usize)).prev = prev;
                    self.cards.mark(next as usize);
                }
            }
            (*self.header()).slab_counts[class] -= 1;
            for unit in 0..units_of_shape(number) {
                self.map(at / UNIT + unit, 0);
            }
            self.free_run(at);
        }
    }

    /// Called when the top has fallen, or could: what is left below it only for convenience, an
    /// empty slab or the map, would hold the top up, and with it the size of every snapshot.
    pub(super) unsafe fn settle(&mut self) {
        // SAFETY: the contract above; a stride of 0 before the top says that there is no run.
        unsafe {
            let top = (*self.header()).top as usize;
            let before = (*self.head(top)).prev_stride as usize;
            let run = top - before;
            if before == 0 {
            } else if self.slab_of(run) == run {
                if (*self.slab(run)).used == 0 {
                    self.drop_slab(run);
                }
            } else if run == (*self.header()).map as usize {
                // Covers twice what is used, so that a top that comes and goes moves it seldom.
                let units = (2 * top / UNIT).max(FIRST_MAP_UNITS);
                let held = (*self.header()).map_units as usize;
                let smaller = units.min(held);
                if self.find(stride_for(smaller)) != 0 {
                    self.move_map(smaller);
                } else if smaller <= held / 2 {
                    (*self.header()).map_units = smaller as u32;
                    self.resize_run(run, smaller);
                }
            }
        }
    }

    #[cold]
    #[inline(never)]
    unsafe fn new_slab(&mut self, class: usize) -> usize {
        // SAFETY: the contract above.
        unsafe {
            let number = next_shape(class, (*self.header()).slab_counts[class]);
            let units = units_of_shape(number);
            let at = self.alloc_units(units, kinds::SLAB);
            if at == 0 {
                return 0;
            }
            if !self.cover(at / UNIT + units) {
                self.free_run(at);
                return 0;
            }
            let opaque = if class >= CLASSES { OPAQUE } else { 0 };
            for unit in 0..units {
                self.map(at / UNIT + unit, opaque | (unit as u8 + 1));
            }
            self.cards.mark(at);
            self.slab(at).write(Slab {
                free: 0,
                fresh: shape(number).first,
                used: 0,
                shape: number,
                next: 0,
                prev: 0,
            });
            let kinds = shape(number).first as usize - SLAB_KINDS;
            ptr::write_bytes(self.base.add(at + SLAB_KINDS), 0, kinds);
            self.cards.mark_range(at, SLAB_KINDS + kinds);
            (*self.header()).slab_counts[class] += 1;
            (*self.header()).slabs[class] = at as u32;
            at
        }
    }

    /// Writes a byte of the map.
    pub(super) unsafe fn map(&mut self, unit: usize, byte: u8) {
        // SAFETY: the contract above; the map covers the unit.
        unsafe {
            let place = (*self.header()).map as usize + unit;
            self.base.add(place).write(byte);
            self.cards.mark(place);
        }
    }

    /// Makes the map cover `units` units: it moves to a run of twice the size, or more.
    pub(super) unsafe fn cover(&mut self, units: usize) -> bool {
        // SAFETY: the contract above.
        unsafe {
            let (held, limit) = ((*self.header()).map_units as usize, (*self.header()).limit);
            let ahead = (held * 2).min(limit as usize / UNIT);
            // Near the limit, what is needed may be there when what is nice is not.
            units <= held || ahead > units && self.move_map(ahead) || self.move_map(units)
        }
    }

    /// Moves the map to another run. False, and nothing changed, when there is none. No slab lies
    /// at or above `units`.
    unsafe fn move_map(&mut self, units: usize) -> bool {
        // SAFETY: the contract above; both maps hold what is copied.
        unsafe {
            let (map, held) = ((*self.header()).map as usize, (*self.header()).map_units as usize);
            let run = self.alloc_run(units, units, kinds::MAP);
            if run == 0 {
                return false;
            }
            let kept = held.min(units);
            ptr::copy_nonoverlapping(self.base.add(map), self.base.add(run), kept);
            ptr::write_bytes(self.base.add(run + kept), 0, units - kept);
            (*self.header()).map = run as u32;
            (*self.header()).map_units = units as u32;
            self.free_run(map);
            true
        }
    }
}
