//! Mutants: what is done to an image. Each class is a function of the sample, and of chance that a
//! seed repeats. Not here: what becomes of them.

use super::random::Random;
use super::vm::{open, save};
use rlua::arena::{Arena, Block};
use rlua::image::{HASH_BYTES, HEADER_BYTES, Hash};
use std::ops::ControlFlow;

/// Of the samples that have one.
pub const KEY: [u8; 32] = [7; 32];

/// Kinds of blocks, as in `src/lua/overrides/kinds.h`.
const OBJECT: u32 = 1;
pub const THREAD: u32 = 2;
pub const NODES: u32 = 6;
const STACK: u32 = 7;
const CALLINFO: u32 = 8;

/// Tags of objects.
pub const TABLE: u8 = 5;
pub const USERDATA: u8 = 7;
pub const UPVALUE: u8 = 9;

pub const NODE_BYTES: usize = 24;

impl Random {
    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// A good image, and where its blocks lie.
pub struct Sample {
    pub bytes: Vec<u8>,
    pub keyed: bool,
    /// Bytes of the body, behind the header.
    body: usize,
    /// None where it is compressed.
    pub blocks: Vec<Block>,
    /// Where what lies outside begins, one after the other, and, last, where it ends.
    pub objects: Vec<usize>,
}

/// How the bytes come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// In a buffer.
    Whole,
    /// No more than that many at a time.
    Pieces(usize),
    /// The reader says that it gave more than it was asked for.
    TooMuch(usize),
    /// It ends behind a half.
    Half,
    /// A part comes twice.
    Twice,
}

/// What is to be loaded.
pub struct Mutant {
    pub bytes: Vec<u8>,
    pub keyed: bool,
    pub reading: Reading,
    /// The reader goes on behind the end.
    pub endless: bool,
    pub memory_size: usize,
    pub class: usize,
    pub sample: usize,
    body: usize,
}

