//! The errors of refused declarations.

use quote::quote;
use syn::{DeriveInput, parse_quote};

use crate::{key_of, value_of};

/// Returns what the derives write for a declaration, for `Value` and for `Key`.
fn derived(input: &DeriveInput) -> [String; 2] {
    [value_of(input), key_of(input)].map(|output| output.to_string())
}

/// A mistake in an attribute gave no implementation. Each use of the type then reported that it
/// cannot be stored, and these errors hid the mistake.
#[test]
fn a_refused_declaration_has_an_implementation_and_one_error() {
    let mistakes: [(DeriveInput, &str); 4] = [
        (
            parse_quote!(
                #[kvick(name = "web session")]
                struct Session(u64);
            ),
            "a name has letters, digits and the characters `_-.:/`, and no space",
        ),
        (
            parse_quote!(
                #[kvick(version = 0)]
                struct Session(u64);
            ),
            "a version is a number from 1 to 255",
        ),
        (
            parse_quote!(
                struct Session(#[kvick(width = 8)] u64);
            ),
            "expected one of: name, with",
        ),
        (
            parse_quote!(
                enum Session {}
            ),
            "an enum without variants has no values",
        ),
    ];
    for (input, text) in mistakes {
        let implementations =
            [quote!(impl ::kvick::Value for Session), quote!(impl ::kvick::Key for Session)];
        for (output, implementation) in derived(&input).iter().zip(implementations) {
            assert!(output.contains(text), "{output}");
            assert_eq!(output.matches("compile_error").count(), 1, "{output}");
            assert!(output.contains(&implementation.to_string()), "{output}");
        }
    }
}

#[test]
fn a_type_with_parameters_is_refused_with_a_way_out() {
    let inputs: [DeriveInput; 2] = [
        parse_quote!(
            struct Named<'a>(&'a str);
        ),
        parse_quote!(
            struct Pair<T>(T, T);
        ),
    ];
    for input in inputs {
        for output in derived(&input) {
            let text = "a stored type has no type parameters and no lifetimes: use owned fields \
                        (`String`), or one type for each `T`";
            assert!(output.contains(text), "{output}");
            assert!(!output.contains("impl"), "{output}");
        }
    }
}
