use super::*;

const LOG: LogId = LogId::new([1; 16]);
const OTHER: LogId = LogId::new([2; 16]);

fn header() -> FrameHeader {
    FrameHeader {
        payload_bytes: 3,
        index: 7,
        aux: 9,
        payload_crc: crc32fast::hash(b"abc"),
        prev: 0x0102_0304,
        durable_distance: 5,
        kind: Kind::Entry,
        flags: FLAG_MORE,
        slot: 0x0506,
    }
}

fn encode(key: &FrameKey) -> ([u8; FRAME_HEADER_BYTES], u32) {
    let mut out = Vec::new();
    let checksum = key.append(&mut out, 4096, &header());
    (out.try_into().expect("a header is as long as it is"), checksum)
}

fn is_frame(log: LogId, segment: u64, offset: u64) -> bool {
    let (bytes, _) = encode(&FrameKey::new(LOG, SegmentId::new(4)));
    FrameKey::new(log, SegmentId::new(segment)).decode(offset, &bytes).is_some()
}

#[test]
fn a_header_is_read_as_it_was_written() {
    let key = FrameKey::new(LOG, SegmentId::new(4));
    let (bytes, checksum) = encode(&key);
    assert_eq!(key.decode(4096, &bytes), Some(DecodedFrame { header: header(), checksum }));
}

#[test]
fn a_frame_of_another_log_is_none() {
    assert!(is_frame(LOG, 4, 4096) && !is_frame(OTHER, 4, 4096));
}

#[test]
fn a_frame_of_another_segment_is_none() {
    assert!(!is_frame(LOG, 5, 4096));
}

#[test]
fn a_frame_at_another_offset_is_none() {
    assert!(!is_frame(LOG, 4, 4104));
}

#[test]
fn every_bit_of_a_header_is_covered() {
    let key = FrameKey::new(LOG, SegmentId::new(4));
    let (bytes, _) = encode(&key);
    for bit in 0..FRAME_HEADER_BYTES * 8 {
        let mut flipped = bytes;
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(key.decode(4096, &flipped), None, "bit {bit}");
    }
}

/// Made by hand from the format's description, with another implementation of the checksum.
#[test]
fn a_header_is_these_bytes() {
    let (bytes, _) = encode(&FrameKey::new(LOG, SegmentId::new(4)));
    assert_eq!(bytes, GOLDEN);
}

const GOLDEN: [u8; FRAME_HEADER_BYTES] = [
    0x8e, 0x8a, 0x43, 0x41, 0x03, 0x00, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x09,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xc2, 0x41, 0x24, 0x35, 0x04, 0x03, 0x02, 0x01, 0xfa, 0xff,
    0xff, 0xff, 0x01, 0x01, 0x06, 0x05,
];
