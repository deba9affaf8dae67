use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;

use super::*;

fn dial(name: &str, socket: &str, to: SocketAddr) -> Dial {
    Dial { name: name.to_owned(), socket: socket.into(), uid: 61_002, to, outside: false }
}

fn to(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn one(socket: &str, address: &str) -> Result<(), String> {
    check(&[dial("ollama", socket, to(address))])
}

const SOCKET: &str = "run/maru/dial/ollama/http.sock";

#[test]
fn loopback_and_mesh_addresses_are_dialled() {
    for address in [
        "127.0.0.1:11434",
        "127.8.7.6:1",
        "[::1]:8000",
        "100.64.0.5:11434",
        "100.127.255.255:65535",
        "[fd7a:115c:a1e0::5]:11434",
    ] {
        assert_eq!(one(SOCKET, address), Ok(()), "{address}");
    }
}

#[test]
fn any_other_address_is_refused_by_name() {
    for address in [
        "0.0.0.0:11434",
        "192.168.1.10:11434",
        "10.0.0.1:80",
        "8.8.8.8:53",
        "100.63.255.255:80",
        "100.128.0.0:80",
        "169.254.169.254:80",
        "255.255.255.255:80",
        "127.0.0.1:0",
        "100.64.0.5:0",
        "[::]:11434",
        "[::ffff:127.0.0.1]:11434",
        "[::ffff:100.64.0.5]:11434",
        "[::127.0.0.1]:11434",
        "[64:ff9b::7f00:1]:11434",
        "[fe80::1]:11434",
        "[2001:db8::1]:11434",
    ] {
        let said = one(SOCKET, address).unwrap_err();
        let address = to(address).to_string();
        assert!(said.contains("\"ollama\"") && said.contains(&address), "{said}");
    }
}

fn outside(address: &str) -> Result<(), String> {
    check(&[Dial { outside: true, ..dial("relay", SOCKET, to(address)) }])
}

#[test]
fn one_address_outside_is_dialled_where_the_dial_says_so() {
    for address in ["203.0.113.5:443", "192.168.1.10:3100", "[2001:db8::1]:3100"] {
        assert_eq!(outside(address), Ok(()), "{address}");
        assert!(one(SOCKET, address).unwrap_err().contains("outside = true"), "{address}");
    }
    for address in ["127.0.0.1:443", "[::1]:443", "100.64.0.5:443", "[fd7a:115c:a1e0::5]:443"] {
        assert!(outside(address).unwrap_err().contains("take outside = true out"), "{address}");
    }
    for address in [
        "0.0.0.0:443",
        "0.0.0.1:443",
        "169.254.169.254:80",
        "224.0.0.1:80",
        "255.255.255.255:80",
        "[::]:443",
        "[fe80::1]:443",
        "[ff02::1]:443",
        "[::ffff:127.0.0.1]:443",
        "[::ffff:169.254.169.254]:80",
        "[64:ff9b::a9fe:a9fe]:80",
        "203.0.113.5:0",
    ] {
        let said = outside(address).unwrap_err();
        assert!(said.contains("\"relay\"") && said.contains(&to(address).to_string()), "{said}");
    }
}

#[test]
fn a_socket_lies_in_a_folder_of_its_own_below_the_folder_of_dials() {
    for socket in [
        "",
        "http.sock",
        "/run/maru/dial/ollama/http.sock",
        "run/maru/dial/http.sock",
        "run/maru/dial/a/b/http.sock",
        "run/maru/dial/../http.sock",
        "run/maru/dial/ollama/..",
        "run/maru/dial/./ollama/../../gateway/http.sock",
        "run/maru/gateway/http.sock",
        "etc/maru/http.sock",
        "./run/maru/dial/ollama/http.sock",
    ] {
        let said = one(socket, "127.0.0.1:1").unwrap_err();
        assert!(said.contains("run/maru/dial/ollama/http.sock"), "{said}");
    }
    let other = dial("vllm", "run/maru/dial/ollama/other.sock", to("127.0.0.1:2"));
    let said = check(&[dial("ollama", SOCKET, to("127.0.0.1:1")), other]).unwrap_err();
    assert!(said.contains("\"vllm\"") && said.contains("\"ollama\""), "{said}");
}

#[test]
fn a_dial_has_a_name_and_there_are_not_too_many() {
    let named = |name: &str| check(&[dial(name, SOCKET, to("127.0.0.1:1"))]);
    assert!(named("").is_err() && named(&"a".repeat(65)).is_err());
    let nobody = Dial { uid: u32::MAX, ..dial("d", SOCKET, to("127.0.0.1:1")) };
    assert!(check(&[nobody]).is_err());
    let many = |count: usize| -> Vec<_> {
        let socket = |n| format!("run/maru/dial/{n}/http.sock");
        (0..count).map(|n| dial("d", &socket(n), to("127.0.0.1:1"))).collect()
    };
    assert_eq!(check(&many(MAX)), Ok(()));
    assert!(check(&many(MAX + 1)).is_err());
}

proptest! {
    /// Whatever is written there, nothing but this machine and the mesh is dialled unless the dial leads outside, and
    /// then neither of them; no folder but the dials' own is used.
    #[test]
    fn nothing_else_is_ever_dialled(
        v4 in any::<u32>(),
        v6 in any::<u128>(),
        port in any::<u16>(),
        outside in any::<bool>(),
        socket in "(run/maru/dial/)?[a-z./]{0,12}",
    ) {
        for ip in [IpAddr::V4(v4.into()), IpAddr::V6(v6.into())] {
            let dial = Dial { outside, ..dial("d", &socket, SocketAddr::new(ip, port)) };
            if check(&[dial]).is_ok() {
                prop_assert_eq!(ip.is_loopback() || mesh::contains(ip), !outside, "{}", ip);
                prop_assert!(port != 0);
                let parts: Vec<_> = socket.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
                prop_assert!(matches!(parts[..], ["run", "maru", "dial", _, _]), "{socket}");
                prop_assert!(!parts.contains(&"..") , "{socket}");
            }
        }
    }

    #[test]
    fn any_text_of_settings_is_survived(text in any::<String>(), address in any::<String>()) {
        let dial = format!("[[dial]]\nname = \"a\"\nsocket = \"{SOCKET}\"\nuid = 1\nto = {address:?}\n");
        for text in [text, dial] {
            let path = std::path::Path::new("agent.toml");
            let read = chassis::settings::parse::<node_agent_api::settings::Settings>(path, &text);
            if let Ok(settings) = read {
                let _ = check(&settings.dial);
            }
        }
    }
}
