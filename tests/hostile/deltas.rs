//! Hostile deltas: to a VM that has the state before, with the hash and the sums made anew. What a
//! delta leads to is changed as images are (mutants.rs); so are its groups, its header, its names,
//! its reader. A delta that is refused has changed nothing: neither a byte of the VM's image, nor
//! what a rollback brings back.
//!
//! Not here: what is done to a state.

use super::mutants::{self, CLASSES, Expect, KEY, Mutant, Reading, Sample, Seal, USERDATA, WORLD};
use super::random::Random;
use super::vm::{
    Loaded, attempt, bytes_of, feed, feed_of, living, load_own, open, save_delta, use_vm,
};
use rlua::ffi::deltas::rlua_apply_delta;
use rlua::ffi::life::{lua_close, rlua_check};
use rlua::ffi::snapshots::{rlua_rollback, rlua_snap};
use rlua::ffi::status::rlua_last_error;
use rlua::image::{HASH_BYTES, HEADER_BYTES};
use rlua::lua::lua_State;
use rlua::vm::checksum::Digests;
use std::ffi::CStr;
use std::ptr;

const LINE: usize = 64;
/// In the header.
const STATE_BYTES: usize = 24;
const SUMS: usize = 88;

/// Two states of a VM, and what leads from one to the other.
struct Pair {
    from: Vec<u8>,
    delta: Vec<u8>,
}

/// Pairs, the later states as samples of images. The last one is compressed (mutants.rs).
pub struct Pairs {
    pairs: Vec<Pair>,
    samples: Vec<Sample>,
}

const CHANGE: &str = "
    for i = 1, 25, 3 do kept[i], kept['k' .. i] = {i, kept}, nil end
    for i = 2, 25, 7 do if kept['c' .. i] then kept['c' .. i]() end end
    kept.more = {} for i = 1, 90 do kept.more[i] = {('x'):rep(i)} end
    setmetatable({}, {__gc = type})";

/// Of four textures two stay; one of the new ones may lie where one of the others lay.
const EXCHANGE: &str = "
    t, v = nil collectgarbage() collectgarbage()
    w, x, y, z = new_texture(), {new_texture()}, new_meter(), m";

/// The same with meters that are gone: they are finalized.
const EXCHANGE_ALL: &str = "
    t, v, m, o = nil collectgarbage() collectgarbage()
    w, x, y, z = new_texture(), new_meter(), {new_texture(), new_meter()}, n";

pub fn pairs() -> Pairs {
    let young = format!("collectgarbage 'generational' {WORLD}");
    let less = "for k in pairs(kept) do kept[k] = nil end collectgarbage() collectgarbage()";
    let stock = WORLD.replace("kept[kept['k' .. i]]", "kept.unused");
    let cases = [
        (WORLD, 0, CHANGE),
        (WORLD, 9, CHANGE),
        (WORLD, 33, less),
        (&young, 1, CHANGE),
        (&stock, 128, CHANGE),
        (WORLD, 64, CHANGE),
        (WORLD, 1024 | 2048, EXCHANGE),
        (WORLD, 1024 | 2048, EXCHANGE_ALL),
        (WORLD, 256, CHANGE),
    ];
    let (mut pairs, mut samples) = (Vec::new(), Vec::new());
    for (code, steps, change) in cases {
        let main = open(code, 1 << 20, steps);
        let (from, to, delta) = save_delta(main, change);
        samples.push(Sample::of(to, steps & 64 != 0));
        pairs.push(Pair { from, delta });
    }
    Pairs { pairs, samples }
}

/// Beside the classes of images, whose states deltas lead to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    State(usize),
    Groups,
    Sums,
    OtherBase,
    AnImage,
    Handles,
}

pub const OTHERS: [(&str, Expect); 5] = [
    ("groups of lines", Expect::Either),
    ("sums of other states", Expect::Refused),
    ("of another state", Expect::Refused),
    ("an image", Expect::Refused),
    ("handles", Expect::Either),
];

