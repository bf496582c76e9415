//! The rules of the project that a machine can check; CONTRIBUTING.md gives the reasons.
//!
//! The checks read text, line by line. Comments and the contents of strings do not count as code.
//! Each check reports all violations of its rule, as `file:line: what is wrong`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

mod documents;
mod imports;
mod layers;
mod sources;
mod words;

use sources::{
    code, files, mentions, names, none, numbered, read, relative, root, sources, unsafe_lines,
};

/// The only files with unsafe code. A new entry is a decision, not a convenience.
const UNSAFE_FILES: [&str; 19] = [
    "benches/versus/src/disk/raw.rs",
    "benches/versus/src/words.rs",
    "engine/src/epoch/fence.rs",
    "engine/src/hash_index/line/search.rs",
    "engine/src/hybrid_log/pages/frames.rs",
    "engine/src/hybrid_log/pages/memory.rs",
    "engine/src/base/context_pool/own.rs",
    "engine/src/base/memory.rs",
    "io/examples/read_depth/raw.rs",
    "io/src/contract/buf.rs",
    "io/src/contract/completion/slot.rs",
    "io/src/backends/direct/aio.rs",
    "io/src/backends/uring/ring.rs",
    "io/tests/sandbox/alone.rs",
    "io/tests/sandbox/fork.rs",
    "io/tests/sandbox/process.rs",
    "io/tests/sandbox/seccomp.rs",
    "tests/durability/shutdown.rs",
    "tests/src/allocations.rs",
];

/// The only files that listen to events: there the check of the condition follows the listening,
/// and wakers run without a lock.
const LISTENS: [&str; 2] = ["engine/src/base/wait.rs", "engine/src/base/wait/event.rs"];

/// The files that wait for something besides events. They call `listen` of that file instead of
/// `wait_until` and `wait_either`.
const WAITS_BY_HAND: [(&str, &str); 6] = [
    ("engine/src/log/append/notifier.rs", "sets the alarm between listening and its check"),
    ("engine/src/log/commit/driver.rs", "also waits for commits on their way, and for a timer"),
    ("engine/src/log/commit/manifest_driver.rs", "waits before it repeats a failed write"),
    ("engine/src/log/read/cursor/wait.rs", "is polled, as a stream"),
    ("engine/src/hybrid_log/shift/flush.rs", "also waits for writes on their way"),
    ("engine/src/hybrid_log/allocate/allocator.rs", "waits no longer than its patience"),
];

/// The banned words. Each is in two halves, because the file would break its own rule otherwise.
const BANNED: [(&str, &str); 8] = [
    ("to", "do!"),
    ("unimpl", "emented!"),
    ("TO", "DO"),
    ("FIX", "ME"),
    ("XX", "X"),
    ("db", "g!"),
    ("#[al", "low("),
    ("#![al", "low("),
];

/// The names that only Linux has. Each use in a library is under a `cfg` for Linux.
const LINUX_ONLY: [&str; 8] = [
    "LinuxHugepage",
    "SYS_membarrier",
    "MEMBARRIER_CMD_PRIVATE_EXPEDITED",
    "statx",
    "eventfd",
    "IoUring",
    "StatxFlags",
    "O_TMPFILE",
];

/// The folders and files that are compiled on Linux only.
const LINUX_FILES: [&str; 5] = [
    "io/src/backends/direct/",
    "io/src/backends/uring/",
    "io/src/files/medium/scratch.rs",
    "io/src/backends/glommio",
    "runtime/src/adapters/glommio",
];

const MAX_LINES: usize = 500;
const MAX_COLUMNS: usize = 100;

#[test]
fn files_and_lines_are_short_and_ascii() {
    let mut found = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > MAX_LINES {
            found.push(format!("{}: {lines} lines, at most {MAX_LINES}", source.name));
        }
        for (number, line) in numbered(&source.text) {
            if line.chars().count() > MAX_COLUMNS {
                found.push(format!("{}:{number}: beyond column {MAX_COLUMNS}", source.name));
            }
            if !line.is_ascii() {
                found.push(format!("{}:{number}: not ASCII", source.name));
            }
        }
    }
    none(&found);
}

