//! The layers go one way: a folder imports only folders above its own row, and no files import in a
//! circle.

use std::collections::{BTreeMap, BTreeSet};

use crate::imports::{Imports, Module};
use crate::sources::{code, mentions, none, numbered, sources};

/// The crates that a library may not name.
const CRATES: [(&str, &str); 2] =
    [("io/src/", "kvick_runtime kvick::"), ("runtime/src/", "kvick::")];

/// The folders and files of a library, and the imports of each within the library. Imports need a
/// row above their own, so that the rows cannot form a circle.
type Rows = &'static [(&'static str, &'static str)];

const LAYERS: [(&str, Rows); 3] =
    [("io/src/", &IO), ("runtime/src/", &RUNTIME), ("engine/src/", &ENGINE)];

const IO: [(&str, &str); 11] = [
    ("sync", ""),
    ("error", ""),
    ("threads", "error"),
    ("contract", "sync threads"),
    ("files", "sync error threads contract"),
    ("memory", "contract files"),
    ("null", "contract memory"),
    ("sim", "error contract files"),
    ("backends", "sync error threads contract files"),
    ("os", "error threads contract files backends"),
    ("wrap", "contract"),
];

const RUNTIME: [(&str, &str); 10] = [
    ("block_on", ""),
    ("clock", ""),
    ("park", ""),
    ("timers", ""),
    ("task", ""),
    ("runtime", "task"),
    ("executor", "timers task runtime"),
    ("adapters", "clock park executor runtime"),
    ("handle", "task runtime adapters"),
    ("simulation", "task executor handle"),
];

const ENGINE: [(&str, &str); 31] = [
    ("codec", ""),
    ("base", "codec"),
    ("guide", ""),
    ("manifest", "base"),
    ("record", "base"),
    ("config", "base"),
    ("memory", "base config"),
    ("hash_index", "base config"),
    ("read_cache", "base record"),
    ("epoch", "base"),
    ("statistics", "base record"),
    ("hybrid_log", "base record epoch statistics"),
    ("space", "config hybrid_log"),
    ("opening", "base manifest config hybrid_log"),
    ("log", "base codec manifest record config epoch statistics hybrid_log opening"),
    (
        "store",
        "base codec record memory hash_index config read_cache epoch statistics hybrid_log space \
         log",
    ),
    ("futures", "codec base store"),
    (
        "checkpoint",
        "base codec manifest record hash_index config statistics hybrid_log space opening store",
    ),
    ("bench_support", "base manifest config hash_index hybrid_log log checkpoint"),
    (
        "recovery",
        "base codec manifest record memory hash_index config epoch hybrid_log space opening log \
         store checkpoint",
    ),
    ("compaction", "base codec config statistics hybrid_log space store checkpoint"),
    ("inspect", "base manifest record config hybrid_log log store checkpoint"),
    ("backup", "base manifest config hybrid_log opening store checkpoint recovery inspect"),
    ("lifecycle", "base record config opening store checkpoint compaction recovery"),
    ("session", "codec base config store futures lifecycle"),
    ("scan", "base codec record store lifecycle"),
    ("feed", "base codec store checkpoint backup lifecycle"),
    (
        "database",
        "base record config statistics store checkpoint backup compaction recovery lifecycle",
    ),
    (
        "kv",
        "base codec config statistics store futures checkpoint backup compaction recovery session \
         scan feed database",
    ),
    (
        "builder",
        "base codec config opening checkpoint compaction recovery backup lifecycle database kv",
    ),
    (
        "reader",
        "base codec manifest config opening store checkpoint compaction recovery lifecycle \
         database kv builder",
    ),
];

/// The accepted circles of files, each by its first file.
const CIRCLES: [&str; 0] = [];

#[test]
fn nothing_lower_names_anything_higher() {
    let mut found = Vec::new();
    for source in sources() {
        let above = CRATES.iter().filter(|(below, _)| source.name.starts_with(below));
        for name in above.flat_map(|(_, above)| above.split(' ')) {
            for (number, line) in numbered(&source.text) {
                if mentions(&code(line), name) {
                    found.push(format!("{}:{number}: names {name}", source.name));
                }
            }
        }
    }
    none(&found);
}

#[test]
fn folders_import_only_their_row() {
    let sources = sources();
    let mut found = Vec::new();
    for (library, rows) in LAYERS {
        let arrows = Imports::of(&sources, library).of_folders().arrows;
        for (from, targets) in &arrows {
            let Some(from) = from.first() else { continue };
            let Some((_, allowed)) = rows.iter().find(|(name, _)| name == from) else {
                found.push(format!("{library}{from} has no row"));
                continue;
            };
            for to in targets.iter().filter_map(|to| to.first()) {
                if !allowed.split_whitespace().any(|name| name == to) {
                    found.push(format!("{library}{from} imports {to}"));
                }
            }
        }
        found.extend(idle(rows, library, |from, to| {
            arrows
                .get(&vec![from.to_owned()])
                .is_some_and(|arrows| to.is_empty() || arrows.contains(&vec![to.to_owned()]))
        }));
    }
    none(&found);
}

/// Returns the rows and words of rows that no import needs, and the words without a row above.
fn idle(rows: Rows, library: &str, is_used: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let mut idle = Vec::new();
    for (place, (from, allowed)) in rows.iter().enumerate() {
        if !is_used(from, "") {
            idle.push(format!("{library}{from} has a row and is not there"));
        }
        for to in allowed.split_whitespace() {
            if !rows[..place].iter().any(|(above, _)| *above == to) {
                idle.push(format!("{library}{from} may import {to}, which has no row above"));
            }
            if !is_used(from, to) {
                idle.push(format!("{library}{from} may import {to}, and does not"));
            }
        }
    }
    idle
}

/// The maximum number of files in a folder of a library, without its tests.
const MOST_FILES: usize = 12;

#[test]
fn folders_have_few_files() {
    let mut folders: BTreeMap<String, usize> = BTreeMap::new();
    for source in sources() {
        let Some((folder, file)) = source.name.rsplit_once('/') else { continue };
        if file.ends_with("tests.rs") {
            continue;
        }
        if LAYERS.iter().any(|(library, _)| source.name.starts_with(library)) {
            *folders.entry(folder.to_owned()).or_default() += 1;
        }
    }
    let full = folders.iter().filter(|(_, files)| **files > MOST_FILES);
    none(&full.map(|(folder, files)| format!("{folder} has {files} files")).collect::<Vec<_>>());
}

#[test]
fn no_files_import_in_a_circle() {
    let sources = sources();
    let (mut found, mut known) = (Vec::new(), BTreeSet::new());
    for (library, _) in LAYERS {
        let imports = Imports::of(&sources, library);
        for circle in imports.circles() {
            let first = format!("{library}{}", circle[0].join("/"));
            match CIRCLES.iter().find(|name| **name == first) {
                Some(name) => drop(known.insert(*name)),
                None => found.push(drawn(library, &imports, &circle)),
            }
        }
    }
    let gone = CIRCLES.iter().filter(|name| !known.contains(**name));
    found.extend(gone.map(|name| format!("{name}: listed, but in no circle")));
    none(&found);
}

/// Draws a circle with its arrows, one line for each file.
fn drawn(library: &str, imports: &Imports, circle: &[Module]) -> String {
    let mut text = format!("{library}{} is in a circle:", circle[0].join("/"));
    for from in circle {
        let targets = imports.arrows[from].iter().filter(|to| circle.contains(to));
        let targets: Vec<String> = targets.map(|to| to.join("/")).collect();
        text.push_str(&format!("\n    {} -> {}", from.join("/"), targets.join(", ")));
    }
    text
}