fn read(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

impl Mutant {
    /// Of other bytes than the sample's.
    pub fn of(sample: &Sample, bytes: Vec<u8>) -> Mutant {
        let (keyed, body) = (sample.keyed, sample.body);
        let reading = Reading::Whole;
        let (endless, memory_size, class, sample) = (false, 0, 0, 0);
        Mutant { bytes, keyed, reading, endless, memory_size, class, sample, body }
    }

    /// Whether it comes in a buffer.
    pub fn is_whole(&self) -> bool {
        self.reading == Reading::Whole && !self.endless
    }

    pub fn put_header(&mut self, at: usize, word: u64) {
        self.bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
    }

    /// So many names, of so many bytes; nothing behind.
    pub fn claim_names(&mut self, count: u32, bytes: u32) {
        self.bytes.truncate(HEADER_BYTES + self.body);
        self.bytes.extend(count.to_le_bytes());
        self.bytes.extend(bytes.to_le_bytes());
    }

    /// Each name comes twice.
    pub fn double_names(&mut self) {
        let first = HEADER_BYTES + self.body;
        let [count, bytes] = [first, first + 4].map(|at| read(&self.bytes, at) as u32);
        let rest = self.bytes.split_off(first + 8 + bytes as usize);
        let names = self.bytes.split_off(first + 8);
        self.claim_names(2 * count, 2 * bytes);
        self.bytes.extend([&names[..], &names, &rest].concat());
        self.seal(None);
    }

    /// A word of the body.
    pub fn word(&self, at: usize) -> u64 {
        read(&self.bytes, HEADER_BYTES + at)
    }

    pub fn put(&mut self, at: usize, word: u64) {
        let at = HEADER_BYTES + at;
        if at + 8 <= self.bytes.len() {
            self.bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
    }

    fn body_bytes(&self) -> usize {
        self.body
    }

    /// Makes the hash anew, with the key or without.
    pub fn seal(&mut self, key: Option<&[u8; 32]>) {
        let Some(end) = self.bytes.len().checked_sub(HASH_BYTES) else { return };
        let mut hash = Hash::new(key);
        hash.update(&self.bytes[..end]);
        self.bytes[end..].copy_from_slice(&hash.finish());
    }

    /// What differs from the sample.
    pub fn print(&self, samples: &[Sample]) {
        let sample = &samples[self.sample];
        println!("{:?}, {} bytes, was {}", self.reading, self.bytes.len(), sample.bytes.len());
        for at in (0..self.bytes.len().min(sample.bytes.len()) & !7).step_by(8) {
            let (old, new) = (read(&sample.bytes, at), read(&self.bytes, at));
            if old == new {
                continue;
            }
            let offset = at.wrapping_sub(HEADER_BYTES);
            let block = sample.blocks.iter().rfind(|block| block.offset <= offset);
            match block.filter(|_| at >= HEADER_BYTES) {
                Some(&Block { offset: start, bytes, kind, .. }) => println!(
                    "{offset:#x}: {old:#x} -> {new:#x}; byte {} of {bytes}, kind {kind}",
                    offset - start
                ),
                None => println!("image {at:#x}: {old:#x} -> {new:#x}"),
            }
        }
    }
}

impl Sample {
    pub fn of(bytes: Vec<u8>, keyed: bool) -> Sample {
        let (body, limit) = (read(&bytes, 24) as usize, read(&bytes, 32) as usize);
        if read(&bytes, 8) >> 32 & 4 != 0 {
            return Sample { bytes, keyed, body: 0, blocks: Vec::new(), objects: Vec::new() };
        }
        let mut arena = Arena::new(limit).unwrap();
        let mut rest = &bytes[HEADER_BYTES..];
        let filled = arena.fill(body, body, |part| {
            let (now, later) = rest.split_at(part.len());
            part.copy_from_slice(now);
            rest = later;
            Ok(())
        });
        filled.unwrap();
        let mut blocks = Vec::new();
        let _ = arena.each_block(|block| {
            blocks.push(block);
            ControlFlow::<()>::Continue(())
        });
        assert!(blocks.len() > 100, "{} blocks were found", blocks.len());
        let objects = objects_of(&bytes, body);
        Sample { bytes, keyed, body, blocks, objects }
    }

    /// Where the state has its white; its phase and its mode are the next bytes. They lie before
    /// the collector's parameters, which are known.
    pub fn phase(&self) -> usize {
        let main = self.blocks[0];
        let state = &self.bytes[HEADER_BYTES + main.offset..][..main.bytes];
        let found = state
            .windows(6)
            .position(|bytes| matches!(bytes, [8 | 16, phase, 0 | 1, 0, 20, 25] if *phase < 9));
        main.offset + found.expect("the collector's parameters")
    }

    fn block(&self, random: &mut Random, kinds: &[u32]) -> Block {
        let first = random.below(self.blocks.len());
        let mut around = self.blocks[first..].iter().chain(&self.blocks[..first]);
        *around.find(|block| kinds.is_empty() || kinds.contains(&block.kind)).unwrap()
    }

    /// An object with that tag, or any.
    pub fn object(&self, random: &mut Random, tag: Option<u8>) -> Block {
        let first = random.below(self.blocks.len());
        let mut around = self.blocks[first..].iter().chain(&self.blocks[..first]);
        let found = around.find(|block| {
            let tt = self.bytes[HEADER_BYTES + block.offset + 8];
            block.kind == OBJECT && tag.is_none_or(|tag| tt == tag)
        });
        found.copied().unwrap_or(self.blocks[first])
    }
}

fn objects_of(bytes: &[u8], body: usize) -> Vec<usize> {
    let half = |at| read(bytes, at) as u32 as usize;
    let mut at = HEADER_BYTES + body + 8 + half(HEADER_BYTES + body + 4);
    let mut objects = vec![at];
    while half(at) != 0 {
        at += 10 + usize::from(bytes[at + 5]) + half(at + 6);
        objects.push(at);
    }
    assert_eq!(at + 4 + HASH_BYTES, bytes.len());
    objects
}

pub const WORLD: &str = "
    local weak = setmetatable({}, {__mode = 'k'})
    local values = setmetatable({}, {__mode = 'v'})
    kept, n = {}, 0
    for i = 1, 25 do
        local t, u = {i, i + 0.5, x = 'value ' .. i, ('long'):rep(20)}, i
        kept[i], kept['k' .. i], weak[t] = t, function() u = u + 1 return u, t end, {t}
        values[i] = {t}
        kept[t], kept[kept['k' .. i]], kept[i + 0.25], kept[i % 2 == 0] = i, t, u, i
        kept['c' .. i] = coroutine.wrap(function(...)
            local a, b = ...
            local c <close> = nil
            pcall(function(...)
                for word in ('a b c'):gmatch '%a' do
                    coroutine.yield(a, word, function() return b end)
                end
            end, a, b)
        end)
        kept['c' .. i](i, t)
        if i % 4 == 0 then kept['c' .. i] = nil end
    end
    kept.made = load('local a <const>, b = 5, ... return function(...) return a, b, ... end')(1)
    kept.meta = setmetatable({}, {__index = function() return 1 end, __name = 'meta'})
    kept.wide = {} for i = 1, 200 do kept.wide[i] = i % 3 == 0 and {} or i end
    for i = 1, 200 do kept.wide['s' .. i] = i end for i = 1, 150 do kept.wide['s' .. i] = nil end
    kept.e = coroutine.create(error) coroutine.resume(kept.e, 1)
    for _ = 1, 40 do local garbage = {{}, function() return weak end} end";

/// Good images of several states of the collector, of both modes and profiles.
pub fn samples() -> Vec<Sample> {
    let young = format!("collectgarbage('generational') {WORLD} {WORLD}");
    let stock = WORLD.replace("kept[kept['k' .. i]]", "kept.unused");
    let image = |code: &str, steps| Sample::of(save(open(code, 1 << 20, steps)), steps & 64 != 0);
    let mut samples: Vec<_> = [0, 3, 9, 30, 45, 63].map(|steps| image(WORLD, steps)).into();
    samples.push(image(&young, 0));
    samples.push(image(&young, 2));
    samples.push(image(&stock, 128));
    samples.push(image(WORLD, 64));
    samples.push(image(WORLD, 512 + 3)); // what lies outside
    samples.push(image(WORLD, 256)); // the last one: see `make`
    samples
}

/// What must come of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    Either,
    Refused,
    Loaded,
}

/// What makes the hash anew.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Seal {
    /// Somebody who has what the sample's maker had.
    Insider,
    /// Somebody without the key: of a sample that has one.
    Outsider,
    /// Nobody.
    None,
}

