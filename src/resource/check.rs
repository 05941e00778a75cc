//! The check of the table: H2, H4, and the lists that they stand on.
//!
//! Not here: H1, which takes a look into the arena.

use super::{ALIVE, Entry, Resources};
use crate::error::Flaw;
use std::result::Result;

impl Resources {
    /// Verifies the table, where so many snapshots are held.
    pub fn check(&self, held: usize) -> Result<(), Flaw> {
        let noted = self.held();
        if noted.end - noted.start != held as u64 {
            return Err(Flaw::damaged(format_args!(
                "H1: {noted:?} are noted, {held} snapshots are held"
            )));
        }
        let (mut index, mut before, mut count) = (self.births.first, (0, 0), 0);
        while let Some(entry) = self.entries.get(index as usize) {
            let now = (entry.born, entry.sequence);
            if count > self.entries.len() || count > 0 && (now.0 < before.0 || now.1 <= before.1) {
                return Err(Flaw::damaged(format_args!(
                    "H2: birth {} is out of order",
                    entry.sequence
                )));
            }
            (before, index, count) = (now, entry.births.after, count + 1);
        }
        let used = self.entries.len() - self.free.len();
        if count != used {
            return Err(Flaw::damaged(format_args!(
                "H2: {count} births are listed, {used} resources exist"
            )));
        }
        self.check_order("death", self.deaths.first, |entry| entry.died, ALIVE - 1)?;
        let ended = self.check_order("end", self.ends.first, |entry| entry.ended, self.epoch)?;
        if ended != self.ended_count {
            return Err(Flaw::damaged(format_args!(
                "H4: {ended} ends are listed, {} are counted",
                self.ended_count
            )));
        }
        Ok(())
    }

    /// Answers how many are on the list.
    fn check_order(
        &self,
        what: &str,
        first: u32,
        number: fn(&Entry) -> u64,
        most: u64,
    ) -> Result<usize, Flaw> {
        let (mut index, mut before, mut count) = (first, 0, 0);
        while let Some(entry) = self.entries.get(index as usize) {
            let now = number(entry);
            if count > self.entries.len() || now < before || now > most {
                return Err(Flaw::damaged(format_args!(
                    "H2: {what} of {} is out of order",
                    entry.sequence
                )));
            }
            (before, index, count) = (now, entry.deaths.after, count + 1);
        }
        Ok(count)
    }
}
