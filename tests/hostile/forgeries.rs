//! Forgeries: single damages that Lua never does, each to an image that is good but for it, in the
//! phase of the collector where it would do harm. Not here: damage by chance (mutants.rs).

use super::mutants::{Mutant, NODE_BYTES, NODES, Sample, TABLE, THREAD, UPVALUE, USERDATA, WORLD};
use super::vm::{open, save};
use rlua::arena::Block;
use rlua::image::HEADER_BYTES;

/// What a sample is made for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum When {
    Marking = 0,
    Sweeping = 3,
    Resting = 8,
    Generational = 9,
}

/// Marks: what they are without colours, and without ages; colours.
const COLOURS: u8 = 0x38;
const WHITES: u8 = 0x18;
const BLACK: u8 = 0x20;
const AGES: u8 = 7;
const OLD1: u8 = 3;
const OLD: u8 = 4;
const TOUCHED1: u8 = 5;
const TOUCHED2: u8 = 6;
const FINALIZER: u8 = 0x40;

const SHORT_STRING: u8 = 0x44;
const INTEGER: u8 = 3;
const LONG_STRING: u8 = 0x14;

/// Of lists, behind the collector's white: `lstate.h` has their order.
const LISTS: usize = 12;
const GRAYAGAIN: usize = LISTS + 32;
const WEAK: usize = LISTS + 40;
const UPVALUE_THREADS: usize = LISTS + 136;

/// Of threads, in their blocks.
const STACK_LAST: usize = 8 + 56;
const OPEN_UPVALUES: usize = 8 + 72;
const NEXT_THREAD: usize = 8 + 96;

pub struct Forgery {
    pub name: &'static str,
    pub when: When,
    code: &'static str,
    forge: fn(&mut Forger<'_>) -> Option<()>,
}

/// An image, and what is found in it.
struct Forger<'a> {
    mutant: &'a mut Mutant,
    sample: &'a Sample,
}

impl Forger<'_> {
    fn byte(&mut self, at: usize) -> &mut u8 {
        &mut self.mutant.bytes[HEADER_BYTES + at]
    }

    fn word(&self, at: usize) -> usize {
        self.mutant.word(at) as usize
    }

    fn put(&mut self, at: usize, word: usize) {
        self.mutant.put(at, word as u64);
    }

    /// Blocks of objects with that tag, but for threads.
    fn objects(&self, tag: u8) -> impl Iterator<Item = usize> + use<> {
        let tagged = |block: &&Block| {
            block.kind == 1 && self.mutant.bytes[HEADER_BYTES + block.offset + 8] == tag
        };
        let found: Vec<_> = self.sample.blocks.iter().filter(tagged).map(|b| b.offset).collect();
        found.into_iter()
    }

    /// Threads, but for the main one.
    fn threads(&self) -> impl Iterator<Item = usize> + use<> {
        let blocks = self.sample.blocks[1..].iter().filter(|block| block.kind == THREAD);
        blocks.map(|block| block.offset).collect::<Vec<_>>().into_iter()
    }

    /// Where the library keeps the profile, and the flags of a new table.
    fn own(&self) -> Option<usize> {
        let main = self.sample.blocks[0];
        let words = (main.offset..main.offset + main.bytes).step_by(8);
        words.rev().find(|at| self.word(*at) & 0xffff == 0x7f01)
    }

    fn marks(&self, object: usize) -> u8 {
        self.mutant.bytes[HEADER_BYTES + object + 9]
    }

    fn is_closed(&self, upvalue: usize) -> bool {
        self.word(upvalue + 16) == upvalue + 24
    }

    /// Tags of a node's value and key, and the distance of the next.
    fn node(&self, at: usize) -> (u8, u8, i32) {
        let word = self.word(at + 8);
        (word as u8, (word >> 8) as u8, (word >> 32) as i32)
    }

    /// Nodes of hash parts of so many or more, each with the place of its part, where `wanted`.
    fn nodes(&self, least: usize, wanted: impl Fn(&Self, usize) -> bool) -> Vec<(usize, usize)> {
        let blocks = self.sample.blocks.iter();
        let parts = blocks.filter(|block| block.kind == NODES && block.bytes >= least * NODE_BYTES);
        let nodes = parts.flat_map(|block| {
            let count = block.bytes / NODE_BYTES;
            (0..count).map(move |i| (block.offset, block.offset + i * NODE_BYTES))
        });
        nodes.filter(|(_, node)| wanted(self, *node)).collect()
    }

    fn is_string_node(&self, node: usize) -> bool {
        let (value, key, _) = self.node(node);
        value & 15 != 0 && key == SHORT_STRING
    }

    fn recolour(&mut self, object: usize, marks: u8) -> Option<()> {
        *self.byte(object + 9) = marks;
        Some(())
    }
}

const YOUNG: &str = "collectgarbage 'generational' kept = {{1}, {2}} collectgarbage 'step'
    collectgarbage 'step' new, full = {}, {{}}";

const COROUTINES: &str = "collectgarbage 'stop' kept = {} for i = 1, 60 do
    local co = coroutine.wrap(function()
        local a, b = {}, {}
        coroutine.yield(function() return a, b end)
    end)
    kept[i] = {co(), co} end for i = 1, 30 do kept[i] = nil end collectgarbage 'restart'";