type Change = fn(&mut Mutant, &Sample, &[Sample], &mut Random);

pub struct Class {
    pub name: &'static str,
    pub expect: Expect,
    pub seal: Seal,
    change: Change,
}

const fn class(name: &'static str, expect: Expect, seal: Seal, change: Change) -> Class {
    Class { name, expect, seal, change }
}

pub static CLASSES: [Class; 32] = [
    class("words", Expect::Either, Seal::Insider, words),
    class("words of objects", Expect::Either, Seal::Insider, words_of_objects),
    class("tags and marks", Expect::Either, Seal::Insider, tags),
    class("tags of values", Expect::Either, Seal::Insider, tags_of_values),
    class("kinds of blocks", Expect::Either, Seal::Insider, kinds),
    class("sizes and counts", Expect::Either, Seal::Insider, sizes),
    class("lists", Expect::Either, Seal::Insider, lists),
    class("the state", Expect::Either, Seal::Insider, state),
    class("threads", Expect::Either, Seal::Insider, threads),
    class("frames", Expect::Either, Seal::Insider, frames),
    class("stacks", Expect::Either, Seal::Insider, stacks),
    class("the arena", Expect::Either, Seal::Insider, arena),
    class("colours and ages", Expect::Either, Seal::Insider, marks),
    class("heads of lists", Expect::Either, Seal::Insider, heads),
    class("keys and chains", Expect::Either, Seal::Insider, keys),
    class("two words swapped", Expect::Either, Seal::Insider, swap_words),
    class("two blocks swapped", Expect::Either, Seal::Insider, swap_blocks),
    class("two owners", Expect::Either, Seal::Insider, two_owners),
    class("spliced", Expect::Either, Seal::Insider, splice),
    class("header", Expect::Either, Seal::Insider, header),
    class("names", Expect::Either, Seal::Insider, names),
    class("objects", Expect::Either, Seal::Insider, objects),
    class("cut or grown, sizes right", Expect::Either, Seal::Insider, resize),
    class("compressed", Expect::Either, Seal::Insider, compressed),
    class("bits, hash as it was", Expect::Refused, Seal::None, bits),
    class("cut, hash as it was", Expect::Refused, Seal::None, cut),
    class("spliced, hash as it was", Expect::Refused, Seal::None, splice_and_change),
    class("a word, without the key", Expect::Refused, Seal::Outsider, bits),
    class("read in pieces", Expect::Loaded, Seal::None, pieces),
    class("a reader of too much", Expect::Refused, Seal::None, too_much),
    class("a reader that fails", Expect::Refused, Seal::None, half),
    class("a part that comes twice", Expect::Refused, Seal::None, twice),
];

