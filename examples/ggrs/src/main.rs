//! GGRS drives a VM of librlua through a sync test, with a script that never closes anything.
//!
//! Each of the three requests of GGRS is one call: save is `rlua_snap_frame`, load is
//! `rlua_rollback_to`, advance calls the script. GGRS keeps nothing but a marker in its cells; the
//! library holds the states. Each frame is simulated `1 + CHECK_DISTANCE` times.
//!
//! The script opens files and compiles regular expressions, keeps some over frames, closes some,
//! forgets the others. Open descriptors and resident memory must stay bounded, and the checksums
//! that GGRS compares must agree.
//!
//! Usage: rlua-with-ggrs [FRAMES]. The regular expressions are Debian's lua-rex-pcre2; without it
//! the run is told apart in the output.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::{env, fs, ptr};

use ggrs::{Config, GgrsRequest, InputStatus, PredictRepeatLast, SessionBuilder};

type State = *mut c_void;

#[link(name = "rlua")]
unsafe extern "C" {
    fn rlua_new_rollback(memory_size: usize, max_snapshots: usize) -> State;
    fn rlua_snap_frame(state: State, frame: i64) -> c_int;
    fn rlua_rollback_to(state: State, frame: i64) -> c_int;
    fn rlua_check(state: State) -> c_int;
    fn rlua_last_error(state: State) -> *const c_char;
    fn luaL_openlibs(state: State);
    fn luaL_loadstring(state: State, chunk: *const c_char) -> c_int;
    fn lua_pcallk(
        state: State,
        arguments: c_int,
        results: c_int,
        handler: c_int,
        context: isize,
        k: *const c_void,
    ) -> c_int;
    fn lua_pushinteger(state: State, value: i64);
    fn lua_tointegerx(state: State, index: c_int, is_integer: *mut c_int) -> i64;
    fn lua_tolstring(state: State, index: c_int, length: *mut usize) -> *const c_char;
    fn lua_settop(state: State, index: c_int);
    fn lua_getglobal(state: State, name: *const c_char) -> c_int;
    fn lua_close(state: State);
}

const CHECK_DISTANCE: usize = 7;
const PLAYERS: usize = 2;

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
"#;

struct Game;

impl Config for Game {
    type Input = u8;
    type InputPredictor = PredictRepeatLast;
    type State = ();
    type Address = std::net::SocketAddr;
}

struct Vm(State);

impl Vm {
    fn open() -> Self {
        // SAFETY: a new VM; nothing else uses it.
        let vm = unsafe {
            let state = rlua_new_rollback(32 << 20, CHECK_DISTANCE + 2);
            assert!(!state.is_null());
            luaL_openlibs(state);
            Self(state)
        };
        vm.run(SCRIPT);
        vm
    }

    fn run(&self, chunk: &str) {
        let chunk = CString::new(chunk).unwrap();
        // SAFETY: the VM lives, and the call is protected.
        unsafe {
            let mut status = luaL_loadstring(self.0, chunk.as_ptr());
            if status == 0 {
                status = lua_pcallk(self.0, 0, 0, 0, 0, ptr::null());
            }
            self.expect(status);
        }
    }

    /// # Safety
    /// An error message is on top when `status` is not 0.
    unsafe fn expect(&self, status: c_int) {
        if status != 0 {
            // SAFETY: this function's contract.
            let text = unsafe { CStr::from_ptr(lua_tolstring(self.0, -1, ptr::null_mut())) };
            panic!("{text:?}");
        }
    }

    fn status(&self, what: &str, status: c_int) {
        // SAFETY: the text is the library's, and lives until its next failure.
        let why = unsafe { CStr::from_ptr(rlua_last_error(self.0)) };
        assert_eq!(status, 0, "{what}: {why:?}");
    }

    fn call(&self, name: &CStr, arguments: &[i64]) -> i64 {
        // SAFETY: the VM lives, and the call is protected; three slots are always free.
        unsafe {
            lua_getglobal(self.0, name.as_ptr());
            arguments.iter().for_each(|&value| lua_pushinteger(self.0, value));
            let status = lua_pcallk(self.0, arguments.len() as c_int, 1, 0, 0, ptr::null());
            self.expect(status);
            let result = lua_tointegerx(self.0, -1, ptr::null_mut());
            lua_settop(self.0, 0);
            result
        }
    }

    fn fulfil(&self, request: GgrsRequest<Game>) {
        match request {
            GgrsRequest::SaveGameState { cell, frame } => {
                let status = unsafe { rlua_snap_frame(self.0, frame.into()) };
                self.status("save", status);
                let checksum = self.call(c"checksum", &[]) as u128;
                cell.save(frame, Some(()), Some(checksum));
            }
            GgrsRequest::LoadGameState { frame, .. } => {
                let status = unsafe { rlua_rollback_to(self.0, frame.into()) };
                self.status("load", status);
            }
            GgrsRequest::AdvanceFrame { inputs } => {
                assert!(inputs.iter().all(|(_, status)| *status != InputStatus::Disconnected));
                self.call(c"advance", &[inputs[0].0.into(), inputs[1].0.into()]);
            }
        }
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        // SAFETY: the VM lives and is idle.
        unsafe { lua_close(self.0) }
    }
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

fn resident_bytes() -> usize {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}

/// Runs the test; gives the most descriptors above the start, and the growth of resident memory
/// over the second half.
fn sync_test(frames: usize) -> (usize, usize) {
    let before = descriptors();
    let vm = Vm::open();
    let mut session = SessionBuilder::<Game>::new()
        .with_num_players(PLAYERS)
        .unwrap()
        .with_max_prediction_window(CHECK_DISTANCE + 1)
        .with_check_distance(CHECK_DISTANCE)
        .start_synctest_session()
        .unwrap();
    let (mut most, mut settled) = (0, 0);
    for frame in 0..frames {
        for player in 0..PLAYERS {
            let input = (frame * 7 / 3 + player * 11) as u8 % 16;
            session.add_local_input(player, input).unwrap();
        }
        let requests = session.advance_frame().expect("the checksums agree");
        requests.into_iter().for_each(|request| vm.fulfil(request));
        most = most.max(descriptors() - before);
        if frame == frames / 2 {
            settled = resident_bytes();
        }
        if frame % 500 == 0 {
            vm.status("check", unsafe { rlua_check(vm.0) });
        }
    }
    let grown = resident_bytes().saturating_sub(settled);
    drop(vm);
    assert!(descriptors() <= before + 2, "descriptors are left when the VM is closed");
    (most, grown)
}

fn main() {
    let frames = env::args().nth(1).map_or(5000, |text| text.parse().expect("FRAMES"));
    let vm = Vm::open();
    vm.run("checksum = function() return has_rex and 1 or 0 end");
    if vm.call(c"checksum", &[]) == 0 {
        println!("NOT RUN: regular expressions: no rex_pcre2; apt-get install lua-rex-pcre2");
        if env::var("RLUA_REQUIRE_ALL").is_ok_and(|value| value == "1") {
            println!("0 passed, 1 failed");
            std::process::exit(1);
        }
    }
    drop(vm);
    let (most, grown) = sync_test(frames);
    println!("{frames} frames, each {} times", CHECK_DISTANCE + 1);
    println!("at most {most} descriptors, {} KiB grown in the second half", grown / 1024);
    assert!(most < 600, "{most} descriptors were open");
    assert!(grown < 16 << 20, "memory grows");
    println!("1 passed, 0 failed");
}
