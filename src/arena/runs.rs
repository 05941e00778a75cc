//! Runs: blocks of any size, found, split and joined in constant time.
//!
//! Two-level segregated fit (TLSF: Masmano, Ripoll, Crespo, Real 2004): free runs are kept in bins
//! by size, eight bins to a power of two, with bitmaps that tell which bins hold one. A head
//! before each run tells its own stride and the stride before it, so a freed run finds and joins
//! both neighbours. The run at the top is never free: the top falls instead.
//!
//! # Not here
//! Small blocks ([`super::slabs`]); which of both a block is ([`super::Arena`]).

use super::Arena;
use super::kinds::{self, KIND_MASK};
use super::layout::*;
use crate::units::PAGE_SIZE;
use std::ptr;

/// Bytes that a run for `bytes` of payload takes, head included; absurdly many for absurdly many.
#[inline]
pub const fn stride_for(bytes: usize) -> usize {
    bytes.saturating_add(HEAD + GRAIN - 1) & !(GRAIN - 1)
}

/// The bin of free runs of `stride` bytes: below [`LEVELS`] and [`CUTS`] for any number, so that
/// no index is out of bounds (A3). No run has 4 GiB, so the last level's bins are as exact as the
/// others.
#[inline]
pub fn bin_of(stride: usize) -> (usize, usize) {
    if stride < 128 {
        return (0, stride / GRAIN);
    }
    let log = stride.ilog2() as usize;
    ((log - 6).min(LEVELS - 1), (stride >> (log - 3)) & (CUTS - 1))
}

/// Whether a whole page is zero.
///
/// # Safety
/// `page` is a page's first byte, committed, and nothing else touches it during the call.
unsafe fn is_zero_page(page: *const u8) -> bool {
    const BYTES: usize = 512;
    let parts = page.cast::<[u8; BYTES]>();
    // SAFETY: inside the page. Raw reads, no reference (R3).
    (0..PAGE_SIZE / BYTES).all(|part| unsafe { parts.add(part).read() } == [0; BYTES])
}

/// All functions below share one contract.
///
/// # Safety
/// The arena is initialised and consistent (A2); offsets are payloads of its runs.
impl Arena {
    #[inline]
    pub(super) unsafe fn head(&self, run: usize) -> *mut Head {
        // SAFETY: every run's head lies in the used part, just below its payload.
        unsafe { self.base.add(run - HEAD).cast() }
    }

    #[inline]
    unsafe fn links(&self, run: usize) -> *mut FreeLinks {
        // SAFETY: a free run's payload holds its links.
        unsafe { self.base.add(run).cast() }
    }

    /// Bytes from this run's payload to the next one's.
    #[inline]
    pub(super) unsafe fn stride(&self, run: usize) -> usize {
        // SAFETY: the contract above.
        unsafe { ((*self.head(run)).stride_kind & !KIND_MASK) as usize }
    }

    #[inline]
    pub(super) unsafe fn is_free(&self, run: usize) -> bool {
        // SAFETY: the contract above.
        unsafe { self.run_kind(run) == kinds::FREE }
    }

    /// What the run is.
    #[inline]
    pub(super) unsafe fn run_kind(&self, run: usize) -> u32 {
        // SAFETY: the contract above.
        unsafe { (*self.head(run)).stride_kind & KIND_MASK }
    }

    /// Sets a run's extent and tells the run behind it.
    #[inline]
    unsafe fn set_run(&mut self, run: usize, stride: usize, kind: u32) {
        // SAFETY: the run behind, or the head at the top, lies in the used part.
        unsafe {
            (*self.head(run)).stride_kind = stride as u32 | kind;
            (*self.head(run + stride)).prev_stride = stride as u32;
            self.cards.mark(run - HEAD);
            self.cards.mark(run + stride - HEAD);
        }
    }

    unsafe fn push_free(&mut self, run: usize, stride: usize) {
        let (level, cut) = bin_of(stride);
        // SAFETY: the contract above; level and cut are in range for every stride below 4 GiB.
        unsafe {
            self.set_run(run, stride, kinds::FREE);
            let header = self.header();
            let first = (*header).free_runs[level][cut];
            *self.links(run) = FreeLinks { next: first, prev: 0 };
            self.cards.mark(run);
            if first != 0 {
                (*self.links(first as usize)).prev = run as u32;
                self.cards.mark(first as usize);
            }
            (*header).free_runs[level][cut] = run as u32;
            (*header).cut_bits[level] |= 1 << cut;
            (*header).level_bits |= 1 << level;
        }
    }