/// The mutant of a seed.
pub fn make(samples: &[Sample], seed: u64) -> Mutant {
    let mut random = Random(seed.wrapping_mul(0xD134_2543_DE82_EF95));
    let number = (seed % CLASSES.len() as u64) as usize;
    let class = &CLASSES[number];
    let last = samples.len() - 1;
    let mut which = random.below(last);
    if class.name == "compressed" {
        which = last;
    }
    if class.name == "objects" {
        which = samples.iter().position(|sample| sample.objects.len() > 1).unwrap_or(which);
    }
    if class.seal == Seal::Outsider {
        which = samples.iter().position(|sample| sample.keyed).unwrap();
    }
    let sample = &samples[which];
    let mut mutant = Mutant::of(sample, sample.bytes.clone());
    (mutant.class, mutant.sample) = (number, which);
    (class.change)(&mut mutant, sample, samples, &mut random);
    match class.seal {
        Seal::Insider => mutant.seal(sample.keyed.then_some(&KEY)),
        Seal::Outsider => mutant.seal(None),
        Seal::None => {}
    }
    mutant
}

/// Another value for a word.
fn another(mutant: &Mutant, old: u64, random: &mut Random) -> u64 {
    let body = mutant.body_bytes();
    match random.below(12) {
        0 => old ^ 1 << random.below(64),
        1 => mutant.word(random.below(body / 8 - 1) * 8),
        2 => old.wrapping_add(8 * (random.next() % 9)).wrapping_sub(32),
        3 => old.wrapping_add(random.next() % 9).wrapping_sub(4),
        4 => (random.next() % body as u64) & !7,
        5 => random.of(&[0, 1, u64::MAX, body as u64 - 8, 1 << 63, 1 << 62, 1 << 61, 1 << 31]),
        6 => old & !0xff | random.next() & 0xff,
        7 => old & !0xff00 | random.next() & 0xff00,
        8 => old & 0xffff_ffff | (random.next() & 0xff) << 32,
        9 => old | 1 << 63 | random.next() & 0xff,
        10 => old.rotate_left(32),
        _ => (random.next() >> random.below(64)) & (old | 0xffff),
    }
}

fn change_word(mutant: &mut Mutant, at: usize, random: &mut Random) {
    if at + 8 <= mutant.body_bytes() {
        let new = another(mutant, mutant.word(at), random);
        mutant.put(at, new);
    }
}

fn change_byte(mutant: &mut Mutant, at: usize, random: &mut Random) {
    let at = HEADER_BYTES + at;
    if at < mutant.bytes.len() {
        let old = mutant.bytes[at];
        let near = old.wrapping_add(random.of(&[1, 2, 16, 255, 254]));
        let flipped = old ^ (1 << random.below(8));
        mutant.bytes[at] = random.of(&[near, flipped, 0, 255]);
    }
}

/// A word of a block, one of the first ones rather than one behind.
fn place_in(block: Block, random: &mut Random) -> usize {
    let words = block.bytes / 8;
    block.offset
        + 8 * if random.below(3) > 0 { random.below(words.min(16)) } else { random.below(words) }
}

