//! Front: the canonical form of the live state, kept from one delta that is applied to the next. So
//! each costs what changed, and a VM that follows has its state once more.
//!
//! # Not here
//! What is done with it ([`super::deltas`], [`super::graft`]).

use super::Vm;
use super::canonical::Canonical;
use super::kept::Kept;
use super::load::resolve;
use super::types::Types;
use crate::arena::View;
use crate::error::{HostError, Result};
use crate::lua::Outward;

/// The form, and what the names in it stand for.
#[derive(Default)]
pub struct Front {
    pub kept: Kept,
    /// By their words. Some may stand in the form no longer.
    pub names: Vec<Outward>,
}

impl Front {
    /// What a name that was met stands for.
    pub fn known(&self, word: u64) -> Option<Outward> {
        let place = self.names.binary_search_by_key(&word, |name| name.word).ok()?;
        Some(self.names[place])
    }

    /// Adds names.
    pub fn meet(&mut self, names: Vec<Outward>) -> Result<()> {
        for name in names {
            match self.names.binary_search_by_key(&name.word, |known| known.word) {
                Ok(place) => self.names[place] = name,
                Err(place) => {
                    let wanted_bytes = size_of::<Outward>();
                    let no_memory = |_| HostError::NoMemory { wanted_bytes };
                    self.names.try_reserve(1).map_err(no_memory)?;
                    self.names.insert(place, name);
                }
            }
        }
        Ok(())
    }

    fn meet_all(&mut self, canonical: &Canonical) -> Result<()> {
        let (text, count) = canonical.names();
        self.meet(resolve(count, text, &[], &Types::default(), &|word| canonical.known(word))?)
    }
}

impl Vm {
    /// The front, as the state is now. It is to be put back.
    ///
    /// # Safety
    /// V1: the VM is idle.
    pub(super) unsafe fn take_front(&mut self) -> Result<Front> {
        let mut front = self.front.take().unwrap_or_default();
        self.note_written(&mut front.kept.follower);
        // SAFETY: the contract above.
        let (canonical, _) = unsafe { front.kept.renew(View::new(self.arena.base()), self)? };
        front.meet_all(&canonical)?;
        Ok(front)
    }
}
