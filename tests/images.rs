//! Hostile images: words of a body are changed, and the hash is made anew, so that only the proof
//! stands between them and a VM. Each is refused with a sentence, or loads into a heap that
//! `rlua_check` and whole collections find sound, and that can be compared with another. Mutants
//! run in processes of their own: one that kills is counted, and named. `RLUA_IMAGE_MUTANTS` is how
//! many there are.
//!
//! Not here: code, which nothing verifies (docs/FORMAT.md): what the mutants hold is never run.
#![cfg(target_os = "linux")]

#[path = "hostile/random.rs"]
mod random;

use random::Random;
use rlua::ffi::diff::rlua_diff_vms;
use rlua::ffi::images::{rlua_load_buffer, rlua_save_buffer};
use rlua::ffi::life::{lua_close, rlua_Config, rlua_Trust, rlua_check, rlua_new_rollback};
use rlua::ffi::status::rlua_last_error;
use rlua::image::{HASH_BYTES, HEADER_BYTES, Hash};
use rlua::lua::lua_State;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

unsafe extern "C" {
    fn luaL_openlibs(L: *mut lua_State);
    fn luaL_loadstring(L: *mut lua_State, text: *const c_char) -> c_int;
    fn lua_pcallk(
        L: *mut lua_State,
        arguments: c_int,
        results: c_int,
        handler: c_int,
        context: isize,
        k: *const c_void,
    ) -> c_int;
    fn lua_gc(L: *mut lua_State, what: c_int, ...) -> c_int;
}
const LUA_GCCOLLECT: c_int = 2;
const LUA_GCSTEP: c_int = 5;

const WORLD: &CStr = c"
    local weak = setmetatable({}, {__mode = 'k'})
    kept, n = {}, 0
    for i = 1, 25 do
        local t, u = {i, i + 0.5, x = 'value ' .. i, ('long'):rep(20)}, i
        kept[i], kept['k' .. i], weak[t] = t, function() u = u + 1 return u, t end, {t}
        kept['c' .. i] = coroutine.wrap(function(...)
            local a, b = ...
            for word in ('a b c'):gmatch '%a' do
                coroutine.yield(a, word, function() return b end)
            end
        end)
        kept['c' .. i](i, t)
        if i % 4 == 0 then kept['c' .. i] = nil end
    end";

fn image(steps: usize) -> Vec<u8> {
    // SAFETY: a VM of this test's own.
    unsafe {
        let main = rlua_new_rollback(1 << 20, 0);
        luaL_openlibs(main);
        assert_eq!(luaL_loadstring(main, WORLD.as_ptr()), 0);
        assert_eq!(lua_pcallk(main, 0, 0, 0, 0, ptr::null()), 0);
        for _ in 0..steps {
            lua_gc(main, LUA_GCSTEP, 1);
        }
        let mut length = 0;
        rlua_save_buffer(main, ptr::null_mut(), 0, &mut length);
        let mut bytes = vec![0u8; length];
        let saved = rlua_save_buffer(main, bytes.as_mut_ptr().cast(), length, &mut length);
        assert_eq!(saved, 0);
        lua_close(main);
        bytes
    }
}

/// Changes one to three words.
fn mutate(image: &mut [u8], random: &mut Random) {
    let first = HEADER_BYTES;
    let words = body_bytes(image) / 8;
    let at = |word: usize| first + 8 * word;
    for _ in 0..1 + random.below(3) {
        // Zero words are mostly dead: look for one that is not.
        let mut word = random.below(words);
        while image[at(word)..at(word) + 8] == [0; 8] && random.below(16) > 0 {
            word = random.below(words);
        }
        let place = at(word);
        let old = u64::from_le_bytes(image[place..place + 8].try_into().unwrap());
        let other = at(random.below(words));
        let other = u64::from_le_bytes(image[other..other + 8].try_into().unwrap());
        let new = match random.below(10) {
            0 => old ^ 1 << random.below(64),
            1 => other,
            2 => old.wrapping_add(8 * (random.next() % 9)).wrapping_sub(32),
            3 => old.wrapping_add(random.next() % 9).wrapping_sub(4),
            4 => (random.next() % (8 * words as u64)) & !7,
            5 => [0, u64::MAX, 8 * words as u64 - 8, 1 << 63, 1 << 62, 1 << 61][random.below(6)],
            6 => old & !0xff | random.next() & 0xff,
            7 => old & !0xff00 | random.next() & 0xff00,
            8 => old & 0xffff_ffff | (random.next() & 0xff) << 32,
            _ => (random.next() >> random.below(64)) & (old | 0xffff),
        };
        image[place..place + 8].copy_from_slice(&new.to_le_bytes());
    }
    let end = image.len() - HASH_BYTES;
    let mut hash = Hash::new(None);
    hash.update(&image[..end]);
    image[end..].copy_from_slice(&hash.finish());
}

