//! Hostile images and deltas, by a mutator that knows the format: it finds the blocks of a body by
//! the arena's own reading, and changes kinds, tags, sizes, lists, threads, the arena, the header,
//! the names; it swaps, splices, cuts; its readers lie. With the hash made anew, an image is
//! refused with a sentence, or loads into a heap that `rlua_check` and collections find sound;
//! without, or without the key, it is refused. A delta that is refused changes nothing. Mutants run
//! in processes of their own: one that kills, or takes long, is counted, and named by its seed.
//! Refused loads leave nothing behind, and memory has a bound.
//!
//! `RLUA_IMAGE_MUTANTS`, `RLUA_DELTA_MUTANTS`: how many there are.
//! `RLUA_IMAGE_JOBS`: processes at once.
//! `RLUA_IMAGE_LOADER`: a program that loads them (`c-tests/roundtrip/loader.c`), built otherwise.
//! `RLUA_IMAGE_SEED=n cargo test --test hostile_images -- --ignored one_mutant`: one, here; a delta
//! with `one_delta`.
//!
//! Not here: code, which nothing verifies (docs/FORMAT.md): what the mutants hold is never run.
#![cfg(target_os = "linux")]

#[path = "hostile/deltas.rs"]
mod deltas;
#[path = "hostile/forgeries.rs"]
mod forgeries;
#[path = "hostile/mutants.rs"]
mod mutants;
#[path = "hostile/random.rs"]
mod random;
#[path = "hostile/vm.rs"]
mod vm;

use deltas::{Pairs, Receivers};
use forgeries::FORGERIES;
use mutants::{CLASSES, Expect, Mutant, make, samples};
use std::io::{Read, Write};
use std::ops::Range;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, ptr};
use vm::{Loaded, is_refused, load, open, save};

/// More than any load takes, also where the machine is busy.
const SECONDS_OF_A_MUTANT: u64 = 20;
const MUTANTS_OF_A_PROCESS: u64 = 4000;

/// What both processes see.
#[repr(C)]
struct Shared {
    seed: u64,
    slowest_ns: u64,
    slowest_seed: u64,
    /// For each class: refused, loaded, against what was expected.
    counts: [[u64; 3]; 64],
}

fn shared() -> *mut Shared {
    // SAFETY: a new mapping, zero, that a fork shares.
    let page = unsafe {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        let bytes = size_of::<Shared>();
        libc::mmap(ptr::null_mut(), bytes, access, kind | libc::MAP_ANONYMOUS, -1, 0)
    };
    assert_ne!(page, libc::MAP_FAILED);
    page.cast()
}

/// Another program, which loads what it is sent.
struct Loader {
    child: Child,
    to: ChildStdin,
    from: ChildStdout,
}

impl Loader {
    fn start(program: &str) -> Loader {
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("RLUA_IMAGE_LOADER is a program");
        let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Loader { child, to, from }
    }

    /// An image, or the delta to one that was loaded before. `None` where it died.
    fn load(&mut self, mutant: &Mutant, before: &[u8]) -> Option<Loaded> {
        let head = [mutant.bytes.len() as u64, mutant.keyed.into(), before.len() as u64];
        let mut answer = [0];
        for word in head {
            self.to.write_all(&word.to_le_bytes()).ok()?;
        }
        self.to.write_all(before).ok()?;
        self.to.write_all(&mutant.bytes).ok()?;
        self.from.read_exact(&mut answer).ok()?;
        Some(if answer[0] == 1 { Loaded::Sound } else { Loaded::Refused })
    }

    /// It may have something to say of what it did not free.
    fn end(mut self) {
        drop(self.to);
        assert!(self.child.wait().unwrap().success());
    }
}

/// Of each class, what it is called and what must come of it; what comes of a seed, and its class.
struct Mutants<'a> {
    classes: Vec<(&'static str, Expect)>,
    run: &'a dyn Fn(&mut Tools<'_>, u64) -> (usize, Loaded),
    pairs: Option<&'a Pairs>,
}

