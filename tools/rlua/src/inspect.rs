//! `rlua inspect` and `rlua verify`.

use crate::image::{Image, Names, Opened};
use crate::output::{BOLD, FAINT, NAME, Output, styled};
use crate::{End, Opening, Outcome};
use clap::Args;
use rlua::lua::{lua_State, rlua_c_library_function, rlua_c_name_word};
use rlua::vm::load::NAME_FUNCTION;
use rlua::vm::registry::{Owner, find};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::{c_char, c_int};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::{ptr, slice};

unsafe extern "C" {
    fn lua_checkstack(L: *mut lua_State, slots: c_int) -> c_int;
    fn lua_isinteger(L: *mut lua_State, index: c_int) -> c_int;
    fn lua_next(L: *mut lua_State, index: c_int) -> c_int;
    fn lua_pushnil(L: *mut lua_State);
    fn lua_rawgeti(L: *mut lua_State, index: c_int, key: i64) -> c_int;
    fn lua_settop(L: *mut lua_State, index: c_int);
    fn lua_toboolean(L: *mut lua_State, index: c_int) -> c_int;
    fn lua_tointegerx(L: *mut lua_State, index: c_int, is: *mut c_int) -> i64;
    fn lua_tolstring(L: *mut lua_State, index: c_int, length: *mut usize) -> *const c_char;
    fn lua_tonumberx(L: *mut lua_State, index: c_int, is: *mut c_int) -> f64;
    fn lua_type(L: *mut lua_State, index: c_int) -> c_int;
    fn lua_absindex(L: *mut lua_State, index: c_int) -> c_int;
}

/// LUA_REGISTRYINDEX, and where the globals are in it.
const REGISTRY: c_int = -1_001_000;
const GLOBALS: i64 = 2;
const TYPES: [&str; 9] = [
    "nil",
    "boolean",
    "light userdata",
    "number",
    "string",
    "table",
    "function",
    "userdata",
    "coroutine",
];
const STRING: c_int = 4;
const TABLE: c_int = 5;
/// Of a string.
const SHOWN: usize = 60;

/// What every state with the libraries has.
const LIBRARIES: [&str; 34] = [
    "_G",
    "_VERSION",
    "assert",
    "collectgarbage",
    "coroutine",
    "debug",
    "dofile",
    "error",
    "getmetatable",
    "io",
    "ipairs",
    "load",
    "loadfile",
    "math",
    "next",
    "os",
    "package",
    "pairs",
    "pcall",
    "print",
    "rawequal",
    "rawget",
    "rawlen",
    "rawset",
    "require",
    "select",
    "setmetatable",
    "string",
    "table",
    "tonumber",
    "tostring",
    "type",
    "utf8",
    "warn",
];

#[derive(Args)]
pub struct Inspect {
    image: PathBuf,
    #[command(flatten)]
    opening: Opening,
    /// How deep tables are shown
    #[arg(long, default_value_t = 2, value_name = "LEVELS")]
    #[arg(value_parser = clap::value_parser!(u32).range(0..64))]
    depth: u32,
    /// Entries of a table that are shown
    #[arg(long, default_value_t = 20, value_name = "COUNT")]
    entries: usize,
    /// Show what the libraries put into the globals, too
    #[arg(long)]
    all: bool,
}

#[derive(Args)]
pub struct Verify {
    image: PathBuf,
    #[command(flatten)]
    opening: Opening,
}

impl Verify {
    pub fn run(&self, output: &Output) -> Outcome {
        let opened = Image::read(&self.image).and_then(|image| {
            Names::of(&[&image], self.opening.key.as_deref())?.open(&self.image, &image)
        });
        let (sound, why) = match opened {
            Ok(_) => (true, None),
            Err(End::Because(why)) => (false, Some(why)),
            Err(trouble) => return Err(trouble),
        };
        if output.is_json() {
            output.json(&json!({"image": self.image.display().to_string(), "sound": sound,
                                "why": why}));
            return if sound { Ok(()) } else { Err(End::No) };
        }
        match why {
            None => {
                output.line(format_args!("{}: sound", self.image.display()));
                Ok(())
            }
            Some(why) => Err(End::Because(why)),
        }
    }
}

/// How many blocks of a kind there are, and their bytes.
type Blocks = BTreeMap<&'static str, (usize, usize)>;

/// The tag of an object stands behind its first pointer.
const TAG_AT: usize = 8;

