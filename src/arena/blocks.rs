//! Blocks: which addresses are those of live blocks. For whoever checks that a pointer leads to
//! one.

use super::Arena;
use super::classes::{Shape, shape};
use super::kinds;
use super::layout::*;

impl Arena {
    /// Bytes of the live block that starts at `offset`, or `None` when none does. Any offset may be
    /// asked for; the arena is consistent (A2).
    ///
    /// A slab's block is known for certain. A run is known by its two neighbours' heads, which what
    /// lies inside a block could imitate on purpose, but not by chance.
    ///
    /// Cost: constant for a run; for a small block as many steps as its slab has free blocks.
    pub fn block_bytes(&self, offset: usize) -> Option<usize> {
        // SAFETY: what is read lies below the top, which is committed.
        unsafe {
            let (top, map) = (self.used_bytes(), (*self.header()).map as usize);
            if offset < FIRST || offset >= top || offset == map {
                return None;
            }
            match self.slab_of(offset) {
                0 => self.live_run(offset, top),
                slab => self.live_block(slab, offset - slab),
            }
        }
    }

    unsafe fn live_run(&self, run: usize, top: usize) -> Option<usize> {
        // SAFETY: `run` is between the first run and the top (the caller); neighbours are followed
        // where they lie there too.
        unsafe {
            if !run.is_multiple_of(GRAIN) || matches!(self.run_kind(run), kinds::FREE | kinds::SLAB)
            {
                return None;
            }
            let (stride, before) = (self.stride(run), (*self.head(run)).prev_stride as usize);
            let fits = stride >= GRAIN && stride.is_multiple_of(GRAIN) && stride <= top - run;
            if !fits || (*self.head(run + stride)).prev_stride as usize != stride {
                return None;
            }
            let first = run == FIRST && before == 0;
            let behind = before.is_multiple_of(GRAIN) && before >= GRAIN && before <= run - FIRST;
            (first || behind && self.stride(run - before) == before).then_some(stride - HEAD)
        }
    }

    /// The block at `place` in a slab.
    unsafe fn live_block(&self, at: usize, place: usize) -> Option<usize> {
        // SAFETY: the slab is one of ours (the caller); free blocks lie in it (A2).
        unsafe {
            let slab = self.slab(at).read();
            let Shape { size, first, .. } = shape(slab.shape);
            let (size, first) = (size as usize, first as usize);
            let handed_out = place >= first && place < slab.fresh as usize;
            if !handed_out || !(place - first).is_multiple_of(size) {
                return None;
            }
            let mut free = slab.free as usize;
            while free != 0 {
                if free == place {
                    return None;
                }
                free = self.base.add(at + free).cast::<u16>().read() as usize;
            }
            Some(size)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::c_void;
    use std::ptr;

    #[test]
    fn live_blocks_are_told_from_everything_else() {
        // Miri takes a thousand times as long.
        let (count, step) = if cfg!(miri) { (30, 8) } else { (200, 1) };
        let mut arena = Arena::new(1 << 20).unwrap();
        let base = arena.base() as usize;
        let ud: *mut c_void = ptr::from_mut(&mut arena).cast();
        let mut blocks = Vec::new();
        for size in (1..count).map(|n| n * n % 3000 + 1) {
            // SAFETY: the arena is live and used here only.
            let block = unsafe { Arena::allocate(ud, ptr::null_mut(), TAG_STRING, size) };
            blocks.push((block as usize - base, size));
        }
        let freed = blocks.split_off(count / 2);
        for &(offset, size) in &freed {
            let block = (base + offset) as *mut c_void;
            // SAFETY: one of its blocks, freed once.
            unsafe { Arena::allocate(ud, block, size, 0) };
        }
        for offset in (0..arena.used_bytes() + 64).step_by(step) {
            let live = blocks.iter().find(|&&(at, _)| at == offset);
            match (live, arena.block_bytes(offset)) {
                (Some(&(_, size)), Some(bytes)) => assert!(bytes >= size, "{offset:#x}"),
                (None, None) => {}
                (live, bytes) => panic!("{offset:#x}: {live:?}, found {bytes:?}"),
            }
        }
    }
}
