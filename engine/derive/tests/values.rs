//! Tests the bytes of derived types: values come back, and foreign bytes are refused.

use std::fmt::Debug;

use kvick::codec::{Encoded, Serde};
use kvick::{Key, Value};

#[derive(Key, Value, Clone, Debug, PartialEq, Eq)]
#[kvick(name = "bank.account")]
struct Account {
    owner: String,
    branch: u16,
    is_open: bool,
}

#[derive(Key, Value, Clone, Copy, Debug, PartialEq, Eq)]
struct Point(i32, u8);

#[derive(Key, Value, Clone, Debug, PartialEq, Eq)]
struct Name(String);

#[derive(Key, Value, Clone, Debug, PartialEq, Eq)]
struct Nothing;

#[derive(Key, Value, Clone, Debug, PartialEq, Eq)]
enum Colour {
    Red,
    Green,
}

#[derive(Key, Value, Clone, Debug, PartialEq, Eq)]
enum Shape {
    Empty,
    Circle(Point, u32),
    #[kvick(name = "label")]
    Text {
        text: String,
        colour: Option<Colour>,
    },
}

#[derive(serde::Serialize, serde::Deserialize, Clone, Debug, PartialEq)]
struct Profile {
    logins: Vec<u32>,
}

#[derive(Value, Clone, Debug, PartialEq)]
#[kvick(name = "user", version = 3)]
struct User {
    #[kvick(with = Serde<Profile>)]
    profile: Profile,
    #[kvick(name = "size")]
    height: f32,
    r#type: u8,
}

/// Encodes and decodes `items`, and decodes random bytes: each is an error, or has the bytes of an
/// item.
fn is_sound<V>(items: &[V])
where
    V: Value<Item = V, Owned = V> + PartialEq + Debug,
{
    for item in items {
        let bytes = bytes_of(item);
        assert_eq!(V::decode(&bytes).as_ref(), Ok(item));
        assert!(V::WIDTH.is_none_or(|width| width == bytes.len()));
        for len in 0..bytes.len() {
            let shorter = V::decode(&bytes[..len]);
            assert!(V::WIDTH.is_none() || shorter.is_err());
        }
        assert!(V::decode(&[&bytes[..], &[0xff]].concat()).as_ref() != Ok(item));
    }
    let mut accepted = 0;
    for seed in 0..20_000 {
        let bytes = sample(seed);
        if let Ok(item) = V::decode(&bytes) {
            assert_eq!(bytes_of(&item), bytes, "{item:?}");
            accepted += 1;
        }
    }
    assert!(accepted > 0, "random bytes are never a {}", V::type_name());
}

fn bytes_of<V: Value<Item = V>>(item: &V) -> Vec<u8> {
    V::encode(item).expect("has an encoding").as_ref().to_vec()
}

/// Returns up to 12 bytes, of which most are small.
fn sample(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..seed % 13)
        .map(|_| random())
        .map(|bytes| if bytes[0] < 200 { bytes[1] % 4 } else { bytes[2] })
        .collect()
}

#[test]
fn a_struct_is_the_tuple_of_its_fields() {
    let account = Account { owner: "Ada".to_owned(), branch: 7, is_open: true };
    let tuple = <(String, u16, bool)>::encode(&("Ada".to_owned(), 7, true)).expect("a tuple");
    assert_eq!(bytes_of(&account), tuple.as_ref());
    assert_eq!(<Encoded<Account>>::of(("Ada", 7, true)), Encoded::new(&account));
    assert_eq!((Account::WIDTH, Point::WIDTH, Nothing::WIDTH), (None, Some(5), Some(0)));
    assert_eq!(bytes_of(&Name("Ada".to_owned())), b"Ada");
    is_sound(&[account]);
    is_sound(&[Point(1, 2), Point(-1, 255)]);
    is_sound(&[Name(String::new()), Name("Ada".to_owned())]);
    is_sound(&[Nothing]);
}

#[test]
fn an_enum_begins_with_the_number_of_its_variant() {
    is_sound(&[Colour::Red, Colour::Green]);
    assert_eq!((bytes_of(&Colour::Green), Colour::WIDTH), (vec![1], Some(1)));
    let text = Shape::Text { text: "a".to_owned(), colour: Some(Colour::Green) };
    assert_eq!(bytes_of(&text), [2, 1, 0, 0, 0, b'a', 1, 1]);
    is_sound(&[Shape::Empty, Shape::Circle(Point(1, 2), 3), text]);
    let error = Colour::decode(&[2]).expect_err("no such colour");
    assert_eq!(error.to_string(), "Colour: there is no variant 2");
    let error = Shape::decode(&[0, 0]).expect_err("too long");
    assert_eq!(error.to_string(), "Shape: 1 bytes left over");
    let error = Shape::decode(&[]).expect_err("too short");
    assert_eq!(error.to_string(), "Shape: ends before its version or variant");
}

#[test]
fn a_version_comes_before_a_value() {
    let user = User { profile: Profile { logins: vec![1] }, height: 1.5, r#type: 9 };
    let bytes = bytes_of(&user);
    assert_eq!((bytes[0], User::WIDTH), (3, None));
    assert_eq!(User::decode(&bytes), Ok(user));
    let error = User::decode(&[&[2], &bytes[1..]].concat()).expect_err("an older version");
    assert_eq!(error.to_string(), "user: a value of version 2, which this type does not read");
}

#[test]
fn a_type_is_described_by_its_names_and_fields() {
    let described = [Account::fingerprint(), Shape::fingerprint(), Nothing::fingerprint()];
    assert_eq!(described[0], "bank.account (owner: str, branch: u16, is_open: bool)");
    let circle = "Circle (0: Point (0: i32, 1: u8), 1: u32)";
    let label = "label (text: str, colour: option<Colour {Red (), Green ()}>)";
    assert_eq!(described[1], format!("Shape {{Empty (), {circle}, {label}}}"));
    assert_eq!(described[2], "Nothing ()");
    let user = User::fingerprint();
    assert!(user.starts_with("user version 3 (profile: postcard values::Profile, size: f32, type"));
    assert_eq!(Account::type_name(), "derived bank.account");
    assert_eq!(Account::accept_fingerprint(&described[0]), Some(""));
    assert_eq!(Account::accept_fingerprint(&described[1]), None);
}
