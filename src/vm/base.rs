//! Base: the snapshot that the last delta led to, from which the next one goes on. So a delta costs
//! what changed, and a VM that makes them has its state twice more.
//!
//! # Not here
//! The format of a delta ([`super::deltas`]).

use super::Vm;
use super::canonical::{Canonical, For};
use super::kept::{Changed, Kept, form_of};
use super::meeting::Meeting;
use crate::arena::View;
use crate::error::{ImageError, Result, Text};
use crate::image::{Sum, UNIT_BYTES};
use crate::snapshot::Copy;

/// A held snapshot: as it is, and its canonical form.
pub struct Base {
    copy: Copy,
    pub kept: Kept,
}

impl Base {
    /// Makes the canonical form that of the copy, as the follower was told what changed. Answers
    /// which lines of it are others.
    ///
    /// # Safety
    /// The copy is of a snapshot of `vm`, which is live.
    unsafe fn renew(&mut self, vm: *const Vm) -> Result<Vec<Changed>> {
        // SAFETY: the contract above; nobody writes to a copy.
        let (_, changed) = unsafe { self.kept.renew(View::new(self.copy.start()), vm)? };
        Ok(changed)
    }

    /// The names that stand in those units, as the format has them, and how many.
    ///
    /// # Safety
    /// As for [`Base::renew`].
    pub unsafe fn names(&self, vm: *const Vm, changed: &[Changed]) -> Result<Canonical> {
        // SAFETY: the contract above; nobody writes to a copy.
        unsafe {
            let mut canonical = form_of(View::new(self.copy.start()), vm)?;
            let mut bytes = [0; UNIT_BYTES];
            for &Changed { unit, .. } in changed.iter().filter(|changed| changed.named) {
                let first = unit * UNIT_BYTES;
                let length = UNIT_BYTES.min(self.kept.used_bytes() - first);
                canonical.write(self.kept.follower.run_at(unit), first, &mut bytes[..length])?;
            }
            Ok(canonical)
        }
    }
}

impl Base {
    /// Meets what is looked for in the state.
    ///
    /// # Safety
    /// As for [`Base::renew`].
    pub unsafe fn meet(&self, vm: *const Vm, meeting: &mut Meeting) -> Result<()> {
        // SAFETY: the contract above; nobody writes to a copy.
        unsafe {
            let view = View::new(self.copy.start());
            let mut canonical = Canonical::of(view, (*vm).arena.base(), For::Image)?;
            let mut bytes = [0; UNIT_BYTES];
            while let Some(place) = meeting.next_wanted() {
                meeting.attend(&mut canonical);
                let unit = place / UNIT_BYTES;
                let (first, used) = (unit * UNIT_BYTES, self.kept.used_bytes());
                let length = UNIT_BYTES.min(used.saturating_sub(first));
                if length > 0 {
                    let run = self.kept.follower.run_at(unit);
                    let written = canonical.write(run, first, &mut bytes[..length]);
                    written.map_err(|error| meeting.with_name(error))?;
                }
                if meeting.next_wanted() == Some(place) {
                    let why = format_args!("what lies outside is not where it was noted").into();
                    let path = Text::default();
                    return Err(ImageError::Unsavable { offset: place, why, path }.into());
                }
            }
        }
        Ok(())
    }
}

impl Vm {
    /// The sum of the snapshot that is `from` restores back, the one that is `to` as the base, and
    /// what leads to it. The base is to be put back.
    pub(super) fn take_base(
        &mut self,
        (from, to): (usize, usize),
    ) -> Result<(Sum, Base, Vec<Changed>)> {
        let kept = self.base.take().zip(self.history.noted());
        let mut base = match kept {
            Some((base, at)) if at == from => base,
            Some((mut base, at)) => {
                self.move_base(&mut base, at, from)?;
                base
            }
            None => {
                let copy = self.history.copy_of(from)?;
                let mut base = Base { copy, kept: Kept::default() };
                // SAFETY: a copy of a snapshot of this VM.
                unsafe { base.renew(self)? };
                base
            }
        };
        let before = base.kept.sum();
        let changed = self.move_base(&mut base, from, to)?;
        self.history.note(to);
        Ok((before, base, changed))
    }

    fn move_base(&self, base: &mut Base, from: usize, to: usize) -> Result<Vec<Changed>> {
        let Base { copy, kept } = base;
        let found = |page, lines| kept.follower.changed(page, lines);
        self.history.move_copy(copy, (from, to), found)?;
        // SAFETY: a copy of a snapshot of this VM.
        unsafe { base.renew(self) }
    }
}