fn words(mutant: &mut Mutant, _: &Sample, _: &[Sample], random: &mut Random) {
    for _ in 0..1 + random.below(3) {
        let words = mutant.body_bytes() / 8;
        let mut at = 8 * random.below(words);
        while mutant.word(at) == 0 && random.below(16) > 0 {
            at = 8 * random.below(words);
        }
        change_word(mutant, at, random);
    }
}

fn words_of_objects(mutant: &mut Mutant, sample: &Sample, _: &[Sample], random: &mut Random) {
    for _ in 0..1 + random.below(2) {
        let block = sample.object(random, None);
        change_word(mutant, place_in(block, random), random);
    }
}

fn tags(mutant: &mut Mutant, sample: &Sample, _: &[Sample], random: &mut Random) {
    let block = sample.block(random, &[OBJECT]);
    change_byte(mutant, block.offset + 8 + random.below(4), random);
}

/// The tag behind a payload: of a slot, a node, a constant, an upvalue.
fn tags_of_values(mutant: &mut Mutant, sample: &Sample, _: &[Sample], random: &mut Random) {
    let block = sample.block(random, &[5, 6, STACK, OBJECT]);
    let at = place_in(block, random);
    let tag = random.of(&[
        0, 1, 2, 3, 4, 5, 6, 7, 8, 0x11, 0x13, 0x14, 0x16, 0x44, 0x45, 0x46, 0x47, 0x48, 0x54,
        0x66, 9, 10, 0x10, 0x20, 0x49, 0x4a, 0xff,
    ]);
    let old = mutant.word(at);
    mutant.put(at, old & !0xff | tag);
}

/// In the head of a run, or the kinds of a slab: what lies before the blocks.
fn kinds(mutant: &mut Mutant, sample: &Sample, _: &[Sample], random: &mut Random) {
    let block = sample.block(random, &[]);
    if block.bytes > 512 {
        let at = HEADER_BYTES + block.offset - 8;
        mutant.bytes[at] ^= 1 + random.below(15) as u8;
        return;
    }
    let slab = block.offset & !1023;
    change_byte(mutant, slab + 16 + random.below(32), random);
}

/// Words and bytes that say how long something is, by what the object is.
fn sizes(mutant: &mut Mutant, sample: &Sample, _: &[Sample], random: &mut Random) {
    let (tag, places): (u8, &[usize]) = random.of(&[
        (5u8, &[10, 11, 12, 13, 14, 15][..]), // tables: lsizenode, alimit
        (4, &[10, 11, 12, 13, 14, 15][..]),   // short strings: shrlen, hash
        (0x14, &[16, 17, 18, 23][..]),        // long ones: lnglen
        (7, &[10, 11, 12, 16, 17, 18, 23][..]), // userdata: nuvalue, native, len
        (6, &[10][..]),                       // closures: nupvalues
        (0x26, &[10][..]),
        (10, &[10, 11, 12, 16, 17, 20, 24, 28, 32, 36, 40, 44, 48][..]), // prototypes
    ]);
    let block = sample.object(random, Some(tag));
    change_byte(mutant, block.offset + random.of(places), random);
}

/// The links of objects lead elsewhere: in a circle, to another list, to what is no object.
fn lists(mutant: &mut Mutant, sample: &Sample, _: &[Sample], random: &mut Random) {
    let (from, to) = (sample.object(random, None), sample.object(random, None));
    let thread = sample.block(random, &[THREAD]);
    let at = from.offset + random.of(&[0, 0, 16, 24, 40, 48]);
    let target = random.of(&[to.offset, from.offset, thread.offset + 8, thread.offset, 0]);
    mutant.put(at, target as u64);
}

fn state(mutant: &mut Mutant, sample: &Sample, _: &[Sample], random: &mut Random) {
    let main = sample.blocks[0];
    change_word(mutant, main.offset + 8 * random.below(main.bytes / 8), random);
    if random.below(2) == 0 {
        change_byte(mutant, main.offset + random.below(main.bytes), random);
    }
}