#[test]
fn nothing_is_left_over() {
    let banned = BANNED.map(|(front, back)| format!("{front}{back}"));
    let mut found = Vec::new();
    for source in sources() {
        for (number, line) in numbered(&source.text) {
            for word in banned.iter().filter(|word| line.contains(word.as_str())) {
                found.push(format!("{}:{number}: {word}", source.name));
            }
        }
    }
    none(&found);
}

#[test]
fn unsafe_code_is_where_it_may_be_and_proves_itself() {
    let mut found = Vec::new();
    let mut used = BTreeSet::new();
    for source in sources() {
        let sites = unsafe_lines(&source.text);
        if sites == 0 {
            continue;
        }
        used.insert(source.name.clone());
        if !UNSAFE_FILES.contains(&source.name.as_str()) {
            found.push(format!("{}: not a file for unsafe code", source.name));
        }
        let proof = |line: &&str| line.contains("// SAFETY:") || line.contains("/// # Safety");
        let proofs = source.text.lines().filter(proof).count();
        if proofs < sites {
            found.push(format!("{}: {sites} unsafe sites, {proofs} proofs", source.name));
        }
    }
    let listed = UNSAFE_FILES.iter().filter(|name| !used.contains(**name));
    found.extend(listed.map(|name| format!("{name}: listed, but nothing in it is unsafe")));
    none(&found);
}

/// A driver that checked its condition before it listened missed an event, and waited forever.
#[test]
fn listening_is_done_in_one_place() {
    let mut found = Vec::new();
    let mut used = BTreeSet::new();
    for source in sources().iter().filter(|source| source.name.starts_with("engine/src/")) {
        let by_hand = WAITS_BY_HAND.iter().find(|(name, _)| *name == source.name);
        for (number, line) in numbered(&source.text) {
            let code = code(line);
            if LISTENS.contains(&source.name.as_str()) {
                continue;
            }
            if code.contains(".listen()") || code.contains("event_listener") {
                found.push(format!("{}:{number}: listens itself", source.name));
            }
            if names(&code, "listen") {
                used.extend(by_hand.map(|(name, _)| *name));
                if by_hand.is_none() {
                    found.push(format!("{}:{number}: not a file that may listen", source.name));
                }
            }
        }
    }
    let idle = WAITS_BY_HAND.iter().filter(|(name, _)| !used.contains(name));
    found.extend(idle.map(|(name, _)| format!("{name}: listed, but does not listen")));
    none(&found);
}

#[test]
fn every_file_belongs_to_a_crate() {
    let root = root();
    let mut reached = BTreeSet::new();
    for manifest in files(&root, "Cargo.toml") {
        let package = manifest.parent().expect("a file is in a directory");
        for target in targets(package, &read(&manifest)) {
            reach(&target, true, &mut reached);
        }
    }
    let dead: Vec<String> = files(&root, ".rs")
        .into_iter()
        .filter(|file| !reached.contains(file))
        .map(|file| format!("{}: no `mod` leads here", relative(&file)))
        .collect();
    none(&dead);
}