fn blocks_of(opened: &Opened) -> Blocks {
    let mut blocks = Blocks::new();
    let Owner::Live(vm) = find(opened.0) else { return blocks };
    // SAFETY: live; nothing runs in it.
    let arena = unsafe { &*vm }.arena();
    let _ = arena.each_block(|block| {
        let name = match block.kind {
            1 => {
                // SAFETY: a live object is longer than that.
                match unsafe { arena.base().add(block.offset + TAG_AT).read() } & 15 {
                    4 => "strings",
                    5 => "tables",
                    6 => "functions",
                    7 => "userdata",
                    9 => "upvalues",
                    _ => "code",
                }
            }
            2 => "coroutines",
            3 => "blocks of the host",
            4 | 8 | 10 | 11 => "parts of code and of the string table",
            5 => "array parts of tables",
            6 => "hash parts of tables",
            7 => "stacks",
            _ => "other",
        };
        let sum = blocks.entry(name).or_default();
        *sum = (sum.0 + 1, sum.1 + block.bytes);
        ControlFlow::<()>::Continue(())
    });
    blocks
}

/// A value, and what is in it.
struct Shown {
    key: String,
    kind: &'static str,
    text: String,
    entries: Vec<Shown>,
    more: usize,
}

impl Shown {
    fn json(&self) -> Value {
        let mut value = json!({"key": self.key, "type": self.kind});
        if self.kind == "table" {
            value["entries"] = self.entries.iter().map(Shown::json).collect();
            value["more"] = self.more.into();
        } else {
            value["text"] = self.text.clone().into();
        }
        value
    }

    fn print(&self, output: &Output, indent: usize) {
        let blank = "  ".repeat(indent);
        output.line(format_args!("{blank}{} {}", styled(NAME, &self.key), self.text));
        self.entries.iter().for_each(|entry| entry.print(output, indent + 1));
        if self.more > 0 && !self.entries.is_empty() {
            let more = format!("({} more)", self.more);
            output.line(format_args!("{blank}  {}", styled(FAINT, more)));
        }
    }
}

/// Reads values without running anything, and without changing them.
struct Reader<'a> {
    main: *mut lua_State,
    options: &'a Inspect,
}

/// # Safety
/// Of all methods: `main` is live, and the index names a slot.
impl Reader<'_> {
    unsafe fn string(&self, index: c_int) -> (String, usize) {
        let mut length = 0;
        // SAFETY: the contract above; a string, which is not converted.
        let bytes = unsafe {
            let start = lua_tolstring(self.main, index, &mut length).cast::<u8>();
            slice::from_raw_parts(start, length)
        };
        let shown = &bytes[..length.min(SHOWN)];
        (String::from_utf8_lossy(shown).into_owned(), length)
    }

    unsafe fn text(&self, index: c_int) -> String {
        // SAFETY: the contract above.
        unsafe {
            match lua_type(self.main, index) {
                1 => (lua_toboolean(self.main, index) != 0).to_string(),
                3 if lua_isinteger(self.main, index) != 0 => {
                    lua_tointegerx(self.main, index, ptr::null_mut()).to_string()
                }
                3 => format!("{:?}", lua_tonumberx(self.main, index, ptr::null_mut())),
                STRING => {
                    let (text, length) = self.string(index);
                    let cut = if length > SHOWN {
                        format!("... ({length} bytes)")
                    } else {
                        String::new()
                    };
                    format!("{text:?}{cut}")
                }
                other => TYPES.get(other as usize).unwrap_or(&"?").to_string(),
            }
        }
    }

    unsafe fn key(&self, index: c_int) -> String {
        // SAFETY: the contract above.
        unsafe {
            if lua_type(self.main, index) == STRING {
                let (text, length) = self.string(index);
                let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
                if length <= SHOWN && text.chars().all(plain) && !text.is_empty() {
                    return text;
                }
            }
            format!("[{}]", self.text(index))
        }
    }

    unsafe fn value(&self, index: c_int, key: String, depth: u32) -> Shown {
        // SAFETY: the contract above; the stack is as high afterwards as before.
        unsafe {
            let tag = lua_type(self.main, index);
            let kind = TYPES.get(tag as usize).unwrap_or(&"?");
            let mut shown = Shown { key, kind, text: self.text(index), entries: vec![], more: 0 };
            if tag != TABLE || lua_checkstack(self.main, 4) == 0 {
                return shown;
            }
            let table = lua_absindex(self.main, index);
            lua_pushnil(self.main);
            let mut count = 0;
            while lua_next(self.main, table) != 0 {
                count += 1;
                let key = self.key(-2);
                let ours = depth > 0 || self.options.all || !LIBRARIES.contains(&key.as_str());
                if !ours {
                    count -= 1;
                } else if depth <= self.options.depth && shown.entries.len() < self.options.entries
                {
                    shown.entries.push(self.value(-1, key, depth + 1));
                }
                lua_settop(self.main, -2);
            }
            shown.more = count - shown.entries.len();
            shown.text = format!("table of {count}");
            shown
        }
    }
}