    unsafe fn unlink(&mut self, run: usize) {
        // SAFETY: the contract above; the run is free, so it is in the bin of its stride.
        unsafe {
            let (level, cut) = bin_of(self.stride(run));
            let FreeLinks { next, prev } = self.links(run).read();
            if next != 0 {
                (*self.links(next as usize)).prev = prev;
                self.cards.mark(next as usize);
            }
            if prev != 0 {
                (*self.links(prev as usize)).next = next;
                self.cards.mark(prev as usize);
                return;
            }
            let header = self.header();
            (*header).free_runs[level][cut] = next;
            if next == 0 {
                (*header).cut_bits[level] &= !(1 << cut);
                if (*header).cut_bits[level] == 0 {
                    (*header).level_bits &= !(1 << level);
                }
            }
        }
    }

    /// A free run of at least `stride` bytes, or 0. The run stays in its bin.
    pub(super) unsafe fn find(&self, stride: usize) -> usize {
        let (level, cut) = bin_of(stride);
        // SAFETY: the contract above.
        unsafe {
            let header = self.header();
            // Runs of this bin may be too small; the first one is worth a look.
            let first = (*header).free_runs[level][cut] as usize;
            if first != 0 && self.stride(first) >= stride {
                return first;
            }
            let cuts = (*header).cut_bits[level] as u32 & (!0u32 << (cut + 1));
            if cuts != 0 {
                return (*header).free_runs[level][cuts.trailing_zeros() as usize] as usize;
            }
            let levels = (*header).level_bits & (!0u32 << (level + 1));
            if levels == 0 {
                return 0;
            }
            let level = levels.trailing_zeros() as usize;
            let cut = (*header).cut_bits[level].trailing_zeros() as usize;
            (*header).free_runs[level][cut] as usize
        }
    }

    /// Takes the first `stride` bytes of a run that is in no bin; the rest becomes free.
    unsafe fn trim(&mut self, run: usize, held: usize, stride: usize, kind: u32) {
        // SAFETY: the contract above; what is cut off lies inside the run.
        unsafe {
            if held - stride >= GRAIN {
                self.set_run(run, stride, kind);
                self.push_free(run + stride, held - stride);
            } else {
                self.set_run(run, held, kind);
            }
        }
    }

    /// Bytes that a run for `bytes` of payload takes, or `None` where it cannot fit. A limit of
    /// 4 GiB leaves no run of 4 GiB, so strides and offsets of runs have 32 bits.
    #[inline]
    unsafe fn fitting_stride(&self, bytes: usize) -> Option<usize> {
        let stride = stride_for(bytes);
        // SAFETY: the contract above.
        let most = unsafe { (*self.header()).limit } - FIRST as u64;
        (stride as u64 <= most).then_some(stride)
    }

    /// Moves the top up to `end`. False at the limit, or when the system refuses memory.
    ///
    /// What the top rises over is made zero (Z1), but for the first `filled` bytes, which the
    /// block's owner writes before anything else happens.
    unsafe fn raise_top(&mut self, end: usize, filled: usize) -> bool {
        // SAFETY: the contract above.
        unsafe {
            if end as u64 > (*self.header()).limit
                || self.region.commit_to(end).is_err()
                || self.table.cover(self.region.committed_bytes()).is_err()
            {
                return false;
            }
            let top = (*self.header()).top as usize;
            if top + filled < self.peak_bytes {
                self.clear(top + filled, end.min(self.peak_bytes));
            }
            (*self.header()).top = end as u64;
            (*self.head(end)).stride_kind = 0;
            self.cards.mark(end - HEAD);
        }
        self.peak_bytes = self.peak_bytes.max(end);
        true
    }

