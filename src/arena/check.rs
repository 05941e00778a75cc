//! Check: walks the whole arena and verifies A1 and A2.
//!
//! It does not verify what is inside blocks, nor that a block is handed out only once to each
//! owner: it cannot know the owners.

use super::Arena;
use super::classes::CLASS;
use super::layout::*;
use super::runs::bin_of;
use std::collections::BTreeSet;

type Found<T> = std::result::Result<T, String>;

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Found<()> {
    if holds { Ok(()) } else { Err(what()) }
}

impl Arena {
    /// Verifies the invariants; the error says which one is broken, and where.
    ///
    /// Cost: O(used bytes / 16).
    pub fn check(&self) -> Found<()> {
        // SAFETY: reads stay below `committed_bytes`: every offset is tested before it is followed.
        unsafe {
            let header = self.header().read();
            ensure(header.magic == MAGIC, || "A1: the header's magic is gone".into())?;
            ensure(
                header.top <= header.limit && header.top as usize <= self.committed_bytes(),
                || format!("A2: top {:#x} lies beyond the limit or the commit", header.top),
            )?;
            let (runs, free) = self.check_tiling(header.top as usize)?;
            self.check_bins(&header, &free)?;
            self.check_slabs(&header, &runs)
        }
    }

    /// Walks the runs; answers the used ones and the free ones.
    unsafe fn check_tiling(&self, top: usize) -> Found<(BTreeSet<usize>, BTreeSet<usize>)> {
        let (mut used, mut free) = (BTreeSet::new(), BTreeSet::new());
        let (mut run, mut before, mut before_free) = (FIRST, 0, false);
        // SAFETY: `run` never passes `top`, which is committed.
        unsafe {
            while run < top {
                let stride = self.stride(run);
                ensure((*self.head(run)).prev_stride as usize == before, || {
                    format!("A2: run {run:#x} does not know the stride before it")
                })?;
                ensure(stride >= GRAIN && stride % GRAIN == 0 && stride <= top - run, || {
                    format!("A2: run {run:#x} has stride {stride:#x}")
                })?;
                ensure(!(before_free && self.is_free(run)), || {
                    format!("A2: run {run:#x} and the one before are both free")
                })?;
                before_free = self.is_free(run);
                if before_free {
                    free.insert(run)
                } else {
                    used.insert(run)
                };
                before = stride;
                run += stride;
            }
            ensure(
                !before_free && (top == FIRST || (*self.head(top)).prev_stride as usize == before),
                || "A2: the run at the top is free, or the top does not know its stride".into(),
            )?;
        }
        Ok((used, free))
    }

    unsafe fn check_bins(&self, header: &Header, free: &BTreeSet<usize>) -> Found<()> {
        let mut listed = BTreeSet::new();
        for level in 0..LEVELS {
            for cut in 0..CUTS {
                let (mut run, mut prev) = (header.free_runs[level][cut] as usize, 0);
                let bit = header.cut_bits[level] >> cut & 1 == 1;
                ensure(bit == (run != 0), || format!("A2: bin {level}.{cut} and its bit differ"))?;
                while run != 0 {
                    // SAFETY: only runs that the walk found are followed.
                    let links = unsafe {
                        ensure(
                            free.contains(&run) && bin_of(self.stride(run)) == (level, cut),
                            || format!("A2: bin {level}.{cut} lists {run:#x}"),
                        )?;
                        self.base.add(run).cast::<FreeLinks>().read()
                    };
                    ensure(listed.insert(run) && links.prev as usize == prev, || {
                        format!("A2: free run {run:#x} is listed twice or has a wrong neighbour")
                    })?;
                    (prev, run) = (run, links.next as usize);
                }
            }
            ensure((header.level_bits >> level & 1 == 1) == (header.cut_bits[level] != 0), || {
                format!("A2: level {level} and its bit differ")
            })?;
        }
        ensure(listed.len() == free.len(), || "A2: a free run is in no bin".into())
    }

    unsafe fn check_slabs(&self, header: &Header, runs: &BTreeSet<usize>) -> Found<()> {
        ensure(runs.contains(&(header.map as usize)), || "A2: the slab map is no run".into())?;
        let mut open = BTreeSet::new();
        let mut unit = 0;
        // SAFETY: the map has `map_units` bytes; slabs are followed only where a run starts.
        unsafe {
            while unit < header.map_units as usize {
                if self.base.add(header.map as usize + unit).read() == 0 {
                    unit += 1;
                    continue;
                }
                let at = unit * UNIT;
                ensure(runs.contains(&at), || format!("A2: slab {at:#x} is no run"))?;
                unit += self.check_slab(header, at)?;
                let slab = self.slab(at).read();
                if slab.free != 0 || slab.fresh != CLASS[slab.class as usize].end {
                    open.insert(at);
                }
            }
            for class in 0..CLASSES {
                let (mut at, mut prev) = (header.slabs[class] as usize, 0);
                while at != 0 {
                    ensure(open.remove(&at), || {
                        format!("A2: class {class} lists {at:#x}, twice or without a free block")
                    })?;
                    let slab = self.slab(at).read();
                    ensure(
                        slab.class as usize == class && (prev == 0 || slab.prev == prev),
                        || format!("A2: slab {at:#x} is in the wrong list or place"),
                    )?;
                    (prev, at) = (at as u32, slab.next as usize);
                }
            }
        }
        ensure(open.is_empty(), || "A2: a slab with a free block is in no list".into())
    }

    /// Verifies one slab; answers its units.
    unsafe fn check_slab(&self, header: &Header, at: usize) -> Found<usize> {
        // SAFETY: the slab is a run, so its header and blocks are in the used part.
        unsafe {
            let slab = self.slab(at).read();
            ensure((slab.class as usize) < CLASSES, || format!("A2: slab {at:#x} has no class"))?;
            let class = CLASS[slab.class as usize];
            let units = class.units as usize;
            ensure(self.stride(at) >= units * UNIT, || format!("A2: slab {at:#x} is cut short"))?;
            for place in 0..units {
                let tag = self.base.add(header.map as usize + at / UNIT + place).read();
                ensure(tag as usize == place + 1, || format!("A2: the map cuts slab {at:#x}"))?;
            }
            let (size, end) = (class.size as usize, class.end as usize);
            let on_grid = |offset: usize| {
                offset >= SLAB_FIRST && offset < end && (offset - SLAB_FIRST) % size == 0
            };
            let fresh = slab.fresh as usize;
            ensure(fresh == end || on_grid(fresh), || format!("A2: slab {at:#x}: fresh part"))?;
            let mut listed = BTreeSet::new();
            let mut free = slab.free as usize;
            while free != 0 {
                ensure(on_grid(free) && free < fresh && listed.insert(free), || {
                    format!("A2: slab {at:#x} lists block {free:#x} as free, wrongly or twice")
                })?;
                free = self.base.add(at + free).cast::<u16>().read() as usize;
            }
            ensure((fresh - SLAB_FIRST) / size - listed.len() == slab.used as usize, || {
                format!("A2: slab {at:#x} does not count its blocks")
            })?;
            Ok(units)
        }
    }
}
