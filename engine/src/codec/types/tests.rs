//! Tests the types of the standard library: values come back, and foreign bytes are refused.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::num::NonZero;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::bytes::Bytes;

use crate::codec::tests::{canonical, refuses_foreign_bytes, round_trip};
use crate::codec::{Encoded, Value};

#[test]
fn numbers_that_are_never_zero() {
    let byte = |byte| NonZero::<u8>::new(byte).expect("not zero");
    canonical::<NonZero<u8>>(vec![byte(1), byte(255)]);
    canonical::<NonZero<i64>>(vec![NonZero::<i64>::MIN, NonZero::<i64>::MAX]);
    canonical::<NonZero<u128>>(vec![NonZero::<u128>::MIN, NonZero::<u128>::MAX]);
    let error = NonZero::<u16>::decode(&[0, 0]).expect_err("zero");
    assert_eq!(error.to_string(), "nonzero u16: 0");
    assert_eq!(NonZero::<i32>::WIDTH, Some(4));
}

#[test]
fn spans_of_time() {
    canonical::<Duration>(vec![
        Duration::ZERO,
        Duration::from_nanos(1),
        Duration::from_secs(1),
        Duration::MAX,
    ]);
    assert_eq!(round_trip::<Duration>(Duration::new(2, 3)), [2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0]);
    let error = Duration::decode(&[255; 12]).expect_err("more than a second");
    assert!(error.to_string().starts_with("duration: 4294967295 nanoseconds"), "{error}");
    assert!(refuses_foreign_bytes::<Duration>() > 0);
}

#[test]
fn points_of_time_on_both_sides_of_1970() {
    let before = |span| UNIX_EPOCH - span;
    canonical::<SystemTime>(vec![
        UNIX_EPOCH,
        UNIX_EPOCH + Duration::new(1, 100),
        before(Duration::new(0, 100)),
        before(Duration::new(1, 0)),
        before(Duration::new(1, 999_999_900)),
    ]);
    let bytes = round_trip::<SystemTime>(before(Duration::new(0, 100)));
    assert_eq!(bytes[..8], (-1_i64).to_le_bytes());
    assert_eq!(bytes[8..], 999_999_900_u32.to_le_bytes());
    let least = [&i64::MIN.to_le_bytes()[..], &[0; 4]].concat();
    assert!(SystemTime::decode(&least).is_err() || round_trip_bytes::<SystemTime>(&least));
    assert!(refuses_foreign_bytes::<SystemTime>() > 0);
}

fn round_trip_bytes<V: Value<Owned = V, Item = V>>(bytes: &[u8]) -> bool {
    let item = V::decode(bytes).expect("own bytes");
    V::encode(&item).expect("has an encoding").as_ref() == bytes
}

#[test]
fn addresses() {
    let (four, six) = (Ipv4Addr::new(10, 0, 0, 1), Ipv6Addr::LOCALHOST);
    canonical::<Ipv4Addr>(vec![four, Ipv4Addr::BROADCAST]);
    canonical::<Ipv6Addr>(vec![six, four.to_ipv6_mapped()]);
    canonical::<IpAddr>(vec![four.into(), six.into(), four.to_ipv6_mapped().into()]);
    canonical::<SocketAddr>(vec![
        (four, 80).into(),
        (four, 81).into(),
        (six, 80).into(),
        SocketAddrV6::new(six, 80, 1, 0).into(),
        SocketAddrV6::new(six, 80, 0, 1).into(),
    ]);
    assert_eq!(round_trip::<IpAddr>(four.into())[..6], [4, 10, 0, 0, 1, 0]);

    let mut bytes = round_trip::<SocketAddr>((four, 80).into());
    bytes[26] = 1;
    let error = SocketAddr::decode(&bytes).expect_err("a scope");
    assert_eq!(error.to_string(), "socket address: version 4 with a flow or a scope");
    assert!(IpAddr::decode(&[5; 17]).is_err() && IpAddr::decode(&[4; 17]).is_err());
    assert!(refuses_foreign_bytes::<IpAddr>() > 0);
    assert!(refuses_foreign_bytes::<SocketAddr>() > 0);
}

#[test]
fn owners_of_bytes_and_text() {
    canonical::<Box<[u8]>>(vec![Box::default(), [1, 2].into()]);
    canonical::<Arc<[u8]>>(vec![Arc::default(), [1, 2].into()]);
    canonical::<Bytes>(vec![Bytes::new(), Bytes::from_static(b"kvick")]);
    canonical::<Box<str>>(vec![Box::default(), "kvick".into()]);
    canonical::<Arc<str>>(vec!["".into(), "kvick".into()]);
    for name in [<Box<[u8]>>::type_name(), <Arc<[u8]>>::type_name(), Bytes::type_name()] {
        assert_eq!(name, <[u8]>::type_name());
    }
    assert!(<Arc<str>>::decode(&[0xff]).is_err());
    assert!(refuses_foreign_bytes::<Box<str>>() > 0);
}