/// Of every class: what it is called, and what must come of it.
pub fn classes() -> Vec<(&'static str, Expect)> {
    CLASSES.iter().map(|class| (class.name, class.expect)).chain(OTHERS).collect()
}

pub struct Delta {
    pub mutant: Mutant,
    pub class: usize,
}

fn number(bytes: &[u8], at: usize) -> usize {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize
}

fn sum(body: &[u8]) -> [u8; 16] {
    let mut digests = Digests::default();
    digests.add(body);
    digests.sum().0
}

/// Where the groups of a delta lie; the last has no lines.
fn groups_of(delta: &[u8]) -> Vec<usize> {
    let (mut at, mut found) = (HEADER_BYTES, Vec::new());
    loop {
        found.push(at);
        let lines = number(delta, at) >> 32;
        if lines == 0 {
            return found;
        }
        at += 8 + lines * LINE;
    }
}

/// Where a delta has what lies outside: what is gone, and behind a zero what is new.
fn handles_of(delta: &[u8]) -> (usize, usize) {
    let half = |at: usize| u32::from_le_bytes(delta[at..at + 4].try_into().unwrap()) as usize;
    let names = groups_of(delta).pop().unwrap() + 8;
    let first = names + 8 + half(names + 4);
    let gone = (first..).step_by(4).take_while(|&at| half(at) != 0).count();
    (first, first + 4 * gone + 4)
}

impl Pairs {
    /// What leads to the state of a changed image: its lines that differ from those before.
    fn delta_to(&self, mutant: &Mutant) -> Vec<u8> {
        let pair = &self.pairs[mutant.sample];
        let before = body_of(&pair.from);
        let bytes = number(&mutant.bytes, STATE_BYTES);
        let body = mutant.bytes.get(HEADER_BYTES..).and_then(|rest| rest.get(..bytes));
        // The image may be shorter than its header says.
        let body = body.unwrap_or(&mutant.bytes[HEADER_BYTES.min(mutant.bytes.len())..]);
        let mut delta = pair.delta[..HEADER_BYTES].to_vec();
        for (at, byte) in delta.iter_mut().enumerate().take(SUMS).skip(STATE_BYTES) {
            *byte = mutant.bytes.get(at).copied().unwrap_or(0);
        }
        delta[SUMS + 16..SUMS + 32].copy_from_slice(&sum(body));
        let line = |bytes: &[u8], at: usize| {
            let part = bytes.get(at * LINE..bytes.len().min((at + 1) * LINE)).unwrap_or(&[]);
            let mut line = [0; LINE];
            line[..part.len()].copy_from_slice(part);
            line
        };
        for at in 0..body.len().div_ceil(LINE) {
            let now = line(body, at);
            if at * LINE >= before.len() || now != line(before, at) {
                delta.extend((at as u32).to_le_bytes());
                delta.extend(1u32.to_le_bytes());
                delta.extend(now);
            }
        }
        delta.extend([0; 8]);
        // What lies outside is that of the genuine one, in place of the objects that an image has.
        let sample = &self.samples[mutant.sample];
        let objects = sample.bytes.len() - sample.objects[0];
        let rest = &mutant.bytes[(HEADER_BYTES + body.len()).min(mutant.bytes.len())..];
        let (names, hash) = (rest.len().saturating_sub(objects), rest.len().min(HASH_BYTES));
        delta.extend(&rest[..names]);
        delta.extend(&pair.delta[handles_of(&pair.delta).0..pair.delta.len() - HASH_BYTES]);
        delta.extend(&rest[rest.len() - hash..]);
        delta
    }

    /// The image of the state that a delta leads from.
    pub fn before(&self, mutant: &Mutant) -> &[u8] {
        &self.pairs[mutant.sample].from
    }