const INTEGERS: &str = "one = {1, 2, 3, 4} one[100] = 5
    many, i = {}, 1 << 30
    for n = 1, 128 do
        repeat i = i + 1 until i + ((i >> 7) * 0x9E3779B97F4A7C15 >> 32) & 1023 == 0
        many[i] = n
    end";

const fn forgery(
    name: &'static str,
    when: When,
    code: &'static str,
    forge: fn(&mut Forger<'_>) -> Option<()>,
) -> Forgery {
    Forgery { name, when, code, forge }
}

pub static FORGERIES: [Forgery; 24] = [
    forgery("a closed upvalue is gray", When::Marking, WORLD, |f| {
        let white = |u: &usize| f.is_closed(*u) && f.marks(*u) & WHITES != 0;
        let upvalue = f.objects(UPVALUE).find(white)?;
        f.recolour(upvalue, 0)
    }),
    forgery("an open upvalue is black", When::Marking, WORLD, |f| {
        let upvalue = f.objects(UPVALUE).find(|u| !f.is_closed(*u))?;
        f.recolour(upvalue, BLACK)
    }),
    forgery("a userdata that nothing links is gray", When::Marking, WORLD, |f| {
        let white = |u: &usize| f.word(*u + 8) >> 16 & 0xffff == 0 && f.marks(*u) & WHITES != 0;
        let userdata = f.objects(USERDATA).find(white)?;
        let marks = f.marks(userdata);
        f.recolour(userdata, marks & !COLOURS)
    }),
    forgery(
        "an object with a finalizer waits for its sweep",
        When::Marking,
        "collectgarbage 'stop' kept = {}
        for i = 1, 500 do kept[i] = {} setmetatable({}, {__gc = type}) end
        collectgarbage 'restart'",
        |f| {
            let white = |t: &usize| f.marks(*t) & FINALIZER != 0 && f.marks(*t) & WHITES != 0;
            let table = f.objects(TABLE).find(white)?;
            let marks = f.marks(table);
            f.recolour(table, marks ^ WHITES)
        },
    ),
    forgery("what is gray is in the list of weak tables", When::Marking, WORLD, |f| {
        let state = f.sample.phase();
        let grays = f.word(state + GRAYAGAIN);
        f.put(state + WEAK, grays);
        f.put(state + GRAYAGAIN, 0);
        (grays != 0).then_some(())
    }),
    forgery("the atomic phase is under way", When::Marking, WORLD, |f| {
        *f.byte(f.sample.phase() + 1) = 2;
        Some(())
    }),
    forgery("a dead thread is in the list of threads", When::Sweeping, COROUTINES, |f| {
        let state = f.sample.phase();
        let dead =
            |t: &usize| f.word(*t + OPEN_UPVALUES) != 0 && f.word(*t + NEXT_THREAD) == *t + 8;
        let thread = f.threads().find(dead)?;
        let others = f.word(state + UPVALUE_THREADS);
        f.put(thread + NEXT_THREAD, others);
        f.put(state + UPVALUE_THREADS, thread + 8);
        Some(())
    }),
    forgery("behind the sweeps a string is black", When::Resting, WORLD, |f| {
        *f.byte(f.sample.phase() + 1) = 7;
        let string = f.objects(LONG_STRING).next()?;
        f.recolour(string, BLACK)
    }),
    forgery("an open upvalue lies above the top", When::Resting, COROUTINES, |f| {
        let thread = f.threads().find(|t| f.word(*t + OPEN_UPVALUES) != 0)?;
        let (upvalue, end) = (f.word(thread + OPEN_UPVALUES), f.word(thread + STACK_LAST));
        f.put(upvalue + 16, end + 16);
        Some(())
    }),
    forgery("open upvalues are in the wrong order", When::Resting, COROUTINES, |f| {
        let next = |t: usize| f.word(f.word(t + OPEN_UPVALUES) + 24);
        let two = |t: &usize| f.word(*t + OPEN_UPVALUES) != 0 && next(*t) != 0;
        let thread = f.threads().find(two)?;
        let (first, second) = (f.word(thread + OPEN_UPVALUES), next(thread));
        let (x, y) = (f.word(first + 16), f.word(second + 16));
        f.put(first + 16, y);
        f.put(second + 16, x);
        Some(())
    }),
    forgery("a thread is touched", When::Generational, COROUTINES, |f| {
        let thread = f.threads().find(|t| f.marks(*t + 8) & AGES == OLD)?;
        f.recolour(thread + 8, BLACK | TOUCHED2)
    }),
    forgery("a new object is of age OLD1", When::Generational, YOUNG, |f| {
        let new = |t: &usize| f.word(*t + 16) == 0 && f.marks(*t) & !WHITES == 0;
        let table = f.objects(TABLE).find(|t| new(t) && f.word(*t + 40) == 0)?;
        f.recolour(table, BLACK | OLD1)
    }),
    forgery("a touched table is black", When::Generational, YOUNG, |f| {
        let table = f.objects(TABLE).find(|t| f.marks(*t) == BLACK | OLD)?;
        f.recolour(table, BLACK | TOUCHED1)
    }),
    forgery("a new table is black, what is in it white", When::Generational, YOUNG, |f| {
        let new = |t: &usize| f.word(*t + 16) != 0 && f.marks(*t) & !WHITES == 0;
        let table = f.objects(TABLE).find(new)?;
        f.recolour(table, BLACK)
    }),
    forgery("a key is in another chain", When::Resting, WORLD, |f| {
        let alone = f.nodes(64, |f, n| f.is_string_node(n) && f.node(n).2 == 0);
        let (_, one) = *alone.first()?;
        let other = alone.iter().find(|(_, n)| f.word(*n + 16) != f.word(one + 16))?.1;
        let (x, y) = (f.word(one + 16), f.word(other + 16));
        f.put(one + 16, y);
        f.put(other + 16, x);
        Some(())
    }),
    forgery("a key is twice in a chain", When::Resting, WORLD, |f| {
        let next = |f: &Forger<'_>, n| n + (f.node(n).2 as isize * NODE_BYTES as isize) as usize;
        let both = |f: &Forger<'_>, n| {
            f.is_string_node(n) && f.node(n).2 != 0 && f.is_string_node(next(f, n))
        };
        let (_, first) = *f.nodes(64, both).first()?;
        f.put(next(f, first) + 16, f.word(first + 16));
        Some(())
    }),
    forgery("a key is twice in a long chain", When::Resting, INTEGERS, |f| {
        let integers = f.nodes(128, |f, n| f.node(n).1 == INTEGER);
        let last = integers.iter().find(|(_, n)| f.node(*n).2 == 0)?.1;
        let another = integers.iter().find(|(_, n)| *n != last)?.1;
        f.put(last + 16, f.word(another + 16));
        (integers.len() == 128).then_some(())
    }),
    forgery("a key belongs into the array", When::Resting, INTEGERS, |f| {
        let one = |f: &Forger<'_>, n| f.node(n).1 == INTEGER && f.word(n + 16) == 100;
        let (_, node) = *f.nodes(1, one).first()?;
        f.put(node + 16, 2);
        Some(())
    }),
    forgery("free runs are in a level that there is not", When::Resting, WORLD, |f| {
        const LEVEL_BITS: usize = 32;
        *f.byte(LEVEL_BITS + 3) |= 0x40;
        Some(())
    }),
    forgery("lastfree is inside a node", When::Resting, WORLD, |f| {
        let table = f.objects(TABLE).find(|t| f.word(*t + 32) > f.word(*t + 24))?;
        f.put(table + 32, f.word(table + 32) - 8);
        Some(())
    }),
    forgery("new tables have another profile", When::Resting, WORLD, |f| {
        let own = f.own()?;
        *f.byte(own + 1) = 0x3f;
        Some(())
    }),
    forgery("the header has the other profile", When::Resting, WORLD, |f| {
        const PROFILE: usize = 52;
        f.mutant.bytes[PROFILE] ^= 1;
        Some(())
    }),
    forgery("a budget cannot fall any more", When::Resting, WORLD, |f| {
        const FUEL: usize = 72;
        let own = f.own()?;
        let full = f.word(own + FUEL) >> 62 == 1; // the counter falls without a budget, too
        f.put(own + FUEL, 1 << 63);
        full.then_some(())
    }),
    forgery("a free node is in a chain", When::Resting, WORLD, |f| {
        let (part, last) = *f.nodes(64, |f, n| f.is_string_node(n) && f.node(n).2 == 0).first()?;
        let (_, free) =
            *f.nodes(64, |f, n| f.word(n + 8) & 0xff00 == 0).iter().find(|n| n.0 == part)?;
        let distance = (free as isize - last as isize) / NODE_BYTES as isize;
        f.put(last + 8, f.word(last + 8) & 0xffff_ffff | (distance as u32 as usize) << 32);
        Some(())
    }),
];

impl Forgery {
    /// An image that is as it was saved, and one that is forged.
    pub fn make(&self) -> (Mutant, Mutant) {
        let code = match self.when {
            When::Generational => format!("collectgarbage 'generational' {}", self.code),
            _ => self.code.into(),
        };
        let in_phase = |sample: &Sample| {
            let [_, phase, mode, ..] = sample.bytes[HEADER_BYTES + sample.phase()..] else {
                return false;
            };
            if self.when == When::Generational { mode == 1 } else { phase == self.when as u8 }
        };
        let made = (0..64).map(|steps| Sample::of(save(open(&code, 1 << 20, steps)), false));
        // Not in each image of the phase is what is looked for.
        let forged = made.filter(in_phase).find_map(|sample| {
            let good = Mutant::of(&sample, sample.bytes.clone());
            let mut mutant = Mutant::of(&sample, sample.bytes.clone());
            (self.forge)(&mut Forger { mutant: &mut mutant, sample: &sample })?;
            mutant.seal(None);
            Some((good, mutant))
        });
        forged.unwrap_or_else(|| panic!("{}: nothing to forge", self.name))
    }
}