/// Every colour with every age, of objects and threads; in some the collector's phase, too.
fn marks(mutant: &mut Mutant, sample: &Sample, _: &[Sample], random: &mut Random) {
    for _ in 0..1 + random.below(3) {
        let block = match random.below(4) {
            0 => sample.block(random, &[THREAD]),
            1 => sample.object(random, Some(UPVALUE)),
            2 => sample.object(random, Some(USERDATA)),
            _ => sample.object(random, None),
        };
        let at = HEADER_BYTES + block.offset + 9 + 8 * usize::from(block.kind == THREAD);
        let colour = random.of(&[0, 0x08, 0x10, 0x20, mutant.bytes[at] & 0x38]);
        let age = random.of(&[0, 1, 2, 3, 4, 5, 6, mutant.bytes[at] & 7]);
        mutant.bytes[at] = mutant.bytes[at] & 0xc0 | colour | age;
    }
    if random.below(8) == 0 {
        mutant.bytes[HEADER_BYTES + sample.phase() + 1] = random.below(9) as u8;
    }
}

/// Two words of the state change places, or one becomes another.
fn heads(mutant: &mut Mutant, sample: &Sample, _: &[Sample], random: &mut Random) {
    let main = sample.blocks[0];
    let mut place = || loop {
        let at = main.offset + 8 * random.below(main.bytes / 8);
        let word = mutant.word(at);
        if word == 0 || word < mutant.body_bytes() as u64 && word.is_multiple_of(8) {
            return at;
        }
    };
    let (a, b) = (place(), place());
    let (x, y) = (mutant.word(a), mutant.word(b));
    mutant.put(a, y);
    if random.below(2) == 0 {
        mutant.put(b, x);
    }
}

/// A node's key, value and next, from another one of its table; or a number.
fn keys(mutant: &mut Mutant, sample: &Sample, _: &[Sample], random: &mut Random) {
    let block = sample.block(random, &[NODES]);
    let nodes = block.bytes / NODE_BYTES;
    for _ in 0..1 + random.below(2) {
        let from = block.offset + NODE_BYTES * random.below(nodes);
        let to = block.offset + NODE_BYTES * random.below(nodes);
        let (tags, other) = (mutant.word(to + 8), mutant.word(from + 8));
        match random.below(5) {
            0 => mutant.put(to + 16, mutant.word(from + 16)),
            1 => mutant.put(to + 8, tags & 0xffff_ffff | other & 0xffff_ffff_0000_0000),
            2 => {
                mutant.put(to + 8, tags & !0xff00 | other & 0xff00);
                mutant.put(to + 16, mutant.word(from + 16));
            }
            3 => mutant.put(to + 16, random.below(9) as u64),
            _ => {
                for at in [0, 8, 16] {
                    let (x, y) = (mutant.word(from + at), mutant.word(to + at));
                    mutant.put(from + at, y);
                    mutant.put(to + at, x);
                }
            }
        }
    }
}

fn threads(mutant: &mut Mutant, sample: &Sample, _: &[Sample], random: &mut Random) {
    let block = sample.block(random, &[THREAD]);
    let at = block.offset + 8 * random.below(block.bytes.min(240) / 8);
    change_word(mutant, at, random);
}

fn frames(mutant: &mut Mutant, sample: &Sample, _: &[Sample], random: &mut Random) {
    let block = sample.block(random, &[CALLINFO]);
    if random.below(2) == 0 {
        change_word(mutant, block.offset + 8 * random.below(8), random);
    } else {
        change_byte(mutant, block.offset + 32 + random.below(32), random);
    }
}

fn stacks(mutant: &mut Mutant, sample: &Sample, _: &[Sample], random: &mut Random) {
    let block = sample.block(random, &[STACK]);
    change_word(mutant, block.offset + 8 * random.below(block.bytes.min(480) / 8), random);
}

/// The header, heads of runs and slabs, links of what is free.
fn arena(mutant: &mut Mutant, sample: &Sample, _: &[Sample], random: &mut Random) {
    for _ in 0..1 + random.below(2) {
        let header = sample.blocks[0].offset - 8;
        let at = match random.below(4) {
            0 => 8 * random.below(header / 8),
            1 => sample.block(random, &[]).offset.saturating_sub(8) & !7,
            2 => (sample.block(random, &[]).offset & !1023) + 8 * random.below(3),
            _ => 8 * random.below(8),
        };
        if random.below(2) == 0 {
            change_word(mutant, at, random);
        } else {
            change_byte(mutant, at + random.below(8), random);
        }
    }
}

