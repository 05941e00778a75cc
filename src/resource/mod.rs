//! Resources: what lies outside the VM, named by handles inside it, released exactly once.
//!
//! A handle is a userdata in the arena, so it comes and goes with snapshots. The object behind it
//! does not. This table notes when each handle was born and when it died, and answers which
//! objects nobody can reach any more.
//!
//! # Epochs
//! The snapshots from the first one to now are numbered. A restore goes back on that line, so the
//! numbers above its target are given again. The *epoch* is the number of the newest snapshot:
//!
//! ```text
//!  number 1          2          3             born 1, died 2: in snapshot 2
//!  -------|--*-------|-----+----|------>      born < number <= died
//!            born 1        died 2
//! ```
//!
//! The held numbers are a run that ends with the epoch: a capture drops from its front, a restore
//! from its back. A snapshot that is captured anew keeps its number: what was born or died since it
//! counts as born or died before it. So what a drop makes unreachable lies at the front of the list
//! of deaths, and what a restore makes unreachable or alive again lies at the backs of the two
//! lists: afterwards no entry knows a number that will be given again. No operation looks at
//! anything else: a capture with many living resources looks at none of them, it counts one up.
//!
//! # Objects that lie in the arena
//! Guarded userdata are objects of snapshots themselves. When one is released, the last snapshot
//! that had it alive has gone, but each newer one holds it as it lay there, kept and not finalized,
//! and finalizers in Lua may have brought it back in between. So it stays in the table as *ended*,
//! and its block as it is now, until those snapshots have gone, too.
//!
//! # Invariants
//! - H1 *exact*: a resource is in the table from its birth until neither the live state nor a held
//!   snapshot can reach it; it is handed out for release in that moment, once.
//! - H2 *ordered*: births are in the order of creation, with `born` rising; deaths are in the order
//!   of death, with `died` rising; ends are in the order of release, with `ended` rising.
//! - H3 *named*: an id is index + generation, and a generation is used once, so the id of a handle
//!   that outlived its entry (closed early, then collected) finds nothing.
//! - H4 *ended*: an object of the arena that was released is in the table while a held snapshot has
//!   its bytes.
//!
//! # Not here
//! The handle's userdata (`resources.c`), and calling `release` (`crate::vm`). Guarded userdata
//! have a table of their own (`crate::vm::guarded`), files of the io library are resources.

#![forbid(unsafe_code)]

mod check;
mod life;

pub use life::{Alive, Life};

use crate::error::{HostError, Result};
use std::ffi::c_void;
use std::ops::Range;

/// "No entry" in the lists below.
const NONE: u32 = u32::MAX;

/// Not dead, or not ended.
const ALIVE: u64 = u64::MAX;

/// What is handed out for release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Released {
    /// The host's object.
    pub object: *mut c_void,
    /// Which type it was pushed as.
    pub kind: u32,
    /// Creation order.
    sequence: u64,
}

/// A resource that a handle names.
#[derive(Clone, Copy, Debug)]
struct Entry {
    generation: u32,
    kind: u32,
    object: *mut c_void,
    /// Address of the handle; NULL until it is made.
    handle: *mut c_void,
    sequence: u64,
    born: u64,
    died: u64,
    /// The newest snapshot when it was released.
    ended: u64,
    births: Links,
    /// In the deaths, or in the ends.
    deaths: Links,
}

#[derive(Clone, Copy, Debug)]
struct Links {
    before: u32,
    after: u32,
}

const UNLINKED: Links = Links { before: NONE, after: NONE };

/// A list of entries, linked through their `births` or their `deaths`.
#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
    links: fn(&mut Entry) -> &mut Links,
}

impl List {
    fn push(&mut self, entries: &mut [Entry], index: u32) {
        *(self.links)(&mut entries[index as usize]) = Links { before: self.last, after: NONE };
        match self.last {
            NONE => self.first = index,
            last => (self.links)(&mut entries[last as usize]).after = index,
        }
        self.last = index;
    }

