//! What a state has that is saved, and what one gets that is loaded.

use super::{ALIVE, Resources};
use std::ffi::c_void;

/// What became of an object that lies in the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It is alive.
    Alive,
    /// It is dead, and waits for the snapshots that have it.
    Dead,
    /// It was released.
    Ended,
}

impl Resources {
    /// Notes what a new resource is, and where its handle lies, behind its birth.
    pub fn fill(&mut self, id: u64, object: *mut c_void, handle: *mut c_void) {
        if let Some(index) = self.find(id) {
            let entry = &mut self.entries[index as usize];
            (entry.object, entry.handle) = (object, handle);
        }
    }

    /// The objects that the n-th newest snapshot has, and their kinds, in the order of creation.
    pub fn born_before(&self, n: usize) -> impl Iterator<Item = (*mut c_void, u32)> {
        let (number, mut next) = (self.number(n), self.births.first);
        std::iter::from_fn(move || {
            let entry = self.entries.get(next as usize).filter(|entry| entry.born < number)?;
            next = entry.births.after;
            Some((entry.object, entry.kind))
        })
    }

    /// What became of the object that is noted at an index, as the live state has it, or as the
    /// n-th newest snapshot has it. `None` where it is not noted there.
    pub fn life(&self, index: u32, object: *mut c_void, n: Option<usize>) -> Option<Life> {
        let entry = &self.entries[self.find(self.id_at(index)?)? as usize];
        let alive = match n {
            None => entry.died == ALIVE,
            Some(n) => entry.born < self.number(n) && self.number(n) <= entry.died,
        };
        (entry.object == object).then_some(match alive {
            true => Life::Alive,
            false if entry.ended == ALIVE => Life::Dead,
            false => Life::Ended,
        })
    }
}