    /// The delta of a seed.
    pub fn make(&self, seed: u64) -> Delta {
        let mut random = Random(seed.wrapping_mul(0x9FB2_1C65_1E98_DF25));
        let class = (seed % classes().len() as u64) as usize;
        let which = match class.checked_sub(CLASSES.len()) {
            None => Class::State(class),
            Some(0) => Class::Groups,
            Some(1) => Class::Sums,
            Some(2) => Class::OtherBase,
            Some(3) => Class::AnImage,
            Some(_) => Class::Handles,
        };
        // A seed of the same class of images.
        let state = |class: usize, random: &mut Random| {
            let seed = random.next() >> 8;
            mutants::make(&self.samples, seed - seed % CLASSES.len() as u64 + class as u64)
        };
        let mutant = match which {
            Class::State(class) => self.of_a_state(state(class, &mut random), &mut random),
            _ => self.of_a_delta(which, &mut random),
        };
        Delta { mutant, class }
    }

    fn of_a_state(&self, mut mutant: Mutant, random: &mut Random) -> Mutant {
        let class = &CLASSES[mutant.class];
        let genuine = &self.pairs[mutant.sample].delta;
        match class.seal {
            Seal::Insider if class.name != "compressed" => {
                mutant.bytes = self.delta_to(&mutant);
                mutant.seal(mutant.keyed.then_some(&KEY));
            }
            // What is compressed is no delta. Damage, and readers, are the delta's own.
            Seal::Insider => {
                mutant.bytes = genuine.clone();
                damage(&mut mutant.bytes, random);
                mutant.seal(mutant.keyed.then_some(&KEY));
            }
            Seal::Outsider => {
                mutant.bytes = genuine.clone();
                damage(&mut mutant.bytes, random);
                mutant.seal(None);
            }
            Seal::None if class.name.starts_with("cut") => {
                mutant.bytes = genuine.clone();
                mutant.bytes.truncate(random.below(genuine.len()));
            }
            Seal::None => {
                mutant.bytes = genuine.clone();
                if mutant.reading == Reading::Whole {
                    damage(&mut mutant.bytes, random);
                }
            }
        }
        mutant
    }

    fn of_a_delta(&self, class: Class, random: &mut Random) -> Mutant {
        let which = match class {
            // Those before the compressed one.
            Class::Handles => self.pairs.len() - 2 - random.below(2),
            _ => random.below(self.pairs.len() - 1),
        };
        let sample = &self.samples[which];
        let mut mutant = Mutant::of(sample, self.pairs[which].delta.clone());
        mutant.sample = which;
        match class {
            Class::Groups => groups(&mut mutant.bytes, random),
            Class::Handles => handles(&mut mutant.bytes, sample, random),
            Class::Sums => {
                let at = SUMS + random.below(32);
                mutant.bytes[at] ^= 1 << random.below(8);
            }
            Class::OtherBase => {
                let before = |delta: &[u8]| delta[SUMS..SUMS + 16].to_vec();
                let own = before(&mutant.bytes);
                let deltas = self.pairs.iter().map(|pair| &pair.delta);
                let others: Vec<_> = deltas.filter(|delta| before(delta) != own).collect();
                mutant.bytes = others[random.below(others.len())].clone();
                // The same key, so that the state alone is wrong.
                mutant.bytes[12..16].copy_from_slice(&self.pairs[which].delta[12..16]);
            }
            _ => mutant.bytes = self.pairs[which].from.clone(),
        }
        mutant.seal(mutant.keyed.then_some(&KEY));
        mutant
    }
}

fn body_of(image: &[u8]) -> &[u8] {
    &image[HEADER_BYTES..][..number(image, STATE_BYTES)]
}

/// One byte, anywhere.
fn damage(bytes: &mut [u8], random: &mut Random) {
    let most = [HEADER_BYTES, bytes.len() - HASH_BYTES][random.below(2)];
    let at = random.below(most);
    bytes[at] ^= 1 << random.below(8);
}

