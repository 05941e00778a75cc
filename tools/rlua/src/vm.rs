//! A VM, in calls that answer a sentence.

use crate::{End, Making, Outcome, Profile};
use rlua::ffi::determinism::rlua_set_time;
use rlua::ffi::images::{rlua_Checksum, rlua_checksum, rlua_save};
use rlua::ffi::life::{lua_close, rlua_Config, rlua_open};
use rlua::ffi::status::rlua_last_error;
use rlua::lua::lua_State;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::path::Path;
use std::{fs, mem, ptr, slice};

unsafe extern "C" {
    fn rlua_openlibs(L: *mut lua_State, libs: c_uint) -> c_int;
    fn rlua_loadfile(L: *mut lua_State, name: *const c_char, mode: *const c_char) -> c_int;
    fn rlua_call(L: *mut lua_State, nargs: c_int, nresults: c_int, msgh: c_int) -> c_int;
    fn rlua_getglobal(L: *mut lua_State, name: *const c_char) -> c_int;
    fn rlua_setglobal(L: *mut lua_State, name: *const c_char) -> c_int;
    fn rlua_createtable(L: *mut lua_State, narr: c_int, nrec: c_int) -> c_int;
    fn rlua_pushlstring(L: *mut lua_State, text: *const c_char, length: usize) -> c_int;
    fn rlua_pushinteger(L: *mut lua_State, value: i64) -> c_int;
    fn rlua_set_budget(L: *mut lua_State, units: u64) -> c_int;
    fn rlua_seti(L: *mut lua_State, index: c_int, key: i64) -> c_int;
    fn lua_tolstring(L: *mut lua_State, index: c_int, length: *mut usize) -> *const c_char;
    fn lua_type(L: *mut lua_State, index: c_int) -> c_int;
    fn lua_settop(L: *mut lua_State, index: c_int);
}

/// RLUA_LIB_ALL
const ALL_LIBRARIES: c_uint = 0x3ff;
/// RLUA_TRACEBACK
const TRACEBACK: c_int = c_int::MIN;
const FUNCTION: c_int = 6;
const STRING: c_int = 4;
/// From here on statuses are Lua's, and the error value is on the stack.
const OF_LUA: c_int = 64;

/// A VM that runs scripts.
pub struct Vm {
    main: *mut lua_State,
}

/// The sentence of the last failure.
pub fn last_error(main: *mut lua_State) -> String {
    // SAFETY: a string of the library's, which no call changes meanwhile.
    unsafe { CStr::from_ptr(rlua_last_error(main)) }.to_string_lossy().into_owned()
}

impl Vm {
    /// With all libraries.
    pub fn open(making: &Making, snapshots: usize) -> Outcome<Vm> {
        // SAFETY: zero is a valid config, and all other arguments are places.
        unsafe {
            let mut config: rlua_Config = mem::zeroed();
            config.size = size_of::<rlua_Config>();
            config.memory_size = making.limit;
            config.max_snapshots = snapshots;
            config.seed = making.seed;
            config.profile = match making.profile {
                Profile::Deterministic => 0,
                Profile::Stock => 1,
            };
            let mut vm = Vm { main: ptr::null_mut() };
            if rlua_open(&config, &mut vm.main) != 0 {
                return Err(End::Trouble(last_error(ptr::null_mut())));
            }
            vm.trouble(rlua_openlibs(vm.main, ALL_LIBRARIES))?;
            if let Some(units) = making.budget {
                vm.trouble(rlua_set_budget(vm.main, units))?;
            }
            Ok(vm)
        }
    }

    /// The main thread.
    pub fn main(&self) -> *mut lua_State {
        self.main
    }

    /// A failure of the tool's own calls.
    pub fn trouble(&self, status: c_int) -> Outcome {
        if status == 0 { Ok(()) } else { Err(End::Trouble(last_error(self.main))) }
    }

    /// A failure of the script: its error value, which has a traceback, and which the library's
    /// sentence has only the beginning of.
    pub fn script(&self, status: c_int) -> Outcome {
        if status == 0 {
            return Ok(());
        }
        let mut sentence = last_error(self.main);
        // SAFETY: a live VM; a string is not converted.
        unsafe {
            if status >= OF_LUA && lua_type(self.main, -1) == STRING {
                let mut length = 0;
                let text = lua_tolstring(self.main, -1, &mut length).cast::<u8>();
                let text = std::slice::from_raw_parts(text, length);
                sentence = String::from_utf8_lossy(text).into_owned();
            }
        }
        Err(End::Because(sentence))
    }

