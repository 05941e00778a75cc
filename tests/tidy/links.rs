//! Every link of a document leads somewhere: to a file, and to a heading in it.

use std::collections::BTreeMap;

use crate::File;
use crate::prose::prose;

/// `[text](target)` and `![text](target)`, code spans left out.
fn targets(text: &str) -> Vec<String> {
    let outside: String = text.split('`').step_by(2).collect::<Vec<_>>().join("code");
    let parts = outside.split("](").skip(1);
    parts.filter_map(|part| part.split_once(')')).map(|(target, _)| target.to_owned()).collect()
}

/// What a heading is called in a link: GitHub's rule, and mdBook's.
fn anchor(heading: &str) -> String {
    let text = heading.trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || "_- ".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// `docs/` and `../README.md` are `README.md`.
fn joined(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// Documents by their paths, with the anchors of their headings.
fn anchors(files: &[File]) -> BTreeMap<&str, Vec<String>> {
    let documents = files.iter().filter(|file| file.extension() == "md");
    let headings = |file: &File| {
        let lines = prose(file).into_iter().map(|(_, line)| line);
        lines
            .filter_map(|line| line.starts_with('#').then(|| anchor(line.trim_start_matches('#'))))
            .collect()
    };
    documents.map(|file| (file.path.as_str(), headings(file))).collect()
}

fn complaints(files: &[File], exists: impl Fn(&str) -> bool) -> Vec<String> {
    let anchors = anchors(files);
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.extension() == "md") {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (line, text) in prose(file) {
            for target in targets(&text).iter().filter(|target| !target.contains("://")) {
                let (path, heading) = target.split_once('#').unwrap_or((target, ""));
                let path = if path.is_empty() { file.path.clone() } else { joined(folder, path) };
                let known = anchors.get(path.as_str());
                if known.is_none() && !exists(&path) {
                    found.push(format!("{}:{line}: {target} leads to no file", file.path));
                } else if !heading.is_empty()
                    && !known.is_some_and(|known| known.iter().any(|known| known == heading))
                {
                    found.push(format!("{}:{line}: {target} leads to no heading", file.path));
                }
            }
        }
    }
    found
}

#[test]
fn links_lead_somewhere() {
    let files = crate::repository();
    let links = files.iter().filter(|file| file.extension() == "md").flat_map(prose);
    assert!(links.map(|(_, text)| targets(&text).len()).sum::<usize>() > 100, "no links found");
    crate::assert_none(&complaints(&files, |path| crate::root().join(path).exists()));
}

#[test]
fn a_link_that_leads_nowhere_is_seen() {
    let to = crate::file("docs/B.md", "# What `lua_x` is: C, C++\n```\n# no heading\n```\n");
    let count = |text: &str| {
        let from = crate::file("docs/A.md", &format!("## Here\n{text}"));
        let to = crate::file(&to.path, &to.text);
        complaints(&[from, to], |path| path == "LICENSE").len()
    };
    assert_eq!(count("[b](B.md), [l](../LICENSE), [h](#here), [x](https://a.example/b#c)"), 0);
    assert_eq!(count("[b](B.md#what-lua_x-is-c-c), `[no](link.md)`, ![p](../LICENSE)"), 0);
    for wrong in
        ["[b](C.md)", "[b](B.md#no-heading)", "[h](#there)", "![p](p.svg)", "[b](/docs/B.m)"]
    {
        assert_eq!(count(wrong), 1, "{wrong}");
    }
}

#[test]
fn every_document_is_in_the_contents() {
    let files = crate::repository();
    let contents = files.iter().find(|file| file.path == "docs/README.md").expect("no contents");
    let listed: Vec<String> = prose(contents)
        .iter()
        .flat_map(|(_, text)| targets(text))
        .map(|target| joined("docs", &target))
        .collect();
    let missing = files.iter().map(|file| &file.path).filter(|path| {
        path.starts_with("docs/") && path.ends_with(".md") && *path != "docs/README.md"
    });
    let missing: Vec<String> = missing.filter(|path| !listed.contains(path)).cloned().collect();
    crate::assert_none(&missing);
    assert!(listed.len() > 15, "only {} documents are listed", listed.len());
}