/// What a group says of itself, or the order of groups.
fn groups(bytes: &mut Vec<u8>, random: &mut Random) {
    let found = groups_of(bytes);
    let at = found[random.below(found.len())];
    let half = at + 4 * random.below(2);
    let old = u32::from_le_bytes(bytes[half..half + 4].try_into().unwrap());
    let values = [0, 1, old.wrapping_add(1), old.wrapping_sub(1), u32::MAX, 1 << 26, 1 << 31];
    match random.below(4) {
        0 => {
            let other = found[random.below(found.len())];
            let word = bytes[other..other + 8].to_vec();
            bytes[at..at + 8].copy_from_slice(&word);
        }
        1 => {
            // Once more, behind itself.
            let next = found.iter().copied().find(|next| *next > at).unwrap_or(at + 8);
            let group = bytes[at..next].to_vec();
            bytes.splice(next..next, group);
        }
        _ => bytes[half..half + 4].copy_from_slice(&values[random.below(7)].to_le_bytes()),
    }
}

/// What is gone, or new: its place, what it is, how long it is; not at all, or twice.
fn handles(bytes: &mut Vec<u8>, sample: &Sample, random: &mut Random) {
    let ((gone, born), end) = (handles_of(bytes), bytes.len() - HASH_BYTES);
    let mut places: Vec<_> = (gone..born).step_by(4).collect();
    places.push(born);
    let at = places[random.below(places.len())];
    let place = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let other = sample.object(random, Some(USERDATA)).offset as u32;
    let values = [0, 1, other, place ^ 16, place.wrapping_add(8), u32::MAX];
    match random.below(7) {
        0 => {
            let at = gone + random.below(end - gone);
            bytes[at] ^= 1 << random.below(8);
        }
        1 => drop(bytes.drain(at..at + 4)),
        2 => {
            let word = bytes[at..at + 4].to_vec();
            bytes.splice(at..at, word);
        }
        3 => {
            let pieces = bytes[born..end - 4].to_vec();
            bytes.splice(end - 4..end - 4, pieces);
        }
        4 => drop(bytes.drain(born..end - 4)),
        // Where something else is, or what stays.
        5 => bytes[born..born + 4].copy_from_slice(&other.to_le_bytes()),
        _ => {
            let value = values[random.below(values.len())];
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
    }
}

/// A VM that has the state before, and its image.
struct Receiver {
    main: *mut lua_State,
    image: Vec<u8>,
    /// What it has outside.
    things: isize,
}

/// VMs that receive, one for each pair.
pub struct Receivers<'a> {
    pairs: &'a Pairs,
    open: Vec<Option<Receiver>>,
}

impl<'a> Receivers<'a> {
    pub fn of(pairs: &'a Pairs) -> Receivers<'a> {
        Receivers { pairs, open: pairs.pairs.iter().map(|_| None).collect() }
    }

    /// Applies it to a VM with the state before.
    pub fn apply(&mut self, delta: &Delta, seed: u64) -> Loaded {
        let which = delta.mutant.sample;
        let (pairs, place) = (self.pairs, &mut self.open[which]);
        let receiver = place.get_or_insert_with(|| {
            let from = pairs.pairs[which].from.clone();
            let before = living();
            let main = attempt(&Mutant::of(&pairs.samples[which], from));
            assert!(!main.is_null(), "the state before is a good one");
            Receiver { main, image: bytes_of(main), things: living() - before }
        });
        let (main, things, before) = (receiver.main, receiver.things, living());
        // What a snapshot has may not end, if it is guarded.
        let ends = which == pairs.pairs.len() - 2;
        let rolls_back = (seed / 64).is_multiple_of(16) && !ends;
        // SAFETY: a VM of this test's own.
        unsafe {
            if rolls_back {
                assert_eq!(rlua_snap(main), 0);
            }
            let mut feed = feed_of(&delta.mutant);
            let status = rlua_apply_delta(main, ptr::null(), Some(super::vm::feed), feed.ud());
            if status == 0 {
                *place = None;
                use_vm(main);
                if rolls_back {
                    assert_eq!(rlua_rollback(main, 1), 0);
                    assert_eq!(rlua_check(main), 0);
                }
                lua_close(main);
                assert_eq!(living(), before - things, "what was made has ended");
                return Loaded::Sound;
            }
            let sentence = CStr::from_ptr(rlua_last_error(main));
            assert!(sentence.to_bytes().len() > 20, "{status}: {sentence:?}");
            assert!(bytes_of(main) == receiver.image, "what was refused changed the VM");
            assert_eq!(living(), before, "what was made for it has ended");
            if rolls_back {
                assert_eq!(rlua_check(main), 0);
                assert_eq!(rlua_rollback(main, 1), 0);
                assert!(bytes_of(main) == receiver.image, "a rollback brings back something else");
            }
        }
        Loaded::Refused
    }
}

impl Drop for Receivers<'_> {
    fn drop(&mut self) {
        for receiver in self.open.iter().flatten() {
            // SAFETY: a VM of this test's own.
            unsafe { lua_close(receiver.main) }
        }
    }
}