fn body_bytes(image: &[u8]) -> usize {
    u64::from_le_bytes(image[24..32].try_into().unwrap()) as usize
}

/// A VM that what was loaded is compared with.
static OTHER: AtomicPtr<lua_State> = AtomicPtr::new(ptr::null_mut());

/// Whether it was loaded. It is used as far as no code of it runs.
fn try_load(image: &[u8]) -> bool {
    let mut main = ptr::null_mut();
    // SAFETY: bytes of this test; the VM is its own.
    unsafe {
        let mut config: rlua_Config = std::mem::zeroed();
        config.size = size_of::<rlua_Config>();
        config.trust = rlua_Trust::Proved as i32;
        let status = rlua_load_buffer(&config, image.as_ptr().cast(), image.len(), &mut main);
        if status != 0 {
            assert!(main.is_null());
            let sentence = CStr::from_ptr(rlua_last_error(ptr::null_mut()));
            assert!(sentence.to_bytes().len() > 20, "{status}: {sentence:?}");
            return false;
        }
        assert_eq!(rlua_check(main), 0);
        let other = OTHER.load(Ordering::Relaxed);
        if other.is_null() {
            OTHER.store(main, Ordering::Relaxed);
            return true;
        }
        for (a, b) in [(main, other), (other, main)] {
            assert_eq!(rlua_diff_vms(a, b, 0, None, ptr::null_mut()), 0);
        }
        for _ in 0..50 {
            lua_gc(main, LUA_GCSTEP, 1);
        }
        lua_gc(main, LUA_GCCOLLECT);
        let sound = rlua_check(main);
        assert_eq!(sound, 0, "{:?}", CStr::from_ptr(rlua_last_error(main)));
        lua_close(main);
        true
    }
}

/// Runs a part of the mutants; the exit status is 0, and how many loaded is written.
fn run_apart(images: &[Vec<u8>], seeds: std::ops::Range<u64>) -> Result<usize, (u64, i32)> {
    // SAFETY: a page that both processes see.
    let shared = unsafe {
        libc::mmap(
            ptr::null_mut(),
            4096,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    }
    .cast::<u64>();
    // SAFETY: the child touches what is its own and the shared page, and leaves.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::alarm(120);
            for seed in seeds.clone() {
                shared.write_volatile(seed);
                let mut random = Random(seed);
                let mut image = images[random.below(images.len())].clone();
                mutate(&mut image, &mut random);
                let loaded = std::panic::catch_unwind(|| try_load(&image));
                match loaded {
                    Ok(true) => shared.add(1).write_volatile(shared.add(1).read_volatile() + 1),
                    Ok(false) => {}
                    Err(_) => libc::_exit(3),
                }
            }
            libc::_exit(0);
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &mut status, 0), child);
        let (last, loaded) = (shared.read_volatile(), shared.add(1).read_volatile());
        libc::munmap(shared.cast(), 4096);
        if status == 0 { Ok(loaded as usize) } else { Err((last, status)) }
    }
}

#[test]
fn hostile_images_are_refused_or_sound() {
    let count = std::env::var("RLUA_IMAGE_MUTANTS").ok().and_then(|text| text.parse().ok());
    let count: u64 = count.unwrap_or(20_000);
    let images: Vec<_> = [0, 3, 9, 30, 80, 200].map(image).into();
    assert!(images.iter().all(|image| try_load(image)));
    let (mut loaded, mut killed, mut first) = (0, Vec::new(), 0);
    while first < count {
        let end = count.min(first + 2000);
        match run_apart(&images, first..end) {
            Ok(sound) => {
                loaded += sound;
                first = end;
            }
            Err((seed, status)) => {
                println!("the mutant of seed {seed} ended with status {status}");
                killed.push((seed, status));
                first = seed + 1;
            }
        }
    }
    println!("{count} mutants: {loaded} loaded, {} killed: {killed:?}", killed.len());
    assert!(killed.is_empty(), "{} of {count} mutants: {killed:?}", killed.len());
}

/// One mutant by its seed, in this process: `RLUA_IMAGE_SEED=n`, under a debugger.
#[test]
#[ignore = "for a mutant that was named"]
fn one_mutant() {
    let seed = std::env::var("RLUA_IMAGE_SEED").expect("a seed").parse().expect("a number");
    let images: Vec<_> = [0, 3, 9, 30, 80, 200].map(image).into();
    let mut random = Random(seed);
    let before = &images[random.below(images.len())];
    let mut after = before.clone();
    mutate(&mut after, &mut random);
    for at in (HEADER_BYTES..HEADER_BYTES + body_bytes(before)).step_by(8) {
        let word = |image: &[u8]| u64::from_le_bytes(image[at..at + 8].try_into().unwrap());
        let (old, new) = (word(before), word(&after));
        if old != new {
            println!("{:#x}: {old:#x} -> {new:#x}", at - HEADER_BYTES);
        }
    }
    println!("loaded: {}", try_load(&after));
}
