//! What a state has that is saved, and what one gets that is loaded.

use super::{ALIVE, Entry, Resources};
use std::ffi::c_void;

/// One that a state has.
#[derive(Clone, Copy, Debug)]
pub struct Alive {
    /// What its handle has.
    pub id: u64,
    /// Where its handle lies.
    pub handle: *mut c_void,
    /// The host's object.
    pub object: *mut c_void,
    /// Which type it was pushed as.
    pub kind: u32,
}

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

    /// The objects that the n-th newest snapshot has, their kinds, and the indices of those that
    /// have ended, in the order of creation.
    pub fn born_before(&self, n: usize) -> impl Iterator<Item = (*mut c_void, u32, Option<u32>)> {
        let (number, mut next) = (self.number(n), self.births.first);
        std::iter::from_fn(move || {
            let (index, entry) = (next, self.entries.get(next as usize)?);
            next = entry.births.after;
            let ended_at = (entry.ended != ALIVE).then_some(index);
            (entry.born < number).then_some((entry.object, entry.kind, ended_at))
        })
    }

    /// What became of the object that is noted at an index, as the live state has it, or as the
    /// n-th newest snapshot has it. `None` where it is not noted there.
    pub fn life(&self, index: u32, object: *mut c_void, n: Option<usize>) -> Option<Life> {
        let entry = &self.entries[self.find(self.id_at(index)?)? as usize];
        (entry.object == object).then_some(match self.has(entry, n) {
            true => Life::Alive,
            false if entry.ended == ALIVE => Life::Dead,
            false => Life::Ended,
        })
    }

    /// Whether the live state has it alive, or the n-th newest snapshot.
    fn has(&self, entry: &Entry, n: Option<usize>) -> bool {
        match n {
            None => entry.died == ALIVE,
            Some(n) => entry.born < self.number(n) && self.number(n) <= entry.died,
        }
    }

    fn used(&self) -> impl Iterator<Item = (Alive, &Entry)> {
        (0..self.entries.len() as u32).filter_map(|index| {
            let id = self.id_at(index)?;
            let entry = &self.entries[self.find(id)? as usize];
            let &Entry { handle, object, kind, .. } = entry;
            Some((Alive { id, handle, object, kind }, entry))
        })
    }

    /// All that the live state has.
    pub fn alive(&self) -> impl Iterator<Item = Alive> {
        self.used().filter(|(_, entry)| self.has(entry, None)).map(|(alive, _)| alive)
    }

    /// Of two snapshots, so many restores back, all that one alone has, and whether it is the
    /// second.
    pub fn between(&self, from: usize, to: usize) -> impl Iterator<Item = (Alive, bool)> {
        let had = move |entry| (self.has(entry, Some(from)), self.has(entry, Some(to)));
        self.used().filter_map(move |(alive, entry)| match had(entry) {
            (before, after) if before != after => Some((alive, after)),
            _ => None,
        })
    }

    /// A trial begins: what is born and dies from here on is undone at its end, as by the restore
    /// of a snapshot. No snapshot is captured, restored or dropped meanwhile.
    pub fn begin_trial(&mut self) {
        self.captured();
    }

    /// What was born in the trial is to be released.
    pub fn end_trial(&mut self) {
        self.restored(1);
        self.epoch -= 1;
    }

    /// Whether the newest snapshot has one that is alive.
    pub fn is_held(&self, id: u64) -> bool {
        let born = self.find(id).map(|index| self.entries[index as usize].born);
        self.oldest <= self.epoch && born.is_some_and(|born| born < self.epoch)
    }

    /// Whether some are here that are not alive, since snapshots have them.
    pub fn has_kept(&self) -> bool {
        self.next_dead(0).is_some()
    }

    /// They die, all at once; what nobody can reach waits for its release.
    pub fn die_all(&mut self, dying: &[Alive]) {
        for alive in dying {
            if let Some(released) = self.die(alive.id, alive.handle) {
                self.released.push(released);
            }
        }
        self.sort_released();
    }
}