#[test]
fn numbers_in_a_row() {
    canonical::<Vec<u64>>(vec![vec![], vec![0], vec![0, 0], vec![1, u64::MAX]]);
    canonical::<[i8]>(vec![vec![], vec![-1], vec![0, 1]]);
    canonical::<[u128]>(vec![vec![], vec![u128::MAX, 1]]);
    canonical::<[u32; 3]>(vec![[0, 1, 2], [2, 1, 0], [u32::MAX; 3]]);
    canonical::<[i16; 0]>(vec![[]]);
    assert_eq!(round_trip::<[f32]>(vec![1.5, -0.0]), [0, 0, 0xc0, 0x3f, 0, 0, 0, 0x80]);
    assert_eq!(round_trip::<[u16]>(vec![0x0102, 3]), [2, 1, 3, 0]);
    assert_eq!(round_trip::<[f64; 1]>([2.0]), 2.0_f64.to_bits().to_le_bytes());
    assert_eq!((<[u32; 3]>::WIDTH, <Vec<u32>>::WIDTH), (Some(12), None));
    assert_eq!(<Vec<u64>>::type_name(), "[u64]");
    assert_eq!(<[u32; 3]>::type_name(), "[u32; 3]");

    let error = <Vec<u64>>::decode(&[0; 12]).expect_err("one and a half");
    assert_eq!(error.to_string(), "[u64]: 12 bytes, each item has 8");
    let error = <[u32; 3]>::decode_boxed(&[0; 16]).expect_err("one too many");
    assert_eq!(error.to_string(), "[u32; 3]: 16 bytes, expected 12");
    assert_eq!(*<[u32; 3]>::decode_boxed(&[1; 12]).expect("own bytes"), [0x0101_0101; 3]);
    assert!(refuses_foreign_bytes::<Vec<u16>>() > 0 && refuses_foreign_bytes::<[f64; 2]>() > 0);
}

#[test]
fn aligned_numbers_are_borrowed() {
    let bytes = <[u64]>::encode(&[1, 2]).expect("has an encoding").into_owned();
    let words: [u64; 3] = [0, u64::from_le(1), u64::from_le(2)];
    let aligned = zerocopy::IntoBytes::as_bytes(&words[1..]);
    assert_eq!(aligned, bytes);
    let view = <[u64]>::view(aligned).expect("own bytes");
    assert_eq!(*view, [1, 2]);
    assert_eq!(matches!(view, Cow::Borrowed(_)), cfg!(target_endian = "little"));
    assert!(matches!(<[u32; 1]>::view(&aligned[1..5]), Ok(Cow::Owned(_))));
}

#[test]
fn foreign_bytes_of_every_composite_are_refused() {
    assert!(refuses_foreign_bytes::<Option<Vec<u16>>>() > 0);
    assert!(refuses_foreign_bytes::<(u8, bool, NonZero<u16>)>() > 0);
    assert!(refuses_foreign_bytes::<(String, Option<bool>)>() > 0);
    assert!(refuses_foreign_bytes::<Encoded<(u8, String)>>() > 0);
    assert!(refuses_foreign_bytes::<char>() > 0);
}

#[test]
fn a_tuple_of_twelve() {
    type Twelve = (u8, u8, u8, u8, u8, u8, u8, u8, u8, u8, bool, String);
    canonical::<Twelve>(vec![(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, true, "12".to_owned())]);
}

#[test]
fn encoded_tuples_are_made_of_borrowed_members() {
    type Pair = Encoded<(String, u32)>;
    let owned = Pair::new(&("tenant".to_owned(), 7)).expect("has an encoding");
    let name = "tenant".to_owned();
    for borrowed in
        [Pair::of(("tenant", 7)), Pair::of((name.as_str(), 7)), Pair::of((name.clone(), 7))]
    {
        assert_eq!(borrowed.expect("has an encoding"), owned);
    }
    assert_eq!(owned.view(), Ok(("tenant", 7)));
    assert_eq!(owned.decode(), Ok((name, 7)));
    assert_ne!(owned, Pair::of(("tenant", 8)).expect("has an encoding"));
    assert_eq!(Pair::type_name(), <(String, u32)>::type_name());
    let long = "a name of more than 38 bytes, which is on the heap";
    canonical::<Pair>(vec![owned, Pair::of((long, 1)).expect("has an encoding")]);
    canonical::<Encoded<str>>(vec![Encoded::new("k").expect("has an encoding")]);
}
