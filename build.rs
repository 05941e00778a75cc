//! Compiles Lua as one translation unit, and CORE-MATH's functions beside it; stages Lua's public
//! headers in `OUT_DIR/include`.
//!
//! Writes into `OUT_DIR` alone, as every build script must. `make -C c-tests library` copies the
//! headers from there to where hosts look for them, beside `rlua.h` (c-tests/library.py).

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write;
use std::mem::offset_of;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

// The arena's layout, which src/lua/blocks.c has to know too.
#[allow(dead_code)]
#[path = "src/arena/classes.rs"]
mod classes;
#[allow(dead_code)]
#[path = "src/arena/layout.rs"]
mod layout;
// What tests look at too.
#[path = "tools/build/exports.rs"]
mod exports;
#[path = "tools/build/targets.rs"]
mod targets;

use targets::System;

const LUA_FOLDER: &str = "lua-5.4.9";
const PUBLIC_HEADERS: [&str; 4] = ["lua.h", "luaconf.h", "lauxlib.h", "lualib.h"];
const MATH_FOLDER: &str = "vendor/src/binary64";
/// What CORE-MATH's files are compiled with.
const MATH: &str = "src/lua/math";
/// The functions that Lua calls, in the order of `src/lua/overrides/math.h`.
const MATH_FUNCTIONS: [&str; 15] = [
    "sin", "cos", "tan", "asin", "acos", "atan2", "exp", "log", "log2", "log10", "pow", "sinh",
    "cosh", "tanh", "atan",
];
/// The one translation unit; all of our C lies beside it.
const UNIT: &str = "src/lua/unit.c";

fn main() -> Result<(), Box<dyn Error>> {
    let system = target()?;
    let arena = ["src/arena/classes.rs", "src/arena/layout.rs"];
    let ours = ["src/lua", "vendor/patches", "tools/build", "build.rs", "Cargo.lock"];
    for path in ours.into_iter().chain(arena) {
        println!("cargo:rerun-if-changed={path}");
    }
    for name in ["RLUA_SANITIZE", "RLUA_ASSERT", "RLUA_ORACLE", "RLUA_OPT"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    for name in ["RLUA_LUA_PATH", "RLUA_LUA_CPATH"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let sources = Sources::find()?;
    let lua = sources.folder("lua-src")?.join(LUA_FOLDER);
    let math = compile_math(&sources.folder("core-math-sys")?.join(MATH_FOLDER), system)?;
    write_arena_header()?;
    compile_unit(&patched(&lua)?, &math, system)?;
    stage_headers(&lua)?;
    link_arguments(system, &exported_names(&lua)?)
}

/// What is built for; a sentence where that cannot be.
fn target() -> Result<System, Box<dyn Error>> {
    let of = |name: &str| env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    let (os, abi) = (of("OS"), of("ENV"));
    let target = targets::Target {
        name: &env::var("TARGET")?,
        os: &os,
        env: &abi,
        pointer_width: &of("POINTER_WIDTH"),
        endian: &of("ENDIAN"),
    };
    Ok(target.system()?)
}

/// What cargo knows of the packages whose sources are compiled here.
struct Sources(serde_json::Value);

impl Sources {
    /// Without the platform filter cargo asks for crates of other platforms. Offline comes first
    /// so that a build without a network works; where `cargo build` has not fetched the packages
    /// that only tests need, or that only this script needs, the offline call refuses and the
    /// second call fetches them.
    fn find() -> Result<Self, Box<dyn Error>> {
        let target = env::var("TARGET")?;
        // With the condition that Cargo.toml has CORE-MATH under. 0x1f separates the flags.
        let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
        let flags = [flags.as_str(), "--cfg\x1frlua_sources"].join("\x1f");
        let flags = flags.trim_start_matches('\x1f');
        let metadata = |mode: &[&str]| {
            Command::new(env::var("CARGO").unwrap_or("cargo".into()))
                .args(["metadata", "--format-version=1", "--filter-platform", &target])
                .args(mode)
                .env("CARGO_ENCODED_RUSTFLAGS", flags)
                .output()
        };
        let mut output = metadata(&["--offline"])?;
        if !output.status.success() {
            output = metadata(&[])?;
        }
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        Ok(Self(serde_json::from_slice(&output.stdout)?))
    }

    /// The folder of a crate, whose API does not tell the path.
    fn folder(&self, name: &str) -> Result<PathBuf, Box<dyn Error>> {
        let packages = self.0["packages"].as_array().ok_or("cargo metadata lists no packages")?;
        let manifest = packages
            .iter()
            .find(|package| package["name"] == name)
            .and_then(|package| package["manifest_path"].as_str())
            .ok_or(format!("cargo metadata does not list {name}"))?;
        Ok(Path::new(manifest).parent().ok_or("no folder")?.to_owned())
    }
}

/// Compiles the functions of CORE-MATH that Lua has; returns the objects.
///
/// Each is a unit of its own, since their helpers share names. On x86-64 each is compiled twice,
/// for CPUs with and without fused multiply-add; `src/lua/mathfn.c` chooses.
fn compile_math(core_math: &Path, system: System) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    println!("cargo:rerun-if-changed={MATH}");
    let folder = Path::new(&env::var("OUT_DIR")?).join("math");
    fs::create_dir_all(&folder)?;
    let mut files = Vec::new();
    for name in MATH_FUNCTIONS {
        let text = format!(
            "#define cr_{name} RLUA_MATH_NAME({name})\n#define RLUA_MATH_{name}\n\
             #include \"core_math.h\"\n#include \"{name}/{name}.c\"\n"
        );
        let file = folder.join(format!("{name}.c"));
        write_if_different(&file, text.as_bytes())?;
        files.push(file);
    }
    let copies: &[(&str, &[&str])] = match env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
        // gcc does not align the stack to registers of 32 bytes on Windows, and spills them there
        // as if it did.
        Ok("x86_64") if system == System::Windows => {
            &[("plain", &[]), ("fma", &["-mfma", "-msse4.1", "-mprefer-vector-width=128"])]
        }
        Ok("x86_64") => &[("plain", &[]), ("fma", &["-mfma", "-msse4.1"])],
        _ => &[("plain", &[])],
    };
    // A thread a copy: together they are most of the build's time.
    std::thread::scope(|scope| {
        let compile = |(copy, flags)| compile_math_copy(core_math, &folder, &files, copy, flags);
        let threads: Vec<_> = copies
            .iter()
            .map(|&copy| scope.spawn(move || compile(copy).map_err(|e| e.to_string())))
            .collect();
        let mut objects = Vec::new();
        for thread in threads {
            objects.extend(thread.join().map_err(|_| "a panic while compiling")??);
        }
        Ok(objects)
    })
}

