//! Check: walks the whole arena and verifies A1 and A2.
//!
//! It does not verify what is inside blocks, nor that a block is handed out only once to each
//! owner: it cannot know the owners.

use super::Arena;
use super::classes::{Shape, list_of_shape, shape, units_of_shape};
use super::kinds::{self, KIND_MASK};
use super::layout::*;
use super::runs::bin_of;
use crate::error::Flaw;

type Found<T> = std::result::Result<T, Flaw>;

/// Goes on where a condition holds; else this is what is broken.
macro_rules! ensure {
    ($holds:expr, $($what:tt)*) => {
        if !$holds {
            return Err(Flaw::damaged(format_args!($($what)*)));
        }
    };
}

impl Arena {
    /// Verifies the invariants; the error says which one is broken, and where.
    ///
    /// Cost: O(used bytes / 16).
    pub fn check(&self) -> Found<()> {
        // SAFETY: reads stay below `committed_bytes`: every offset is tested before it is followed.
        unsafe {
            let header = self.header().read();
            ensure!(header.magic == MAGIC, "A1: the header's magic is gone");
            ensure!(
                (FIRST as u64..=header.limit).contains(&header.top)
                    && header.top as usize <= self.committed_bytes(),
                "A2: top {:#x} lies beyond the limit or the commit",
                header.top
            );
            let runs = self.check_tiling(header.top as usize)?;
            self.check_bins(&header, &runs)?;
            self.check_slabs(&header, &runs)
        }
    }

    /// Walks the runs; answers their offsets, rising.
    unsafe fn check_tiling(&self, top: usize) -> Found<Vec<usize>> {
        let mut runs = Vec::new();
        let (mut run, mut before, mut before_free) = (FIRST, 0, false);
        // SAFETY: `run` never passes `top`, which is committed.
        unsafe {
            while run < top {
                let stride = self.stride(run);
                ensure!(
                    (*self.head(run)).prev_stride as usize == before,
                    "A2: run {run:#x} does not know the stride before it"
                );
                ensure!(
                    stride >= GRAIN && stride.is_multiple_of(GRAIN) && stride <= top - run,
                    "A2: run {run:#x} has stride {stride:#x}"
                );
                ensure!(
                    !(before_free && self.is_free(run)),
                    "A2: run {run:#x} and the one before are both free"
                );
                runs.try_reserve(1).map_err(|_| Flaw::NoMemory)?;
                runs.push(run);
                (before, before_free) = (stride, self.is_free(run));
                run += stride;
            }
            ensure!(
                !before_free && (*self.head(top)).prev_stride as usize == before,
                "A2: the run at the top is free, or the top does not know its stride"
            );
        }
        Ok(runs)
    }

    /// Every free run is in its bin. A run has one `prev`, so none is listed twice.
    unsafe fn check_bins(&self, header: &Header, runs: &[usize]) -> Found<()> {
        // SAFETY: only runs that the walk found are followed.
        unsafe {
            let free = runs.iter().filter(|&&run| self.is_free(run)).count();
            let mut listed = 0;
            ensure!(
                header.level_bits >> LEVELS == 0
                    && header.cut_bits[LEVELS..].iter().all(|b| *b == 0),
                "A2: a bit stands for no level"
            );
            for level in 0..LEVELS {
                for cut in 0..CUTS {
                    let (mut run, mut prev) = (header.free_runs[level][cut], 0);
                    let bit = header.cut_bits[level] >> cut & 1 == 1;
                    ensure!(bit == (run != 0), "A2: bin {level}.{cut} and its bit differ");
                    while run != 0 {
                        let at = run as usize;
                        ensure!(
                            runs.binary_search(&at).is_ok()
                                && self.is_free(at)
                                && bin_of(self.stride(at)) == (level, cut),
                            "A2: bin {level}.{cut} lists {run:#x}"
                        );
                        let links = self.base.add(at).cast::<FreeLinks>().read();
                        ensure!(links.prev == prev, "A2: free run {run:#x} has a wrong neighbour");
                        listed += 1;
                        (prev, run) = (run, links.next);
                    }
                }
                let bit = header.level_bits >> level & 1 == 1;
                ensure!(
                    bit == (header.cut_bits[level] != 0),
                    "A2: level {level} and its bit differ"
                );
            }
            ensure!(listed == free, "A2: a free run is in no bin");
            Ok(())
        }
    }