    fn remove(&mut self, entries: &mut [Entry], index: u32) {
        let Links { before, after } = *(self.links)(&mut entries[index as usize]);
        match before {
            NONE => self.first = after,
            before => (self.links)(&mut entries[before as usize]).after = after,
        }
        match after {
            NONE => self.last = before,
            after => (self.links)(&mut entries[after as usize]).before = before,
        }
        *(self.links)(&mut entries[index as usize]) = UNLINKED;
    }
}

/// The resources of one VM.
pub struct Resources {
    entries: Vec<Entry>,
    free: Vec<u32>,
    births: List,
    deaths: List,
    /// H4.
    ends: List,
    ended_count: usize,
    /// The sum of all kinds in the table: of objects that lie in the arena, these are sizes.
    kinds_sum: u64,
    /// Held are the snapshots `oldest ..= epoch`; none where that is empty.
    oldest: u64,
    epoch: u64,
    sequence: u64,
    /// Set while the VM closes: nothing is handed out before the end.
    closing: bool,
    /// The objects lie in the arena (H4); they are handed out newest first, as Lua finalizes.
    in_arena: bool,
    /// What to release, until it is taken; sorted.
    released: Vec<Released>,
}

impl Default for Resources {
    fn default() -> Resources {
        Resources {
            entries: Vec::new(),
            free: Vec::new(),
            births: List { first: NONE, last: NONE, links: |entry| &mut entry.births },
            deaths: List { first: NONE, last: NONE, links: |entry| &mut entry.deaths },
            ends: List { first: NONE, last: NONE, links: |entry| &mut entry.deaths },
            ended_count: 0,
            kinds_sum: 0,
            oldest: 1,
            epoch: 0,
            sequence: 0,
            closing: false,
            in_arena: false,
            released: Vec::new(),
        }
    }
}

fn no_room<E>(what: &'static str) -> impl FnOnce(E) -> crate::error::Error {
    move |_| HostError::NoRoom { what }.into()
}

impl Resources {
    /// A table of objects that lie in the arena.
    pub fn in_arena() -> Resources {
        Resources { in_arena: true, ..Resources::default() }
    }

    /// Begins where another table is; this one is empty.
    pub fn follow(&mut self, other: &Resources) {
        (self.oldest, self.epoch) = (other.oldest, other.epoch);
    }

    /// Notes the birth of a resource and answers its id. Nothing has changed after an error.
    pub fn create(&mut self, object: *mut c_void, kind: u32) -> Result<u64> {
        if self.free.is_empty() {
            let count = self.entries.len();
            if count >= NONE as usize {
                return Err(HostError::NoRoom { what: "resource" }.into());
            }
            // Room to release all of them at once, so that no release can fail.
            self.entries.try_reserve(1).map_err(no_room("resource"))?;
            self.free.try_reserve(count + 1).map_err(no_room("resource"))?;
            self.released.try_reserve(count + 1).map_err(no_room("resource"))?;
            self.free.push(count as u32);
            self.entries.push(Entry {
                generation: 0,
                kind: 0,
                object: std::ptr::null_mut(),
                handle: std::ptr::null_mut(),
                sequence: 0,
                born: 0,
                died: ALIVE,
                ended: ALIVE,
                births: UNLINKED,
                deaths: UNLINKED,
            });
        }
        let index = self.free.pop().unwrap_or(0);
        let entry = &mut self.entries[index as usize];
        entry.generation = entry.generation.wrapping_add(1);
        entry.kind = kind;
        entry.object = object;
        entry.sequence = self.sequence;
        entry.born = self.epoch;
        entry.died = ALIVE;
        entry.ended = ALIVE;
        let id = u64::from(index) | u64::from(entry.generation) << 32;
        self.sequence += 1;
        self.kinds_sum += u64::from(kind);
        self.births.push(&mut self.entries, index);
        Ok(id)
    }

    /// Notes where the handle of a new resource lies.
    pub fn name(&mut self, id: u64, handle: *mut c_void) {
        if let Some(index) = self.find(id) {
            self.entries[index as usize].handle = handle;
        }
    }

    /// Takes back a birth whose handle could not be made. The object is the host's as before.
    pub fn forget(&mut self, id: u64) {
        if let Some(index) = self.find(id) {
            self.vacate(index);
        }
    }

