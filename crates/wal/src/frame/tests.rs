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

fn is_frame(log: LogId, segment: u64, offset: u64) -> bool {
    let (bytes, _) = FrameKey::new(LOG, SegmentId::new(4)).encode(4096, &header());
    FrameKey::new(log, SegmentId::new(segment)).decode(offset, &bytes).is_some()
}

#[test]
fn a_header_is_read_as_it_was_written() {
    let key = FrameKey::new(LOG, SegmentId::new(4));
    let (bytes, checksum) = key.encode(4096, &header());
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
    let (bytes, _) = key.encode(4096, &header());
    for bit in 0..FRAME_HEADER_BYTES * 8 {
        let mut flipped = bytes;
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(key.decode(4096, &flipped), None, "bit {bit}");
    }
}

/// Made by hand from the format's description, with another implementation of the checksum.
#[test]
fn a_header_is_these_bytes() {
    let (bytes, _) = FrameKey::new(LOG, SegmentId::new(4)).encode(4096, &header());
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, GOLDEN);
}

const GOLDEN: &str = "8e8a43410300000007000000000000000900000000000000c241243504030201faffffff01010605";