/// The objects of one copy. They are kept as long as nothing that they are made of changes: this
/// script runs at each change in src/lua.
fn compile_math_copy(
    core_math: &Path,
    folder: &Path,
    files: &[PathBuf],
    copy: &str,
    flags: &[&str],
) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let out = folder.join(copy);
    fs::create_dir_all(&out)?;
    let mut build = cc::Build::new();
    build
        .files(files)
        .include(core_math)
        .include(MATH)
        .out_dir(&out)
        .std("gnu11")
        .define("RLUA_MATH_COPY", copy)
        .opt_level(2)
        .flag("-fvisibility=hidden")
        .flag("-ffp-contract=off")
        .flag("-fno-math-errno")
        .flag("-funwind-tables")
        .warnings(false);
    for flag in flags {
        build.flag(flag);
    }
    let compiler = build.try_get_compiler()?;
    let version = compiler.to_command().arg("--version").output()?.stdout;
    let mut stamp = format!("{compiler:?}\n{files:?}\n").into_bytes();
    stamp.extend(version);
    for header in fs::read_dir(MATH)? {
        stamp.extend(fs::read(header?.path())?);
    }
    let stamp_file = out.join("stamp");
    let mut objects = Vec::new();
    if fs::read(&stamp_file).is_ok_and(|old| old == stamp) {
        for entry in fs::read_dir(&out)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "o") {
                objects.push(path);
            }
        }
        objects.sort();
        if objects.len() == files.len() {
            return Ok(objects);
        }
    }
    fs::remove_dir_all(&out)?;
    fs::create_dir_all(&out)?;
    objects = build.try_compile_intermediates()?;
    fs::write(stamp_file, stamp)?;
    Ok(objects)
}

fn write_if_different(target: &Path, text: &[u8]) -> std::io::Result<()> {
    match fs::read(target) {
        Ok(old) if old == text => Ok(()),
        _ => fs::write(target, text),
    }
}

