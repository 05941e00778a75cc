//! Compiles Lua as one translation unit, and stages its public headers in `OUT_DIR/include`.
//!
//! Writes into `OUT_DIR` alone, as every build script must. `make -C c-tests library` copies the
//! headers from there to where hosts look for them, beside `rlua.h` (c-tests/library.py).

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

const LUA_FOLDER: &str = "lua-5.4.9";
const PUBLIC_HEADERS: [&str; 4] = ["lua.h", "luaconf.h", "lauxlib.h", "lualib.h"];
/// The one translation unit; all of our C lies beside it.
const UNIT: &str = "src/lua/unit.c";

fn main() -> Result<(), Box<dyn Error>> {
    for path in ["src/lua", "src/arena/classes.rs", "src/arena/layout.rs", "build.rs", "Cargo.lock"]
    {
        println!("cargo:rerun-if-changed={path}");
    }
    for name in ["RLUA_SANITIZE", "RLUA_ASSERT", "RLUA_LUA_PATH", "RLUA_LUA_CPATH"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let lua = lua_folder()?;
    write_arena_header()?;
    compile_unit(&lua)?;
    stage_headers(&lua)?;
    link_arguments()
}

/// Finds Lua's sources inside the crate `lua-src`, whose API does not tell the path.
///
/// Without the platform filter cargo asks for crates of other platforms. Offline comes first so
/// that a build without a network works; where `cargo build` has not fetched the packages that
/// only tests need, the offline call refuses and the second call fetches them.
fn lua_folder() -> Result<PathBuf, Box<dyn Error>> {
    let target = env::var("TARGET")?;
    let metadata = |mode: &[&str]| {
        Command::new(env::var("CARGO").unwrap_or("cargo".into()))
            .args(["metadata", "--format-version=1", "--filter-platform", &target])
            .args(mode)
            .output()
    };
    let mut output = metadata(&["--offline"])?;
    if !output.status.success() {
        output = metadata(&[])?;
    }
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let json: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let packages = json["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    let manifest = packages
        .iter()
        .find(|package| package["name"] == "lua-src")
        .and_then(|package| package["manifest_path"].as_str())
        .ok_or("cargo metadata does not list lua-src")?;
    Ok(Path::new(manifest).with_file_name(LUA_FOLDER))
}

/// One unit makes Lua's internal calls direct, which is where most of the speed comes from.
fn compile_unit(lua: &Path) -> Result<(), Box<dyn Error>> {
    let mut unit = cc::Build::new();
    unit.file(UNIT)
        .include(lua)
        .include("src/lua")
        .include(generated_folder()?)
        .std("gnu11")
        // What lua.org's makefile gives on Linux.
        .define("LUA_USE_LINUX", None)
        .define("LUA_COMPAT_5_3", None)
        // With the flags below, -O2 beats -O3 by a little over the scripts of benches/
        // (docs/BENCHMARKS.md), and makes no script slower than stock.
        .opt_level(2)
        // Both undo what lvm.c's computed gotos are for: one indirect jump per instruction.
        .flag_if_supported("-fno-gcse")
        .flag_if_supported("-fno-crossjumping")
        .flag_if_supported("-fno-semantic-interposition")
        .flag_if_supported("-fno-plt")
        // Fused multiply-add rounds once where the language rounds twice: a desync between CPUs.
        .flag("-ffp-contract=off")
        // A C++ exception may pass through Lua's frames (recover.c): for that the tables are
        // enough, since no C of ours cleans up on the way. Most platforms make them anyway.
        .flag("-funwind-tables")
        // The crate `cc` keeps frame pointers as soon as there is debug information, even in leaf
        // functions: a register less, and a third more accesses to the stack in luaV_execute.
        .force_frame_pointer(false)
        // Inlining lua_getlocal into ldblib.c makes gcc see a path that Lua never takes.
        .flag_if_supported("-Wno-maybe-uninitialized")
        // Both make rustc's linker keep and export every public symbol of the unit.
        .link_lib_modifier("+whole-archive")
        .link_lib_modifier("+export-symbols");
    search_paths(&mut unit);
    if let Ok(checks) = env::var("RLUA_SANITIZE") {
        unit.flag(format!("-fsanitize={checks}")).flag("-fno-omit-frame-pointer");
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
        ("KIND_USERDATA", layout::KIND_USERDATA),
        ("HEADER_BYTES", size_of::<Header>()),
        ("HEADER_MAP", offset_of!(Header, map)),
        ("HEADER_MAP_UNITS", offset_of!(Header, map_units)),
        ("HEADER_SLABS", offset_of!(Header, slabs)),
        ("SLAB_BYTES", size_of::<Slab>()),
        ("SLAB_FRESH", offset_of!(Slab, fresh)),
        ("SLAB_SHAPE", offset_of!(Slab, shape)),
        ("SLAB_FREE", offset_of!(Slab, free)),
        ("SLAB_USED", offset_of!(Slab, used)),
        ("SLAB_NEXT", offset_of!(Slab, next)),
    ] {
        writeln!(text, "#define ARENA_{name} {value}")?;
    }
    text += "/* The class of a size, by eighths. */\nstatic const uint8_t ARENA_CLASS_OF[] = {\n";
    for eighths in 0..=classes::MAX_SMALL / 8 {
        writeln!(text, "  {},", classes::class_for(8 * eighths))?;
    }
    text += "};\n/* Bytes of a block, and where in the slab the last one ends. */\n";
    text += "typedef struct ArenaShape { uint16_t size, end; } ArenaShape;\n";
    text += "static const ArenaShape ARENA_SHAPE[] = {\n";
    for number in 0..classes::SHAPES {
        let classes::Shape { size, end } = classes::shape(number as u16);
        writeln!(text, "  {{{size}, {end}}},")?;
    }
    text += "};\n";
    fs::write(generated_folder()?.join("arena.h"), text)?;
    Ok(())
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
    let cpath = linux.then(|| {
        let multiarch = unit.get_compiler().to_command().arg("-print-multiarch").output();
        let multiarch = multiarch.map_or_else(
            |_| String::new(),
            |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        );
        // Only gcc on Debian and its descendants knows one.
        let multiarch = if multiarch.is_empty() || multiarch.contains(char::is_whitespace) {
            String::new()
        } else {
            format!("/usr/lib/{multiarch}/lua/5.4/?.so;")
        };
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
        let target = folder.join(name);
        let text = fs::read(lua.join(name))?;
        if fs::read(&target).ok().as_ref() != Some(&text) {
            fs::write(&target, text)?;
        }
    }
    Ok(())
}

/// `-z nodelete`: code pointers into us live in states and in threads' exit handlers.
///
/// The SONAME has the major version, so that a system can keep two ABIs side by side.
fn link_arguments() -> Result<(), Box<dyn Error>> {
    let major = env::var("CARGO_PKG_VERSION_MAJOR")?;
    println!("cargo:rustc-cdylib-link-arg=-Wl,-Bsymbolic-functions");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,librlua.so.{major}");
    Ok(())
}
