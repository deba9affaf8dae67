use std::net::{IpAddr, Ipv4Addr};

use tokio::net::UdpSocket;

use super::*;

async fn refusal(url: &str, forwarder: &Forwarder) -> ChannelError {
    fetch_key(Server { url, ca: None }, forwarder).await.unwrap_err()
}

#[tokio::test]
async fn a_coordinator_at_an_address_of_the_mesh_is_refused_with_what_to_do() {
    for url in [
        "http://100.64.0.1:8443",
        "https://100.127.255.254",
        "http://[fd7a:115c:a1e0::1]:8443",
        "http://[::ffff:100.64.0.1]:8443",
    ] {
        let error = refusal(url, &Forwarder::default()).await;
        assert!(matches!(error, ChannelError::Mesh(_)), "{error}");
        let said = error.to_string();
        assert!(said.contains(url) && said.contains("join at another address"), "{said}");
    }
    // Nobody listens on the neighbours of the ranges, nor on loopback; they are not refused for where they lie.
    let error = refusal("http://[::ffff:127.0.0.1]:1", &Forwarder::default()).await;
    assert!(matches!(error, ChannelError::Dial { .. }), "{error}");
}

/// Answers every question for an address with one of the mesh.
async fn resolver(at: IpAddr) {
    let socket = UdpSocket::bind((at, 53)).await.unwrap();
    tokio::spawn(async move {
        let mut query = [0; 512];
        while let Ok((_, from)) = socket.recv_from(&mut query).await {
            // The name ends with an empty label; its type and class follow (RFC 1035, section 4.1).
            let name = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 1;
            let kind = [query[name], query[name + 1]];
            let address = match kind {
                [0, 1] => vec![100, 64, 0, 7],
                _ => "fd7a:115c:a1e0::7".parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec(),
            };
            let length = u8::try_from(address.len()).unwrap();
            let answer = [
                &query[..2],
                &[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0],
                &query[12..name + 4],
                &[0xc0, 12, kind[0], kind[1], 0, 1, 0, 0, 0, 60, 0, length],
                &address,
            ];
            socket.send_to(&answer.concat(), from).await.unwrap();
        }
    });
}

#[tokio::test]
#[ignore = "needs: root"]
async fn a_coordinator_whose_name_leads_into_the_mesh_is_refused() {
    let at = IpAddr::V4(Ipv4Addr::new(127, 83, 64, 7));
    resolver(at).await;
    let forwarder = Forwarder::default();
    forwarder.set_servers(&[at]);
    let addresses = forwarder.lookup("coordinator.example.").await.unwrap();
    assert!(!addresses.is_empty() && addresses.iter().all(|ip| mesh::contains(*ip)));

    let error = refusal("http://coordinator.example.:8443", &forwarder).await;

    assert!(matches!(error, ChannelError::Mesh(_)), "{error}");
}
