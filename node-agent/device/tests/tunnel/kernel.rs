//! What the running kernel lacks is switched off alone, said once, and the tunnel works.
//!
//! The kernel of Debian 12 lacks USO: `cargo xtask kernel` runs this there.

use std::{ffi::CStr, net::UdpSocket, os::fd::AsRawFd as _, process::Command};

use wireguard_device::{Offload, offload::Feature};

use crate::pair::{Pair, Side, echo_datagram, echo_stream, is_direct};

/// The first Linux that has USO; the others are in every kernel since 5.0.
const USO: (u32, u32) = (6, 2);
/// As many messages of a full packet (1,280 bytes, and 32 of WireGuard) leave in one send, of 65,507 bytes at most.
const SEGMENTS: usize = 49;
/// The test below whose devices are heard.
const CROSSES: &str = "kernel::all_that_the_kernel_has_is_in_force_and_the_tunnel_works";

#[test]
#[ignore = "needs: root"]
fn all_that_the_kernel_has_is_in_force_and_the_tunnel_works() {
    let has = |feature: &Feature| *feature != Feature::Uso || version() >= USO;
    let expected = Offload::from_iter(Feature::ALL.into_iter().filter(has));
    let pair = Pair::new("kernel");
    let all_in_force = || {
        for side in [&pair.a, &pair.b] {
            assert_eq!(side.device.offload(), expected, "on Linux {:?}", version());
            assert!(has_tso(side), "the kernel was not asked for it");
            let link = side.machine.sh("ip -d -o link show maru0").unwrap();
            assert!(link.contains(&format!(" gso_max_segs {SEGMENTS} ")), "{link}");
        }
    };
    all_in_force();
    pair.connect(true, true);
    pair.b.serve_echo(7000);
    assert_eq!(pair.a.ping(pair.b.v4, 3), 3);
    pair.wait_for(20, is_direct);
    for to in [pair.b.v4, pair.b.v6] {
        let socket = pair.a.udp(to, 7000);
        for len in [0, 1, 1200, 8000] {
            assert!(echo_datagram(&socket, len), "{len} bytes by UDP to {to}");
        }
        echo_stream(&pair.a.dial(to, 7000, 30).unwrap(), 8 << 20);
    }
    // Nor was anything refused on the way.
    all_in_force();
}

#[test]
#[ignore = "needs: root"]
fn what_the_kernel_lacks_is_said_once_by_each_device() {
    let out = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", CROSSES, "--include-ignored"])
        .env("RUST_LOG", "wireguard_device=info")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && said.contains("1 passed"), "{said}");
    let log = String::from_utf8_lossy(&out.stderr);
    let refused: Vec<_> =
        log.lines().filter(|line| line.contains("does not support the offload")).collect();
    let devices = if version() < USO { 2 } else { 0 };
    assert_eq!(refused.len(), devices, "{log}");
    assert!(refused.iter().all(|line| line.contains("offload uso")), "{log}");
}

/// Whether the kernel gives a device super-packets of TCP, by what it says itself (`ETHTOOL_GTSO`).
fn has_tso(side: &Side) -> bool {
    const ETHTOOL_GTSO: u32 = 0x1e;
    side.machine.in_network(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        let mut asked = [ETHTOOL_GTSO, 0];
        // SAFETY: all zeros is a valid `ifreq`.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(b"maru0") {
            *to = *from as libc::c_char;
        }
        request.ifr_ifru.ifru_data = asked.as_mut_ptr().cast();
        // SAFETY: the request points to an `ethtool_value`, which is two numbers; both outlive the call.
        let result =
            unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut request) };
        assert_eq!(result, 0);
        asked[1] != 0
    })
}

/// The running kernel's version: major and minor.
fn version() -> (u32, u32) {
    // SAFETY: all zeros is a valid `utsname`.
    let mut name: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: `name` is valid for a `utsname`.
    assert_eq!(unsafe { libc::uname(&raw mut name) }, 0);
    // SAFETY: the kernel ends the release with a zero byte.
    let release = unsafe { CStr::from_ptr(name.release.as_ptr()) }.to_str().unwrap();
    let mut numbers = release.split(['.', '-']).map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}
