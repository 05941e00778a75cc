//! A script that never closes anything, in a sync test of GGRS.
//!
//! It opens files and compiles regular expressions, keeps some over frames, closes some, forgets
//! the others. Open descriptors, the VM's heap and the process's must stay bounded, and the
//! checksums that GGRS compares must agree. Where each bound comes from stands beside it.
//!
//! The regular expressions are Debian's lua-rex-pcre2; without it the output says so.

use std::{env, fs};

use ggrs::{GgrsRequest, InputStatus, PredictRepeatLast, SessionBuilder};

use crate::vm::Vm;

const CHECK_DISTANCE: usize = 7;
const PLAYERS: usize = 2;
/// Snapshots that are held.
const HISTORY: usize = CHECK_DISTANCE + 2;

/// Files that the script keeps, and those that it opens in a frame.
const KEPT: usize = 16;
const OPENED: usize = 2;
/// The VM's heap stays below this; half of it is Lua's libraries.
const HEAP_BYTES: usize = 64 << 10;
/// What a file counts for the collector, in bytes of garbage (src/lua/files.c).
const FILE_BYTES: usize = 16 << 10;
/// Descriptors at once. The live state has those kept. A held snapshot has, of its own frame, one
/// that was replaced since and what was forgotten but not collected when it was taken. And the
/// collector finds a forgotten file in the cycle after the one in which it was opened at the
/// latest, while a cycle begins when garbage amounts to the heap.
const MOST_DESCRIPTORS: usize = KEPT + HISTORY * (1 + OPENED) + 2 * HEAP_BYTES / FILE_BYTES;

/// How much more of malloc may be in use at one time in the last quarter of the run than in the
/// second: the buffers (4 KiB each) of a few files, because how many wait for the collector is
/// not the same in each. A leak of malloc's smallest block (24 bytes) in each frame is more than
/// this after 5,000 frames, in whichever of the runs of a frame it is.
const MORE_BYTES: usize = 8 * 4096;

/// Nothing in here closes what it opened, but for every fifth file.
const SCRIPT: &str = r#"
    package.cpath = package.cpath .. ';/usr/lib/x86_64-linux-gnu/lua/5.4/?.so'
        .. ';/usr/lib/aarch64-linux-gnu/lua/5.4/?.so;/usr/lib/lua/5.4/?.so'
    has_rex, rex = pcall(require, 'rex_pcre2')
    kept, frame, sum = {}, 0, 0
    function advance(a, b)
        frame = frame + 1
        local file = io.open('/dev/null', 'r+')
        file:setvbuf('full', 1024)
        file:write('frame ', frame)
        kept[frame % 16] = file
        if frame % 5 == 0 then file:close() end
        for line in io.lines('/etc/hostname') do sum = sum + #line break end
        if has_rex then
            local pattern = rex.new('(\\d+)-' .. frame % 100)
            kept[16 + frame % 16] = pattern
            if pattern:match(a .. '-' .. frame % 100) then sum = sum + 1 end
            rex.new('forgotten|' .. b)
        end
        sum = (sum * 31 + a + b * 7 + frame) & 0xffffffffffff
    end
    function checksum() return sum ~ frame end
    function heap() return collectgarbage 'count' * 1024 // 1 | 0 end
"#;

struct Config;

impl ggrs::Config for Config {
    type Input = u8;
    type InputPredictor = PredictRepeatLast;
    type State = ();
    type Address = std::net::SocketAddr;
}

fn open() -> Vm {
    let vm = Vm::open(32 << 20, HISTORY, None);
    vm.run(SCRIPT);
    vm
}

fn fulfil(vm: &Vm, request: GgrsRequest<Config>) {
    match request {
        GgrsRequest::SaveGameState { cell, frame } => {
            vm.snap(frame.into());
            cell.save(frame, Some(()), Some(vm.call(c"checksum", &[]) as u128));
        }
        GgrsRequest::LoadGameState { frame, .. } => vm.roll_back(frame.into()),
        GgrsRequest::AdvanceFrame { inputs } => {
            assert!(inputs.iter().all(|(_, status)| *status != InputStatus::Disconnected));
            vm.call(c"advance", &[inputs[0].0.into(), inputs[1].0.into()]);
        }
    }
}

