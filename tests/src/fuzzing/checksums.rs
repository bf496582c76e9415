//! The checksums of the formats, computed without the code of the engine.
//!
//! An input almost never has a correct checksum, so a check of a checksum would hide all code after
//! it. Most targets compute the checksums of the bytes that they are given.

use crc32c::{crc32c, crc32c_append};

use crate::files::Files;

/// The bytes of a page in the stores and logs of the targets.
pub(super) const PAGE: u64 = 4096;
/// The bytes of the payload of a unit.
pub(super) const PAYLOAD: usize = UNIT - 8;
/// The bytes of the payload of a page.
pub(super) const CAPACITY: u64 = PAGE / UNIT as u64 * PAYLOAD as u64;
const UNIT: usize = 512;
/// The bytes of a block of a stream before its contents.
const HEADER: usize = 16;
/// The kind of padding in the header of a frame.
const PADDING: u32 = 6;

/// The contents of a file without its checksums.
#[derive(Debug)]
pub(super) struct PlainFile {
    salt: u64,
    /// The kind of the file, its token, and the number of its segment.
    what: String,
    token: u64,
    segment: u64,
    /// The first address of a part.
    from: u64,
    /// The number of bytes of a stream in the manifest.
    bytes: usize,
    /// The life of each unit; 0 for a unit that was never written.
    lives: Vec<u32>,
    pub(super) contents: Vec<u8>,
}

/// Returns a text with the last line of a manifest.
pub(super) fn with_checksum(text: &[u8]) -> Vec<u8> {
    let mut checked = text.to_vec();
    checked.extend(format!("# crc32c {:#010x}\n", crc32c(text)).into_bytes());
    checked
}

/// Returns the salt in a manifest.
pub(super) fn salt_of(manifest: &str) -> u64 {
    let salt = manifest.split_once("salt = \"0x").expect("a manifest has a salt").1;
    u64::from_str_radix(&salt[..16], 16).expect("a salt has 16 digits")
}

impl PlainFile {
    /// Takes the checksums off a file: `log.000001`, `index-3.000000`.
    pub(super) fn of(name: &str, files: &Files) -> Self {
        let (device, segment) = name.split_once('.').expect("a segment has a number");
        let (what, token) = device.split_once('-').unwrap_or((device, "0"));
        let token = token.parse().expect("a token is a number");
        let (bytes, manifest) = (&files.0[name], files.manifest());
        let mut lives = Vec::new();
        let contents: Vec<u8> = if is_stream(what) {
            let blocks = bytes.chunks(BLOCK).flat_map(|block| {
                let length = u32::from_le_bytes(block[8..12].try_into().expect("4 bytes"));
                &block[HEADER..HEADER + length as usize]
            });
            blocks.copied().collect()
        } else {
            let units = bytes.chunks_exact(UNIT).flat_map(|unit| {
                let life = unit[PAYLOAD..PAYLOAD + 4].try_into().expect("4 bytes");
                lives.push(u32::from_le_bytes(life));
                &unit[..PAYLOAD]
            });
            units.copied().collect()
        };
        let part = format!("[[checkpoints.parts]]\ntoken = {token}\nfrom = ");
        let from = manifest.split_once(&part).and_then(|(_, rest)| rest.split_once('\n'));
        Self {
            salt: salt_of(manifest),
            what: what.to_owned(),
            token,
            segment: segment.parse().expect("a segment has a number"),
            from: from.map_or(0, |(from, _)| from.parse().expect("an address")),
            bytes: contents.len(),
            lives,
            contents,
        }
    }

    /// Returns the file with its checksums.
    pub(super) fn with_checksums(&self) -> Vec<u8> {
        if is_stream(&self.what) {
            return self.stream();
        }
        let page = self.from / PAGE + self.segment * SEGMENT_PAGES;
        let salt = self.salt ^ self.token.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        units(salt, &self.lives, page * PAGE, &self.contents)
    }

    /// Returns the body of the manifest with the new length of a stream.
    pub(super) fn in_manifest(&self, manifest: &str) -> String {
        let (body, _) =
            manifest.rsplit_once("# crc32c ").expect("a manifest ends with its checksum");
        let stream = |bytes: usize| format!("token = {}\nbytes = {bytes}\n", self.token);
        body.replace(&stream(self.bytes), &stream(self.contents.len()))
    }