fn swap_words(mutant: &mut Mutant, sample: &Sample, _: &[Sample], random: &mut Random) {
    let a = sample.block(random, &[]);
    let b = sample.block(random, &[a.kind]);
    let at = random.below(a.bytes.min(b.bytes) / 8) * 8;
    let (a, b) = (a.offset + at, b.offset + at);
    let (x, y) = (mutant.word(a), mutant.word(b));
    mutant.put(a, y);
    mutant.put(b, x);
}

fn swap_blocks(mutant: &mut Mutant, sample: &Sample, _: &[Sample], random: &mut Random) {
    let a = sample.block(random, &[]);
    let b = sample.block(random, &[a.kind]);
    for at in (0..a.bytes.min(b.bytes) & !7).step_by(8) {
        let (x, y) = (mutant.word(a.offset + at), mutant.word(b.offset + at));
        mutant.put(a.offset + at, y);
        mutant.put(b.offset + at, x);
    }
}

/// A vector, an upvalue or a prototype that two objects have.
fn two_owners(mutant: &mut Mutant, sample: &Sample, _: &[Sample], random: &mut Random) {
    let a = sample.object(random, None);
    let tag = sample.bytes[HEADER_BYTES + a.offset + 8];
    let b = sample.object(random, Some(tag));
    let at = 8 * random.below(a.bytes.min(b.bytes) / 8);
    let word = mutant.word(b.offset + at);
    mutant.put(a.offset + at, word);
}

/// A part of another image, at the same place.
fn splice(mutant: &mut Mutant, _: &Sample, samples: &[Sample], random: &mut Random) {
    let other = &samples[random.below(samples.len() - 1)];
    let body = mutant.body_bytes().min(other.body);
    let from = random.below(body) & !7;
    let most = random.of(&[64, 4096, body]);
    let length = (random.below(most) & !7).min(body - from);
    let part = &other.bytes[HEADER_BYTES + from..][..length];
    mutant.bytes[HEADER_BYTES + from..][..length].copy_from_slice(part);
}

fn splice_and_change(
    mutant: &mut Mutant,
    sample: &Sample,
    samples: &[Sample],
    random: &mut Random,
) {
    splice(mutant, sample, samples, random);
    if mutant.bytes == sample.bytes {
        bits(mutant, sample, samples, random);
    }
}

fn header(mutant: &mut Mutant, _: &Sample, _: &[Sample], random: &mut Random) {
    let at = 8 * random.below(HEADER_BYTES / 8);
    let old = read(&mutant.bytes, at);
    let new = match random.below(3) {
        0 => old.wrapping_add(random.of(&[1, 4096, u64::MAX, 16, 1 << 32])),
        1 => random.next() >> random.below(64),
        _ => another(mutant, old, random),
    };
    mutant.put_header(at, new);
}

/// Behind the body: how many names, how many bytes, and those.
fn names(mutant: &mut Mutant, sample: &Sample, _: &[Sample], random: &mut Random) {
    let first = HEADER_BYTES + sample.body;
    let bytes = sample.bytes.len() - HASH_BYTES - first;
    for _ in 0..1 + random.below(3) {
        let at = first + random.below(bytes);
        mutant.bytes[at] = random.of(&[0, 1, 2, 3, 255, b'.', b'a', mutant.bytes[at] ^ 1]);
    }
    if random.below(4) == 0 {
        change_byte(mutant, sample.body + random.below(8), random);
    }
}