    /// The map names the slabs, and each slab with a free block is in its class's list. A slab has
    /// one `next`, so one that is listed twice makes a ring, which the count ends.
    unsafe fn check_slabs(&self, header: &Header, runs: &[usize]) -> Found<()> {
        let is_run = |offset: usize| runs.binary_search(&offset).is_ok();
        ensure!(is_run(header.map as usize), "A2: the slab map is no run");
        // SAFETY: the walk found these runs.
        let count =
            |kind| runs.iter().filter(|&&run| unsafe { self.run_kind(run) } == kind).count();
        // SAFETY: a run.
        let is_map = unsafe { self.run_kind(header.map as usize) } == kinds::MAP;
        ensure!(
            is_map && count(kinds::MAP) == 1 && count(KIND_MASK) == 0,
            "K1: the slab map is another kind of run, or there are two"
        );
        // SAFETY: the map is a run, which has to hold as many bytes as it has units.
        let map_room = unsafe { self.stride(header.map as usize) } - HEAD;
        ensure!(header.map_units as usize <= map_room, "A2: the slab map is longer than its run");
        let (mut open, mut unit, mut counts) = (0, 0, [0; LISTS]);
        let mut slabs = 0;
        // SAFETY: the map has `map_units` bytes; slabs are followed only where a run starts.
        unsafe {
            while unit < header.map_units as usize {
                let tag = self.base.add(header.map as usize + unit).read();
                let at = unit * UNIT;
                if tag & !ANNOUNCED == OPAQUE && is_run(at) {
                    ensure!(!self.is_free(at), "C3: run {at:#x} is free and opaque");
                    unit += self.check_opaque(at)?;
                    continue;
                }
                if tag == 0 {
                    unit += 1;
                    continue;
                }
                ensure!(is_run(at), "A2: slab {at:#x} is no run");
                unit += self.check_slab(header, at)?;
                slabs += 1;
                open += self.has_room(at) as usize;
                counts[list_of_shape((*self.slab(at)).shape)] += 1;
            }
            ensure!(counts == header.slab_counts, "A2: slabs are miscounted");
            ensure!(slabs == count(kinds::SLAB), "K1: a slab is not in the map");
            for class in 0..LISTS {
                let (mut at, mut prev) = (header.slabs[class] as usize, 0);
                while at != 0 {
                    let listed = open > 0 && is_run(at) && self.slab_of(at) == at;
                    ensure!(
                        listed && self.has_room(at),
                        "A2: class {class} lists {at:#x}, twice or without a free block"
                    );
                    let slab = self.slab(at).read();
                    ensure!(
                        list_of_shape(slab.shape) == class && (prev == 0 || slab.prev == prev),
                        "A2: slab {at:#x} is in the wrong list or place"
                    );
                    open -= 1;
                    (prev, at) = (at as u32, slab.next as usize);
                }
            }
        }
        ensure!(open == 0, "A2: a slab with a free block is in no list");
        Ok(())
    }

    /// Verifies that all of an opaque run is in the map; answers its units.
    unsafe fn check_opaque(&self, at: usize) -> Found<usize> {
        // SAFETY: the run is one of ours (the caller).
        let (stride, kind) = unsafe { (self.stride(at), self.run_kind(at)) };
        let units = stride / UNIT;
        ensure!(
            stride.is_multiple_of(UNIT) && kind < kinds::SLAB,
            "C3: the map says that run {at:#x} is opaque"
        );
        for unit in 0..units {
            // SAFETY: as above.
            let opaque = unsafe { self.is_opaque(at + unit * UNIT) };
            ensure!(opaque, "C3: the map cuts the opaque run {at:#x}");
        }
        Ok(units)
    }

    unsafe fn has_room(&self, at: usize) -> bool {
        // SAFETY: the caller found a slab there.
        let slab = unsafe { self.slab(at).read() };
        slab.free != 0 || slab.fresh != shape(slab.shape).end
    }

    /// Verifies one slab; answers its units.
    unsafe fn check_slab(&self, header: &Header, at: usize) -> Found<usize> {
        // SAFETY: the slab is a run, so its header and blocks are in the used part.
        unsafe {
            let slab = self.slab(at).read();
            let Shape { size, end, first, .. } = shape(slab.shape);
            let units = units_of_shape(slab.shape);
            ensure!(self.stride(at) >= units * UNIT, "A2: slab {at:#x} is cut short");
            for place in 0..units {
                let tag = self.base.add(header.map as usize + at / UNIT + place).read();
                let opaque = if list_of_shape(slab.shape) >= CLASSES { OPAQUE } else { 0 };
                ensure!(tag == opaque | (place as u8 + 1), "A2: the map cuts slab {at:#x}");
            }
            let (size, end, first) = (size as usize, end as usize, first as usize);
            let on_grid = |offset: usize| {
                offset >= first && offset < end && (offset - first).is_multiple_of(size)
            };
            let fresh = slab.fresh as usize;
            ensure!(fresh == end || on_grid(fresh), "A2: slab {at:#x}: fresh part");
            let mut seen = [false; 4 * UNIT / 8];
            let (mut free, mut listed) = (slab.free as usize, 0);
            while free != 0 {
                ensure!(
                    on_grid(free) && free < fresh && !seen[free / 8],
                    "A2: slab {at:#x} lists block {free:#x} as free, wrongly or twice"
                );
                seen[free / 8] = true;
                listed += 1;
                free = self.base.add(at + free).cast::<u16>().read() as usize;
            }
            ensure!(
                (fresh - first) / size - listed == slab.used as usize,
                "A2: slab {at:#x} does not count its blocks"
            );
            ensure!(self.run_kind(at) == kinds::SLAB, "K1: slab {at:#x} is another kind of run");
            for place in (first..fresh).step_by(size).filter(|place| !seen[place / 8]) {
                let kind = kinds::kind_in(self.slab(at), place);
                let opaque = list_of_shape(slab.shape) >= CLASSES;
                ensure!(
                    (kinds::OBJECT..kinds::SLAB).contains(&kind)
                        && (opaque || !matches!(kind, kinds::THREAD | kinds::HOST)),
                    "K1: the block at {:#x} has no kind, or another than its slab is for",
                    at + place
                );
            }
            Ok(units)
        }
    }
}
