//! Documents that count something in the sources say the right number.

use std::collections::BTreeMap;

use crate::sources::{none, read, root, sources, unsafe_lines};

/// The inventory of unsafe code: each heading has a file, and how many of its lines are unsafe.
const INVENTORY: &str = "docs/SAFETY.md";

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

/// The file and the number in a heading of the inventory.
fn entry(line: &str) -> Option<(&str, usize)> {
    let (name, count) = line.strip_prefix("### `")?.split_once("`: ")?;
    Some((name, count.parse().ok()?))
}

#[test]
fn headings_of_the_inventory_are_seen() {
    assert_eq!(entry("### `io/src/a.rs`: 3"), Some(("io/src/a.rs", 3)));
    assert_eq!(entry("## Engine"), None);
}