    /// Makes `first .. end` zero. Pages that are zero already are only read: a large block that its
    /// owner hardly touches comes to hardly more memory when it comes again.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn clear(&mut self, first: usize, end: usize) {
        let mut at = first;
        while at < end {
            let next = (at + 1).next_multiple_of(PAGE_SIZE).min(end);
            // SAFETY: below the peak, so committed; nothing lives there.
            unsafe {
                let start = self.base.add(at);
                if next - at < PAGE_SIZE || !is_zero_page(start) {
                    ptr::write_bytes(start, 0, next - at);
                    self.cards.mark_range(at, next - at);
                }
            }
            at = next;
        }
    }

    /// A run with room for `bytes`, or 0 when there is none below the limit. Its owner writes the
    /// first `filled` bytes at once.
    pub(super) unsafe fn alloc_run(&mut self, bytes: usize, filled: usize, kind: u32) -> usize {
        // SAFETY: the contract above.
        unsafe {
            let Some(stride) = self.fitting_stride(bytes) else { return 0 };
            let found = self.find(stride);
            if found != 0 {
                self.unlink(found);
                self.trim(found, self.stride(found), stride, kind);
                self.cards.mark_range(found, self.stride(found) - HEAD);
                return found;
            }
            let run = (*self.header()).top as usize;
            if !self.raise_top(run + stride, filled.min(bytes)) {
                return 0;
            }
            self.set_run(run, stride, kind);
            self.cards.mark_range(run, stride - HEAD);
            run
        }
    }

    /// A run of exactly `units` units, its payload at a multiple of a unit, or 0.
    pub(super) unsafe fn alloc_units(&mut self, units: usize, kind: u32) -> usize {
        let stride = units * UNIT;
        // SAFETY: the contract above; `aligned + stride` is checked against the run found.
        unsafe {
            // A slab given back earlier is the exact size and aligned: the common case.
            let (level, cut) = bin_of(stride);
            let mut run = (*self.header()).free_runs[level][cut] as usize;
            if run == 0 || run.next_multiple_of(UNIT) + stride > run + self.stride(run) {
                run = self.find(stride + UNIT - GRAIN);
            }
            if run != 0 {
                self.unlink(run);
                let held = self.stride(run);
                let aligned = run.next_multiple_of(UNIT);
                if aligned > run {
                    self.push_free(run, aligned - run);
                }
                self.trim(aligned, run + held - aligned, stride, kind);
                return aligned;
            }
            let top = (*self.header()).top as usize;
            let aligned = top.next_multiple_of(UNIT);
            if !self.raise_top(aligned + stride, 0) {
                return 0;
            }
            if aligned > top {
                self.push_free(top, aligned - top);
            }
            self.set_run(aligned, stride, kind);
            aligned
        }
    }

    /// Gives a run back and joins it with free neighbours.
    pub(super) unsafe fn free_run(&mut self, run: usize) {
        let mut start = run;
        // SAFETY: the contract above.
        unsafe {
            let mut end = run + self.stride(run);
            self.cards.mark_range(run, end - run);
            let before = (*self.head(run)).prev_stride as usize;
            if before != 0 && self.is_free(run - before) {
                start = run - before;
                self.unlink(start);
            }
            if end as u64 == (*self.header()).top {
                (*self.header()).top = start as u64;
                (*self.head(start)).stride_kind = 0;
                self.cards.mark(start - HEAD);
                self.settle();
                return;
            }
            if self.is_free(end) {
                self.unlink(end);
                end += self.stride(end);
            }
            self.push_free(start, end - start);
            // What the map covers may have pushed it up, and it may have held the top up.
            let header = self.header();
            if end == (*header).map as usize && (end + self.stride(end)) as u64 == (*header).top {
                self.settle();
            }
        }
    }

    /// Gives a run another size without moving it. False when it cannot grow where it is.
    pub(super) unsafe fn resize_run(&mut self, run: usize, bytes: usize) -> bool {
        // SAFETY: the contract above.
        unsafe {
            let Some(stride) = self.fitting_stride(bytes) else { return false };
            let (held, kind) = (self.stride(run), self.run_kind(run));
            if stride <= held {
                if held - stride >= GRAIN {
                    self.set_run(run, stride, kind);
                    self.set_run(run + stride, held - stride, kind);
                    self.free_run(run + stride);
                }
                return true;
            }
            let next = run + held;
            if next as u64 == (*self.header()).top {
                if !self.raise_top(run + stride, 0) {
                    return false;
                }
                self.set_run(run, stride, kind);
                return true;
            }
            let joined = held + self.stride(next);
            if !self.is_free(next) || joined < stride {
                return false;
            }
            self.unlink(next);
            self.trim(run, joined, stride, kind);
            true
        }
    }
}
