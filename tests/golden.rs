//! Golden images: one for each version of the format, made once and kept as it is. Each is loaded
//! by every later library, runs on, and gives what it gave to the library that made it.
//!
//! `tests/golden/world.lua` is the script; `format-N.image` its state behind some frames;
//! `format-N.txt` the checksum then, what the next frames return, and the checksum behind them.
//! A new format gets new files, which are never written again:
//!
//! ```text
//! RLUA_GOLDEN_NEW=1 cargo test --release --test golden
//! ```
//!
//! Not here: what else an image may hold (`c-tests/images.c`), other states (`c-tests/roundtrip`).
#![cfg(target_pointer_width = "64")]

use rlua::ffi::determinism::{rlua_register, rlua_register_pointer};
use rlua::ffi::images::{rlua_Checksum, rlua_checksum, rlua_load_buffer, rlua_save_buffer};
use rlua::ffi::life::{lua_close, rlua_Config, rlua_Trust, rlua_check, rlua_open};
use rlua::ffi::objects::rlua_Name;
use rlua::ffi::status::rlua_last_error;
use rlua::lua::lua_State;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::{env, fs, mem, ptr};

unsafe extern "C" {
    fn luaL_openlibs(L: *mut lua_State);
    fn luaL_loadbufferx(
        L: *mut lua_State,
        text: *const c_char,
        size: usize,
        name: *const c_char,
        mode: *const c_char,
    ) -> c_int;
    fn luaL_checkinteger(L: *mut lua_State, index: c_int) -> i64;
    fn lua_pcallk(
        L: *mut lua_State,
        arguments: c_int,
        results: c_int,
        handler: c_int,
        context: isize,
        k: *const c_void,
    ) -> c_int;
    fn lua_getglobal(L: *mut lua_State, name: *const c_char) -> c_int;
    fn lua_setglobal(L: *mut lua_State, name: *const c_char);
    fn lua_pushinteger(L: *mut lua_State, n: i64);
    fn lua_pushcclosure(L: *mut lua_State, f: Function, upvalues: c_int);
    fn lua_pushlightuserdata(L: *mut lua_State, pointer: *mut c_void);
    fn lua_tolstring(L: *mut lua_State, index: c_int, length: *mut usize) -> *const c_char;
    fn lua_settop(L: *mut lua_State, index: c_int);
    fn rlua_pushfunction(
        L: *mut lua_State,
        function: HostFunction,
        ud: *mut c_void,
        name: *const c_char,
    ) -> c_int;
}

type Function = unsafe extern "C" fn(*mut lua_State) -> c_int;
type HostFunction = unsafe extern "C" fn(*mut lua_State, *mut c_void) -> c_int;

/// Frames before the image, and behind it.
const BEFORE: i64 = 7;
const BEHIND: i64 = 40;
const MOST_BYTES: usize = 100 << 10;
/// Formats that this library has given up. They are refused, with a sentence that names the format.
const RETIRED: [u32; 0] = [];

static mut PLACE: u64 = 0;

unsafe extern "C" fn add(main: *mut lua_State) -> c_int {
    // SAFETY: called by Lua.
    unsafe { lua_pushinteger(main, luaL_checkinteger(main, 1) + luaL_checkinteger(main, 2)) };
    1
}

unsafe extern "C" fn double(main: *mut lua_State, _ud: *mut c_void) -> c_int {
    // SAFETY: called by Lua.
    unsafe { lua_pushinteger(main, 2 * luaL_checkinteger(main, 1)) };
    1
}

fn place() -> *mut c_void {
    (&raw mut PLACE).cast()
}

fn names() -> [rlua_Name; 4] {
    // SAFETY: NULL is what a name lacks.
    let none: rlua_Name = unsafe { mem::zeroed() };
    [
        rlua_Name { name: c"golden.add".as_ptr(), function: Some(add), ..none },
        rlua_Name { name: c"golden.place".as_ptr(), pointer: place(), ..none },
        rlua_Name { name: c"golden.double".as_ptr(), host: Some(double), ..none },
        none,
    ]
}

