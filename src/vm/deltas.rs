//! Deltas: what changed between two held snapshots, and a VM that follows.
//!
//! A delta has the canonical lines that differ, so it is the same wherever it is made, and leads
//! from any VM that has the first state to the second: one that was loaded from an image, a clone,
//! a peer. The sums of both states tell whether it is the right one.
//!
//! # Not here
//! The format ([`crate::image`]).

use super::Vm;
use super::config::Trust;
use super::follower::LINES;
use super::front::Front;
use super::graft::graft;
use super::guard::see_idle;
use super::guarded;
use super::handles::{Between, Brought, Exchange};
use super::images::{Hashed, Sink, delta_header, put_whole, whole};
use super::kept::Changed;
use super::load::{HashedSource, HostName, Source, bad_image, refused, resolve};
use crate::arena::MAIN_OFFSET;
use crate::error::{HostError, ImageError, Result};
use crate::image::{Form, Header};
use crate::lua;
use crate::units::{Frame, LINE_BYTES};
use std::iter;

/// Saves what leads from one held snapshot to another, older or newer.
///
/// Cost: what changed between the snapshot that the last delta led to, `from` and `to`; the first
/// time, and where that one is held no longer, a pass over the state.
///
/// # Safety
/// `vm` is live and held.
pub unsafe fn save(vm: *mut Vm, from: Frame, to: Frame, sink: &mut Sink<'_>) -> Result<()> {
    // SAFETY: the contract above.
    unsafe {
        see_idle(vm)?;
        let steps = ((*vm).steps_to(from)?, (*vm).steps_to(to)?);
        let mut outside = Between::of(&*vm, steps.0, steps.1)?;
        let (before, base, changed) = (*vm).take_base(steps)?;
        let header = Header {
            body_bytes: base.kept.used_bytes() as u64,
            sums: [before, base.kept.sum()],
            ..delta_header(&*vm)
        };
        let mut put = || {
            outside.meet(vm, &base)?;
            let names = base.names(vm, &changed)?;
            let config = (*vm).config.clone(); // the host's writer runs (V3)
            let mut sink = Hashed::new(sink, &header, &config)?;
            for (first, count) in groups(&changed) {
                sink.put(&(first as u64 | (count as u64) << 32).to_le_bytes())?;
                sink.put(base.kept.lines(first, count))?;
            }
            sink.put(&[0; 8])?;
            sink.put_names(names.names())?;
            outside.put(&mut sink)?;
            sink.finish()
        };
        let done = put();
        (*vm).base = Some(base);
        done
    }
}

/// Lines that follow each other: where each group begins, and how many it has.
fn groups(changed: &[Changed]) -> impl Iterator<Item = (usize, usize)> + '_ {
    let mut lines = changed
        .iter()
        .flat_map(|&Changed { unit, lines, .. }| {
            (0..LINES).filter(move |at| lines >> at & 1 != 0).map(move |at| unit * LINES + at)
        })
        .peekable();
    iter::from_fn(move || {
        let first = lines.next()?;
        let mut count = 1;
        while lines.next_if_eq(&(first + count)).is_some() {
            count += 1;
        }
        Some((first, count))
    })
}

