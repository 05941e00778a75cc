//! The layout of `src/` is the layout of the floors: a module uses only what is below it.
//!
//! The floors are those of the table in docs/ARCHITECTURE.md, which says for each module what it
//! may name. Neighbours on a floor do not know each other, so that is more than the floors' order.
//!
//! Not here: the C side, which is one unit (tests of its header: header.rs).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

struct Module {
    floor: u32,
    uses: Vec<String>,
}

/// Rows `| 2 | `arena` | what it is | error units region |` of a document.
fn floors(document: &str) -> BTreeMap<String, Module> {
    let row = |line: &str| -> Option<(String, Module)> {
        let cells: Vec<_> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
        let [floor, module, _, uses, ""] = cells[..] else { return None };
        let module = module.strip_prefix('`')?.strip_suffix('`')?;
        let uses = uses.split_whitespace().map(str::to_owned).collect();
        Some((module.to_owned(), Module { floor: floor.parse().ok()?, uses }))
    };
    document.lines().filter_map(row).collect()
}

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

fn first_word(text: &str) -> String {
    text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

/// What a file at `depth` folders below `src/` names of the crate's root: after `crate::`, or after
/// as many `super::` as it lies deep. A list in braces is named as "", which nobody may use.
fn named_modules(text: &str, depth: usize) -> Vec<String> {
    let up = "super::".repeat(depth);
    let mut found = Vec::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
        found.extend(line.split("crate::").skip(1).map(first_word));
        let by_super = line.split(&up).skip(1).map(|rest| rest.trim_start_matches("super::"));
        found.extend(by_super.map(first_word).filter(|word| !word.is_empty()));
    }
    found
}

/// Every use that goes up, or to a neighbour.
fn violations(floors: &BTreeMap<String, Module>, files: &[(PathBuf, String)]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in files {
        let module = path.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        let Some(allowed) = floors.get(module) else {
            found.push(format!("{}: the module is on no floor", path.display()));
            continue;
        };
        let depth = path.iter().filter(|part| *part != "mod.rs").count();
        for named in named_modules(text, depth) {
            let known = floors.contains_key(&named) || named.is_empty();
            if known && named != module && !allowed.uses.contains(&named) {
                found.push(format!("{}: uses crate::{named}", path.display()));
            }
        }
    }
    found
}

/// Uses in the table that do not go down.
fn ascents(floors: &BTreeMap<String, Module>) -> Vec<String> {
    let mut found = Vec::new();
    for (name, module) in floors {
        for used in &module.uses {
            let below = floors.get(used).is_some_and(|used| used.floor < module.floor);
            if !below && (name.as_str(), used.as_str()) != ("error", "units") {
                found.push(format!("{name} may use {used}, which is not below it"));
            }
        }
    }
    found
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
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
    let found = violations(&floors(&read("docs/ARCHITECTURE.md")), &files);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_table_has_the_modules_of_the_crate() {
    let floors = floors(&read("docs/ARCHITECTURE.md"));
    let library = read("src/lib.rs");
    let modules: Vec<_> = library
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    let mut sorted = modules.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, floors.keys().map(String::as_str).collect::<Vec<_>>());
    let found = ascents(&floors);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

const TABLE: &str = "
| floor | module | what it is | uses |
|---|---|---|---|
| 4 | `vm` | owns | arena tracker |
| 2 | `arena` | allocates | region |
| 2 | `tracker` | tracks | |
| 1 | `region` | reserves | |
";

#[test]
fn an_import_that_goes_up_is_seen() {
    let floors = floors(TABLE);
    assert_eq!(floors.len(), 4);
    let upward = |path: &str, text: &str| violations(&floors, &[(path.into(), text.into())]).len();
    assert_eq!(upward("arena/runs.rs", "use crate::vm::Vm;"), 1);
    assert_eq!(upward("arena/runs.rs", "let x = crate::vm::Vm::new(1);"), 1);
    assert_eq!(upward("arena/runs.rs", "use crate::tracker::Live;"), 1);
    assert_eq!(upward("arena/runs.rs", "use crate::{region, vm};"), 1);
    assert_eq!(upward("arena/runs.rs", "use super::super::vm::Vm;"), 1);
    assert_eq!(upward("arena/mod.rs", "use super::vm::Vm;"), 1);
    assert_eq!(upward("region.rs", "use super::vm;"), 1);
    assert_eq!(upward("region.rs", "    use super::*;"), 0);
    assert_eq!(upward("arena/runs.rs", "use super::arena_of;"), 0);
    assert_eq!(upward("arena/runs.rs", "use crate::region::Region; // crate::region"), 0);
    assert_eq!(upward("attic/x.rs", ""), 1);
}

#[test]
fn a_table_that_goes_up_is_seen() {
    assert!(ascents(&floors(TABLE)).is_empty());
    assert_eq!(ascents(&floors(&TABLE.replace("| region |", "| vm |"))).len(), 1);
    assert_eq!(ascents(&floors(&TABLE.replace("| region |", "| tracker |"))).len(), 1);
    assert_eq!(ascents(&floors(&TABLE.replace("| region |", "| attic |"))).len(), 1);
}
