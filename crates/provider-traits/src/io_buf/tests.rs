use std::io;

use super::{AlignedBuf, IoBuf, IoBufMut};

#[test]
fn a_vector_is_as_long_as_what_was_read_into_it() {
    let mut buf = Vec::with_capacity(8);
    let room = buf.bytes_total();
    assert_eq!(buf.fill_from(b"abc"), 3);
    assert_eq!(buf, b"abc");
    assert_eq!(buf.fill_from(b"z"), 1);
    assert_eq!((buf.as_slice(), buf.bytes_total()), (&b"z"[..], room));
}

#[test]
fn a_fixed_buffer_keeps_its_length() {
    let mut buf: Box<[u8]> = vec![9; 4].into();
    assert_eq!(buf.fill_from(b"abcdef"), 4);
    assert_eq!(buf.fill_from(b"z"), 1);
    assert_eq!((&*buf, buf.bytes_init()), (&b"zbcd"[..], 4));
}

#[test]
fn room_that_was_not_initialised_is_zeroed_before_it_is_lent() {
    let mut buf = Vec::with_capacity(16);
    buf.extend_from_slice(b"ab");
    let room = buf.bytes_total();
    let count = buf.fill_with(|bytes| {
        assert_eq!((bytes.len(), &bytes[..2]), (room, &b"ab"[..]));
        assert!(bytes[2..].iter().all(|byte| *byte == 0));
        bytes[2] = b'c';
        Ok(3)
    });
    assert_eq!((count.unwrap(), buf.as_slice()), (3, &b"abc"[..]));
}

#[test]
fn a_failed_fill_leaves_the_length() {
    let mut buf = b"abc".to_vec();
    buf.fill_with(|_| Err(io::ErrorKind::Other.into())).unwrap_err();
    assert_eq!(buf, b"abc");
}

#[test]
#[should_panic(expected = "were said to be written")]
fn a_fill_that_tells_too_much_is_refused() {
    let mut buf = Vec::with_capacity(4);
    let _ = buf.fill_with(|bytes| Ok(bytes.len() + 1));
}

#[test]
fn a_slice_reads_and_fills_its_part_alone() {
    let mut part = b"abcdef".to_vec().slice(1..4);
    assert_eq!(part.as_bytes(), b"bcd");
    assert_eq!(part.fill_from(b"XYZW"), 3);
    assert_eq!(part.advance(3).into_inner(), b"aXYZ", "a vector ends where the last read ended");

    let mut part = vec![0; 6].into_boxed_slice().slice_mut(4..6);
    assert_eq!(part.fill_from(b"XYZW"), 2);
    assert_eq!(&*part.into_inner(), b"\0\0\0\0XY");
}

#[test]
fn a_slice_grows_into_room_behind_what_is_initialised() {
    let mut buf = Vec::with_capacity(8);
    buf.extend_from_slice(b"ab");
    let mut part = buf.slice_mut(2..8);
    assert_eq!((part.bytes_init(), part.bytes_total()), (0, 6));
    assert_eq!(part.fill_from(b"cd"), 2);
    let mut rest = part.advance(2);
    assert_eq!(rest.fill_from(b"e"), 1);
    assert_eq!(rest.into_inner(), b"abcde");
}

#[test]
#[should_panic(expected = "leaves a gap")]
fn a_slice_that_would_leave_a_gap_is_refused() {
    let _ = Vec::with_capacity(8).slice_mut(1..2);
}

#[test]
#[should_panic(expected = "of 3 bytes")]
fn a_slice_behind_the_end_is_refused() {
    let _ = b"abc".to_vec().slice(1..4);
}

#[test]
fn aligned_memory_is_aligned_zeroed_and_its_own() {
    for alignment_bytes in [1, 512, 4096, 1 << 20] {
        let mut buf = AlignedBuf::zeroed(1000, alignment_bytes);
        assert_eq!(buf.stable_ptr().addr() % alignment_bytes, 0);
        assert!(buf.iter().all(|byte| *byte == 0));
        assert_eq!(buf.fill_from(b"abc"), 3);
        assert_eq!((buf.len(), &buf[..4]), (1000, &b"abc\0"[..]));
    }
    assert!(AlignedBuf::zeroed(0, 4096).is_empty());
}

#[cfg(feature = "bytes")]
#[test]
fn buffers_of_the_bytes_crate_are_buffers() {
    let mut buf = bytes::BytesMut::with_capacity(8);
    buf.fill_from(b"abc");
    let frozen = buf.freeze();
    assert_eq!((frozen.as_bytes(), frozen.bytes_init()), (&b"abc"[..], 3));
}
