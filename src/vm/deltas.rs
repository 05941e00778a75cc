//! Deltas: what changed between two held snapshots, and a VM that follows.
//!
//! A delta has the canonical lines that differ, so it is the same wherever it is made, and leads
//! from any VM that has the first state to the second: one that was loaded from an image, a clone,
//! a peer. The sums of both states tell whether it is the right one.
//!
//! # Not here
//! The format ([`crate::image`]).

use super::Vm;
use super::canonical::{Canonical, For};
use super::checksum::Digests;
use super::config::Trust;
use super::guard::see_idle;
use super::guarded;
use super::images::{Hashed, Sink, State, delta_header, live_state, zeros};
use super::load::{HashedSource, HostName, Source, refused};
use crate::arena::{MAIN_OFFSET, View};
use crate::error::{Error, HostError, ImageError, Result};
use crate::image::{Form, Header, PART_BYTES, Sum};
use crate::lua;
use crate::units::{Frame, LINE_BYTES};
use std::iter;

/// The whole canonical form of a state, in lines, and what it was made with.
struct Whole {
    bytes: Vec<u8>,
    canonical: Canonical,
}

impl Whole {
    /// # Safety
    /// As for [`Canonical::of`].
    unsafe fn of(state: &State, wanted: For) -> Result<Whole> {
        // SAFETY: the contract above.
        unsafe {
            let mut canonical = Canonical::of(state.view, state.base, wanted)?;
            let lines = canonical.used_bytes().div_ceil(LINE_BYTES);
            let mut bytes = zeros(lines * LINE_BYTES)?;
            canonical.write(View::FIRST, 0, &mut bytes)?;
            Ok(Whole { bytes, canonical })
        }
    }

    fn sum(&self) -> Sum {
        sum_of(&self.bytes, self.canonical.used_bytes())
    }
}

fn sum_of(bytes: &[u8], used_bytes: usize) -> Sum {
    let mut digests = Digests::default();
    digests.add(&bytes[..used_bytes]);
    digests.sum()
}

/// Saves what leads from one held snapshot to another, older or newer.
///
/// Cost: two passes over the state, and four times its memory during the call.
///
/// # Safety
/// `vm` is live and held.
pub unsafe fn save(vm: *mut Vm, from: Frame, to: Frame, sink: &mut Sink<'_>) -> Result<()> {
    // SAFETY: the contract above.
    unsafe {
        see_idle(vm)?;
        let base = (*vm).arena.base();
        let copies = [(*vm).copy_of(from)?, (*vm).copy_of(to)?];
        let [from, to] =
            copies.each_ref().map(|copy| State { view: View::new(copy.start()), base });
        let (from, to) = (Whole::of(&from, For::Image)?, Whole::of(&to, For::Image)?);
        let header = Header {
            body_bytes: to.canonical.used_bytes() as u64,
            sums: [from.sum(), to.sum()],
            ..delta_header(&*vm)
        };
        let mut sink = Hashed::new(sink, &header, &(*vm).config)?;
        for (first, lines) in groups(&from.bytes, &to.bytes) {
            let part = &to.bytes[first * LINE_BYTES..][..lines * LINE_BYTES];
            sink.put(&(first as u32).to_le_bytes())?;
            sink.put(&(lines as u32).to_le_bytes())?;
            part.chunks(PART_BYTES).try_for_each(|part| sink.put(part))?;
        }
        sink.put(&[0; 8])?;
        sink.finish(to.canonical.names())
    }
}

/// Lines that differ, or that the first does not have: where each group begins, and how many.
fn groups<'a>(from: &'a [u8], to: &'a [u8]) -> impl Iterator<Item = (usize, usize)> + 'a {
    let count = to.len() / LINE_BYTES;
    let line = |bytes: &'a [u8], at: usize| bytes.get(at * LINE_BYTES..(at + 1) * LINE_BYTES);
    let differs = move |at: &usize| line(from, *at) != line(to, *at);
    let mut at = 0;
    iter::from_fn(move || {
        let first = (at..count).find(differs)?;
        let end = (first..count).find(|at| !differs(at)).unwrap_or(count);
        at = end;
        Some((first, end - first))
    })
}

/// Makes a VM's state what a delta leads to. Its snapshots stay.
///
/// After an error nothing has changed.
///
/// Cost: two passes over the state, and three times its memory during the call.
///
/// # Safety
/// `vm` is live and held.
pub unsafe fn apply(vm: *mut Vm, names: &[HostName<'_>], from: &mut dyn Source) -> Result<()> {
    // SAFETY: the contract above.
    unsafe {
        see_idle(vm)?;
        let (mut source, header) = HashedSource::open(from, Form::Delta, &(*vm).config)?;
        let bad = |what| Error::from(ImageError::bad(format_args!("{what}")));
        if header.limit_bytes != (*vm).arena.limit_bytes() as u64
            || header.body_bytes > header.limit_bytes
        {
            return Err(bad("the delta is of a VM with another limit"));
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
                return Err(bad("lines of the delta lie outside the state, or twice in it"));
            }
            let bytes = source.take(count * LINE_BYTES)?;
            changes.try_reserve(1).map_err(|_| HostError::NoMemory { wanted_bytes: 32 })?;
            changes.push((first * LINE_BYTES, bytes));
            next = first + count;
        }
        let state = live_state(vm)?;
        let mut whole = Whole::of(&state, For::Image)?;
        let known = |word| whole.canonical.known(word);
        let outward = source.finish(header.body_bytes, names, &known)?;
        if whole.sum() != header.sums[0] {
            return Err(ImageError::WrongBase.into());
        }
        let more = (lines * LINE_BYTES).saturating_sub(whole.bytes.len());
        let wanted_bytes = whole.bytes.len() + more;
        whole.bytes.try_reserve_exact(more).map_err(|_| HostError::NoMemory { wanted_bytes })?;
        whole.bytes.resize(lines * LINE_BYTES, 0);
        for (at, bytes) in &changes {
            whole.bytes[*at..][..bytes.len()].copy_from_slice(bytes);
        }
        if sum_of(&whole.bytes, used) != header.sums[1] {
            return Err(ImageError::Damaged.into());
        }
        replace(vm, &whole.bytes[..used], &outward)?;
        (*vm).serial = header.serial;
    }
    Ok(())
}

/// Puts canonical bytes in place of the state. After an error it is what it was.
///
/// # Safety
/// As for [`apply`].
unsafe fn replace(vm: *mut Vm, bytes: &[u8], outward: &[lua::Outward]) -> Result<()> {
    // SAFETY: the contract above; the used part, of an idle VM (V1).
    unsafe {
        let before = (*vm).arena.used_bytes();
        let mut old = zeros(before)?;
        (*vm).arena.base().copy_to_nonoverlapping(old.as_mut_ptr(), before);
        let main = old[MAIN_OFFSET..].as_ptr().cast();
        let replaced = (*vm).arena.replace(bytes).and_then(|()| {
            if (*vm).config.trust == Trust::Proved {
                (*vm).arena.check().map_err(refused)?;
            }
            (*vm).fix(outward, main)?;
            guarded::as_the_vm_keeps(vm)
        });
        if let Err(error) = replaced {
            // It was there before, so there is room.
            (*vm).arena.replace(&old)?;
            return Err(error);
        }
    }
    Ok(())
}