/// For making and for loading. What an image of one's own needs to be loaded is set here.
fn config(names: &[rlua_Name]) -> rlua_Config {
    // SAFETY: zero is every field's default.
    let mut config: rlua_Config = unsafe { mem::zeroed() };
    config.size = size_of::<rlua_Config>();
    config.memory_size = 1 << 20;
    config.max_snapshots = 2;
    config.seed = 7;
    (config.gc_pause, config.gc_step_multiplier) = (100, 1000); // little garbage: a small image
    config.names = names.as_ptr();
    config.trust = rlua_Trust::Proved as i32;
    config
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// A VM of this test's own; closed at the end.
struct Vm(*mut lua_State);

impl Drop for Vm {
    fn drop(&mut self) {
        // SAFETY: live, and closed once.
        unsafe { lua_close(self.0) }
    }
}

impl Vm {
    fn make() -> Vm {
        let names = names();
        let mut vm = Vm(ptr::null_mut());
        let source = fs::read(folder().join("world.lua")).unwrap();
        // SAFETY: a VM of this test's own, which is idle.
        unsafe {
            assert_eq!(rlua_open(&config(&names), &mut vm.0), 0);
            luaL_openlibs(vm.0);
            assert_eq!(rlua_register(vm.0, names[0].name, Some(add)), 0);
            assert_eq!(rlua_register_pointer(vm.0, names[1].name, place()), 0);
            lua_pushcclosure(vm.0, add, 0);
            lua_setglobal(vm.0, c"golden_add".as_ptr());
            lua_pushlightuserdata(vm.0, place());
            lua_setglobal(vm.0, c"golden_place".as_ptr());
            assert_eq!(rlua_pushfunction(vm.0, double, ptr::null_mut(), names[2].name), 0);
            lua_setglobal(vm.0, c"golden_double".as_ptr());
            let text = source.as_ptr().cast();
            let loaded =
                luaL_loadbufferx(vm.0, text, source.len(), c"=world".as_ptr(), ptr::null());
            assert_eq!(loaded, 0);
            assert_eq!(lua_pcallk(vm.0, 0, 0, 0, 0, ptr::null()), 0);
        }
        for frame in 1..=BEFORE {
            vm.frame(frame);
        }
        vm
    }

    fn load(image: &[u8]) -> Result<Vm, String> {
        let names = names();
        let mut vm = Vm(ptr::null_mut());
        // SAFETY: bytes of this test; the VM is its own.
        unsafe {
            let (start, length) = (image.as_ptr().cast(), image.len());
            if rlua_load_buffer(&config(&names), start, length, &mut vm.0) != 0 {
                mem::forget(vm);
                let sentence = CStr::from_ptr(rlua_last_error(ptr::null_mut()));
                return Err(sentence.to_string_lossy().into_owned());
            }
            assert_eq!(rlua_check(vm.0), 0);
        }
        Ok(vm)
    }

    fn frame(&mut self, number: i64) -> String {
        // SAFETY: a VM of this test's own.
        unsafe {
            lua_getglobal(self.0, c"frame".as_ptr());
            lua_pushinteger(self.0, number);
            let status = lua_pcallk(self.0, 1, 1, 0, 0, ptr::null());
            let text = CStr::from_ptr(lua_tolstring(self.0, -1, ptr::null_mut()));
            let text = text.to_string_lossy().into_owned();
            assert_eq!(status, 0, "{text}");
            lua_settop(self.0, 0);
            text
        }
    }

    fn checksum(&mut self) -> String {
        let mut sum = rlua_Checksum { bytes: [0; 16] };
        // SAFETY: a VM of this test's own.
        assert_eq!(unsafe { rlua_checksum(self.0, &mut sum) }, 0);
        sum.bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn save(&mut self) -> Vec<u8> {
        let mut length = 0;
        // SAFETY: a VM of this test's own; the buffer has so much room.
        unsafe {
            rlua_save_buffer(self.0, ptr::null_mut(), 0, &mut length);
            let mut image = vec![0u8; length];
            let saved = rlua_save_buffer(self.0, image.as_mut_ptr().cast(), length, &mut length);
            assert_eq!(saved, 0, "{:?}", CStr::from_ptr(rlua_last_error(self.0)));
            image
        }
    }

    /// The checksum, what the frames return, the checksum.
    fn goes_on(mut self) -> Vec<String> {
        let mut lines = vec![format!("checksum {}", self.checksum())];
        for frame in BEFORE + 1..=BEFORE + BEHIND {
            lines.push(format!("frame {frame}: {}", self.frame(frame)));
        }
        lines.push(format!("checksum {}", self.checksum()));
        lines
    }
}

fn format_of(image: &[u8]) -> u32 {
    u32::from_le_bytes(image[8..12].try_into().unwrap())
}

/// Checksums are those of a format: another one may count something else.
fn differences(image: &[u8], expected: &str, current: u32) -> Vec<String> {
    let format = format_of(image);
    let vm = match Vm::load(image) {
        Ok(_) if RETIRED.contains(&format) => return vec!["it is retired, and loads".into()],
        Err(why) if RETIRED.contains(&format) && why.contains("format") => return Vec::new(),
        Err(why) => return vec![why],
        Ok(vm) => vm,
    };
    let (found, expected) = (vm.goes_on(), expected.lines());
    assert_eq!(found.len(), expected.clone().count());
    let pairs = found.iter().zip(expected);
    pairs
        .filter(|(_, expected)| format == current || !expected.starts_with("checksum"))
        .filter(|(found, expected)| found != expected)
        .map(|(found, expected)| format!("found\n  {found}\nnot\n  {expected}"))
        .collect()
}

fn golden() -> Vec<(PathBuf, Vec<u8>, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "image") {
            let text = fs::read_to_string(path.with_extension("txt")).unwrap();
            found.push((path.clone(), fs::read(&path).unwrap(), text));
        }
    }
    found.sort();
    found
}