    /// The id of the entry at an index.
    pub fn id_at(&self, index: u32) -> Option<u64> {
        let entry = self.entries.get(index as usize)?;
        Some(u64::from(index) | u64::from(entry.generation) << 32)
    }

    fn find(&self, id: u64) -> Option<u32> {
        let (index, generation) = (id as u32, (id >> 32) as u32);
        let entry = self.entries.get(index as usize)?;
        let used = entry.births.before != NONE || self.births.first == index;
        (used && entry.generation == generation).then_some(index)
    }

    /// Frees an entry, and tells what it held.
    fn vacate(&mut self, index: u32) -> Released {
        let entry = self.entries[index as usize];
        if entry.ended != ALIVE {
            self.ends.remove(&mut self.entries, index);
            self.ended_count -= 1;
        } else if entry.died != ALIVE {
            self.deaths.remove(&mut self.entries, index);
        }
        self.births.remove(&mut self.entries, index);
        self.entries[index as usize].handle = std::ptr::null_mut();
        self.kinds_sum -= u64::from(entry.kind);
        self.free.push(index);
        Released { object: entry.object, kind: entry.kind, sequence: entry.sequence }
    }

    /// Hands out a dead one for release. In the arena, all held snapshots have its bytes.
    fn release(&mut self, index: u32) {
        if self.in_arena && self.oldest <= self.epoch {
            self.deaths.remove(&mut self.entries, index);
            self.ends.push(&mut self.entries, index);
            self.ended_count += 1;
            let entry = &mut self.entries[index as usize];
            entry.ended = self.epoch;
            let Entry { object, kind, sequence, .. } = *entry;
            self.released.push(Released { object, kind, sequence });
        } else {
            let released = self.vacate(index);
            self.released.push(released);
        }
    }

    /// The object and the type of a handle, and whether it is alive. `None` for what is no handle
    /// of this VM, or one whose resource was released.
    pub fn get(&self, id: u64, handle: *mut c_void) -> Option<(*mut c_void, u32, bool)> {
        let entry = &self.entries[self.find(id)? as usize];
        (entry.handle == handle).then_some((entry.object, entry.kind, entry.died == ALIVE))
    }

    /// A handle died: it was collected, or closed. What comes back is to be released at once.
    pub fn die(&mut self, id: u64, handle: *mut c_void) -> Option<Released> {
        let index = self.find(id)?;
        let entry = &mut self.entries[index as usize];
        if entry.handle != handle || entry.died != ALIVE {
            return None;
        }
        let reachable = self.oldest <= self.epoch && entry.born < self.epoch;
        if !reachable && !self.closing {
            return Some(self.vacate(index));
        }
        entry.died = self.epoch;
        self.deaths.push(&mut self.entries, index);
        None
    }

    /// The numbers of the held snapshots.
    pub fn held(&self) -> Range<u64> {
        self.oldest..self.epoch + 1
    }

    /// A snapshot was captured.
    pub fn captured(&mut self) {
        self.epoch += 1;
    }

    /// The newest snapshot was captured anew: what was born since it is in it now, and what died
    /// since it is not.
    pub fn replaced(&mut self) {
        debug_assert!(!self.held().is_empty(), "there is a newest snapshot");
        let before = self.epoch - 1;
        let mut index = self.births.last;
        while let Some(entry) = self.entries.get_mut(index as usize) {
            if entry.born < self.epoch {
                break;
            }
            entry.born = before;
            index = entry.births.before;
        }
        let mut index = self.ends.last;
        while let Some(entry) = self.entries.get_mut(index as usize) {
            if entry.ended < self.epoch {
                break;
            }
            entry.ended = before;
            let (this, in_older) = (index, entry.born < before && self.oldest <= before);
            index = entry.deaths.before;
            if !in_older {
                self.vacate(this);
            }
        }
        let mut index = self.deaths.last;
        while let Some(entry) = self.entries.get_mut(index as usize) {
            if entry.died < self.epoch {
                break;
            }
            entry.died = before;
            let (this, in_older) = (index, entry.born < before && self.oldest <= before);
            index = entry.deaths.before;
            if !in_older && !self.closing {
                self.release(this);
            }
        }
        self.sort_released();
    }

