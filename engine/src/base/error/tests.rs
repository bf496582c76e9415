//! The texts, kinds and causes of errors.

use super::*;

fn io_error(kind: io::ErrorKind) -> Error {
    Error::io("writing log.000003 at 4096", kind.into())
}

#[test]
fn is_shared_between_tasks() {
    fn shared<T: Send + Sync + Clone + 'static>() {}
    shared::<Error>();
}

#[test]
fn full_disks_are_told_apart_from_broken_ones() {
    for kind in
        [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge]
    {
        let error = io_error(kind);
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{kind:?}");
        assert!(error.is_retryable());
        assert!(error.to_string().ends_with("; free space, then retry"), "{error}");
    }
    let error = io_error(io::ErrorKind::OutOfMemory);
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.is_retryable());
    let error = io_error(io::ErrorKind::PermissionDenied);
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(!error.is_retryable());
    assert_eq!(error.to_string(), "writing log.000003 at 4096: permission denied");
}

#[test]
fn poison_keeps_its_first_cause() {
    let cause = io_error(io::ErrorKind::BrokenPipe);
    let poison = Error::poisoned(&cause);
    let again = Error::poisoned(&poison);
    assert!(Arc::ptr_eq(&poison.0, &again.0));
    assert_eq!(again.kind(), ErrorKind::Poisoned);

    let source = again.source().and_then(|source| source.downcast_ref::<Error>());
    assert_eq!(source.map(Error::kind), Some(ErrorKind::Io));
    let root = source.and_then(StdError::source).and_then(|s| s.downcast_ref::<io::Error>());
    assert_eq!(root.map(io::Error::kind), Some(io::ErrorKind::BrokenPipe));
}

#[test]
fn text_names_the_place_and_the_way_out() {
    let texts = [
        (
            Error::new(ErrorKind::Busy, "all pages are being written"),
            "all pages are being written; retry",
        ),
        (Error::closed(), "the store is closed; open it again"),
        (
            Error::in_use("/data"),
            "/data is open already, in this process or another one; close it there, or wait a \
             moment if that process was just killed",
        ),
        (
            Error::already_exists("/data", "a store"),
            "/data already holds a store; open an empty directory, or remove what is there",
        ),
        (
            Error::corrupt("checksum", "log.000001", 8192, 0xab, 0xcd),
            "log.000001 at offset 8192: checksum is 0xcd, expected 0xab; \
             restore this file from a copy",
        ),
        (
            Error::damaged("the file ends here", "log.000001", 8192),
            "log.000001 at offset 8192: the file ends here; restore this file from a copy",
        ),
        (
            Error::lost_file("manifest").with_way_out("open with `allow_fallback`"),
            "manifest at offset 0: the file is missing; open with `allow_fallback`",
        ),
        (Error::closed_as("log"), "the log is closed; open it again"),
        (
            Error::damaged("the file ends here", "log.000001", 8192).with_place("/data", "look"),
            "/data/log.000001 at offset 8192: the file ends here; look",
        ),
        (Error::closed().with_place("/data", "look"), "the store is closed; open it again"),
        (
            Error::completed(),
            "the log was completed, for ever, and takes no more entries; append to a new log in \
             another directory",
        ),
        (
            Error::codec("the key", CodecError::new("u64: 7 bytes, expected 8")),
            "the key: u64: 7 bytes, expected 8",
        ),
        (Error::unsupported("glommio on this platform"), "glommio on this platform"),
    ];
    for (error, text) in texts {
        assert_eq!(error.to_string(), text);
        assert!(text.is_ascii());
    }
    let debug = format!("{:?}", Error::invalid("memory is 0"));
    assert_eq!(debug, "InvalidArgument: memory is 0");
}
