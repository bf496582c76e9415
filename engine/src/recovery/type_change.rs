//! Explains why a store refuses a key or value type, and what to do.
//!
//! The description of a derived type is its name, its version if it has one, and its fields:
//! `account version 2 (owner: str, cents: u64)`.

use crate::codec::TypeName;

/// The parts of the description of a derived type.
struct Derived<'a> {
    name: &'a str,
    version: Option<u64>,
    fields: &'a str,
}

impl<'a> Derived<'a> {
    /// Returns the parts, if the type is a derived one and not a composite with a derived member.
    fn of(stored: &'a TypeName) -> Option<Self> {
        let name = stored.encoding.strip_prefix("derived ")?;
        let rest = stored.shown().strip_prefix(name)?.strip_prefix(' ')?;
        let numbered = rest.strip_prefix("version ").and_then(|rest| rest.split_once(' '));
        Some(match numbered {
            Some((version, fields)) => Self { name, version: version.parse().ok(), fields },
            None => Self { name, version: None, fields: rest },
        })
    }

    /// Returns whether `asked` only has more variants after those of this enum.
    fn is_extended_by(&self, asked: &Self) -> bool {
        let variants = self.fields.strip_suffix('}').filter(|fields| fields.starts_with('{'));
        let added = variants.and_then(|variants| asked.fields.strip_prefix(variants));
        self.version == asked.version && added.is_some_and(|added| added.starts_with(", "))
    }
}

/// Returns whether the keys of both types have other versions, so that their bytes differ.
pub(super) fn has_other_version(stored: &TypeName, asked: &TypeName) -> bool {
    let is_extended = match (Derived::of(stored), Derived::of(asked)) {
        (Some(stored), Some(asked)) => stored.is_extended_by(&asked),
        _ => false,
    };
    !is_extended && !versions(stored.shown()).eq(versions(asked.shown()))
}

/// Returns the versions in a description, also those of members.
fn versions(description: &str) -> impl Iterator<Item = u64> {
    let words = description.split(' ');
    let pairs = words.clone().zip(words.skip(1));
    pairs.filter(|(word, _)| *word == "version").filter_map(|(_, number)| number.parse().ok())
}

/// Returns the difference of a key type, and the next step.
pub(super) fn advice_for_key(stored: &TypeName, asked: &TypeName) -> String {
    if has_other_version(stored, asked) {
        let advice = "keys of another version have other bytes, so none of the stored keys would \
                      be found; open it with the key type of its creation";
        return advice.to_owned();
    }
    match (Derived::of(stored), Derived::of(asked)) {
        (Some(stored), Some(asked)) if stored.name == asked.name => {
            if stored.is_extended_by(&asked) {
                return appended(&stored);
            }
            let name = stored.name;
            format!("the fields of `{name}` differ, and a key cannot change; keep its fields")
        }
        _ => advice_for_other_name(stored, asked),
    }
}

/// Returns the difference of a value type, and the next step.
pub(super) fn advice_for_value(stored: &TypeName, asked: &TypeName) -> String {
    let (was, is) = match (Derived::of(stored), Derived::of(asked)) {
        (Some(was), Some(is)) if was.name == is.name => (was, is),
        _ => return advice_for_other_name(stored, asked),
    };
    let name = was.name;
    match (was.version, is.version) {
        (Some(old), Some(new)) if old > new => {
            let by = "a newer program has opened this store, which knows";
            format!("{by} version {old} of `{name}`; open it with that program")
        }
        (Some(old), Some(new)) if old < new => {
            let (what, older) = (format!("`{name}` does not read version {old}"), older(name, old));
            format!("{what}; keep the old type as `{older}`, and add `from({old}) = {older}`")
        }
        (Some(old), Some(_)) => {
            let (new, older) = (old + 1, older(name, old));
            format!(
                "the fields of `{name}` differ; keep the old type as `{older}`, and derive the new \
                 one with `version = {new}, from({old}) = {older}`"
            )
        }
        (Some(old), None) => {
            format!("the new `{name}` has no version; derive it with `version = {old}` again")
        }
        (None, None) if was.is_extended_by(&is) => appended(&was),
        (None, _) => format!(
            "the type of the store has no version, so it can never change; open it with its own \
             `{name}`, or write to a new store"
        ),
    }
}

/// Returns a name for the type of an older version: `WebSessionV1` for `web.session`.
fn older(name: &str, version: u64) -> String {
    let words = name.split(|c: char| !c.is_alphanumeric());
    let capitalized = words.flat_map(|word| {
        let mut letters = word.chars();
        letters.next().into_iter().flat_map(char::to_uppercase).chain(letters)
    });
    capitalized.chain(format!("V{version}").chars()).collect()
}

fn appended(stored: &Derived<'_>) -> String {
    let name = stored.name;
    format!("`{name}` has new variants at its end; open it once with `accept_type_change`")
}

/// Returns the advice for a type that has another name, or is of another kind.
fn advice_for_other_name(stored: &TypeName, asked: &TypeName) -> String {
    let only_renamed = match (Derived::of(stored), Derived::of(asked)) {
        (Some(stored), Some(asked)) => {
            stored.version == asked.version && stored.fields == asked.fields
        }
        _ => stored.encoding == asked.encoding,
    };
    if !only_renamed {
        return "open it with its own types".to_owned();
    }
    let mut advice =
        "`accept_type_change` lets in a type that was only renamed or moved".to_owned();
    if Derived::of(stored).is_none() && stored.encoding.contains("derived ") {
        advice += ", and a member with other fields needs `version` and `from`";
    }
    advice
}