    /// The `count` oldest snapshots were dropped.
    pub fn discarded(&mut self, count: usize) {
        self.oldest += count as u64;
        while let Some(entry) = self.entries.get(self.ends.first as usize) {
            if entry.ended >= self.oldest {
                break;
            }
            self.vacate(self.ends.first);
        }
        while let Some(entry) = self.entries.get(self.deaths.first as usize) {
            if entry.died >= self.oldest || self.closing {
                break;
            }
            self.release(self.deaths.first);
        }
        self.sort_released();
    }

    /// The state went back to the n-th newest snapshot; the newer ones were dropped.
    pub fn restored(&mut self, n: usize) {
        self.epoch -= n as u64 - 1;
        let mut index = self.ends.last;
        while let Some(entry) = self.entries.get_mut(index as usize) {
            if entry.ended <= self.epoch {
                break;
            }
            (entry.ended, index) = (self.epoch, entry.deaths.before);
        }
        while let Some(entry) = self.entries.get_mut(self.deaths.last as usize) {
            if entry.died < self.epoch {
                break;
            }
            let last = self.deaths.last;
            entry.died = ALIVE;
            self.deaths.remove(&mut self.entries, last);
        }
        while let Some(entry) = self.entries.get(self.births.last as usize) {
            if entry.born < self.epoch {
                break;
            }
            let has_ended = entry.ended != ALIVE;
            let released = self.vacate(self.births.last);
            if !has_ended {
                self.released.push(released);
            }
        }
        self.sort_released();
    }

    /// Takes out the newest one that the n-th newest snapshot does not have.
    pub fn take_unborn(&mut self, n: usize) -> Option<Released> {
        loop {
            let newest = self.entries.get(self.births.last as usize)?;
            let (unborn, has_ended) = (newest.born >= self.number(n), newest.ended != ALIVE);
            if !unborn {
                return None;
            }
            let taken = self.vacate(self.births.last);
            if !has_ended {
                return Some(taken);
            }
        }
    }

    /// The number of the n-th newest snapshot; 0 stands for the one that is captured next.
    fn number(&self, n: usize) -> u64 {
        self.epoch + 1 - n as u64
    }

    /// What is dead or has ended, and what waits to be taken, one after the other: the object, and
    /// the cursor for the next one. The first cursor is 0.
    pub fn next_dead(&self, cursor: u64) -> Option<(*mut c_void, u64)> {
        const WAITING: u64 = 1 << 32;
        let (mut index, mut dead) = (self.deaths.first, cursor == 0);
        if let 1..WAITING = cursor {
            let entry = self.entries.get(cursor as usize - 1)?;
            (index, dead) = (entry.deaths.after, entry.ended == ALIVE);
        }
        if dead && index == NONE {
            index = self.ends.first;
        }
        if cursor < WAITING
            && let Some(entry) = self.entries.get(index as usize)
        {
            return Some((entry.object, u64::from(index) + 1));
        }
        let at = cursor.max(WAITING);
        self.released.get((at - WAITING) as usize).map(|waiting| (waiting.object, at + 1))
    }

    /// The VM begins to close: until the end nothing is handed out.
    pub fn begin_close(&mut self) {
        self.closing = true;
    }

    /// The VM has closed: everything is to be released.
    pub fn close(&mut self) {
        self.oldest = self.epoch + 1;
        while self.births.last != NONE {
            let released = self.vacate(self.births.last);
            self.released.push(released);
        }
        self.sort_released();
    }

    /// They are popped from the back.
    fn sort_released(&mut self) {
        self.released.sort_unstable_by_key(|released| std::cmp::Reverse(released.sequence));
        if self.in_arena {
            self.released.reverse();
        }
    }

    /// The next one to be released.
    pub fn next_released(&mut self) -> Option<Released> {
        self.released.pop()
    }

    /// How many are in the table, and the sum of their kinds.
    pub fn sizes(&self) -> (usize, usize) {
        (self.entries.len() - self.free.len(), self.kinds_sum as usize)
    }

    /// Resources that are alive, or dead and not released yet.
    pub fn count(&self) -> usize {
        self.entries.len() - self.free.len() - self.ended_count
    }
}

#[cfg(test)]
mod tests;
