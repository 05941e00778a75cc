//! Graft: parts of another state in place of those that it has otherwise.
//!
//! What is put in place are whole blocks, or whole elements of a vector that is a run, and all that
//! lies between them in the same units. The loader makes each of them a part of the state by its
//! kind, and looks at no other.
//!
//! # Not here
//! Which units differ in meaning ([`super::follower`]); whether it is the right state
//! ([`super::deltas`]).

use super::handles::Exchange;
use super::images::zeros;
use super::kept::Kept;
use super::{Vm, guarded};
use crate::arena::kinds::{STACK, THREAD};
use crate::arena::{Block, MAIN_OFFSET, Run, View};
use crate::error::{HostError, Result};
use crate::lua;
use crate::units::PAGE_SIZE;
use std::iter;
use std::ops::Range;

/// What is put in place, by rising offset.
#[derive(Default)]
struct Parts {
    bytes: Vec<Range<usize>>,
    /// What the loader makes anew. Of a vector it may be a part.
    blocks: Vec<Block>,
    /// Where the last bytes end.
    end: usize,
}

fn push<T>(vector: &mut Vec<T>, item: T) -> Result<()> {
    let wanted_bytes = size_of::<T>();
    super::push(vector, item, |_| HostError::NoMemory { wanted_bytes }.into())
}

impl Parts {
    /// Adds bytes of the state in `view`, which begin in that run, and all of the blocks there.
    ///
    /// # Safety
    /// The view's.
    unsafe fn add(&mut self, view: View, mut run: usize, bytes: Range<usize>) -> Result<()> {
        let (mut from, mut to) = (bytes.start.max(self.end), bytes.end);
        let (start, used) = (from, view.used_bytes());
        while run < used && run < bytes.end {
            let (what, stride) = view.run(run);
            let stop = run + stride - View::HEAD;
            let mut add = |offset: usize, bytes, kind| {
                // What begins before is there already.
                if offset < self.end {
                    return Ok(());
                }
                (from, to) = (from.min(offset), to.max(offset + bytes));
                push(&mut self.blocks, Block { offset, bytes, kind, opaque: false })
            };
            let part = start.max(run)..bytes.end.min(stop);
            match what {
                _ if part.is_empty() => {}
                Run::Slab => {
                    // SAFETY: a slab of the state.
                    let blocks = unsafe { view.slab(run) };
                    blocks.within(part).try_for_each(|it| add(it.offset, it.bytes, it.kind))?;
                }
                // SAFETY: any kind.
                Run::Block(kind) => match unsafe { lua::rlua_c_element_bytes(kind) } as usize {
                    0 => add(run, stop - run, kind)?,
                    size => {
                        let first = run + (part.start - run) / size * size;
                        let end = stop.min(run + (part.end - run).next_multiple_of(size));
                        add(first.max(self.end), end - first.max(self.end), kind)?;
                    }
                },
                Run::Free | Run::Map => {}
            }
            run += stride;
        }
        if from < to {
            push(&mut self.bytes, from..to)?;
            self.end = to;
        }
        Ok(())
    }
}

impl Parts {
    /// Whether a byte is among them.
    fn have(&self, at: usize) -> bool {
        let next = self.bytes.partition_point(|bytes| bytes.end <= at);
        self.bytes.get(next).is_some_and(|bytes| bytes.contains(&at))
    }
}

/// Puts in place what the form has had put in, and gives it what lies outside, of which no guarded
/// userdata is new or gone. After an error nothing has changed, but the form is not that of the
/// state.
///
/// Cost: the blocks in the units that differ, and a look at each resource and guarded userdata.
///
/// # Safety
/// `vm` is live, held and idle; the form was that of its state, and is one of a state again.
pub(super) unsafe fn graft(
    vm: *mut Vm,
    kept: &mut Kept,
    names: &[lua::Outward],
    outside: &mut Exchange,
) -> Result<()> {
    // SAFETY: the contract above; committed, and nothing else uses it (V1).
    unsafe {
        let (mut parts, mut units, mut has_room) = (Parts::default(), Vec::new(), Ok(()));
        let view = kept.each_put(|run, bytes| {
            if has_room.is_ok() {
                has_room = push(&mut units, (run, bytes));
            }
        })?;
        has_room?;
        for (run, bytes) in units {
            parts.add(view, run, bytes)?;
        }
        let (base, used) = ((*vm).arena.base(), kept.used_bytes());
        if used < (*vm).arena.used_bytes() {
            // What the top rises over is zero (Z1).
            push(&mut parts.bytes, used..used.next_multiple_of(PAGE_SIZE))?;
        }
        // What lies behind the end is gone.
        let is_put = |place| place >= used || parts.have(place);
        outside.keep(vm, &is_put)?;
        let mut old = zeros(parts.bytes.iter().map(ExactSizeIterator::len).sum())?;
        (*vm).arena.reach(used)?;
        // The threads that were entered may be gone.
        (*vm).suspect(false);
        (*vm).arena.cards().clear(iter::empty());
        (*vm).arena.cards().enter();
        let (mut at, mut main) = (0, None);
        for bytes in &parts.bytes {
            (*vm).arena.cards().mark_range(bytes.start, bytes.len());
            let place = base.add(bytes.start);
            place.copy_to_nonoverlapping(old[at..].as_mut_ptr(), bytes.len());
            main = main.or(bytes.contains(&MAIN_OFFSET).then(|| at + MAIN_OFFSET - bytes.start));
            at += bytes.len();
        }
        // The lowest slot of a stack names its thread. Of the two one may not be among the parts.
        let mut threads = Vec::new();
        for block in &parts.blocks {
            let stack = match block.kind {
                STACK => block.offset,
                THREAD => lua::rlua_c_stack_of(kept.bytes()[block.offset..].as_ptr().cast()),
                _ => continue,
            };
            if stack != 0 && stack < used {
                (*vm).arena.cards().mark_range(stack, size_of::<u64>());
                let slot = base.add(stack).cast::<u64>();
                push(&mut threads, (slot, slot.read_unaligned()))?;
            }
        }
        for bytes in &parts.bytes {
            let from = kept.bytes()[bytes.clone()].as_ptr();
            from.copy_to_nonoverlapping(base.add(bytes.start), bytes.len());
        }
        let name_threads = || threads.iter().for_each(|&(slot, name)| slot.write_unaligned(name));
        name_threads();
        let before = main.map(|at| old[at..].as_ptr().cast());
        let done = (*vm).fix_parts(names, &parts.blocks, before);
        let done = done.and_then(|()| guarded::as_the_vm_keeps(vm));
        let done = done.and_then(|()| outside.give(vm, &is_put));
        if done.is_err() {
            let mut at = 0;
            for bytes in &parts.bytes {
                old[at..].as_ptr().copy_to_nonoverlapping(base.add(bytes.start), bytes.len());
                at += bytes.len();
            }
            name_threads();
        }
        done
    }
}
