use std::cell::RefCell;

use super::*;
use crate::test_packet::{TestPacket, tcp};

/// A kernel that answers super-packets, and single packets, with these errors.
struct Kernel {
    super_packets: Option<i32>,
    packets: Option<i32>,
    /// What it took, without the header of the write.
    took: RefCell<Vec<Vec<u8>>>,
}

impl Kernel {
    fn refusing(super_packets: Option<i32>, packets: Option<i32>) -> Self {
        Self { super_packets, packets, took: RefCell::default() }
    }

    fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let header = vnet::Header::parse(bytes.first_chunk().unwrap()).unwrap();
        let refused = if header.segments.is_some() { self.super_packets } else { self.packets };
        if let Some(error) = refused {
            return Err(io::Error::from_raw_os_error(error));
        }
        self.took.borrow_mut().push(bytes[vnet::LEN..].to_vec());
        Ok(bytes.len())
    }
}

/// Four segments of a stream, which become one super-packet.
fn stream() -> Vec<Vec<u8>> {
    let segment = |number: u16| TestPacket {
        sequence: u32::from(number) * 100,
        id: number,
        content: vec![number as u8; 100],
        ..tcp()
    };
    (0..4).map(|number| segment(number).bytes()).collect()
}

/// Writes the segments, put together where `switches` allow it.
fn write(kernel: &Kernel, verdicts: &Verdicts, switches: &OffloadState) -> WriteResult {
    let segments = stream();
    let mut packets = Batch::new(segments.len(), segments.iter().map(Vec::len).sum());
    segments.iter().for_each(|segment| packets.push(segment, 0));
    let mut units = Coalescer::new(segments.len());
    units.clear(allowed(switches));
    (0..segments.len()).for_each(|at| units.add(&packets, at));
    UnitWriter::new(&packets, verdicts, switches, |parts: &[IoSlice<'_>]| kernel.write(parts))
        .all(&units)
}

fn auto() -> (Verdicts, OffloadState) {
    (Verdicts::default(), OffloadState::new(crate::Offload::AUTO))
}

const BYTES: usize = 4 * 140;

#[test]
fn a_refused_super_packet_is_written_packet_by_packet() {
    for error in [libc::EINVAL, libc::ENOMEM] {
        let ((verdicts, switches), kernel) = (auto(), Kernel::refusing(Some(error), None));
        let written = write(&kernel, &verdicts, &switches);
        assert_eq!(written, WriteResult { bytes: BYTES, lost: 0 });
        assert_eq!(kernel.took.into_inner(), stream(), "as they came, in their order");
        assert!(switches.has(Feature::Tso4), "once says nothing of the others");
    }
}

#[test]
fn a_kernel_that_took_one_is_believed() {
    let ((verdicts, switches), kernel) = (auto(), Kernel::refusing(None, None));
    assert_eq!(write(&kernel, &verdicts, &switches), WriteResult { bytes: BYTES, lost: 0 });
    assert_eq!(kernel.took.into_inner().len(), 1, "one super-packet");
    let refusing = Kernel::refusing(Some(libc::EINVAL), None);
    for _ in 0..100 {
        assert_eq!(write(&refusing, &verdicts, &switches).lost, 0);
    }
    assert!(switches.has(Feature::Tso4));
}

#[test]
fn a_kernel_that_takes_none_is_left_alone_for_a_while() {
    let ((verdicts, switches), kernel) = (auto(), Kernel::refusing(Some(libc::EINVAL), None));
    for round in 0..8 {
        assert!(switches.has(Feature::Tso4), "after {round} refusals");
        write(&kernel, &verdicts, &switches);
    }
    assert!(!switches.has(Feature::Tso4) && switches.has(Feature::Tso6), "that kind alone");
    assert_eq!(write(&kernel, &verdicts, &switches), WriteResult { bytes: BYTES, lost: 0 });
    switches.resume();
    write(&Kernel::refusing(None, None), &verdicts, &switches);
    assert!(switches.has(Feature::Tso4));
}

#[test]
fn what_the_interface_does_not_take_is_lost_and_no_bytes_were_received() {
    let (verdicts, switches) = auto();
    let down = Kernel::refusing(Some(libc::EIO), Some(libc::EIO));
    assert_eq!(write(&down, &verdicts, &switches), WriteResult { bytes: 0, lost: 4 });
    let full = Kernel::refusing(Some(libc::EINVAL), Some(libc::ENOBUFS));
    assert_eq!(write(&full, &verdicts, &switches), WriteResult { bytes: 0, lost: 4 });
}
