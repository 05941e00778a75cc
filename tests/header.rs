//! The header is what cbindgen makes of the Rust sources, with the text of the C headers in its
//! places, to the byte.
//!
//! After a change of the C API: `RLUA_UPDATE_HEADER=1 cargo test --test header`.

use std::path::Path;

/// Every Rust source of the C API, in the header's order.
const SOURCES: [&str; 14] = [
    "error/status.rs",
    "ffi/status.rs",
    "ffi/life.rs",
    "ffi/snapshots.rs",
    "ffi/memory.rs",
    "ffi/references.rs",
    "ffi/resources.rs",
    "ffi/participants.rs",
    "ffi/determinism.rs",
    "ffi/images.rs",
    "ffi/deltas.rs",
    "ffi/objects.rs",
    "ffi/diff.rs",
    "ffi/synctest.rs",
];

/// The C functions stand before this one, in this order of files.
const BEFORE: &str = "void *rlua_alloc(";
const C_HEADERS: [&str; 2] = ["calls.h", "objects.h"];

/// Where cbindgen.toml wants the types that C declares.
const TYPES: &str = "@types of src/lua/calls.h@\n";

/// The lines of a C header between two marks, which are comments of their own.
fn marked(header: &str, from: &str, to: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lua").join(header);
    let text = std::fs::read_to_string(&path).unwrap();
    let (from, to) = (format!("/* [{from}] */\n"), format!("/* [{to}] */\n"));
    let (_, rest) = text.split_once(&from).unwrap_or_else(|| panic!("{header} has no {from}"));
    let (part, _) = rest.split_once(&to).unwrap_or_else(|| panic!("{header} has no {to}"));
    part.trim_matches('\n').to_owned() + "\n"
}

/// Puts what C declares into what cbindgen made.
fn with_c_parts(text: &str) -> String {
    let (before, after) = text.split_once(TYPES).expect("cbindgen.toml has no place for the types");
    let text = format!("{before}{}{after}", marked("calls.h", "types", "functions"));
    let function = text.find(BEFORE).expect("the function behind C's is not there");
    let place = text[..function].rfind("/**").expect("it has no comment");
    let functions = C_HEADERS.map(|header| marked(header, "functions", "end")).join("\n");
    format!("{}{functions}\n{}", &text[..place], &text[place..])
}

fn generated() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).unwrap();
    let mut builder = cbindgen::Builder::new().with_config(config);
    for file in SOURCES {
        builder = builder.with_src(root.join("src").join(file));
    }
    let bindings = builder.generate().unwrap();
    let mut text = Vec::new();
    bindings.write(&mut text);
    // The statuses are RLUA_OK, not RLUA_STATUS_OK; cbindgen has no option for it.
    let text = String::from_utf8(text).unwrap().replace("RLUA_STATUS_", "RLUA_");
    with_version(&with_c_parts(&without_safety_sections(&text)))
}

/// Cargo.toml's version, where cbindgen.toml leaves room for it.
fn with_version(text: &str) -> String {
    [
        ("@VERSION@", env!("CARGO_PKG_VERSION")),
        ("@MAJOR@", env!("CARGO_PKG_VERSION_MAJOR")),
        ("@MINOR@", env!("CARGO_PKG_VERSION_MINOR")),
        ("@PATCH@", env!("CARGO_PKG_VERSION_PATCH")),
    ]
    .iter()
    .fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
}

/// Rust's "# Safety" sections say in Rust's words what the contract says already.
fn without_safety_sections(text: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut in_safety = false;
    for line in text.lines() {
        if line.trim() == "* # Safety" {
            in_safety = true;
            if kept.last().is_some_and(|last| last.trim() == "*") {
                kept.pop();
            }
        }
        if line.trim() == "*/" {
            in_safety = false;
        }
        if !in_safety {
            kept.push(line);
        }
    }
    kept.join("\n") + "\n"
}

#[test]
fn checked_in_header_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/rlua.h");
    let generated = generated();
    if std::env::var_os("RLUA_UPDATE_HEADER").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == generated,
        "include/rlua.h is out of date: RLUA_UPDATE_HEADER=1 cargo test --test header"
    );
}