#[test]
fn the_rules_find_their_violations() {
    assert_eq!(code("let x = 1; // unsafe { }"), "let x = 1; ");
    assert_eq!(code(r#"f("http://x \" y", '"'); // z"#), r#"f("", '"'); "#);
    assert!(names("unsafe { read() }", "unsafe") && !names("unsafe_code", "unsafe"));
    assert!(mentions("use crate::store::Core;", "store") && mentions("store::f()", "store"));
    assert!(!mentions("value.store(1)", "store") && !mentions("let store = 1;", "store"));
    assert!(mentions("use kvick_runtime as r;", "kvick_runtime"));
    assert!(mentions("kvick::Config", "kvick::") && !mentions("kvick_io::sync", "kvick::"));
    assert_eq!(module("pub(crate) mod trace;"), Some("trace"));
    assert_eq!((module("mod tests {"), module("// a mod x;")), (None, None));
    let linux = "#[cfg(target_os = \"linux\")]\nfn f() {\n    statx();\n}\n";
    assert_eq!(unguarded(linux), []);
    assert_eq!(unguarded(&linux.replace("target_os = \"linux\"", "unix")), [(3, "statx")]);
    assert_eq!(unguarded(&format!("{linux}\nfn g() {{\n    statx();\n}}\n")), [(7, "statx")]);
}

/// The engine did not compile for macOS: a constant of Linux was used on every Unix.
#[test]
fn names_of_linux_are_used_on_linux_only() {
    let mut found = Vec::new();
    for source in sources() {
        let is_library = ["io/src/", "runtime/src/", "engine/src/"]
            .iter()
            .any(|folder| source.name.starts_with(folder));
        if !is_library || LINUX_FILES.iter().any(|file| source.name.starts_with(file)) {
            continue;
        }
        for (number, word) in unguarded(&source.text) {
            found.push(format!("{}:{number}: {word} without a cfg for Linux", source.name));
        }
    }
    none(&found);
}

/// Returns the uses of names of Linux that no `cfg` guards, on the line or on an item around it.
fn unguarded(text: &str) -> Vec<(usize, &'static str)> {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let is_guard = |line: &str| {
        let condition = line.trim_start();
        condition.starts_with("#[cfg(")
            && condition.contains("target_os = \"linux\"")
            && !condition.contains("not(target_os")
            && !condition.contains("not(any(target_os")
    };
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        let Some(word) = LINUX_ONLY.into_iter().find(|word| names(&code(line), word)) else {
            continue;
        };
        // This goes up through the items around the line, to the attributes of each.
        let mut within = depth(line) + 1;
        let mut is_guarded = false;
        for above in lines[..=place].iter().rev().filter(|line| !line.trim().is_empty()) {
            is_guarded |= is_guard(above) && depth(above) <= within;
            let begins = depth(above) < within && !above.trim_start().starts_with("#[");
            within = if begins { depth(above) } else { within };
            if is_guarded || within == 0 && above.starts_with('}') {
                break;
            }
        }
        if !is_guarded {
            found.push((place + 1, word));
        }
    }
    found
}

/// Returns the name in `mod name;`.
fn module(line: &str) -> Option<&str> {
    let line = line.trim().strip_suffix(';')?;
    let (before, name) = line.rsplit_once(' ')?;
    let visibility = before.strip_suffix("mod")?.trim_end();
    let declared = visibility.is_empty() || visibility.starts_with("pub");
    declared.then_some(name)
}

/// Returns the crate roots of a package: those in its manifest, and those that cargo finds by
/// itself.
fn targets(package: &Path, manifest: &str) -> Vec<PathBuf> {
    let named = manifest.lines().filter_map(|line| {
        let path = line.strip_prefix("path = \"")?.strip_suffix('"')?;
        Some(package.join(path))
    });
    let mut targets: Vec<PathBuf> = named.collect();
    targets.extend(["src/lib.rs", "src/main.rs", "build.rs"].map(|path| package.join(path)));
    for directory in ["src/bin", "examples", "tests", "benches", "fuzz_targets"] {
        let entries = fs::read_dir(package.join(directory)).into_iter().flatten().flatten();
        targets.extend(entries.flat_map(|entry| [entry.path(), entry.path().join("main.rs")]));
    }
    targets.retain(|target| target.is_file() && target.extension().is_some_and(|it| it == "rs"));
    targets
}

/// Adds `file` and every file that a chain of `mod` declarations reaches from there.
fn reach(file: &Path, owns_directory: bool, reached: &mut BTreeSet<PathBuf>) {
    if !reached.insert(file.to_owned()) {
        return;
    }
    let parent = file.parent().expect("a file is in a directory");
    let stem = file.file_stem().expect("a file has a name");
    let children = if owns_directory { parent.to_owned() } else { parent.join(stem) };
    let mut given = None;
    for line in read(file).lines() {
        if let Some(path) = line.trim().strip_prefix("#[path = \"") {
            given = path.strip_suffix("\"]").map(|path| parent.join(path));
            continue;
        }
        let Some(name) = module(line) else { continue };
        let flat = given.take().unwrap_or_else(|| children.join(format!("{name}.rs")));
        let nested = children.join(name).join("mod.rs");
        if flat.is_file() {
            reach(&flat, false, reached);
        } else if nested.is_file() {
            reach(&nested, true, reached);
        }
    }
}
