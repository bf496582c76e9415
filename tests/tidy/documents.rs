//! The documents are true: their counts, their paths, and the names in the glossary.

use std::collections::BTreeMap;
use std::fs;

use crate::sources::{
    code, files, names, none, numbered, read, relative, root, sources, unsafe_lines,
};

/// The inventory of unsafe code: each heading names a file and the number of its unsafe lines.
const INVENTORY: &str = "docs/SAFETY.md";
/// The page with the map and the glossary.
const MAP: &str = "ARCHITECTURE.md";
/// The description of the files.
const FORMAT: &str = "docs/FORMAT.md";
/// The first folders of paths: backticks around one of these make a text a path.
const FOLDERS: [&str; 7] =
    ["benches/", "docs/", "engine/", "examples/", "io/", "runtime/", "tests/"];

#[test]
fn the_inventory_of_unsafe_code_is_true() {
    let text = read(&root().join(INVENTORY));
    let mut listed: BTreeMap<&str, usize> = text.lines().filter_map(entry).collect();
    let mut found = Vec::new();
    for source in sources() {
        let (lines, said) = (unsafe_lines(&source.text), listed.remove(source.name.as_str()));
        if lines != said.unwrap_or(0) {
            let name = &source.name;
            found.push(format!("{name}: {lines} unsafe lines, {INVENTORY} says {said:?}"));
        }
    }
    found.extend(listed.keys().map(|name| format!("{INVENTORY}: {name} is no file")));
    none(&found);
}

#[test]
fn paths_in_documents_exist() {
    let mut found = Vec::new();
    for file in files(&root(), ".md") {
        let folder = file.parent().expect("a file is in a directory");
        for (number, line) in numbered(&read(&file)) {
            let shown = quoted(line).filter(|path| is_path(path)).map(|path| (path, root()));
            let linked = links(line).map(|path| (path, folder.to_owned()));
            for (path, from) in shown.chain(linked) {
                if !from.join(path).exists() {
                    found.push(format!("{}:{number}: {path} does not exist", relative(&file)));
                }
            }
        }
    }
    none(&found);
}

#[test]
fn every_folder_of_a_library_is_on_the_map() {
    let text = read(&root().join(MAP));
    let mut found = Vec::new();
    for library in ["io/src", "runtime/src", "engine/src"] {
        let entries = fs::read_dir(root().join(library)).expect("a library");
        for path in entries.map(|entry| entry.expect("an entry").path()) {
            let name = relative(&path);
            if path.is_dir() && !text.contains(&format!("`{name}/`")) {
                found.push(format!("{MAP}: no row for {name}/"));
            }
        }
    }
    none(&found);
}

/// A commit added a key of the golden manifests to the code, but not to the page.
#[test]
fn keys_of_manifests_are_described() {
    let text = read(&root().join(FORMAT));
    let mut found = Vec::new();
    let manifests = files(&root().join("tests/golden"), "manifest");
    assert!(manifests.len() > 1, "both products have golden files");
    for file in manifests {
        for (number, line) in numbered(&read(&file)) {
            let Some((key, _)) = line.split_once(" = ") else { continue };
            let is_iterator = key == "gone" || key == "worker";
            if !is_iterator && !text.contains(&format!("`{key}`")) {
                found.push(format!("{}:{number}: {FORMAT} has no {key}", relative(&file)));
            }
        }
    }
    none(&found);
}

#[test]
fn names_in_the_glossary_are_in_the_sources() {
    let text = read(&root().join(MAP));
    let glossary = text.split("\n## Glossary").nth(1).expect("there is one");
    let code_of = |text: &str| text.lines().map(code).collect::<Vec<_>>().join("\n");
    let sources: Vec<String> = sources()
        .iter()
        .filter(|source| source.name.contains("/src/"))
        .map(|source| code_of(&source.text))
        .collect();
    let ours = glossary.lines().filter_map(|row| row.split('|').nth(2)).flat_map(quoted);
    let words = ours.flat_map(|name| name.split("::")).filter(|word| starts_a_name(word));
    let is_missing = |word: &&str| !sources.iter().any(|text| names(text, word));
    let found: Vec<String> =
        words.filter(is_missing).map(|word| format!("{MAP}: no source has {word}")).collect();
    none(&found);
}

/// Returns the file and the number in a heading of the inventory.
fn entry(line: &str) -> Option<(&str, usize)> {
    let (name, count) = line.strip_prefix("### `")?.split_once("`: ")?;
    Some((name, count.parse().ok()?))
}

/// Returns the texts in backticks.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

fn is_path(text: &str) -> bool {
    FOLDERS.iter().any(|folder| text.starts_with(folder)) && !text.contains([' ', '*'])
}

/// Returns the files that a line links to, without the section.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let paths = targets.filter_map(|target| target.split('#').next());
    paths.filter(|path| !path.is_empty() && !path.contains(':'))
}

/// Returns whether a word of the glossary can be a name in the code. Types such as `[u8]` cannot.
fn starts_a_name(word: &str) -> bool {
    !is_path(word) && word.starts_with(|c: char| c.is_ascii_alphabetic())
}

#[test]
fn documents_are_read_as_they_are_written() {
    assert_eq!(entry("### `io/src/a.rs`: 3"), Some(("io/src/a.rs", 3)));
    assert_eq!(entry("## Engine"), None);
    assert_eq!(quoted("a `b` c `d/e`").collect::<Vec<_>>(), ["b", "d/e"]);
    let line = "[a](docs/A.md#b), [c](#d) and [e](https://e.f)";
    assert_eq!(links(line).collect::<Vec<_>>(), ["docs/A.md"]);
    assert!(is_path("io/src/") && !is_path("tests/*") && !is_path("manifest"));
}
