//! Tests every encoding: values come back, a key has one encoding, and foreign bytes are harmless.

use std::borrow::Borrow;
use std::fmt::Debug;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, TryFromBytes};

use super::*;

/// Encodes, checks the promised width and decodes again. Returns the bytes.
pub(super) fn round_trip<V: Value + ?Sized>(item: V::Owned) -> Vec<u8>
where
    V::Owned: PartialEq + Debug,
{
    let encoded = V::encode(item.borrow()).expect("has an encoding");
    let bytes = encoded.as_ref().to_vec();
    if let Some(width) = V::WIDTH {
        assert_eq!(bytes.len(), width, "{}", V::type_name());
    }
    // Decoding also works from an odd address.
    let mut shifted = vec![0];
    shifted.extend_from_slice(&bytes);
    assert_eq!(V::decode(&bytes).expect("own bytes"), item);
    assert_eq!(V::decode(&shifted[1..]).expect("own bytes, unaligned"), item);
    assert!(V::view(&bytes).is_ok() && V::view(&shifted[1..]).is_ok());
    bytes
}

/// Decodes every prefix of `bytes`, then `bytes` with each byte changed. It expects a value or an
/// error, never a panic. A type of fixed width accepts no other length.
pub(super) fn survives_damage<V: Value + ?Sized>(bytes: &[u8]) {
    for len in 0..bytes.len() {
        let decoded = V::decode(&bytes[..len]);
        assert_eq!(V::view(&bytes[..len]).is_ok(), decoded.is_ok());
        assert!(V::WIDTH.is_none() || decoded.is_err(), "{len} bytes as {}", V::type_name());
    }
    let mut longer = bytes.to_vec();
    longer.push(0);
    assert!(V::WIDTH.is_none() || V::decode(&longer).is_err(), "{}", V::type_name());
    for position in 0..bytes.len() {
        for change in [1, 0x80, 0xff] {
            let mut damaged = bytes.to_vec();
            damaged[position] ^= change;
            assert_eq!(V::view(&damaged).is_ok(), V::decode(&damaged).is_ok());
        }
    }
}

/// Checks that distinct keys have distinct bytes.
pub(super) fn canonical<K: Key + ?Sized>(keys: Vec<K::Owned>)
where
    K::Owned: PartialEq + Debug,
{
    let mut seen: Vec<Vec<u8>> = Vec::new();
    for key in keys {
        let bytes = round_trip::<K>(key);
        survives_damage::<K>(&bytes);
        assert!(!seen.contains(&bytes), "{} has two keys of one encoding", K::type_name());
        seen.push(bytes);
    }
}

/// Decodes random bytes of any length that `V` may have. It expects an error, or an item with
/// exactly these bytes. Returns the number of items.
pub(super) fn refuses_foreign_bytes<V: Value + ?Sized>() -> usize {
    let mut state = 0x6b76_6963_6b00;
    let mut random = || splitmix(&mut state);
    let mut accepted = 0;
    for round in 0..10_000 {
        let len = match V::WIDTH {
            Some(width) if round % 8 != 0 => width,
            Some(width) => usize::try_from(random()).expect("64 bits") % (2 * width + 2),
            None => round % 24,
        };
        // Small numbers are frequent: they are tags, lengths and signs.
        let usual = [0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 4, 6, 0xff];
        let byte = |random: u64| usual.get(usize::from(random.to_le_bytes()[1] % 15)).copied();
        let bytes: Vec<u8> = (0..len)
            .map(|_| random())
            .map(|random| byte(random).unwrap_or(random.to_le_bytes()[0]))
            .collect();
        assert_eq!(V::view(&bytes).is_ok(), V::decode(&bytes).is_ok(), "{bytes:?}");
        if let Ok(item) = V::decode(&bytes) {
            let again = V::encode(item.borrow()).expect("has an encoding");
            assert_eq!(again.as_ref(), bytes, "{} accepts other bytes", V::type_name());
            accepted += 1;
        }
    }
    accepted
}

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

macro_rules! integers {
    ($($integer:ident)+) => {
        #[test]
        fn integers_are_little_endian() {
            $(
                canonical::<$integer>(vec![0, 1, 0x55, $integer::MAX, $integer::MAX - 1]);
                assert_eq!(round_trip::<$integer>($integer::MIN), $integer::MIN.to_le_bytes());
            )+
            assert_eq!(round_trip::<u32>(0x0102_0304), [4, 3, 2, 1]);
        }
    };
}

integers! { u8 u16 u32 u64 u128 i8 i16 i32 i64 i128 }