/// Copies Lua's sources into the build's own folder, with our patches applied (vendor/README.md).
///
/// The version is pinned, so every hunk fits where it says, or the build fails: a hunk that moved
/// could mark the wrong store.
fn patched(lua: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let folder = Path::new(&env::var("OUT_DIR")?).join("lua");
    fs::create_dir_all(&folder)?;
    for entry in fs::read_dir(lua)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "c" || extension == "h") {
            let name = path.file_name().ok_or("a file without a name")?;
            fs::write(folder.join(name), fs::read(&path)?)?;
        }
    }
    let mut patches: Vec<_> = fs::read_dir("vendor/patches")?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    patches.sort();
    for path in patches {
        let text = fs::read_to_string(&path)?;
        apply(&text, &folder).map_err(|why| format!("{}: {why}", path.display()))?;
    }
    Ok(folder)
}

/// Applies a patch of several files, each `--- a/name`, `+++ b/name` and its hunks.
fn apply(patch: &str, folder: &Path) -> Result<(), Box<dyn Error>> {
    let starts: Vec<_> = patch.match_indices("--- a/").map(|(at, _)| at).collect();
    if starts.is_empty() {
        return Err("it names no file".into());
    }
    for (at, &start) in starts.iter().enumerate() {
        let end = starts.get(at + 1).copied().unwrap_or(patch.len());
        let part = diffy::Patch::from_str(&patch[start..end])?;
        let name = part.modified().and_then(|name| name.strip_prefix("b/")).ok_or("no name")?;
        let text =
            fs::read_to_string(folder.join(name)).map_err(|error| format!("{name}: {error}"))?;
        let lines: Vec<_> = text.split_inclusive('\n').collect();
        for hunk in part.hunks() {
            let first = hunk.old_range().start();
            let old = hunk.lines().iter().filter_map(|line| match line {
                diffy::Line::Context(line) | diffy::Line::Delete(line) => Some(line),
                diffy::Line::Insert(_) => None,
            });
            if !old.eq(lines.iter().skip(first - 1).take(hunk.old_range().len())) {
                return Err(format!("{name}, line {first}: the hunk does not fit").into());
            }
        }
        fs::write(folder.join(name), diffy::apply(&text, &part)?)?;
    }
    Ok(())
}

/// One unit makes Lua's internal calls direct, which is where most of the speed comes from.
fn compile_unit(lua: &Path, math: &[PathBuf], system: System) -> Result<(), Box<dyn Error>> {
    let mut unit = cc::Build::new();
    unit.file(UNIT)
        .objects(math)
        .include(lua)
        .include("src/lua")
        .include(generated_folder()?)
        .std("gnu11")
        // What lua.org's makefile gives.
        .define("LUA_COMPAT_5_3", None)
        // With the flags below, -O2 beats -O3 by a little over the scripts of benches/
        // (docs/BENCHMARKS.md), and makes no script slower than stock. RLUA_OPT is for tests that
        // compare builds (c-tests/determinism/matrix.py).
        .opt_level_str(&env::var("RLUA_OPT").unwrap_or("2".into()))
        // One indirect jump per instruction is what lvm.c's computed gotos are for: the first two
        // would undo it, the third lets the jump be copied where the fetch before it is long.
        .flag_if_supported("-fno-gcse")
        .flag_if_supported("-fno-crossjumping")
        .flag_if_supported("--param=max-goto-duplication-insns=32")
        .flag_if_supported("-fno-semantic-interposition")
        .flag_if_supported("-fno-plt")
        // Fused multiply-add rounds once where the language rounds twice: a desync between CPUs.
        .flag("-ffp-contract=off")
        // Nothing reads errno behind a mathematical function: sqrt is one instruction then.
        .flag("-fno-math-errno")
        // A C++ exception may pass through Lua's frames (recover.c): for that the tables are
        // enough, since no C of ours cleans up on the way. Most platforms make them anyway.
        .flag("-funwind-tables")
        // The crate `cc` keeps frame pointers as soon as there is debug information, even in leaf
        // functions: a register less, and a third more accesses to the stack in luaV_execute.
        .force_frame_pointer(false)
        // Inlining lua_getlocal into ldblib.c makes gcc see a path that Lua never takes.
        .flag_if_supported("-Wno-maybe-uninitialized")
        // This makes rustc's linker keep every public symbol of the unit,
        .link_lib_modifier("+whole-archive");
    // and this export it. For macOS rustc gets their names wrong; there our own list is enough.
    if system != System::MacOs {
        unit.link_lib_modifier("+export-symbols");
    }
    match system {
        System::Linux => unit.define("LUA_USE_LINUX", None),
        System::MacOs => unit.define("LUA_USE_MACOSX", None),
        // luaconf.h sees it by itself. The C library of this name has C99's printf beside its own.
        System::Windows => unit.define("__USE_MINGW_ANSI_STDIO", "1"),
    };
    search_paths(&mut unit);
    if let Ok(checks) = env::var("RLUA_SANITIZE") {
        unit.flag(format!("-fsanitize={checks}")).flag("-fno-omit-frame-pointer");
    }
    if env::var_os("RLUA_ORACLE").is_some_and(|value| value != "0") {
        unit.define("RLUA_ORACLE", None)
            .define("_GNU_SOURCE", None)
            .flag("-fsanitize=kernel-address");
        for what in [
            "asan-instrument-reads=0",
            "asan-instrumentation-with-call-threshold=0",
            "asan-stack=0",
            "asan-globals=0",
        ] {
            unit.flag("--param").flag(what);
        }
    }
    if env::var_os("RLUA_ASSERT").is_some_and(|value| value != "0") {
        unit.define("LUAI_ASSERT", None).define("LUA_USE_APICHECK", None);
    }
    unit.try_compile("rlua_unit")?;
    Ok(())
}

