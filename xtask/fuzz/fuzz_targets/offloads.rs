//! What comes of many packets at once: a read of the TUN with its header, what the sockets give together, and packets that
//! are put together for the TUN.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wireguard_device::{
    batch::Batch,
    coalesce::{CoalescedProtocols, Coalescer},
    split::Split,
    vnet,
    window::{Slot, Window},
};

const MTU: usize = 1280;
const SLOT: usize = 2048;
const ALL: CoalescedProtocols = CoalescedProtocols { tcp_v4: true, tcp_v6: true, udp: true };

/// Segments are as many as was said, and none is longer than the MTU; together they are the packet's content.
fn split(read: &[u8]) {
    let Some((head, packet)) = read.split_first_chunk() else { return };
    let Some(header) = vnet::Header::parse(head) else { return };
    assert_eq!(vnet::Header::parse(&header.write()), Some(header));
    let Some(mut split) = Split::new(&header, packet, MTU) else { return };
    let (mut room, mut sum, mut least) = ([0; MTU], 0, MTU);
    let left = split.left();
    for _ in 0..left {
        let len = split.next_into(packet, &mut room).expect("a segment that was announced");
        sum += len;
        least = least.min(len);
    }
    assert_eq!(split.next_into(packet, &mut room), None);
    // Each segment has the headers once more, which are not longer than the shortest of them.
    assert!(sum >= packet.len() && sum - packet.len() <= (left - 1) * least);
}

/// The packets of a script: a length in two bytes before each.
fn packets(mut script: &[u8]) -> Batch {
    let mut batch = Batch::new(64, script.len());
    while let Some((len, rest)) = script.split_first_chunk() {
        let len = usize::from(u16::from_be_bytes(*len)).min(rest.len());
        batch.push(&rest[..len], 0);
        script = &rest[len..];
    }
    batch
}

/// Every packet is in one unit, each unit in its order, and headers say how long the unit is.
fn coalesce(batch: &Batch) {
    let mut coalescer = Coalescer::new(64);
    coalescer.clear(ALL);
    (0..batch.len()).for_each(|at| coalescer.add(batch, at));
    let mut seen = vec![false; batch.len()];
    for unit in 0..coalescer.len() {
        let numbers: Vec<_> = coalescer.packets(unit).collect();
        assert!(numbers.is_sorted());
        for at in &numbers {
            assert!(!std::mem::replace(&mut seen[*at], true), "a packet is written twice");
        }
        let Some(headers) = coalescer.headers(batch, unit) else {
            assert_eq!(numbers.len(), 1);
            continue;
        };
        let mut whole = headers.bytes().to_vec();
        for at in &numbers {
            whole.extend(&batch.get(*at)[headers.content..]);
        }
        let (head, packet) = whole.split_first_chunk().expect("a header");
        let header = vnet::Header::parse(head).expect("a header that the kernel would read");
        let split = Split::new(&header, packet, 65_535).expect("a packet that can be cut again");
        assert_eq!(split.left(), numbers.len());
    }
    assert!(seen.iter().all(|seen| *seen), "a packet is lost");
}

/// All bytes of the slots are shown once, in order.
fn windows(script: &[u8]) {
    let slots: Vec<_> = script
        .chunks_exact(4)
        .take(64)
        .map(|slot| {
            let number = |at: usize| usize::from(u16::from_be_bytes([slot[at], slot[at + 1]]));
            let segment = (number(2) > 0).then(|| number(2));
            Slot { len: Some(number(0) % (SLOT + 1)), segment }
        })
        .collect();
    let mut messages = Batch::new(64, slots.len() * SLOT);
    let (mut window, mut shown) = (Window::default(), 0);
    loop {
        window.fill(&slots, SLOT, SLOT, &mut messages);
        if messages.is_empty() {
            break;
        }
        assert!((1..messages.len()).all(|at| messages.tag(at - 1) <= messages.tag(at)));
        shown += (0..messages.len()).map(|at| messages.get(at).len()).sum::<usize>();
    }
    assert_eq!(shown, slots.iter().filter_map(|slot| slot.len).sum::<usize>());
}

fuzz_target!(|bytes: &[u8]| {
    match bytes.split_first() {
        Some((0, read)) => split(read),
        Some((1, script)) => coalesce(&packets(script)),
        Some((_, script)) => windows(script),
        None => {}
    }
});