#[test]
fn other_fixed_values() {
    canonical::<bool>(vec![false, true]);
    canonical::<char>(vec!['\0', 'k', '\u{d7ff}', char::MAX]);
    canonical::<()>(vec![()]);
    canonical::<[u8; 5]>(vec![*b"kvick", [0; 5], [255; 5]]);
    for float in [0.0, -0.0, 1.5, f64::INFINITY, f64::MIN_POSITIVE] {
        assert_eq!(round_trip::<f64>(float), float.to_bits().to_le_bytes());
    }
    assert!(f32::decode(&f32::NAN.to_le_bytes()).expect("any bits are a float").is_nan());

    assert!(bool::decode(&[2]).is_err());
    assert!(char::decode(&0xd800u32.to_le_bytes()).is_err());
    let error = u64::decode(&[0; 7]).expect_err("too short");
    assert_eq!(error.to_string(), "u64: 7 bytes, expected 8");
}

#[test]
fn byte_strings_and_text_are_stored_as_they_are() {
    canonical::<[u8]>(vec![vec![], vec![0], vec![0, 0], b"kvick".to_vec()]);
    canonical::<Vec<u8>>(vec![vec![], vec![0]]);
    canonical::<str>(vec![String::new(), "k".into(), "\u{e9}t\u{e9}".into()]);
    canonical::<String>(vec![String::new(), "kvick".into()]);
    assert_eq!(<str as Value>::type_name(), <String as Value>::type_name());

    let bytes = b"in place".to_vec();
    assert!(std::ptr::eq(<[u8]>::view(&bytes).expect("any bytes"), bytes.as_slice()));
    let error = <str>::decode(&[b'a', 0xff]).expect_err("not UTF-8");
    assert!(error.to_string().starts_with("str: invalid utf-8"), "{error}");
}

#[test]
fn options_keep_the_width_of_what_they_hold() {
    canonical::<Option<u32>>(vec![None, Some(0), Some(1), Some(u32::MAX)]);
    canonical::<Option<String>>(vec![None, Some(String::new()), Some("k".into())]);
    canonical::<Option<Option<u8>>>(vec![None, Some(None), Some(Some(0))]);
    assert_eq!(<Option<u32>>::WIDTH, Some(5));
    assert_eq!(round_trip::<Option<u32>>(None), [0; 5]);
    assert_eq!(round_trip::<Option<String>>(None), [0]);
    assert_eq!(round_trip::<Option<()>>(Some(())), [1]);

    for malformed in [&[][..], &[2, 0, 0, 0, 0], &[0, 0, 0, 0, 1], &[0], &[1, 0, 0, 0]] {
        assert!(<Option<u32>>::decode(malformed).is_err(), "{malformed:?}");
    }
    assert!(<Option<String>>::decode(&[0, 0]).is_err());
    assert_eq!(<Option<String>>::view(b"\x01abc"), Ok(Some("abc")));
}

#[test]
fn tuples_tell_their_members_apart() {
    canonical::<(u8, u64)>(vec![(0, 0), (0, 1), (1, 0)]);
    canonical::<(String, String)>(vec![
        ("ab".into(), "c".into()),
        ("a".into(), "bc".into()),
        (String::new(), "abc".into()),
        ("abc".into(), String::new()),
    ]);
    canonical::<(u16, Vec<u8>, bool, [u8; 2])>(vec![
        (1, vec![], true, [0; 2]),
        (1, vec![1], true, [0; 2]),
    ]);
    canonical::<((String, u8), Option<u8>, String)>(vec![
        (("a".into(), 1), None, "b".into()),
        (("a".into(), 1), Some(0), "b".into()),
        ((String::new(), 97), Some(0), "b".into()),
    ]);
    assert_eq!(<(u8, u64)>::WIDTH, Some(9));
    assert_eq!(<(u8, String, u64)>::WIDTH, None);
    assert_eq!(<(u8, Option<String>)>::type_name(), "(u8, option<str>)");
    assert_eq!(round_trip::<(u8, String)>((7, "ab".into())), b"\x07ab");
    assert_eq!(round_trip::<(String, u8)>(("ab".into(), 7)), b"\x02\0\0\0ab\x07");
    assert_eq!(<(String, u8)>::view(b"\x01\0\0\0a\x07"), Ok(("a", 7)));
}

#[test]
fn tuples_refuse_lengths_that_lie() {
    for malformed in [&b""[..], b"\x01\0\0", b"\x02\0\0\0a", b"\xff\xff\xff\xffa", b"\0\0\0\0"] {
        assert!(<(String, u8)>::decode(malformed).is_err(), "{malformed:?}");
        assert!(<(String, u8)>::view(malformed).is_err(), "{malformed:?}");
    }
    assert!(<(u8, u64)>::decode(&[0; 10]).is_err());
}

#[test]
fn long_composites_move_to_the_heap() {
    for len in [0, 1, 33, 34, 35, 36, 37, 38, 39, 100_000] {
        let bytes = round_trip::<(Vec<u8>, Vec<u8>)>((vec![1; len], vec![2; len]));
        assert_eq!(bytes.len(), 4 + 2 * len);
    }
}

