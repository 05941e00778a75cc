//! Opaque memory: what hosts write to at any time, so that nothing announces it.
//!
//! Userdata, threads (for their extra space) and blocks of hosts lie in slabs and runs of their
//! own, whole units of the map, which says so. So a capture finds them by a look at the map, and
//! what else lies in the arena is not suspected for them. A run may be announced: then its host
//! says what it writes, and it is not suspected either.

use super::Arena;
use super::classes::{MAX_SMALL, class_for, list_of_shape, shape};
use super::layout::*;
use crate::pages::{FewLines, Opaque};
use crate::units::{LINE_BYTES, PAGE_SIZE};
use std::ptr;

/// Units of a run for `size` bytes.
fn units_for(size: usize) -> usize {
    size.saturating_add(HEAD).div_ceil(UNIT)
}

/// All functions below share one contract.
///
/// # Safety
/// The arena is initialised and consistent (A2); offsets are those of its blocks.
impl Arena {
    /// Whether the block at `offset` is opaque.
    ///
    /// # Safety
    /// As said above.
    #[inline(always)]
    pub unsafe fn is_opaque(&self, offset: usize) -> bool {
        let unit = offset / UNIT;
        // SAFETY: the map has `map_units` bytes.
        unsafe {
            let header = self.header();
            unit < (*header).map_units as usize
                && self.base.add((*header).map as usize + unit).read() & OPAQUE != 0
        }
    }

    /// A block that is zero, for hosts that write only part of it: what lay there before must not
    /// become part of the state. Aligned to 16: malloc gives that, and hosts keep vectors in
    /// userdata.
    #[inline(never)]
    pub(super) unsafe fn alloc_opaque(&mut self, size: usize, kind: u32) -> *mut u8 {
        let size = size.saturating_add(15) & !15;
        // SAFETY: the contract above.
        unsafe {
            if size <= MAX_SMALL {
                let class = class_for(size);
                let block = self.alloc_block(CLASSES + class, kind);
                if !block.is_null() {
                    ptr::write_bytes(block, 0, shape(class as u16).size as usize);
                }
                return block;
            }
            if size > u32::MAX as usize - 2 * UNIT {
                return ptr::null_mut();
            }
            let units = units_for(size);
            let peak = self.peak_bytes;
            let run = self.alloc_units(units, kind);
            if run == 0 {
                return ptr::null_mut();
            }
            if !self.cover(run / UNIT + units) {
                self.free_run(run);
                return ptr::null_mut();
            }
            self.note_opaque(run, units * UNIT, OPAQUE);
            self.clear(run, (run + units * UNIT - HEAD).min(peak));
            self.base.add(run)
        }
    }

    /// The host of the block at `offset` announces what it writes there, if it is large.
    ///
    /// # Safety
    /// As said above.
    pub unsafe fn announce(&mut self, offset: usize) {
        // SAFETY: the contract above; an opaque block that is in no slab is a run.
        unsafe {
            if self.is_opaque(offset) && self.slab_of(offset) == 0 {
                self.note_opaque(offset, self.stride(offset), OPAQUE | ANNOUNCED);
            }
        }
    }

    /// Notes in the map what a run is, by the byte for each unit; it is covered.
    pub(super) unsafe fn note_opaque(&mut self, run: usize, bytes: usize, byte: u8) {
        // SAFETY: the contract above.
        unsafe {
            let place = (*self.header()).map as usize + run / UNIT;
            let units = bytes / UNIT;
            if units > 0 {
                ptr::write_bytes(self.base.add(place), byte, units);
                self.cards.mark_range(place, units);
            }
        }
    }

    /// Gives an opaque block another size. As for other blocks: NULL when it has to grow and
    /// cannot.
    pub(super) unsafe fn resize_opaque(&mut self, block: *mut u8, size: usize) -> *mut u8 {
        let offset = block.addr().wrapping_sub(self.base.addr());
        let rounded = size.saturating_add(15) & !15;
        // SAFETY: the contract above; the copy stays in both blocks.
        unsafe {
            let held = match self.slab_of(offset) {
                0 => self.stride(offset) - HEAD,
                slab => shape((*self.slab(slab)).shape).size as usize,
            };
            match self.slab_of(offset) {
                0 if rounded > MAX_SMALL => {
                    if self.resize_opaque_run(offset, rounded) {
                        return block;
                    }
                }
                0 => {}
                slab => {
                    let list = list_of_shape((*self.slab(slab)).shape);
                    if rounded <= held && CLASSES + class_for(rounded) == list {
                        self.cards.mark_block(offset, held);
                        return block;
                    }
                }
            }
            let moved = self.alloc_opaque(size, self.kind_of(offset));
            if moved.is_null() {
                return if size <= held { block } else { moved };
            }
            ptr::copy_nonoverlapping(block, moved, held.min(size));
            self.free(block);
            moved
        }
    }