/// Files of the format that this library writes, which must not be there.
fn write_golden(format: u32, image: &[u8]) {
    let path = folder().join(format!("format-{format}.image"));
    let lines = Vm::load(image).unwrap().goes_on();
    assert!(!path.exists(), "a golden image is never made again: a new format has a new number");
    fs::write(path.with_extension("txt"), lines.join("\n") + "\n").unwrap();
    fs::write(&path, image).unwrap();
    println!("{}: {} bytes", path.display(), image.len());
}

#[test]
fn golden_images_go_on_as_they_did() {
    let mut vm = Vm::make();
    let image = vm.save();
    let current = format_of(&image);
    if env::var_os("RLUA_GOLDEN_NEW").is_some() {
        write_golden(current, &image);
    }
    let golden = golden();
    for (path, image, expected) in &golden {
        let found = differences(image, expected, current);
        assert!(found.is_empty(), "{}:\n{}", path.display(), found.join("\n"));
        assert!(image.len() < MOST_BYTES, "{}: {} bytes", path.display(), image.len());
        assert_eq!(path, &folder().join(format!("format-{}.image", format_of(image))));
    }
    assert!(
        golden.iter().any(|(_, image, _)| format_of(image) == current),
        "format {current} has no golden image: RLUA_GOLDEN_NEW=1 makes one"
    );
}

/// The world goes on behind its image as it would have without, so what is golden is not a flaw.
#[test]
fn the_world_goes_on_as_without_an_image() {
    let mut vm = Vm::make();
    let image = vm.save();
    let lines = vm.goes_on();
    assert_eq!(Vm::load(&image).unwrap().goes_on(), lines);
    assert!(image.len() < MOST_BYTES, "{} bytes", image.len());
    let different: std::collections::BTreeSet<_> = lines.iter().collect();
    assert_eq!(different.len(), lines.len(), "frames that say nothing");
}

/// Another word in a line, another checksum, another image: each is seen.
#[test]
fn a_difference_is_seen() {
    let image = Vm::make().save();
    let current = format_of(&image);
    let lines = Vm::load(&image).unwrap().goes_on();
    assert!(differences(&image, &lines.join("\n"), current).is_empty());
    for at in [0, 1, lines.len() / 2, lines.len() - 1] {
        let mut wrong = lines.clone();
        wrong[at] += "0";
        assert_eq!(differences(&image, &wrong.join("\n"), current).len(), 1);
    }
    let mut wrong = lines.clone();
    wrong[0] += "0";
    assert!(differences(&image, &wrong.join("\n"), current + 1).is_empty());
    let mut damaged = image.clone();
    damaged[MOST_BYTES / 4] ^= 1;
    assert_eq!(differences(&damaged, &lines.join("\n"), current).len(), 1);
}