#[derive(Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Account {
    balance: i64,
    day: u32,
    flags: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, TryFromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(u8)]
enum Colour {
    Red = 1,
    Green = 2,
}

#[test]
fn zero_copy_structs_are_borrowed_when_aligned() {
    let account = |balance| Account { balance, day: 1, flags: 2 };
    canonical::<ZeroCopy<Account>>(vec![account(0), account(-1), account(i64::MAX)]);
    canonical::<ZeroCopy<Colour>>(vec![Colour::Red, Colour::Green]);
    assert_eq!(ZeroCopy::<Account>::WIDTH, Some(16));

    let mut words = [0u64; 3];
    words.as_mut_bytes()[..16].copy_from_slice(account(5).as_bytes());
    let aligned = ZeroCopy::<Account>::view(&words.as_bytes()[..16]).expect("own bytes");
    assert!(matches!(&aligned, Cow::Borrowed(found) if **found == account(5)));

    words.as_mut_bytes()[1..17].copy_from_slice(account(6).as_bytes());
    let unaligned = ZeroCopy::<Account>::view(&words.as_bytes()[1..17]).expect("own bytes");
    assert!(matches!(&unaligned, Cow::Owned(found) if *found == account(6)));

    let error = ZeroCopy::<Colour>::decode(&[3]).expect_err("no such colour");
    assert!(error.to_string().contains("a field holds"), "{error}");
    let error = ZeroCopy::<Account>::decode(&[3]).expect_err("too short");
    assert_eq!(error.to_string(), "zerocopy 16 bytes: 1 bytes, expected 16");
}

#[cfg(feature = "serde")]
#[test]
fn serde_types_in_postcard() {
    type Stored = Serde<(String, Vec<Option<u32>>)>;
    let bytes = round_trip::<Stored>(("k".into(), vec![None, Some(300)]));
    survives_damage::<Stored>(&bytes);
    assert!(Stored::decode(&[&bytes[..], &[0]].concat()).is_err(), "left over bytes");
    for len in 0..bytes.len() {
        assert!(Stored::decode(&bytes[..len]).is_err(), "{len} bytes");
    }
}

#[cfg(feature = "messagepack")]
#[test]
fn serde_types_in_messagepack() {
    use ::serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct Note {
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        text: String,
    }

    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct NewerNote {
        #[serde(default)]
        stars: Vec<u8>,
        text: String,
    }

    type Stored = Serde<Note, MessagePack>;
    let note = |title: Option<&str>| Note { title: title.map(str::to_owned), text: "b".into() };
    for title in [None, Some("a")] {
        let bytes = round_trip::<Stored>(note(title));
        survives_damage::<Stored>(&bytes);
        assert!(Stored::decode(&[&bytes[..], &[0]].concat()).is_err(), "left over bytes");
        for len in 0..bytes.len() {
            assert!(Stored::decode(&bytes[..len]).is_err(), "{len} bytes");
        }
        let newer = <Serde<NewerNote, MessagePack>>::decode(&bytes).expect("an older form");
        assert_eq!(newer, NewerNote { stars: vec![], text: "b".into() });
    }
    // Neither a long length nor a deep list costs memory, or the stack.
    for malformed in [vec![0xdd, 0xff, 0xff, 0xff, 0xff], vec![0x91; 100_000]] {
        assert!(Stored::decode(&malformed).is_err());
        assert!(MessagePack::from_bytes::<::serde::de::IgnoredAny>(&malformed).is_err());
    }
    assert_ne!(Stored::fingerprint(), <Serde<Note>>::fingerprint());
}

#[cfg(feature = "rkyv")]
#[derive(::rkyv::Archive, ::rkyv::Serialize, ::rkyv::Deserialize, Debug, PartialEq)]
struct Profile {
    name: String,
    tags: Vec<String>,
    id: u128,
}

#[cfg(feature = "rkyv")]
#[test]
fn rkyv_archives_are_read_in_place() {
    let profile =
        Profile { name: "a name of some length".into(), tags: vec!["k".into(); 3], id: 7 };
    let bytes = Rkyv::<Profile>::encode(&profile).expect("has an encoding");
    let view = Rkyv::<Profile>::view(&bytes).expect("own bytes");
    assert_eq!((view.name.as_str(), view.id.to_native()), ("a name of some length", 7));
    let inside = bytes.as_ptr_range();
    assert!(inside.contains(&std::ptr::from_ref(&*view).cast()), "a view must not copy");

    let bytes = round_trip::<Rkyv<Profile>>(profile);
    survives_damage::<Rkyv<Profile>>(&bytes);
    assert!(Rkyv::<Profile>::decode(&[]).is_err());
}
