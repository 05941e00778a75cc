//! What C and Rust know of each other is the same on both sides: `src/lua/internal.h` and
//! `src/lua/bindings.rs`. Functions and their parameters, structs and their fields, constants; and
//! statuses that C gives by itself against `rlua_Status`.

use rlua::error::Status;
use std::collections::BTreeMap;
use std::path::Path;

/// A declaration as both sides are brought to: its type, then each part as "name: type".
type Declarations = BTreeMap<String, Vec<String>>;

fn source(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lua").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Without comments, and with single blanks.
fn plain(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("/*") {
        kept += before;
        rest = after.split_once("*/").map_or("", |(_, after)| after);
    }
    kept += rest;
    let lines = kept.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

/// Names that C and Rust write differently, as Rust writes them.
const C_TYPES: [(&str, &str); 32] = [
    ("double", "f64"),
    ("double *", "*mut f64"),
    ("lua_State *", "*mut lua_State"),
    ("rlua_Hold *", "*mut Hold"),
    ("const rlua_Hooks *", "*const Hooks"),
    ("const Method *", "*const Method"),
    ("const rlua_Birth *", "*const Birth"),
    ("const rlua_Outward *", "*const Outward"),
    ("rlua_Outward *", "*mut Outward"),
    ("const rlua_Met *", "*const Met"),
    ("rlua_Met *", "*mut Met"),
    ("const char *", "*const c_char"),
    ("char *", "*mut c_char"),
    ("const char **", "*mut *const c_char"),
    ("const void *", "*const c_void"),
    ("void *", "*mut c_void"),
    ("void **", "*mut *mut c_void"),
    ("int", "c_int"),
    ("uint32_t", "u32"),
    ("const uint32_t *", "*const u32"),
    ("uint32_t *", "*mut u32"),
    ("int64_t", "i64"),
    ("uint64_t", "u64"),
    ("uint64_t *", "*mut u64"),
    ("size_t", "usize"),
    ("size_t *", "*mut usize"),
    ("lua_Alloc", "lua_Alloc"),
    ("rlua_BlockBytes", "Option<BlockBytes>"),
    ("rlua_Note", "Option<Note>"),
    ("rlua_Part", "Part"),
    ("rlua_Meet", "Meet"),
    ("rlua_HostFunction", "Option<HostFunction>"),
];

fn rust_type(c: &str) -> String {
    let c = c.trim();
    match c {
        "void" => "()".into(),
        "_Atomic(size_t) *" => "*const AtomicUsize".into(),
        _ => match C_TYPES.iter().find(|(name, _)| *name == c) {
            Some((_, rust)) => (*rust).into(),
            None => panic!("a type of C that this test does not know: {c:?}"),
        },
    }
}

/// `const char *name` as "name: *const c_char".
fn c_part(text: &str) -> String {
    let text = text.trim();
    let name: &str = text.rsplit([' ', '*']).next().unwrap();
    format!("{name}: {}", rust_type(&text[..text.len() - name.len()]))
}

fn c_parts(list: &str) -> Vec<String> {
    list.split(',').map(c_part).collect()
}

/// `int (*name)(parameters)` as "name: fn(parameters) -> type".
fn c_function_pointer(text: &str) -> (String, Vec<String>) {
    let (result, rest) = text.trim().split_once("(*").unwrap();
    let (name, parameters) = rest.split_once(")(").unwrap();
    let mut parts = vec![rust_type(result)];
    parts.extend(c_parts(parameters.trim_end_matches(')')));
    (name.to_owned(), parts)
}

fn declared_in_c(header: &str) -> Declarations {
    let text = plain(header);
    let mut found = Declarations::new();
    for declaration in text.split("RLUA_INTERNAL ").skip(1) {
        let Some((declaration, _)) = declaration.split_once(';') else { continue };
        let Some((before, parameters)) = declaration.split_once('(') else { continue };
        let name = before.rsplit([' ', '*']).next().unwrap();
        if !name.starts_with("rlua_c_") {
            continue;
        }
        let mut parts = vec![rust_type(&before[..before.len() - name.len()])];
        parts.extend(c_parts(parameters.trim_end_matches(')')));
        found.insert(name.into(), parts);
    }
    for structure in text.split("typedef struct ").skip(1) {
        let (name, rest) = structure.split_once(" {").unwrap();
        let name = name.trim_start_matches("rlua_");
        let (fields, _) = rest.split_once('}').unwrap();
        let fields = fields.split(';').filter(|field| !field.trim().is_empty());
        for (place, field) in fields.enumerate() {
            if field.contains("(*") {
                let (field, parts) = c_function_pointer(field);
                found.insert(format!("{name}.{place} {field}"), parts);
            } else {
                let part = c_part(field);
                let (field, kind) = part.split_once(": ").unwrap();
                found.insert(format!("{name}.{place} {field}"), vec![kind.into()]);
            }
        }
    }
    let alias = text.split("typedef size_t (*rlua_BlockBytes)").nth(1).unwrap();
    let parameters = alias.split_once(')').unwrap().0.trim_start_matches('(');
    let mut parts = vec!["usize".to_owned()];
    parts.extend(c_parts(parameters));
    found.insert("BlockBytes".into(), parts);
    found
}

/// `L: *mut lua_State, ...` and a result; Rust's formatter may leave a comma at the end.
fn rust_function(parameters: &str, result: &str) -> Vec<String> {
    let result = result.trim().trim_start_matches("->").trim();
    let mut parts = vec![if result.is_empty() { "()".into() } else { result.to_owned() }];
    let parameters = parameters.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.extend(parameters.map(str::to_owned));
    parts
}

/// "unsafe extern "C" fn(parameters) -> result", up to `end`.
fn rust_pointer(text: &str) -> Option<Vec<String>> {
    let (_, rest) = text.split_once("unsafe extern \"C\" fn(")?;
    let (parameters, result) = rest.split_once(')')?;
    Some(rust_function(parameters, result))
}

fn declared_in_rust(bindings: &str) -> Declarations {
    let text = plain(bindings);
    let mut found = Declarations::new();
    for declaration in text.split("pub fn ").skip(1) {
        let (declaration, _) = declaration.split_once(';').unwrap();
        let (name, rest) = declaration.split_once('(').unwrap();
        let (parameters, result) = rest.split_once(')').unwrap();
        found.insert(name.into(), rust_function(parameters, result));
    }
    for structure in text.split("pub struct ").skip(1) {
        let (name, rest) = structure.split_once(" {").unwrap();
        let (fields, _) = rest.split_once('}').unwrap();
        for (place, field) in fields.split("pub ").skip(1).enumerate() {
            let (field, kind) = field.split_once(':').unwrap();
            let kind = kind.trim().trim_end_matches(',');
            let parts = rust_pointer(kind).unwrap_or_else(|| vec![kind.to_owned()]);
            found.insert(format!("{name}.{place} {field}"), parts);
        }
    }
    let alias = text.split("pub type BlockBytes =").nth(1).unwrap().split_once(';').unwrap().0;
    found.insert("BlockBytes".into(), rust_pointer(alias).unwrap());
    found
}

fn differences(header: &str, bindings: &str) -> Vec<String> {
    let (c, rust) = (declared_in_c(header), declared_in_rust(bindings));
    let names = c.keys().chain(rust.keys());
    let mut found: Vec<_> = names
        .filter(|name| c.get(*name) != rust.get(*name))
        .map(|name| format!("{name}: C has {:?}, Rust {:?}", c.get(name), rust.get(name)))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// `#define NAME (value)` of internal.h.
fn constants_in_c() -> BTreeMap<String, i64> {
    let number = |text: &str| text.trim_matches(['(', ')']).parse().ok();
    source("internal.h")
        .lines()
        .filter_map(|line| line.strip_prefix("#define ")?.split_once(' '))
        .filter_map(|(name, value)| Some((name.to_owned(), number(value)?)))
        .collect()
}

#[test]
fn functions_and_structs_are_the_same_in_c_and_in_rust() {
    let (header, bindings) = (source("internal.h"), source("bindings.rs"));
    assert!(declared_in_c(&header).len() > 25, "the header was not understood");
    let found = differences(&header, &bindings);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn constants_are_the_same_in_c_and_in_rust() {
    use rlua::lua::*;
    let mut c = constants_in_c();
    let statuses: Vec<_> = ["OK", "NULL_ARG", "NOT_ROLLBACK"]
        .into_iter()
        .map(|name| c.remove(&format!("STATUS_{name}")).unwrap())
        .collect();
    let in_rust = [Status::Ok, Status::NullArg, Status::NotRollback];
    assert_eq!(statuses, in_rust.map(|status| status as i64));
    let rust = [
        ("REFUSED_ARGUMENT", REFUSED_ARGUMENT as i64),
        ("REFUSED_STACK", REFUSED_STACK as i64),
        ("GUARD_YES", GUARD_YES as i64),
        ("GUARD_REFUSED", GUARD_REFUSED as i64),
        ("GUARD_TOO_MANY", GUARD_TOO_MANY as i64),
        ("GUARD_NO_MEMORY", GUARD_NO_MEMORY as i64),
        ("END_LATER", END_LATER as i64),
        ("END_NOW", END_NOW as i64),
        ("END_PAST", END_PAST as i64),
        ("REGISTER_OK", REGISTER_OK as i64),
        ("REGISTER_BAD_NAME", REGISTER_BAD_NAME as i64),
        ("REGISTER_BAD_POINTER", REGISTER_BAD_POINTER as i64),
        ("REGISTER_NAMED", REGISTER_NAMED as i64),
        ("REGISTER_TAKEN", REGISTER_TAKEN as i64),
        ("REGISTER_NO_MEMORY", REGISTER_NO_MEMORY as i64),
        ("STREAM_FILE", STREAM_FILE as i64),
        ("STREAM_PIPE", STREAM_PIPE as i64),
        ("CHECK_OK", CHECK_OK as i64),
        ("CHECK_CORRUPT", CHECK_CORRUPT as i64),
        ("CHECK_NO_MEMORY", CHECK_NO_MEMORY as i64),
        ("CHECK_ROOM", CHECK_ROOM as i64),
        ("PATH_ROOM", PATH_ROOM as i64),
        ("DIFF_VALUE", DIFF_VALUE as i64),
        ("DIFF_TYPE", DIFF_TYPE as i64),
        ("DIFF_MISSING", DIFF_MISSING as i64),
        ("DIFF_METATABLE", DIFF_METATABLE as i64),
        ("DIFF_ORDER", DIFF_ORDER as i64),
        ("DIFF_IDENTITY", DIFF_IDENTITY as i64),
        ("DIFF_FUNCTION", DIFF_FUNCTION as i64),
        ("DIFF_COROUTINE", DIFF_COROUTINE as i64),
        ("DIFF_BYTES", DIFF_BYTES as i64),
        ("DIFF_WEAK", DIFF_WEAK as i64),
        ("DIFF_RANDOM", DIFF_RANDOM as i64),
        ("DIFF_CLOCK", DIFF_CLOCK as i64),
        ("DIFF_BUDGET", DIFF_BUDGET as i64),
    ];
    assert_eq!(c, rust.map(|(name, value)| (name.to_owned(), value)).into());
}

/// Every kind of difference is found: the test can fail.
#[test]
fn a_difference_is_seen() {
    let (header, bindings) = (source("internal.h"), source("bindings.rs"));
    let changes = [
        ("int rlua_c_unref(lua_State *L, uint64_t", "int rlua_c_unref(lua_State *L, uint32_t"),
        ("int rlua_c_unref(lua_State *L,", "int rlua_c_unref(lua_State *thread,"),
        ("int rlua_c_unref(", "void rlua_c_unref("),
        ("int rlua_c_unref(", "int rlua_c_unreference("),
        ("lua_State *main, size_t used_bytes,", "lua_State *main,"),
        ("int (*same)(lua_State *L,", "int (*same)(const char *L,"),
        ("const char *name;\n  rlua_HostFunction", "char *name;\n  rlua_HostFunction"),
        ("(void *ud, const void *address,", "(const void *address, void *ud,"),
    ];
    for (from, to) in changes {
        assert!(header.contains(from), "{from}");
        assert!(!differences(&header.replacen(from, to, 1), &bindings).is_empty(), "{from}");
    }
}