/// Makes a VM's state what a delta leads to. Its snapshots stay.
///
/// After an error nothing has changed.
///
/// Cost: what changed since the last one was applied, and what it changes; the first time, a pass
/// over the state, and where a proof is wanted, more of them.
///
/// # Safety
/// `vm` is live and held.
pub unsafe fn apply(vm: *mut Vm, names: &[HostName<'_>], from: &mut dyn Source) -> Result<()> {
    // SAFETY: the contract above.
    unsafe {
        see_idle(vm)?;
        let config = (*vm).config.clone(); // the host's reader runs (V3)
        let (mut source, header) = HashedSource::open(from, Form::Delta, &config)?;
        if header.limit_bytes != (*vm).arena.limit_bytes() as u64
            || header.body_bytes > header.limit_bytes
        {
            return Err(bad_image("the delta is of a VM with another limit"));
        }
        // What a state does not tell of its userdata, and of its host's blocks.
        let own = delta_header(&*vm);
        if (header.guard, header.announces) != (own.guard, own.announces) {
            return Err(bad_image("the delta is of a VM with another guard, or other announces"));
        }
        let used = header.body_bytes as usize;
        let lines = used.div_ceil(LINE_BYTES);
        let mut changes = Vec::new();
        let mut next = 0;
        loop {
            let (first, count) = (source.word()? as usize, source.word()? as usize);
            if count == 0 {
                break;
            }
            if first < next || first > lines || count > lines - first {
                return Err(bad_image("lines of the delta lie outside the state, or twice in it"));
            }
            let bytes = source.take(count * LINE_BYTES)?;
            changes.try_reserve(1).map_err(|_| HostError::NoMemory { wanted_bytes: 32 })?;
            changes.push((first * LINE_BYTES, bytes));
            next = first + count;
        }
        let (count, text) = source.names(header.body_bytes)?;
        let brought = Brought::read(&mut source, header.limit_bytes)?;
        source.finish()?;
        if brought.has_new() {
            // Nothing is made for a delta that leads from another state.
            (*vm).front = Some(base_of(vm, &header)?);
        }
        let mut outside = Exchange::begin(vm, brought)?;
        let mut put = || {
            let mut front = base_of(vm, &header)?;
            let known = &|word| front.known(word);
            let names = resolve(count, &text, names, &(*vm).types, known);
            if names.is_err() {
                (*vm).front = Some(front);
                return names.map(drop);
            }
            front.kept.put(&changes, used)?;
            if front.kept.sum() != header.sums[1] {
                return Err(ImageError::Damaged.into());
            }
            front.meet(names?)?;
            let Front { kept, names } = &mut front;
            match (*vm).config.trust == Trust::Proved || outside.is_thorough() {
                true => replace(vm, &kept.bytes()[..used], names, &mut outside)?,
                false => graft(vm, kept, names, &mut outside)?,
            }
            (*vm).front = Some(front);
            Ok(())
        };
        if let Err(error) = put() {
            outside.undo(vm);
            return Err(error);
        }
        outside.end(vm);
        (*vm).serial = header.serial.max((*vm).serial);
    }
    Ok(())
}

/// The front, where the state is the one that a delta leads from.
///
/// # Safety
/// As for [`apply`].
unsafe fn base_of(vm: *mut Vm, header: &Header) -> Result<Front> {
    // SAFETY: the contract above.
    unsafe {
        let front = (*vm).take_front()?;
        if front.kept.sum() == header.sums[0] {
            return Ok(front);
        }
        (*vm).front = Some(front);
        Err(ImageError::WrongBase.into())
    }
}

/// Puts canonical bytes in place of the state, and ends what is gone. After an error it is what it
/// was.
///
/// # Safety
/// As for [`apply`].
unsafe fn replace(
    vm: *mut Vm,
    bytes: &[u8],
    outward: &[lua::Outward],
    outside: &mut Exchange,
) -> Result<()> {
    // SAFETY: the contract above.
    unsafe {
        let mut before = whole(vm)?;
        outside.keep(vm, &|_| true)?;
        let mut put = || {
            (*vm).arena.replace(bytes)?;
            (*vm).arena.check().map_err(refused)?;
            (*vm).fix(outward, before[MAIN_OFFSET..].as_ptr().cast())?;
            guarded::as_the_vm_keeps(vm)?;
            outside.give(vm, &|_| true)?;
            match outside.is_thorough() {
                true => outside.fill(vm),
                false => Ok(Vec::new()),
            }
        };
        match put() {
            Ok(mut state) => outside.finalize(vm, &mut before, &mut state),
            Err(error) => {
                put_whole(vm, &before)?;
                Err(error)
            }
        }
    }
}