    /// Runs a file with `arg` as the stand-alone interpreter sets it.
    pub fn run_file(&self, path: &Path, arguments: &[String]) -> Outcome {
        let name = CString::new(path.as_os_str().as_encoded_bytes())
            .map_err(|_| End::Trouble("a path has a zero in it".into()))?;
        if let Err(error) = fs::File::open(path) {
            return Err(End::Trouble(format!("{}: {error}", path.display())));
        }
        // SAFETY: a live VM, strings, places on its stack.
        unsafe {
            self.trouble(rlua_createtable(self.main, arguments.len() as c_int, 1))?;
            let all =
                std::iter::once(name.as_bytes()).chain(arguments.iter().map(|a| a.as_bytes()));
            for (place, text) in all.enumerate() {
                self.trouble(rlua_pushlstring(self.main, text.as_ptr().cast(), text.len()))?;
                self.trouble(rlua_seti(self.main, 1, place as i64))?;
            }
            self.trouble(rlua_setglobal(self.main, c"arg".as_ptr()))?;
            self.script(rlua_loadfile(self.main, name.as_ptr(), ptr::null()))?;
            for text in arguments {
                self.trouble(rlua_pushlstring(self.main, text.as_ptr().cast(), text.len()))?;
            }
            self.script(rlua_call(self.main, arguments.len() as c_int, 0, TRACEBACK))
        }
    }

    /// Whether the script has a function of that name.
    pub fn see_function(&self, name: &CStr) -> Outcome {
        // SAFETY: a live VM.
        unsafe {
            self.trouble(rlua_getglobal(self.main, name.as_ptr()))?;
            let found = lua_type(self.main, -1);
            lua_settop(self.main, -2);
            match found {
                FUNCTION => Ok(()),
                _ => {
                    let name = name.to_string_lossy();
                    Err(End::Because(format!("the script has no function '{name}'")))
                }
            }
        }
    }

    /// Calls a global function with a frame's number and input; a status.
    pub fn frame(main: *mut lua_State, name: &CStr, number: u64, input: Option<&str>) -> c_int {
        // SAFETY: a live VM, by the callers.
        unsafe {
            let mut status =
                rlua_set_time(main, (number / 60) as i64, (number % 60) as u32 * 16_666_666);
            if status == 0 {
                status = rlua_getglobal(main, name.as_ptr());
            }
            if status == 0 {
                status = rlua_pushinteger(main, number as i64);
            }
            if let Some(text) = input
                && status == 0
            {
                status = rlua_pushlstring(main, text.as_ptr().cast(), text.len());
            }
            if status == 0 {
                status = rlua_call(main, 1 + c_int::from(input.is_some()), 0, TRACEBACK);
            }
            status
        }
    }

    /// One frame of a script.
    pub fn run_frame(&self, name: &CStr, number: u64, input: Option<&str>) -> Outcome {
        self.script(Vm::frame(self.main, name, number, input)).map_err(|end| match end {
            End::Because(sentence) => End::Because(format!("in frame {number}: {sentence}")),
            end => end,
        })
    }

    /// The checksum of the state, in hexadecimal.
    pub fn checksum(&self) -> Outcome<String> {
        let mut sum = rlua_Checksum { bytes: [0; 16] };
        // SAFETY: a live VM.
        self.trouble(unsafe { rlua_checksum(self.main, &mut sum) })?;
        Ok(hex(&sum.bytes))
    }

    /// Writes an image.
    pub fn save(&self, path: &Path) -> Outcome {
        unsafe extern "C" fn append(
            image: *mut c_void,
            bytes: *const c_void,
            length: usize,
        ) -> c_int {
            // SAFETY: the vector below; so many bytes.
            unsafe {
                let part = slice::from_raw_parts(bytes.cast::<u8>(), length);
                (*image.cast::<Vec<u8>>()).extend_from_slice(part);
            }
            0
        }
        let mut image = Vec::<u8>::new();
        // SAFETY: a live VM.
        self.trouble(unsafe { rlua_save(self.main, Some(append), (&raw mut image).cast()) })?;
        fs::write(path, &image)
            .map_err(|error| End::Trouble(format!("{}: {error}", path.display())))
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        if !self.main.is_null() {
            // SAFETY: live, and nothing else uses it.
            unsafe { lua_close(self.main) }
        }
    }
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
