//! Invariants: defined once, in the index, and no other is cited.

use crate::File;
use crate::prose::prose;
use std::collections::{BTreeMap, BTreeSet};

const INDEX: &str = "docs/ARCHITECTURE.md";
/// Language versions and the like, which have the form of an id.
const NO_IDS: [&str; 3] = ["C11", "C17", "C99"];

struct Definition {
    home: String,
    /// The word that stands for it: `A1 *inside*`.
    word: String,
}

/// `A1`, alone: a capital and one or two digits. Not `-O2`, not `L1` in `sha_L1`.
fn ids(text: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    text.split(|c: char| !is_part(c))
        .filter(|word| {
            let mut characters = word.chars();
            characters.next().is_some_and(|c| c.is_ascii_uppercase())
                && (2..=3).contains(&word.len())
                && characters.all(|c| c.is_ascii_digit())
        })
        .filter(|word| !NO_IDS.contains(word))
        .map(str::to_owned)
        .collect()
}

/// `- A1 *inside*: statement` in a comment of the file that owns it.
fn definition(comment: &str) -> Option<(String, String)> {
    let text = comment.trim_start_matches(['/', '!', '*', ' ']).trim_start();
    // The list's dash is what makes it a definition, so it must follow the comment's marks.
    let (id, rest) = text.strip_prefix("- ")?.split_once(" *")?;
    let (word, _) = rest.split_once("*:")?;
    (ids(id) == [id]).then(|| (id.to_owned(), word.to_owned()))
}

fn definitions(files: &[File], complaints: &mut Vec<String>) -> BTreeMap<String, Definition> {
    let mut found = BTreeMap::<String, Definition>::new();
    for file in files.iter().filter(|file| file.path.starts_with("src/")) {
        for (line, comment) in prose(file) {
            let Some((id, word)) = definition(&comment) else { continue };
            let definition = Definition { home: file.path.clone(), word };
            if let Some(other) = found.insert(id.clone(), definition) {
                complaints.push(format!("{}:{line}: {id} is also in {}", file.path, other.home));
            }
        }
    }
    found
}

/// `| A1 | src/arena/mod.rs | *inside*: statement |`: id, home, word.
fn index(files: &[File]) -> Vec<(String, String, String)> {
    let Some(file) = files.iter().find(|file| file.path == INDEX) else { return Vec::new() };
    file.text
        .lines()
        .filter_map(|line| {
            let cells: Vec<_> = line.strip_prefix("| ")?.split('|').map(str::trim).collect();
            let (id, home, statement) = (cells.first()?, cells.get(1)?, cells.get(2)?);
            let word = statement.strip_prefix('*')?.split_once('*')?.0;
            (ids(id) == [*id]).then(|| (id.to_string(), home.trim_matches('`').into(), word.into()))
        })
        .collect()
}

fn complaints(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    let defined = definitions(files, &mut found);
    let mut listed = BTreeSet::new();
    for (id, home, word) in index(files) {
        match defined.get(&id) {
            Some(it) if it.home == home && it.word == word => {}
            Some(it) => found.push(format!(
                "{INDEX}: {id} is *{}* of {}, not *{word}* of {home}",
                it.word, it.home
            )),
            None => found.push(format!("{INDEX}: {id} is defined nowhere in src/")),
        }
        if !listed.insert(id.clone()) {
            found.push(format!("{INDEX}: {id} is listed twice"));
        }
    }
    for (id, definition) in defined.iter().filter(|(id, _)| !listed.contains(*id)) {
        found.push(format!("{INDEX}: {id} of {} is not listed", definition.home));
    }
    for file in files.iter().filter(|file| !file.path.starts_with("tests/tidy")) {
        for (line, text) in prose(file) {
            for id in ids(&text).into_iter().filter(|id| !defined.contains_key(id)) {
                found.push(format!("{}:{line}: {id} is defined nowhere", file.path));
            }
        }
    }
    found
}

#[test]
fn invariants_are_defined_once_and_listed() {
    let files = crate::repository();
    assert!(definitions(&files, &mut Vec::new()).len() >= 20, "the definitions were not found");
    crate::assert_none(&complaints(&files));
}

#[test]
fn a_wrong_citation_is_seen() {
    let source = |text| crate::file("src/a.rs", text);
    let row = crate::file(INDEX, "| A1 | `src/a.rs` | *inside*: all of it |");
    let count = |source: File, index: &File| {
        let index = crate::file(INDEX, &index.text);
        complaints(&[source, index]).len()
    };
    let none = crate::file(INDEX, "");
    assert_eq!(count(source("//! - A1 *inside*: all. A1 holds.\nlet Q7 = 1;"), &row), 0);
    assert_eq!(count(source("//! - A1 *inside*: all."), &none), 1, "not listed");
    assert_eq!(count(source("//! - A1 *inside*: all.\n// by A2"), &row), 1, "not defined");
    assert_eq!(count(source("//! - A1 *inside*: a.\n//! - A1 *inside*: b."), &row), 1, "twice");
    assert_eq!(count(source("//! - A1 *outside*: all."), &row), 1, "another word");
    assert_eq!(count(source("// -O2, C11, sha_L1"), &none), 0, "no ids");
    let elsewhere = crate::file(INDEX, "| A1 | `src/b.rs` | *inside*: all of it |");
    assert_eq!(count(source("//! - A1 *inside*: all."), &elsewhere), 1, "another home");
}
