//! Many messages per system call, and many per message header (`UDP_SEGMENT`).

use std::{
    io,
    iter::Peekable,
    net::{SocketAddr, UdpSocket},
    ops::Range,
    os::fd::AsRawFd,
    time::Instant,
};

use socket2::SockAddr;

use super::{MAX_SEGMENTS, MAX_SEND, MESSAGES, Sockets};
use crate::{
    batch::Batch,
    offload::{Feature, OffloadState},
    outgoing::{Destination, Outgoing},
    sys::check,
};

/// Timeout of waiting for a full socket.
const SEND_WAIT_MS: libc::c_int = 20;
/// Size of a control message with a number.
pub(super) const CONTROL: usize = 24;

/// A control message, aligned for the kernel.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct ControlMessage(pub(super) [u8; CONTROL]);

/// Sends many messages per system call, without allocation.
pub(crate) struct BatchSender {
    groups: Vec<Group>,
    addresses: Vec<SockAddr>,
    parts: Vec<libc::iovec>,
    controls: Vec<ControlMessage>,
    headers: Vec<libc::mmsghdr>,
    /// Messages that were not sent.
    lost: usize,
}

/// Contiguous messages for one destination, of one length; the last may be shorter.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    to: SocketAddr,
    messages: Range<usize>,
}

impl BatchSender {
    pub(crate) fn new() -> Self {
        Self {
            groups: Vec::with_capacity(MESSAGES),
            addresses: Vec::with_capacity(MESSAGES),
            parts: Vec::with_capacity(MESSAGES),
            controls: Vec::with_capacity(MESSAGES),
            headers: Vec::with_capacity(MESSAGES),
            lost: 0,
        }
    }

    /// Sends the messages for UDP. Returns how many were not sent, and are lost.
    pub(crate) fn send(
        &mut self,
        sockets: &Sockets,
        out: &Outgoing,
        switches: &OffloadState,
    ) -> usize {
        self.lost = 0;
        let is_segmented = switches.has(Feature::UdpSegment);
        let v4 = Some(&sockets.v4);
        self.send_family(sockets, v4, out, is_segmented, SocketAddr::is_ipv4);
        let v6 = sockets.v6.as_ref();
        self.send_family(sockets, v6, out, is_segmented, SocketAddr::is_ipv6);
        self.lost
    }

    fn send_family(
        &mut self,
        sockets: &Sockets,
        socket: Option<&UdpSocket>,
        out: &Outgoing,
        is_segmented: bool,
        is_ours: impl Fn(&SocketAddr) -> bool,
    ) {
        let Some(socket) = socket else { return };
        let due = out.dispatches.iter().filter_map(|dispatch| match dispatch.to {
            Destination::Udp(address) if is_ours(&address) => Some((address, dispatch.message)),
            Destination::Udp(_) | Destination::Relay(_) => None,
        });
        let mut due = due.peekable();
        loop {
            self.groups.clear();
            while self.groups.len() < MESSAGES {
                let most = |to| match is_segmented && !sockets.refused.contains(to) {
                    true => MAX_SEGMENTS,
                    false => 1,
                };
                let Some(group) = next_group(&mut due, &out.batch, most) else { break };
                self.groups.push(group);
            }
            if self.groups.is_empty() {
                return;
            }
            self.prepare(&out.batch);
            self.send_groups(sockets, socket, &out.batch);
        }
    }

    fn prepare(&mut self, batch: &Batch) {
        self.addresses.clear();
        self.parts.clear();
        self.controls.clear();
        self.headers.clear();
        for group in &self.groups {
            let bytes = batch.contiguous(group.messages.clone()).unwrap_or_default();
            let size = batch.get(group.messages.start).len();
            self.addresses.push(group.to.into());
            self.controls.push(segment_size(size));
            self.parts.push(libc::iovec {
                iov_base: bytes.as_ptr().cast_mut().cast(),
                iov_len: bytes.len(),
            });
        }
        let controls = self.parts.iter_mut().zip(&mut self.controls);
        for ((group, address), (part, control)) in
            self.groups.iter().zip(&self.addresses).zip(controls)
        {
            // SAFETY: all zeros is a valid `mmsghdr`.
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_name = address.as_ptr().cast_mut().cast();
            header.msg_hdr.msg_namelen = address.len();
            header.msg_hdr.msg_iov = part;
            header.msg_hdr.msg_iovlen = 1;
            if group.messages.len() > 1 {
                header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
                header.msg_hdr.msg_controllen = CONTROL as _;
            }
            self.headers.push(header);
        }
    }

    fn send_groups(&mut self, sockets: &Sockets, socket: &UdpSocket, batch: &Batch) {
        let (mut at, mut waited) = (0, false);
        while at < self.headers.len() {
            let rest = &mut self.headers[at..];
            // SAFETY: each header points to an address, a part, a control message and messages that
            // outlive the call; the kernel reads the messages and does not write to them.
            let sent = check(unsafe {
                libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as libc::c_uint, 0)
            });
            at += match sent {
                Ok(sent) => usize::try_from(sent).unwrap_or(0).max(1),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !waited => {
                    waited = true;
                    wait_writable(socket);
                    0
                }
                Err(error) => {
                    let group = &self.groups[at];
                    let refused = is_refusal(&error);
                    if group.messages.len() > 1 && (refused || is_want_of_memory(&error)) {
                        if refused {
                            note_refusal(sockets, group.to, &error);
                        }
                        self.lost += send_singly(socket, group, batch, &mut waited);
                    } else {
                        // No route, or too long; the next may work.
                        self.lost += group.messages.len();
                        tracing::trace!(%error, "datagram not sent");
                    }
                    1
                }
            };
        }
    }
}