impl Inspect {
    pub fn run(&self, output: &Output) -> Outcome {
        let image = Image::read(&self.image)?;
        let names = Names::of(&[&image], self.opening.key.as_deref())?;
        let opened = names.open(&self.image, &image)?;
        let blocks = blocks_of(&opened);
        let reader = Reader { main: opened.0, options: self };
        // SAFETY: a VM of our own, in which nothing runs.
        let globals = unsafe {
            lua_checkstack(opened.0, 2);
            lua_rawgeti(opened.0, REGISTRY, GLOBALS);
            let globals = reader.value(-1, "_G".into(), 0);
            lua_settop(opened.0, -2);
            globals
        };
        if output.is_json() {
            output.json(&self.json(&image, &blocks, &globals));
        } else {
            self.print(output, &image, &blocks, &globals);
        }
        Ok(())
    }

    fn json(&self, image: &Image, blocks: &Blocks, globals: &Shown) -> Value {
        let header = &image.header;
        let names: Vec<_> = image
            .names
            .iter()
            .map(|(kind, name)| json!({"kind": kind_of_name(*kind), "name": lossy(name)}))
            .collect();
        let blocks: serde_json::Map<_, _> = blocks
            .iter()
            .map(|(kind, (count, bytes))| {
                ((*kind).to_owned(), json!({"count": count, "bytes": bytes}))
            })
            .collect();
        json!({
            "image": self.image.display().to_string(),
            "bytes": image.bytes.len(),
            "keyed": header.keyed,
            "compressed": header.compressed,
            "state_bytes": header.body_bytes,
            "limit_bytes": header.limit_bytes,
            "profile": profile_of(header.profile),
            "seed": header.seed,
            "names": names,
            "blocks": blocks,
            "globals": globals.json(),
        })
    }

    fn print(&self, output: &Output, image: &Image, blocks: &Blocks, globals: &Shown) {
        let header = &image.header;
        let seed = header.seed.map_or("random".to_owned(), |seed| seed.to_string());
        let (bytes, state, limit) = (image.bytes.len(), header.body_bytes, header.limit_bytes);
        output.line(styled(BOLD, self.image.display()));
        let key = if header.keyed { "with a key" } else { "without a key" };
        let packed = if header.compressed { "compressed, " } else { "" };
        output.line(format_args!("  {bytes} bytes, {packed}{key}; sound"));
        output.line(format_args!("  state: {state} bytes of at most {limit}"));
        output.line(format_args!("  profile {}, seed {seed}", profile_of(header.profile)));
        output.line(styled(BOLD, "blocks"));
        for (kind, (count, bytes)) in blocks {
            output.line(format_args!("  {count:>8} {bytes:>10} bytes  {kind}"));
        }
        output.line(styled(BOLD, "names"));
        let (libraries, others): (Vec<_>, Vec<_>) =
            image.names.iter().partition(|(kind, name)| *kind == NAME_FUNCTION && is_ours(name));
        output.line(format_args!("  {} of the libraries", libraries.len()));
        for (kind, name) in others {
            let kind = styled(FAINT, kind_of_name(*kind));
            output.line(format_args!("  {} {kind}", styled(NAME, lossy(name))));
        }
        output.line(styled(BOLD, "globals"));
        globals.entries.iter().for_each(|entry| entry.print(output, 1));
        if globals.more > 0 {
            output.line(styled(FAINT, format_args!("  ({} more)", globals.more)));
        }
    }
}

/// Whether the libraries have a function of that name.
fn is_ours(name: &[u8]) -> bool {
    // SAFETY: a range of bytes, and the word that it gives.
    unsafe {
        let word = rlua_c_name_word(NAME_FUNCTION.into(), name.as_ptr().cast(), name.len());
        !rlua_c_library_function(word).is_null()
    }
}

fn lossy(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

fn kind_of_name(kind: u8) -> &'static str {
    match kind {
        1 => "function",
        2 => "pointer",
        3 => "host function",
        _ => "?",
    }
}

fn profile_of(profile: u32) -> &'static str {
    match profile {
        0 => "deterministic",
        1 => "stock",
        _ => "?",
    }
}
