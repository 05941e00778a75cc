//! The names that the shared library exports: what the headers declare, and nothing else.
//!
//! `build.rs` makes lists for the linkers of it; where rustc finds the names by itself, as for ELF,
//! `tests/exports.rs` compares what the library has with it.

use std::collections::BTreeSet;

/// Of Lua's headers, those with functions.
pub const LUA_HEADERS: [&str; 3] = ["lua.h", "lauxlib.h", "lualib.h"];

/// The only variable.
pub const VARIABLE: &str = "lua_ident";

/// Lua marks every function of its API, and writes it as `LUA_API type (name) (parameters)`.
pub fn declared_by_lua(header: &str) -> BTreeSet<String> {
    let text = header.replace("LUALIB_API", "LUA_API").replace("LUAMOD_API", "LUA_API");
    text.split("LUA_API")
        .skip(1)
        .filter_map(|declaration| declaration.split_once('(')?.1.split_once(')'))
        .map(|(name, _)| name.trim().to_owned())
        .collect()
}

/// The functions of `rlua.h`.
pub fn declared_by_us(header: &str) -> BTreeSet<String> {
    header
        .lines()
        .filter(|line| !line.starts_with([' ', '/', '#', '}']))
        .filter_map(|line| line.split_once('('))
        .filter_map(|(before, _)| before.rsplit([' ', '*']).next())
        .filter(|name| name.starts_with("rlua_"))
        .map(str::to_owned)
        .collect()
}

/// For Windows: a module definition file, from which import libraries can be made too.
pub fn definition_file(names: &BTreeSet<String>) -> String {
    let line =
        |name: &String| format!("    {name}{}\n", if name == VARIABLE { " DATA" } else { "" });
    format!("LIBRARY rlua.dll\nEXPORTS\n{}", names.iter().map(line).collect::<String>())
}

/// For Apple's linkers: names as they stand in objects.
pub fn symbols_list(names: &BTreeSet<String>) -> String {
    names.iter().map(|name| format!("_{name}\n")).collect()
}
