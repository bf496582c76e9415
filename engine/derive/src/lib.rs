//! The derive macros of [kvick](https://docs.rs/kvick), which exports them.
//!
//! A derived type has the bytes of the tuple of its fields. `input` reads the declaration, `output`
//! writes the implementation.

mod input;
mod output;
#[cfg(test)]
mod tests;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

use self::input::Input;

/// Needs the feature `derive`, which is on by default. Implements `kvick::Value` for a struct or an
/// enum whose fields are values.
///
/// Give every stored type `#[kvick(version = 1)]` from the start. It takes one byte in each value.
/// Without it the type can never change: a store of it refuses the same type with a version.
///
/// The bytes are those of the tuple of the fields; those of an enum have the number of the variant
/// before them (1 byte, in the order of the declaration). The view is the type itself.
///
/// # Attributes
///
/// On the type:
///
/// * `#[kvick(name = "account")]` is the name that a store keeps, and compares at each opening. By
///   default it is the name of the type. So a store also opens after the type has moved, or has
///   another name in the program.
/// * `#[kvick(version = 2)]` (1 to 255) puts the number of the version before each value, in one
///   byte. Such a type can change later, also if all its fields have a width. Without it, the type
///   has the width of its fields and never changes.
/// * `#[kvick(from(1) = AccountV1)]` reads the values of version 1 as `AccountV1`, and converts
///   them with `From`. `AccountV1` is derived with the same name and `version = 1`. Values are
///   written in the newest version only. A store rewrites no value by itself. So the newest type
///   needs a `from` for each version of which values may be stored, as long as the store exists.
///   `compare_and_swap` fails for a value of an older version: use `update`.
///
/// On a field or a variant:
///
/// * `#[kvick(name = "owner")]` is the name in the description of the type.
/// * `#[kvick(with = Serde<Profile>)]`, on a field, stores it with this codec.
///
/// A store keeps a description of the type: its name and version, and the names and types of the
/// fields. It refuses to open with a type of another description, unless the type has a `from` for
/// it. So each change of the fields needs another version.
///
/// # Example
///
/// ```
/// use kvick::Value;
///
/// #[derive(Value)]
/// #[kvick(name = "account", version = 1)]
/// struct AccountV1 { owner: String }
///
/// #[derive(Value, Debug, PartialEq)]
/// #[kvick(name = "account", version = 2, from(1) = AccountV1)]
/// struct Account { owner: String, cents: u64 }
///
/// impl From<AccountV1> for Account {
///     fn from(old: AccountV1) -> Self {
///         Self { owner: old.owner, cents: 0 }
///     }
/// }
///
/// let old = AccountV1::encode(&AccountV1 { owner: "Ada".into() })?;
/// let account = Account::decode(old.as_ref())?; // as in a FasterKv<u64, Account>
/// assert_eq!(account, Account { owner: "Ada".into(), cents: 0 });
/// # Ok::<(), kvick::codec::Error>(())
/// ```
///
/// An older type of another name or version does not compile:
///
/// ```compile_fail,E0080
/// #[derive(kvick::Value)]
/// #[kvick(name = "account", version = 1)]
/// struct AccountV1(u64);
///
/// #[derive(kvick::Value)]
/// #[kvick(name = "bill", version = 2, from(1) = AccountV1)]
/// struct Account(u64);
///
/// impl From<AccountV1> for Account {
///     fn from(old: AccountV1) -> Self {
///         Self(old.0)
///     }
/// }
/// ```
#[proc_macro_derive(Value, attributes(kvick))]
pub fn derive_value(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    value_of(&input).into()
}

/// Needs the feature `derive`, which is on by default. Implements `kvick::Key` for a type with a
/// derived `kvick::Value` whose fields are keys.
///
/// The type needs an `Eq` that compares every field, like the derived `Eq`.
///
/// A key has no `from`: the bytes of an older key differ, so the store would not find it. So its
/// fields and its `version` never change, and a key needs no `version`. A store refuses to open
/// with another version of its key, even with `accept_type_change`. Only an enum may gain variants,
/// after all others and under the same version: open the store once with `accept_type_change`.
///
/// A field that is no key does not compile:
///
/// ```compile_fail,E0277
/// #[derive(kvick::Key, kvick::Value, PartialEq, Eq)]
/// struct User {
///     #[kvick(with = kvick::codec::Serde<u32>)]
///     number: u32,
/// }
/// ```
///
/// # Example
///
/// ```
/// use kvick::{Key, Value};
/// use kvick::codec::Encoded;
///
/// #[derive(Key, Value, PartialEq, Eq)]
/// #[kvick(name = "user")]
/// struct User { tenant: String, number: u32 }
///
/// let user = User { tenant: "tenant".into(), number: 7 };
/// // A store of `Encoded<User>` is looked up without a `String`.
/// assert!(Encoded::<User>::of(("tenant", 7))? == Encoded::new(&user)?);
/// # Ok::<(), kvick::codec::Error>(())
/// ```
#[proc_macro_derive(Key, attributes(kvick))]
pub fn derive_key(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    key_of(&input).into()
}

fn value_of(input: &DeriveInput) -> proc_macro2::TokenStream {
    match Input::read(input) {
        Ok(input) => output::value(&input),
        Err(error) => output::refused_value(input, &error),
    }
}

fn key_of(input: &DeriveInput) -> proc_macro2::TokenStream {
    let output = Input::read(input).and_then(|input| output::key(&input));
    output.unwrap_or_else(|error| output::refused_key(input, &error))
}