/// The next messages that can be sent as one, at most `most` for a destination.
fn next_group(
    due: &mut Peekable<impl Iterator<Item = (SocketAddr, usize)>>,
    batch: &Batch,
    most: impl Fn(SocketAddr) -> usize,
) -> Option<Group> {
    let (to, first) = due.next()?;
    let size = batch.get(first).len();
    let most = most(to).min(MAX_SEND / size.max(1));
    let mut end = first + 1;
    // A message that is shorter than the first is the last.
    while batch.get(end - 1).len() == size
        && end - first < most
        && batch.is_joined(end)
        && (1..=size).contains(&batch.get(end).len())
        && due.next_if_eq(&(to, end)).is_some()
    {
        end += 1;
    }
    Some(Group { to, messages: first..end })
}

/// Whether single sends may work: the path's MTU is smaller than a segment (EMSGSIZE), or the device does not support
/// segmentation (EINVAL, EIO).
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMSGSIZE | libc::EINVAL | libc::EIO))
}

/// Whether the kernel lacked memory, of which single messages need less.
fn is_want_of_memory(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::ENOMEM))
}

/// Logs a refusal; only the first at info level, since a peer can cause many by moving.
fn note_refusal(sockets: &Sockets, to: SocketAddr, error: &io::Error) {
    if sockets.refused.insert(to, Instant::now()) {
        tracing::info!(%to, %error, "segmented send refused: sending datagrams one by one");
    } else {
        tracing::debug!(%to, %error, "segmented send refused: sending datagrams one by one");
    }
}

/// Sends messages one by one; returns how many were lost. Waits once for a full socket.
fn send_singly(socket: &UdpSocket, group: &Group, batch: &Batch, waited: &mut bool) -> usize {
    let mut lost = 0;
    for at in group.messages.clone() {
        let mut sent = socket.send_to(batch.get(at), group.to);
        if matches!(&sent, Err(error) if error.kind() == io::ErrorKind::WouldBlock && !*waited) {
            *waited = true;
            wait_writable(socket);
            sent = socket.send_to(batch.get(at), group.to);
        }
        if let Err(error) = sent {
            lost += 1;
            tracing::trace!(%error, "datagram not sent");
        }
    }
    lost
}

/// The control message with the segment length.
fn segment_size(size: usize) -> ControlMessage {
    let mut control = ControlMessage([0; CONTROL]);
    // SAFETY: all zeros is a valid `cmsghdr`.
    let mut head: libc::cmsghdr = unsafe { std::mem::zeroed() };
    head.cmsg_level = libc::SOL_UDP;
    head.cmsg_type = libc::UDP_SEGMENT;
    // SAFETY: computes a length.
    head.cmsg_len = unsafe { libc::CMSG_LEN(2) } as _;
    let data = size_of::<libc::cmsghdr>();
    control.0[data..data + 2].copy_from_slice(&(size as u16).to_ne_bytes());
    // SAFETY: the control message is as long as a `cmsghdr` and more, and aligned for one.
    unsafe { control.0.as_mut_ptr().cast::<libc::cmsghdr>().write(head) };
    control
}

fn wait_writable(socket: &UdpSocket) {
    let mut entry = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: one valid entry.
    unsafe { libc::poll(&raw mut entry, 1, SEND_WAIT_MS) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(lengths: &[usize], to: impl Fn(usize) -> u16, most: usize) -> Vec<Vec<usize>> {
        let mut batch = Batch::new(lengths.len(), lengths.iter().sum());
        lengths.iter().for_each(|len| batch.push(&vec![0; *len], 0));
        let address = |at| SocketAddr::from(([192, 0, 2, 1], to(at)));
        let mut due = (0..lengths.len()).map(|at| (address(at), at)).peekable();
        std::iter::from_fn(|| next_group(&mut due, &batch, |_| most))
            .map(|group| group.messages.map(|at| lengths[at]).collect())
            .collect()
    }

    #[test]
    fn messages_of_one_length_and_destination_are_one_group() {
        let same = |_| 1;
        assert_eq!(groups(&[9, 9, 9, 4, 9, 9], same, 64), [vec![9, 9, 9, 4], vec![9, 9]]);
        assert_eq!(groups(&[4, 9, 9], same, 64), [vec![4], vec![9, 9]]);
        assert_eq!(groups(&[9; 5], same, 2), [vec![9, 9], vec![9, 9], vec![9]]);
        assert_eq!(groups(&[9; 2], same, 1), [vec![9], vec![9]]);
        assert_eq!(groups(&[9; 4], |at| (at / 2) as u16, 64), [vec![9, 9], vec![9, 9]]);
        assert_eq!(groups(&[0, 0, 9, 0], same, 64), [vec![0], vec![0], vec![9], vec![0]]);
    }

    #[test]
    fn a_group_is_no_longer_than_a_datagram_may_be() {
        let of = groups(&[1312; 64], |_| 1, 64);
        assert_eq!(of.iter().map(Vec::len).collect::<Vec<_>>(), [49, 15]);
        assert!(of[0].iter().sum::<usize>() <= MAX_SEND);
        assert_eq!(groups(&[40_000; 3], |_| 1, 64).len(), 3);
    }
}
