//! The device file of Linux's driver (`drivers/misc/nsm.c`).
#![allow(unsafe_code, reason = "an ioctl of the driver")]

use std::{
    fs::OpenOptions,
    io::{self, IoSlice, IoSliceMut},
    path::Path,
};

use rustix::ioctl::{Updater, ioctl, opcode};

/// Longest response of the driver, in bytes (`NSM_RESPONSE_MAX_SIZE`).
pub(super) const RESPONSE_MAX: usize = 0x3000;

/// `struct nsm_raw` of `linux/nsm.h`: two `iovec`s.
#[repr(C)]
struct Message<'a> {
    request: IoSlice<'a>,
    response: IoSliceMut<'a>,
}

/// `NSM_IOCTL_RAW` of `linux/nsm.h`: `_IOWR(0x0A, 0x0, struct nsm_raw)`.
const RAW: rustix::ioctl::Opcode = opcode::read_write::<Message<'static>>(0x0A, 0);

/// Sends one request to the device and waits for its response.
pub(super) fn exchange(path: &Path, request: &[u8]) -> io::Result<Vec<u8>> {
    let device = OpenOptions::new().read(true).write(true).open(path)?;
    let mut response = vec![0; RESPONSE_MAX];
    let mut message =
        Message { request: IoSlice::new(request), response: IoSliceMut::new(&mut response) };
    // SAFETY: the opcode is that of `struct nsm_raw`, which `Message` is: `IoSlice` and `IoSliceMut` have the layout of
    // `iovec` (std). Both buffers outlive the call, and the driver writes at most the response's length.
    unsafe { ioctl(&device, Updater::<RAW, Message<'_>>::new(&mut message)) }?;
    let length = message.response.len().min(RESPONSE_MAX);
    response.truncate(length);
    Ok(response)
}