/// Behind the names: what lies outside, and the userdata that stand for it.
fn objects(mutant: &mut Mutant, sample: &Sample, _: &[Sample], random: &mut Random) {
    let objects = &sample.objects;
    for _ in 0..1 + random.below(2) {
        let (first, end) = (objects[0], mutant.bytes.len() - HASH_BYTES);
        let any = random.below(objects.len());
        let (at, next) = (objects[any], *objects.get(any + 1).unwrap_or(&(objects[any] + 4)));
        if next > end {
            return;
        }
        let place = read(&mutant.bytes, at) as u32 as usize;
        match random.below(9) {
            0 => {
                let at = first + random.below(end - first);
                mutant.bytes[at] = random.of(&[0, 1, 2, 255, mutant.bytes[at] ^ 1]);
            }
            1 => {
                let other = sample.object(random, Some(USERDATA)).offset as u32;
                let places = [other, place as u32 + 8, place as u32 ^ 16, u32::MAX];
                mutant.bytes[at..at + 4].copy_from_slice(&random.of(&places).to_le_bytes());
            }
            2 if at + 4 < end => mutant.bytes[at + 4] = random.of(&[0, 1, 2, 3, 4, 5]),
            3 => drop(mutant.bytes.drain(at..next)),
            4 => {
                let copy = mutant.bytes[at..next].to_vec();
                let into = objects[random.below(objects.len())].min(end);
                mutant.bytes.splice(into..into, copy);
            }
            5 if at + 10 <= end => {
                let length =
                    random.of(&[0, 1, u32::MAX, 1 << 24, read(&mutant.bytes, at + 6) as u32 + 1]);
                mutant.bytes[at + 6..at + 10].copy_from_slice(&length.to_le_bytes());
            }
            6 if place != 0 => change_byte(mutant, place + 8 + random.below(4), random),
            7 if place != 0 => change_word(mutant, place + 8 * random.below(8), random),
            _ => {
                let block = sample.object(random, Some(USERDATA));
                change_word(mutant, place_in(block, random), random);
            }
        }
    }
}

/// The image and what the header and the arena say are shorter or longer, all in agreement.
fn resize(mutant: &mut Mutant, sample: &Sample, _: &[Sample], random: &mut Random) {
    let body = sample.body;
    let other = match random.below(3) {
        0 => body.saturating_sub(random.of(&[16, 1024, 4096, body / 2])),
        1 => body + random.of(&[16, 1024, 4096, 1 << 16]),
        _ => random.below(body),
    };
    let tail = mutant.bytes.split_off(HEADER_BYTES + body);
    mutant.bytes.resize(HEADER_BYTES + other, random.of(&[0, 0xff]));
    mutant.bytes.extend(tail);
    mutant.body = other;
    mutant.put_header(24, other as u64);
    if random.below(2) == 0 && other > 24 {
        mutant.put(16, other as u64);
    }
}

/// What is packed, and how long it says it is.
fn compressed(mutant: &mut Mutant, _: &Sample, _: &[Sample], random: &mut Random) {
    for _ in 0..1 + random.below(3) {
        let at = random.of(&[4, mutant.bytes.len() - HEADER_BYTES - HASH_BYTES]);
        let at = HEADER_BYTES + random.below(at);
        mutant.bytes[at] = random.of(&[0, 255, mutant.bytes[at] ^ 1, mutant.bytes[at] ^ 128]);
    }
    if random.below(4) == 0 {
        mutant.put_header(24, random.of(&[0, 1 << 16, 1 << 20, u64::MAX]));
    }
}

fn bits(mutant: &mut Mutant, _: &Sample, _: &[Sample], random: &mut Random) {
    let at = random.of(&[random.0 as usize % 128, random.0 as usize % mutant.bytes.len()]);
    mutant.bytes[at] ^= 1 << random.below(8);
}

fn cut(mutant: &mut Mutant, _: &Sample, _: &[Sample], random: &mut Random) {
    let most = random.of(&[130, mutant.bytes.len()]);
    mutant.bytes.truncate(random.below(most));
}

fn pieces(mutant: &mut Mutant, _: &Sample, _: &[Sample], random: &mut Random) {
    mutant.reading = Reading::Pieces(random.of(&[1, 7, 127, 4096, 65535]));
}

fn too_much(mutant: &mut Mutant, _: &Sample, _: &[Sample], random: &mut Random) {
    mutant.reading = Reading::TooMuch(random.of(&[1, 4096, 1 << 40, usize::MAX]));
}

fn half(mutant: &mut Mutant, _: &Sample, _: &[Sample], _: &mut Random) {
    mutant.reading = Reading::Half;
}

fn twice(mutant: &mut Mutant, _: &Sample, _: &[Sample], _: &mut Random) {
    mutant.reading = Reading::Twice;
}