/// What a process has that runs mutants.
struct Tools<'a> {
    loader: Option<Loader>,
    receivers: Option<Receivers<'a>>,
}

/// The mutants of these seeds, one after the other, in this process.
fn run(mutants: &Mutants<'_>, seeds: Range<u64>, shared: *mut Shared) {
    let program = std::env::var("RLUA_IMAGE_LOADER").ok();
    let loader = program.as_deref().map(Loader::start);
    let mut tools = Tools { loader, receivers: mutants.pairs.map(Receivers::of) };
    for seed in seeds {
        // SAFETY: the parent reads it when this process has ended.
        let shared = unsafe { &mut *shared };
        shared.seed = seed;
        let begun = Instant::now();
        let (class, found) = (mutants.run)(&mut tools, seed);
        let spent = begun.elapsed();
        if spent.as_nanos() as u64 > shared.slowest_ns {
            shared.slowest_ns = spent.as_nanos() as u64;
            shared.slowest_seed = seed;
        }
        assert!(spent < Duration::from_secs(SECONDS_OF_A_MUTANT), "it took {spent:?}");
        let counts = &mut shared.counts[class];
        counts[found as usize] += 1;
        let (name, expect) = mutants.classes[class];
        let expected = match expect {
            Expect::Either => true,
            Expect::Refused => found == Loaded::Refused,
            Expect::Loaded => found == Loaded::Sound,
        };
        counts[2] += u64::from(!expected);
        assert!(expected, "{name}: {found:?}");
    }
    if let Some(loader) = tools.loader {
        loader.end();
    }
}

fn run_image(samples: &[mutants::Sample], tools: &mut Tools<'_>, seed: u64) -> (usize, Loaded) {
    let mutant = make(samples, seed);
    let found = match &mut tools.loader {
        Some(loader) if mutant.is_whole() => {
            loader.load(&mutant, &[]).unwrap_or_else(|| std::process::abort())
        }
        _ => load(&mutant),
    };
    (mutant.class, found)
}

fn run_delta(pairs: &Pairs, tools: &mut Tools<'_>, seed: u64) -> (usize, Loaded) {
    let delta = pairs.make(seed);
    let found = match (&mut tools.loader, &mut tools.receivers) {
        (Some(loader), _) if delta.mutant.is_whole() => {
            let before = pairs.before(&delta.mutant);
            loader.load(&delta.mutant, before).unwrap_or_else(|| std::process::abort())
        }
        (_, receivers) => receivers.as_mut().expect("of these pairs").apply(&delta, seed),
    };
    (delta.class, found)
}

/// Runs `job` in a fork; what it exits or dies with.
fn apart(job: impl FnOnce()) -> libc::pid_t {
    // SAFETY: the child uses what is its own, and leaves without unwinding.
    unsafe {
        let child = libc::fork();
        assert!(child >= 0);
        if child == 0 {
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            libc::_exit(if done.is_ok() { 0 } else { 3 });
        }
        child
    }
}

fn status_of(child: libc::pid_t) -> i32 {
    let mut status = 0;
    // SAFETY: a child of this process, awaited once.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    status
}