/// To a VM that trusts, deltas with one value that is none, in each place where there can be one.
/// Answers how many there were.
pub fn apply_wrong_values() -> usize {
    const VALUE: usize = 0x1234_5678_9ABC_DEF0;
    let change = format!("for i = 1, 25 do kept[i] = {{i, {VALUE}, kept, [kept] = {VALUE}}} end");
    let (from, to, delta) = save_delta(open(WORLD, 1 << 20, 0), &change);
    let samples = vec![Sample::of(to, false)];
    let pairs = Pairs { pairs: vec![Pair { from, delta }], samples };
    let sample = &pairs.samples[0];
    let tag_behind = |at: &usize| sample.bytes[at + 8] == 3 && number(&sample.bytes, *at) == VALUE;
    let words = (HEADER_BYTES..sample.bytes.len() - HASH_BYTES).step_by(8);
    let places: Vec<_> = words.filter(tag_behind).collect();
    let main = load_own(&pairs.pairs[0].from);
    // SAFETY: a VM of this test's own.
    unsafe {
        assert_eq!(rlua_snap(main), 0);
        let image = bytes_of(main);
        let apply =
            |mutant: &Mutant| rlua_apply_delta(main, ptr::null(), Some(feed), feed_of(mutant).ud());
        for at in &places {
            let mut wrong = Mutant::of(sample, sample.bytes.clone());
            wrong.bytes[at + 8] = 0x2F;
            wrong.bytes = pairs.delta_to(&wrong);
            wrong.seal(None);
            assert_ne!(apply(&wrong), 0);
            let sentence = CStr::from_ptr(rlua_last_error(main)).to_bytes();
            assert!(sentence.windows(7).any(|part| part == b"the tag"), "at the tag alone");
            assert!(bytes_of(main) == image, "what was put in place is there still");
            assert_eq!(rlua_check(main), 0);
        }
        assert_eq!(rlua_rollback(main, 1), 0);
        assert!(bytes_of(main) == image, "a rollback brings back something else");
        let good = Mutant::of(sample, pairs.pairs[0].delta.clone());
        assert_eq!(apply(&good), 0);
        use_vm(main);
        lua_close(main);
    }
    places.len()
}

/// The delta that was made here from images is the library's own, but for how lines are grouped.
pub fn check_the_making(pairs: &Pairs) {
    for (which, sample) in pairs.samples.iter().enumerate().take(pairs.samples.len() - 1) {
        let mut good = Mutant::of(sample, sample.bytes.clone());
        good.sample = which;
        good.bytes = pairs.delta_to(&good);
        good.seal(sample.keyed.then_some(&KEY));
        let mut receivers = Receivers::of(pairs);
        let found = receivers.apply(&Delta { mutant: good, class: 0 }, 1);
        assert_eq!(found, Loaded::Sound, "pair {which}");
        let mut genuine = Mutant::of(sample, pairs.pairs[which].delta.clone());
        genuine.sample = which;
        let found = receivers.apply(&Delta { mutant: genuine, class: 0 }, 1);
        assert_eq!(found, Loaded::Sound, "pair {which}, as it was saved");
    }
}