    /// In place. False, and nothing changed, where it cannot grow.
    unsafe fn resize_opaque_run(&mut self, run: usize, size: usize) -> bool {
        // SAFETY: the contract above.
        unsafe {
            let held = self.stride(run);
            if size > u32::MAX as usize - 2 * UNIT {
                return false;
            }
            let units = units_for(size);
            self.cards.mark_range(run, held);
            if units * UNIT < held {
                self.note_opaque(run + units * UNIT, held - units * UNIT, 0);
            }
            // Its stride is then exactly as many units.
            if !self.resize_run(run, units * UNIT - HEAD) {
                return false;
            }
            if units * UNIT > held {
                // Behind it: the map covers no more than there is below the top.
                if !self.cover(run / UNIT + units) {
                    self.resize_run(run, held - HEAD);
                    return false;
                }
                self.note_opaque(run, units * UNIT, OPAQUE);
                self.clear(run + held - HEAD, run + units * UNIT - HEAD);
            }
            self.cards.mark_range(run, self.stride(run));
            true
        }
    }

    /// Marks what hosts may write to in a unit, and notes which lines these are: of a slab, the
    /// blocks that were ever handed out.
    #[inline]
    unsafe fn suspect_unit(&self, unit: usize, byte: u8, lines: &mut FewLines) {
        let at = unit * UNIT;
        // SAFETY: the contract above; the unit's byte in the map tells what it is.
        let (first, end) = unsafe {
            match byte & PLACE {
                _ if byte & (OPAQUE | ANNOUNCED) != OPAQUE => return,
                0 => (at, at + UNIT),
                place => {
                    let slab = (unit + 1 - place as usize) * UNIT;
                    let end = slab + (*self.slab(slab)).fresh as usize;
                    let first = slab + shape((*self.slab(slab)).shape).first as usize;
                    (at.max(first), end.min(at + UNIT))
                }
            }
        };
        if first < end {
            // SAFETY: as above.
            unsafe { self.cards.mark_range(first, end - first) };
            lines.add(first / LINE_BYTES, (end - 1) / LINE_BYTES);
        }
    }

    /// Marks the lines of all opaque memory: it is suspect (C3). Where whole pages of it are
    /// wanted, these are noted instead.
    pub fn suspect_opaque(&self, opaque: &mut Opaque) {
        const ALL: u64 = u64::from_ne_bytes([OPAQUE; 8]);
        const SAID: u64 = u64::from_ne_bytes([ANNOUNCED; 8]);
        const HALF: usize = PAGE_SIZE / UNIT;
        const _: () = assert!(2 * HALF == 8);
        const MANY: usize = 64;
        opaque.lines.clear();
        opaque.whole_pages = 0;
        // SAFETY: the map has `map_units` bytes; units lie in the region.
        unsafe {
            let header = self.header();
            let end = ((*header).map_units as usize).min(self.used_bytes().div_ceil(UNIT));
            let map = self.base.add((*header).map as usize);
            let mut first = 0;
            while first < end {
                // Most of a map says that nothing is opaque.
                if first % MANY == 0 && first + MANY <= end {
                    let many = map.add(first).cast::<u64>();
                    let any = (0..MANY / 8).fold(0, |any, at| any | many.add(at).read());
                    if any & ALL == 0 {
                        first += MANY;
                        continue;
                    }
                }
                let mut bytes = [0; 2 * HALF];
                if first + bytes.len() <= end {
                    bytes = map.add(first).cast::<[u8; 2 * HALF]>().read();
                } else {
                    ptr::copy_nonoverlapping(map.add(first), bytes.as_mut_ptr(), end - first);
                }
                let (word, at) = (u64::from_ne_bytes(bytes), first);
                first += 2 * HALF;
                if word & ALL == 0 {
                    continue;
                }
                let first = at;
                if word & (ALL | SAID) == ALL && opaque.noted {
                    opaque.whole_pages += 2;
                    opaque.lines.give_up();
                    opaque.pages.insert_range(first / HALF, first / HALF + 2);
                    continue;
                }
                for (half, units) in bytes.chunks(HALF).enumerate() {
                    let page = first / HALF + half;
                    if units.iter().all(|byte| byte & (OPAQUE | ANNOUNCED) == OPAQUE) {
                        opaque.whole_pages += 1;
                        if opaque.noted {
                            opaque.lines.give_up();
                            opaque.pages.insert(page);
                            continue;
                        }
                    }
                    for (at, &byte) in units.iter().enumerate() {
                        self.suspect_unit(page * HALF + at, byte, &mut opaque.lines);
                    }
                }
            }
        }
    }
}