    fn stream(&self) -> Vec<u8> {
        let mut stream = Vec::new();
        let pieces = self.contents.chunks(BLOCK - HEADER);
        let pieces = pieces.chain(self.contents.is_empty().then_some(&[][..]));
        for (number, piece) in (0_u64..).zip(pieces) {
            let checksum = crc32c_append(crc32c(&self.salt.to_le_bytes()), self.what.as_bytes());
            let checksum = [&self.token.to_le_bytes()[..], &number.to_le_bytes(), piece]
                .into_iter()
                .fold(checksum, crc32c_append);
            stream.extend(number.to_le_bytes());
            stream.extend(length(piece.len()).to_le_bytes());
            stream.extend(checksum.to_le_bytes());
            stream.extend_from_slice(piece);
            stream.resize(stream.len().next_multiple_of(UNIT), 0);
        }
        stream
    }
}

/// The bytes of a block of a stream, and the pages of a segment, in the store of the targets.
const BLOCK: usize = 4096;
const SEGMENT_PAGES: u64 = 2;

fn is_stream(what: &str) -> bool {
    ["index", "delta", "sessions"].contains(&what)
}

/// Returns the units of a log that has `payload` from the address `start` of a page on. A unit
/// without an entry in `lives` is of the first life.
pub(super) fn units(salt: u64, lives: &[u32], start: u64, payload: &[u8]) -> Vec<u8> {
    let mut units = Vec::new();
    let mut address = start;
    let lives = lives.iter().copied().chain(std::iter::repeat(1));
    for (contents, life) in payload.chunks(PAYLOAD).zip(lives) {
        let mut unit = [0; UNIT];
        if life > 0 {
            unit[..contents.len()].copy_from_slice(contents);
            unit[PAYLOAD..PAYLOAD + 4].copy_from_slice(&life.to_le_bytes());
            let place = crc32c_append(crc32c(&salt.to_le_bytes()), &address.to_le_bytes());
            let checksum = crc32c_append(place, &unit[..PAYLOAD + 4]);
            unit[PAYLOAD + 4..].copy_from_slice(&checksum.to_le_bytes());
        }
        units.extend(unit);
        address += PAYLOAD as u64;
        if address % PAGE == CAPACITY {
            address = (address / PAGE + 1) * PAGE;
        }
    }
    units
}

/// Returns a frame of a log at an address.
pub(super) fn frame(salt: u64, address: u64, kind: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(salt, address, kind << 29 | length(payload.len()), payload).to_vec();
    frame.extend_from_slice(payload);
    frame.resize(frame.len().next_multiple_of(8), 0);
    frame
}

/// Returns the header of padding of `bytes` bytes, including the header.
pub(super) fn padding(salt: u64, address: u64, bytes: usize) -> [u8; 8] {
    header(salt, address, PADDING << 29 | length(bytes - 8), &[])
}

/// Returns the header of a frame, whose checksum covers the address, the low half and `covered`.
fn header(salt: u64, address: u64, low: u32, covered: &[u8]) -> [u8; 8] {
    let mut checksum = crc32c(&salt.to_le_bytes());
    for bytes in [&address.to_le_bytes()[..], &low.to_le_bytes(), covered] {
        checksum = crc32c_append(checksum, bytes);
    }
    (u64::from(checksum) << 32 | u64::from(low)).to_le_bytes()
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("blocks and frames are small")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzing::store_files::STORE;

    #[test]
    fn untouched_contents_get_the_bytes_of_the_engine() {
        for (name, bytes) in &STORE.files.0 {
            if !name.starts_with("manifest") {
                let file = PlainFile::of(name, &STORE.files);
                assert!(file.with_checksums() == *bytes, "{name}");
            }
        }
        let manifest = STORE.files.manifest();
        let (body, _) =
            manifest.rsplit_once("# crc32c ").expect("a manifest ends with its checksum");
        assert_eq!(with_checksum(body.as_bytes()), manifest.as_bytes());
    }
}