/// But for those by which the library finds written pages.
fn descriptors() -> usize {
    let ours = |target: &str| target.contains("userfaultfd") || target.ends_with("/pagemap");
    let open = fs::read_dir("/proc/self/fd").expect("Linux");
    open.filter(|entry| {
        let target = entry.as_ref().ok().and_then(|entry| fs::read_link(entry.path()).ok());
        !target.is_some_and(|target| ours(&target.to_string_lossy()))
    })
    .count()
}

/// What malloc has given out: Rust's, C's and the modules' blocks, and not the VM's arena.
fn allocated_bytes() -> usize {
    #[repr(C)]
    struct Mallinfo2 {
        before: [usize; 4],
        mapped_bytes: usize,
        between: [usize; 2],
        used_bytes: usize,
        after: [usize; 2],
    }
    unsafe extern "C" {
        fn mallinfo2() -> Mallinfo2;
    }
    // SAFETY: glibc's; it reads its own counts.
    let info = unsafe { mallinfo2() };
    info.used_bytes + info.mapped_bytes
}

/// The most of each at one time.
#[derive(Default)]
struct Most {
    descriptors: usize,
    heap_bytes: usize,
    /// Of each quarter of the run.
    allocated_bytes: [usize; 4],
}

fn sync_test(frames: usize) -> Most {
    let before = descriptors();
    let vm = open();
    let mut session = SessionBuilder::<Config>::new()
        .with_num_players(PLAYERS)
        .unwrap()
        .with_max_prediction_window(CHECK_DISTANCE + 1)
        .with_check_distance(CHECK_DISTANCE)
        .start_synctest_session()
        .unwrap();
    let mut most = Most::default();
    for frame in 0..frames {
        for player in 0..PLAYERS {
            let input = (frame * 7 / 3 + player * 11) as u8 % 16;
            session.add_local_input(player, input).unwrap();
        }
        let requests = session.advance_frame().expect("the checksums agree");
        requests.into_iter().for_each(|request| fulfil(&vm, request));
        most.descriptors = most.descriptors.max(descriptors() - before);
        let quarter = &mut most.allocated_bytes[frame * 4 / frames];
        *quarter = (*quarter).max(allocated_bytes());
        most.heap_bytes = most.heap_bytes.max(vm.call(c"heap", &[]) as usize);
        if frame % 500 == 0 {
            vm.check();
        }
    }
    drop(vm);
    assert!(descriptors() <= before, "descriptors are left when the VM is closed");
    most
}

pub fn bounded() {
    const FRAMES: usize = 5000;
    let vm = open();
    vm.run("checksum = function() return has_rex and 1 or 0 end");
    if vm.call(c"checksum", &[]) == 0 {
        println!("NOT RUN: regular expressions: no rex_pcre2; apt-get install lua-rex-pcre2");
        let required = env::var("RLUA_REQUIRE_ALL").is_ok_and(|value| value == "1");
        assert!(!required, "everything has to be run");
    }
    drop(vm);
    let most = sync_test(FRAMES);
    let [_, second, _, last] = most.allocated_bytes;
    println!("{FRAMES} frames, each {} times", CHECK_DISTANCE + 1);
    println!("at most {} descriptors of {MOST_DESCRIPTORS}", most.descriptors);
    println!("at most {} KiB in the VM, of {}", most.heap_bytes >> 10, HEAP_BYTES >> 10);
    println!("{second} bytes of malloc, {last} at the end");
    assert!(most.descriptors <= MOST_DESCRIPTORS);
    assert!(most.heap_bytes < HEAP_BYTES);
    assert!(last.saturating_sub(second) <= MORE_BYTES, "the process's heap grows");
}