fn number_of(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Mutants of these seeds, apart, again behind each that kills; the seeds of those.
fn lane(mutants: &Mutants<'_>, seeds: Range<u64>, shared: *mut Shared) -> Vec<(u64, i32)> {
    let (mut first, mut killed) = (seeds.start, Vec::new());
    while first < seeds.end {
        let end = seeds.end.min(first + MUTANTS_OF_A_PROCESS);
        let status = status_of(apart(|| {
            // SAFETY: ends a process that hangs.
            unsafe { libc::alarm(600) };
            run(mutants, first..end, shared);
        }));
        first = end;
        if status != 0 {
            // SAFETY: the child has ended.
            let seed = unsafe { (*shared).seed };
            println!("the mutant of seed {seed} ended with status {status}");
            killed.push((seed, status));
            first = seed + 1;
        }
    }
    killed
}

/// So many mutants, in several processes; says what came of them.
fn run_all(mutants: &Mutants<'_>, count: u64) {
    let jobs = number_of("RLUA_IMAGE_JOBS", 2);
    let begun = Instant::now();
    let lanes: Vec<_> = (0..jobs)
        .map(|job| {
            let (part, shared) = (count * job / jobs..count * (job + 1) / jobs, shared());
            // A process for each lane, which forks those that may die.
            let child = apart(|| {
                let killed = lane(mutants, part, shared);
                assert!(killed.is_empty(), "{killed:?}");
            });
            (child, shared)
        })
        .collect();
    let mut totals = vec![[0; 3]; mutants.classes.len()];
    let (mut failed, mut slowest) = (0, (0, 0));
    for (child, shared) in lanes {
        failed += i32::from(status_of(child) != 0);
        // SAFETY: the child has ended.
        let shared = unsafe { &*shared };
        slowest = slowest.max((shared.slowest_ns, shared.slowest_seed));
        for (total, counts) in totals.iter_mut().zip(&shared.counts) {
            (0..3).for_each(|i| total[i] += counts[i]);
        }
    }
    println!("{count} mutants in {:.0?}: class, refused, loaded", begun.elapsed());
    for ((name, _), [refused, loaded, _]) in mutants.classes.iter().zip(&totals) {
        println!("{name:>28} {refused:>8} {loaded:>8}");
    }
    println!("slowest: {:.1} ms, seed {}", slowest.0 as f64 / 1e6, slowest.1);
    assert_eq!(failed, 0, "mutants killed, or did what they must not: see above");
    // A class that always loads, or never, changes what nobody reads, or stops at one gate.
    for ((name, expect), [refused, loaded, _]) in mutants.classes.iter().zip(totals) {
        let enough = refused + loaded >= 200;
        assert!(!enough || refused > 0 || *expect == Expect::Loaded, "{name}");
    }
}

#[test]
fn hostile_images_are_refused_or_sound() {
    let samples = samples();
    let classes = CLASSES.iter().map(|class| (class.name, class.expect)).collect();
    let run = |tools: &mut Tools<'_>, seed| run_image(&samples, tools, seed);
    let mutants = Mutants { classes, run: &run, pairs: None };
    run_all(&mutants, number_of("RLUA_IMAGE_MUTANTS", 30_000));
}

#[test]
fn hostile_deltas_change_nothing_or_are_sound() {
    let pairs = deltas::pairs();
    deltas::check_the_making(&pairs);
    let run = |tools: &mut Tools<'_>, seed| run_delta(&pairs, tools, seed);
    let mutants = Mutants { classes: deltas::classes(), run: &run, pairs: Some(&pairs) };
    run_all(&mutants, number_of("RLUA_DELTA_MUTANTS", 10_000));
}

/// What is trusted is put in place part by part; those before a wrong one are put back.
#[test]
fn a_delta_with_a_wrong_value_changes_nothing() {
    assert!(deltas::apply_wrong_values() > 40);
}

#[test]
fn what_lua_never_does_is_refused() {
    let mut taken = Vec::new();
    for forgery in &FORGERIES {
        let (good, forged) = forgery.make();
        assert_eq!(load(&good), Loaded::Sound, "{}", forgery.name);
        let status = status_of(apart(|| {
            // SAFETY: ends a process that hangs.
            unsafe { libc::alarm(60) };
            assert_eq!(load(&forged), Loaded::Refused, "{}", forgery.name);
        }));
        if status != 0 {
            taken.push((forgery.name, status));
        }
    }
    assert!(taken.is_empty(), "{taken:?}");
}

#[test]
fn a_mutant_that_kills_is_seen() {
    let samples = samples();
    let shared = shared();
    let run_one = |tools: &mut Tools<'_>, seed| run_image(&samples, tools, seed);
    let classes = CLASSES.iter().map(|class| (class.name, class.expect)).collect();
    let mutants = Mutants { classes, run: &run_one, pairs: None };
    let status = status_of(apart(|| {
        run(&mutants, 5..6, shared);
        std::process::abort();
    }));
    assert!(libc::WIFSIGNALED(status));
    // SAFETY: the child has ended.
    assert_eq!(unsafe { (*shared).seed }, 5);
}

/// Of /proc/self/status, in bytes.
fn process_bytes(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).expect("a field of the status");
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

fn mappings() -> usize {
    fs::read_to_string("/proc/self/maps").unwrap().lines().count()
}

/// A VM that is left behind reserves 4 GiB, and has mappings of its own.
#[test]
fn refused_loads_leave_nothing_behind() {
    const LOADS: u64 = 10_000;
    let samples = samples();
    let status = status_of(apart(|| {
        let refuse = |seeds: Range<u64>| {
            let mut refused = 0;
            for seed in seeds {
                refused += u64::from(is_refused(&make(&samples, seed)));
            }
            refused
        };
        refuse(0..500); // what is made once
        let (size, rss, maps) = (process_bytes("VmSize"), process_bytes("VmRSS"), mappings());
        let (mut refused, mut seed) = (0, 1000);
        while refused < LOADS {
            refused += refuse(seed..seed + 100);
            seed += 100;
        }
        let grown = (
            process_bytes("VmSize").saturating_sub(size),
            process_bytes("VmRSS").saturating_sub(rss),
            mappings().saturating_sub(maps),
        );
        println!("{refused} refused: {grown:?} bytes of VmSize, of VmRSS, and mappings more");
        // Tables of a few closed VMs are kept for the next ones.
        assert!(grown.0 < 16 << 30 && grown.1 < 16 << 20 && grown.2 < 16, "{grown:?}");
    }));
    assert_eq!(status, 0);
}

/// What an image claims costs nothing, and what it brings no more than the config allows.
#[test]
fn memory_is_bounded_by_the_limit_of_the_config() {
    let samples = samples();
    let status = status_of(apart(|| {
        let large = save(open("t = {} for i = 1, 400000 do t[i] = {i} end", 64 << 20, 0));
        assert!(large.len() > 24 << 20);
        let before = process_bytes("VmRSS");
        fs::write("/proc/self/clear_refs", "5").unwrap(); // the peak begins anew
        let mut mutant = Mutant::of(&samples[0], large);
        mutant.memory_size = 1 << 20;
        assert!(is_refused(&mutant));
        // The same that claims a small limit, or another size, from a reader without end.
        mutant.memory_size = 4 << 20;
        mutant.endless = true;
        for (limit, body) in [(1 << 20, 32 << 20), (4 << 20, 4 << 20), (4 << 20, 8192)] {
            mutant.put_header(24, body);
            mutant.put_header(32, limit);
            assert!(is_refused(&mutant));
        }
        // A good one, whose names are as long as it may be.
        let mut mutant = Mutant::of(&samples[0], samples[0].bytes.clone());
        mutant.claim_names(1 << 16, u32::MAX);
        mutant.endless = true;
        assert!(is_refused(&mutant));
        // Names that are there, again and again.
        let mut mutant = Mutant::of(&samples[0], samples[0].bytes.clone());
        mutant.double_names();
        assert!(is_refused(&mutant));
        let peak = process_bytes("VmHWM").saturating_sub(before);
        println!("the peak rose by {} KiB", peak >> 10);
        assert!(peak < 12 << 20, "{peak}");
    }));
    assert_eq!(status, 0);
}

/// One mutant by its seed, in this process, under a debugger.
#[test]
#[ignore = "for a mutant that was named"]
fn one_mutant() {
    let seed = number_of("RLUA_IMAGE_SEED", 0);
    let samples = samples();
    let mutant = make(&samples, seed);
    println!("{} of sample {}", CLASSES[mutant.class].name, mutant.sample);
    mutant.print(&samples);
    println!("{:?}", load(&mutant));
}

/// One delta by its seed, likewise.
#[test]
#[ignore = "for a delta that was named"]
fn one_delta() {
    let seed = number_of("RLUA_IMAGE_SEED", 0);
    let pairs = deltas::pairs();
    let delta = pairs.make(seed);
    println!("{} of pair {}", deltas::classes()[delta.class].0, delta.mutant.sample);
    println!("{:?}", Receivers::of(&pairs).apply(&delta, seed));
}
