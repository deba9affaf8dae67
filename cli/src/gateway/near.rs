//! What is near: on this machine, or in the mesh.

use std::net::IpAddr;

use common::mesh;

/// Whether the host of a URL is this machine, or in the mesh, whose tunnels encrypt and authenticate.
pub(super) fn is_near(url: &str, network: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        Some(_) | None => authority,
    };
    let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback() || mesh::contains(address),
        Err(_) => {
            let inside = host.strip_suffix(network).is_some_and(|rest| rest.ends_with('.'));
            inside || host == "localhost" || host.ends_with(".localhost")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_this_machine_or_in_the_mesh() {
        for near in [
            "http://127.0.0.1:11434",
            "http://[::1]:3000/v1",
            "http://localhost",
            "https://gpu.maru.home.arpa/v1",
            "http://100.64.0.7:8000",
            "http://GPU.maru.home.arpa.:80",
        ] {
            assert!(is_near(near, "maru.home.arpa"), "{near}");
        }
        for far in [
            "https://api.example/v1",
            "http://192.0.2.7:8000",
            "https://maru.home.arpa.example",
            "https://evilmaru.home.arpa",
            "https://localhost.example",
            "https://127.0.0.1@evil.example",
            "${URL}",
            "",
        ] {
            assert!(!is_near(far, "maru.home.arpa"), "{far}");
        }
    }
}
