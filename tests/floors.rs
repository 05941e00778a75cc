//! The layout of `src/` is the layout of the floors: a module uses only what is below it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What each module may name with `crate::`. Neighbours on a floor do not know each other, so the
/// lists are written out rather than computed from a floor's number.
const MAY_USE: [(&str, &[&str]); 12] = [
    ("error", &["units"]),
    ("units", &[]),
    ("sys", &[]),
    ("region", &["error", "sys"]),
    ("pages", &["error", "units"]),
    ("arena", &["error", "units", "region"]),
    ("tracker", &["error", "units", "sys", "pages"]),
    ("snapshot", &["error", "units", "pages", "tracker"]),
    ("lua", &["error", "units"]),
    ("resource", &["error", "units"]),
    (
        "vm",
        &[
            "error", "units", "sys", "region", "pages", "arena", "tracker", "snapshot", "lua",
            "resource",
        ],
    ),
    ("ffi", &["error", "units", "region", "lua", "vm"]),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Modules named as `crate::module` in the code of a file.
fn named_modules(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split("crate::").skip(1).map(str::to_owned).collect::<Vec<_>>())
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect())
        .collect()
}

/// Every use that `MAY_USE` does not allow.
fn violations(files: &[(PathBuf, String)]) -> Vec<String> {
    let may_use: BTreeMap<_, _> = MAY_USE.into_iter().collect();
    let mut found = Vec::new();
    for (path, text) in files {
        let module = path.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        let Some(allowed) = may_use.get(module) else {
            found.push(format!("{}: the module is on no floor", path.display()));
            continue;
        };
        for named in named_modules(text) {
            if named != module && !allowed.contains(&named.as_str()) {
                found.push(format!("{}: uses crate::{named}", path.display()));
            }
        }
    }
    found
}

#[test]
fn no_module_uses_what_is_above_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    let files: Vec<_> = paths
        .into_iter()
        .filter(|path| !path.ends_with("lib.rs"))
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path.strip_prefix(&root).unwrap().to_owned(), text)
        })
        .collect();
    assert!(files.len() > 15, "the sources were not found");
    let found = violations(&files);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn an_import_that_goes_up_is_seen() {
    let upward = |path: &str, text: &str| violations(&[(path.into(), text.into())]).len();
    assert_eq!(upward("arena/runs.rs", "use crate::vm::Vm;"), 1);
    assert_eq!(upward("arena/runs.rs", "let x = crate::snapshot::History::new(1);"), 1);
    assert_eq!(upward("arena/runs.rs", "use crate::tracker::Tracker;"), 1);
    assert_eq!(upward("arena/runs.rs", "use crate::region::Region; // crate::region"), 0);
    assert_eq!(upward("attic/x.rs", ""), 1);
}
