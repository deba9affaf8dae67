//! Limits a super-packet to the segments that fit into one send.

use std::{
    ffi::CString,
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use crate::sys::{check, check_len};

/// `ifinfomsg` after `nlmsghdr`, then one attribute of four bytes.
const REQUEST: usize = 16 + 16 + 8;
const IFLA_GSO_MAX_SEGS: u16 = 40;
/// Offset of the error in a response (`nlmsgerr`).
const ERROR_AT: usize = 16;

/// Sets how many segments of TCP the kernel puts into one packet for `interface` (rtnetlink, `RTM_NEWLINK`).
pub(super) fn set_max_segments(interface: &str, segments: usize) -> io::Result<()> {
    let name = CString::new(interface).map_err(io::Error::other)?;
    // SAFETY: `name` ends with a zero byte.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 {
        return Err(io::Error::last_os_error());
    }
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: takes no pointers.
    let fd = check(unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) })?;
    // SAFETY: `fd` is open and nobody else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let request = request(index, segments as u32);
    // SAFETY: `request` is valid for its length.
    let sent = unsafe { libc::send(socket.as_raw_fd(), request.as_ptr().cast(), request.len(), 0) };
    check_len(sent)?;
    let mut answer = [0_u8; 1024];
    // SAFETY: `answer` is valid for its length.
    let len =
        unsafe { libc::recv(socket.as_raw_fd(), answer.as_mut_ptr().cast(), answer.len(), 0) };
    check_len(len)?;
    match answer[ERROR_AT..].first_chunk().map_or(0, |error| i32::from_ne_bytes(*error)) {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(-error)),
    }
}

fn request(index: u32, segments: u32) -> [u8; REQUEST] {
    let mut request = [0; REQUEST];
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
    request[0..4].copy_from_slice(&(REQUEST as u32).to_ne_bytes());
    request[4..6].copy_from_slice(&libc::RTM_NEWLINK.to_ne_bytes());
    request[6..8].copy_from_slice(&flags.to_ne_bytes());
    request[20..24].copy_from_slice(&index.to_ne_bytes());
    request[32..34].copy_from_slice(&8_u16.to_ne_bytes());
    request[34..36].copy_from_slice(&IFLA_GSO_MAX_SEGS.to_ne_bytes());
    request[36..40].copy_from_slice(&segments.to_ne_bytes());
    request
}
