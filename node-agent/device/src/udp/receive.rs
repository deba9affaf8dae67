//! Many datagrams per system call, and many per slot (`UDP_GRO`).

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::fd::{AsRawFd, BorrowedFd},
};

use super::{
    MESSAGES,
    send::{CONTROL, ControlMessage},
};
use crate::{
    batch::Batch,
    sys::check,
    window::{Slot, Window},
};

/// Longest coalesced datagrams (`UDP_GRO`).
const GRO_SLOT: usize = 1 << 16;

/// Receives many datagrams per system call into the slots of a [`Batch`].
pub(crate) struct BatchReceiver {
    slot: usize,
    /// Longest datagram; longer ones are dropped.
    max_message: usize,
    names: Vec<libc::sockaddr_storage>,
    parts: Vec<libc::iovec>,
    controls: Vec<ControlMessage>,
    headers: Vec<libc::mmsghdr>,
    slots: Vec<Slot>,
    window: Window,
    /// The datagrams of a window, tagged with their slot's number.
    pub(crate) datagrams: Batch,
    /// Their sources.
    pub(crate) sources: Vec<SocketAddr>,
}

impl BatchReceiver {
    /// Room for [`MESSAGES`] datagrams of at most `max_message` bytes, or with `gro` for as many coalesced ones. Untouched memory
    /// is not allocated.
    pub(crate) fn new(max_message: usize, gro: bool) -> Self {
        let slot = if gro { GRO_SLOT } else { max_message };
        Self {
            slot,
            max_message,
            // SAFETY: all zeros is a valid `sockaddr_storage`.
            names: vec![unsafe { std::mem::zeroed() }; MESSAGES],
            parts: Vec::with_capacity(MESSAGES),
            controls: vec![ControlMessage([0; CONTROL]); MESSAGES],
            headers: Vec::with_capacity(MESSAGES),
            slots: Vec::with_capacity(MESSAGES),
            window: Window::default(),
            datagrams: Batch::new(MESSAGES, MESSAGES * slot),
            sources: Vec::with_capacity(MESSAGES),
        }
    }

    /// Receives available datagrams; [`Self::next_window`] returns them.
    pub(crate) fn receive(&mut self, socket: BorrowedFd<'_>) {
        self.prepare();
        // SAFETY: each header points to a name, a control message and a part of this receiver, and each
        // part to a slot of the batch's buffer of its own; all outlive the call.
        let received = check(unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                self.headers.len() as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        });
        // Errors: no datagram, an interruption, or one reported by ICMP.
        let received = received.ok().and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
        self.slots.clear();
        for header in self.headers.iter().take(received) {
            let is_whole = header.msg_hdr.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) == 0;
            let len = is_whole.then_some(header.msg_len as usize);
            self.slots.push(Slot { len, segment: segment_size(&header.msg_hdr) });
        }
        self.window = Window::default();
    }

    /// How many received datagrams were dropped as too long.
    pub(crate) fn oversize(&self) -> usize {
        self.slots.iter().map(|slot| slot.left_out(self.max_message)).sum()
    }

    /// Moves to the next received datagrams, at most [`MESSAGES`]. Returns whether there are any.
    pub(crate) fn next_window(&mut self) -> bool {
        self.window.fill(&self.slots, self.slot, self.max_message, &mut self.datagrams);
        self.sources.clear();
        for at in 0..self.datagrams.len() {
            // An unspecified address is dropped later, as unusable.
            let slot = self.datagrams.tag(at);
            let source = socket_address(&self.names[slot], self.headers[slot].msg_hdr.msg_namelen);
            self.sources.push(source.unwrap_or((Ipv4Addr::UNSPECIFIED, 0).into()));
        }
        !self.datagrams.is_empty()
    }

    fn prepare(&mut self) {
        self.parts.clear();
        self.headers.clear();
        for slot in self.datagrams.buffer().chunks_exact_mut(self.slot) {
            self.parts
                .push(libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: slot.len() });
        }
        let controls = self.parts.iter_mut().zip(&mut self.controls);
        for (name, (part, control)) in self.names.iter_mut().zip(controls) {
            // SAFETY: all zeros is a valid `mmsghdr`.
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_name = (&raw mut *name).cast();
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_hdr.msg_iov = part;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = CONTROL as _;
            self.headers.push(header);
        }
    }
}

/// The length of each datagram in a slot, if the kernel coalesced several.
fn segment_size(header: &libc::msghdr) -> Option<usize> {
    // SAFETY: the kernel wrote the header and the control messages that it points to, which are still there.
    let mut control = unsafe { libc::CMSG_FIRSTHDR(header).as_ref() };
    while let Some(head) = control {
        if head.cmsg_level == libc::SOL_UDP && head.cmsg_type == libc::UDP_GRO {
            // SAFETY: a control message of this type holds a `c_int`.
            let size: libc::c_int =
                unsafe { libc::CMSG_DATA(head).cast::<libc::c_int>().read_unaligned() };
            return usize::try_from(size).ok().filter(|size| *size > 0);
        }
        // SAFETY: as above.
        control = unsafe { libc::CMSG_NXTHDR(header, head).as_ref() };
    }
    None
}

/// The address that the kernel wrote.
fn socket_address(name: &libc::sockaddr_storage, len: libc::socklen_t) -> Option<SocketAddr> {
    match libc::c_int::from(name.ss_family) {
        _ if (len as usize) < size_of::<libc::sockaddr_in>() => None,
        libc::AF_INET => {
            // SAFETY: the family says that it is a `sockaddr_in`, which is shorter than the storage
            // and no stricter aligned.
            let name = unsafe { &*(&raw const *name).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from_bits(u32::from_be(name.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(name.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above, for a `sockaddr_in6`.
            let name = unsafe { &*(&raw const *name).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
            let port = u16::from_be(name.sin6_port);
            Some(SocketAddrV6::new(ip, port, 0, name.sin6_scope_id).into())
        }
        _ => None,
    }
}