/// For what only the unit includes, apart from the headers that hosts get.
fn generated_folder() -> Result<PathBuf, Box<dyn Error>> {
    let folder = Path::new(&env::var("OUT_DIR")?).join("generated");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The layout and the tables of src/arena as a header for C, so that they are written down once.
fn write_arena_header() -> Result<(), Box<dyn Error>> {
    use layout::{Header, Slab};
    let mut text = String::from("/* Made by build.rs from src/arena. */\n#include <stdint.h>\n");
    for (name, value) in [
        ("UNIT", layout::UNIT),
        ("CLASSES", layout::CLASSES),
        ("SHAPES", classes::SHAPES),
        ("MAX_SMALL", classes::MAX_SMALL),
        ("MAX_UNITS", classes::MAX_UNITS),
        ("TAG_USERDATA", layout::TAG_USERDATA),
        ("HEADER_BYTES", size_of::<Header>()),
        ("OPAQUE", usize::from(layout::OPAQUE)),
        ("HEADER_MAP", offset_of!(Header, map)),
        ("HEADER_MAP_UNITS", offset_of!(Header, map_units)),
        ("HEADER_SLABS", offset_of!(Header, slabs)),
        ("SLAB_BYTES", size_of::<Slab>()),
        ("SLAB_FRESH", offset_of!(Slab, fresh)),
        ("SLAB_SHAPE", offset_of!(Slab, shape)),
        ("SLAB_FREE", offset_of!(Slab, free)),
        ("SLAB_USED", offset_of!(Slab, used)),
        ("SLAB_NEXT", offset_of!(Slab, next)),
        ("SLAB_KINDS", layout::SLAB_KINDS),
        ("TAG_HOST", layout::TAG_HOST),
    ] {
        writeln!(text, "#define ARENA_{name} {value}")?;
    }
    text += "/* The class of a size, by eighths. */\nstatic const uint8_t ARENA_CLASS_OF[] = {\n";
    for eighths in 0..=classes::MAX_SMALL / 8 {
        writeln!(text, "  {},", classes::class_for(8 * eighths))?;
    }
    text += "};\n/* Bytes of a block; offsets in the slab; what divides by the size. */\n";
    text += "typedef struct ArenaShape { uint16_t size, end, first, reciprocal; } ArenaShape;\n";
    text += "static const ArenaShape ARENA_SHAPE[] = {\n";
    for number in 0..classes::SHAPES {
        let shape = classes::shape(number as u16);
        let classes::Shape { size, end, first, reciprocal } = shape;
        writeln!(text, "  {{{size}, {end}, {first}, {reciprocal}}},")?;
    }
    text += "};\n";
    Ok(write_if_different(&generated_folder()?.join("arena.h"), text.as_bytes())?)
}

/// `package.path` and `package.cpath`: lua.org's under /usr/local, and what a distribution installs
/// under /usr, so that the library can stand in for the distribution's. `RLUA_LUA_PATH` and
/// `RLUA_LUA_CPATH` replace them.
fn search_paths(unit: &mut cc::Build) {
    let linux = env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux");
    let local = "/usr/local/share/lua/5.4/?.lua;/usr/local/share/lua/5.4/?/init.lua;\
                 /usr/local/lib/lua/5.4/?.lua;/usr/local/lib/lua/5.4/?/init.lua";
    let system = "/usr/share/lua/5.4/?.lua;/usr/share/lua/5.4/?/init.lua";
    let path = linux.then(|| format!("{local};{system};./?.lua;./?/init.lua"));
    let glibc = env::var("CARGO_CFG_TARGET_ENV").as_deref() == Ok("gnu");
    let cpath = linux.then(|| {
        let multiarch = unit.get_compiler().to_command().arg("-print-multiarch").output();
        let multiarch = multiarch.map_or_else(
            |_| String::new(),
            |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        );
        // Only gcc on Debian and its descendants knows one, whose modules are linked with glibc.
        let known = glibc && !multiarch.is_empty() && !multiarch.contains(char::is_whitespace);
        let multiarch =
            if known { format!("/usr/lib/{multiarch}/lua/5.4/?.so;") } else { String::new() };
        format!(
            "/usr/local/lib/lua/5.4/?.so;{multiarch}/usr/lib/lua/5.4/?.so;\
             /usr/lib64/lua/5.4/?.so;/usr/local/lib/lua/5.4/loadall.so;./?.so"
        )
    });
    for (variable, name, default) in [
        ("RLUA_LUA_PATH", "LUA_PATH_DEFAULT", path),
        ("RLUA_LUA_CPATH", "LUA_CPATH_DEFAULT", cpath),
    ] {
        if let Some(path) = env::var(variable).ok().or(default) {
            unit.define(name, format!("{path:?}").as_str());
        }
    }
}

/// Writes only what differs, so that the headers keep their time and nothing is rebuilt for them.
fn stage_headers(lua: &Path) -> Result<(), Box<dyn Error>> {
    let folder = Path::new(&env::var("OUT_DIR")?).join("include");
    fs::create_dir_all(&folder)?;
    for name in PUBLIC_HEADERS {
        write_if_different(&folder.join(name), &fs::read(lua.join(name))?)?;
    }
    Ok(())
}

/// The functions of the headers, and the one variable.
fn exported_names(lua: &Path) -> Result<BTreeSet<String>, Box<dyn Error>> {
    let ours = "include/rlua.h";
    println!("cargo:rerun-if-changed={ours}");
    let mut names = exports::declared_by_us(&fs::read_to_string(ours)?);
    for header in exports::LUA_HEADERS {
        names.extend(exports::declared_by_lua(&fs::read_to_string(lua.join(header))?));
    }
    names.insert(exports::VARIABLE.into());
    Ok(names)
}

fn link_arguments(system: System, names: &BTreeSet<String>) -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    match system {
        System::Linux => linux_arguments(),
        System::Windows => {
            let file = out.join("rlua.def");
            write_if_different(&file, exports::definition_file(names).as_bytes())?;
            println!("cargo:rustc-cdylib-link-arg={}", file.display());
            Ok(())
        }
        System::MacOs => {
            let file = out.join("exports.txt");
            write_if_different(&file, exports::symbols_list(names).as_bytes())?;
            let list = format!("-Wl,-exported_symbols_list,{}", file.display());
            println!("cargo:rustc-cdylib-link-arg={list}");
            println!("cargo:rustc-cdylib-link-arg=-Wl,-install_name,@rpath/librlua.dylib");
            Ok(())
        }
    }
}

/// `-z nodelete`: code pointers into us live in states and in threads' exit handlers.
///
/// The SONAME has the major version, so that a system can keep two ABIs side by side.
///
/// libm is for C modules that were linked without it: liblua has always brought it with it.
fn linux_arguments() -> Result<(), Box<dyn Error>> {
    let major = env::var("CARGO_PKG_VERSION_MAJOR")?;
    println!("cargo:rustc-cdylib-link-arg=-Wl,-Bsymbolic-functions");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo:rustc-cdylib-link-arg=-Wl,--push-state,--no-as-needed,-lm,--pop-state");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,librlua.so.{major}");
    Ok(())
}
