use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::ZERO_TIME;

/// As the Go client (1.90) writes an update, shortened.
const GO: &str = r#"{"Version":130,"Compress":"zstd","KeepAlive":true,
"NodeKey":"nodekey:1111111111111111111111111111111111111111111111111111111111111111",
"DiscoKey":"discokey:2222222222222222222222222222222222222222222222222222222222222222",
"Stream":false,"OmitPeers":true,
"Hostinfo":{"OS":"linux","NetInfo":{"MappingVariesByDestIP":false,"WorkingIPv6":null,"PreferredDERP":901,
"DERPLatency":{"901-v4":0.001}},"Services":[{"Proto":"peerapi4","Port":4242}]},
"Endpoints":["192.0.2.7:41641","[fe80::1%eth0]:41641","[2001:db8::1]:41641"],"EndpointTypes":[1,1,2]}"#;

/// As the Rust client (0.6) writes one.
const RUST: &str = r#"{"Version":130,"KeepAlive":true,
"NodeKey":"nodekey:1111111111111111111111111111111111111111111111111111111111111111",
"DiscoKey":"discokey:2222222222222222222222222222222222222222222222222222222222222222","Stream":true,
"HostInfo":{"Hostname":"box","NetInfo":{"PreferredDerp":901,"WorkingUdp":true,"DerpLatency":{"901-v4":0.5}}},
"Endpoints":[],"EndpointTypes":[]}"#;

/// As a coordinator might write a first response, with Go's nulls.
const RESPONSE: &str = r#"{"Node":{"ID":1,"StableID":"n1","Name":"home.maru.home.arpa.","User":7,
"Key":"nodekey:1111111111111111111111111111111111111111111111111111111111111111","KeyExpiry":"0001-01-01T00:00:00Z",
"Addresses":["100.64.0.1/32","fd7a:115c:a1e0::1/128"],"AllowedIPs":null,"Endpoints":null,"DERP":"127.3.3.40:901",
"CapMap":{"maru/gateway-identity":["x"],"flag":null},"Tags":null},
"DERPMap":{"Regions":{"901":{"RegionID":901,"RegionCode":"home","RegionName":"Home","Nodes":[
{"Name":"901a","RegionID":901,"HostName":"home","CertName":"sha256-raw:00","DERPPort":8444,"STUNPort":-1}]}}},
"Peers":[],"PacketFilters":{"*":null,"base":[{"SrcIPs":["*"],"DstPorts":[{"IP":"*","Ports":{"First":0,"Last":65535}}]}]},
"PeerSeenChange":{"2":true},"OnlineChange":null,"PeersChanged":null,"UserProfiles":[null],"Unknown":{"a":[1]}}"#;

#[test]
fn updates_of_both_stock_clients_are_read() {
    let go: MapRequest = serde_json::from_str(GO).unwrap();
    assert_eq!((go.compress.as_str(), go.stream, go.omit_peers), (ZSTD, false, true));
    let addresses = ["192.0.2.7:41641".parse().unwrap(), "[2001:db8::1]:41641".parse().unwrap()];
    assert_eq!(go.endpoints, addresses, "an address with a zone is left out");
    let hostinfo = go.hostinfo.unwrap();
    assert_eq!(hostinfo.preferred_derp(), Some(901));
    assert_eq!(hostinfo.services[0].port, 4242);

    let rust: MapRequest = serde_json::from_str(RUST).unwrap();
    assert!(rust.stream && rust.endpoints.is_empty());
    let hostinfo = rust.hostinfo.unwrap();
    assert_eq!((hostinfo.hostname.as_str(), hostinfo.preferred_derp()), ("box", Some(901)));
}

#[test]
fn a_first_response_is_read_with_gos_nulls() {
    let response: MapResponse = serde_json::from_str(RESPONSE).unwrap();

    let node = response.node.unwrap();
    assert_eq!((node.key_expiry.as_ref(), node.home_region()), (None, Some(901)));
    assert_eq!(node.effective_allowed_ips(), node.addresses);
    assert_eq!(node.cap_map["flag"], Vec::<Value>::new());
    let relay = &response.derp_map.unwrap().regions[&901].nodes[0];
    assert_eq!((relay.port(), relay.stun(), relay.certificate_pin()), (8444, None, Some(None)));
    assert_eq!(response.peers, Some(vec![]));
    let filters = response.packet_filters.unwrap();
    assert_eq!(filters["*"], None);
    assert!(filters[BASE_FILTER].as_ref().unwrap()[0].dst_ports[0].ports.contains(443));
    assert!(response.user_profiles.is_empty() && response.packet_filter.is_none());
}

#[test]
fn a_router_offers_itself_and_reads_which_wireguard_devices_it_serves() {
    let key = "1".repeat(64);
    let offer =
        format!(r#"{{"OS":"linux","MaruWireguard":{{"Key":"nodekey:{key}","Port":51820}}}}"#);
    let hostinfo: Hostinfo = serde_json::from_str(&offer).unwrap();
    let router = WireguardRouter { key: NodePublic::from_bytes([0x11; 32]), port: 51820 };
    assert_eq!(hostinfo.maru_wireguard, Some(router));
    assert_eq!(serde_json::to_string(&hostinfo).unwrap(), offer);

    let devices = json!([
        {"Node": 7, "FullTunnel": true, "Allow": [{"SrcIPs": ["100.64.0.7"], "DstPorts": null}, null]},
        "not a device",
        {"Node": 8, "Allow": null},
    ]);
    let own = CapMap::from([(WIREGUARD_DEVICES.to_owned(), devices.as_array().unwrap().clone())]);
    let served = WireguardDevice::served(&own);
    let told: Vec<_> = served.iter().map(|it| (it.node, it.full_tunnel, it.allow.len())).collect();
    assert_eq!(told, [(7, true, 1), (8, false, 0)]);
    assert_eq!(WireguardDevice::served(&CapMap::new()), []);
}

#[test]
fn an_absent_list_and_an_empty_one_differ_where_the_protocol_says_so() {
    let absent: MapResponse = serde_json::from_str(r#"{"PacketFilter":null}"#).unwrap();
    let empty: MapResponse = serde_json::from_str(r#"{"PacketFilter":[],"Health":[]}"#).unwrap();

    assert_eq!((absent.packet_filter.as_ref(), absent.health.as_ref()), (None, None));
    assert_eq!(
        (empty.packet_filter.as_deref(), empty.health.as_deref()),
        (Some(&[][..]), Some(&[][..]))
    );
    assert_eq!(serde_json::to_value(&absent).unwrap(), json!({}));
    assert_eq!(serde_json::to_value(&empty).unwrap(), json!({"PacketFilter": [], "Health": []}));
    assert_eq!(
        serde_json::to_value(MapResponse::keep_alive()).unwrap(),
        json!({"KeepAlive": true})
    );
    let blocked = MapResponse {
        packet_filters: Some([(BASE_FILTER.to_owned(), Some(vec![]))].into()),
        ..Default::default()
    };
    assert_eq!(serde_json::to_value(&blocked).unwrap(), json!({"PacketFilters": {"base": []}}));
}

#[test]
fn a_node_is_written_with_gos_names_and_without_what_is_unset() {
    let node = Node {
        id: 3,
        stable_id: "n3".to_owned(),
        name: "laptop.maru.home.arpa.".to_owned(),
        addresses: vec!["100.64.0.3/32".parse().unwrap(), "fd7a:115c:a1e0::3/128".parse().unwrap()],
        endpoints: vec!["[::1]:1".parse().unwrap()],
        home_derp: 901,
        ..Node::default()
    };

    let key = format!("nodekey:{}", "0".repeat(64));
    let expected = json!({
        "ID": 3, "StableID": "n3", "Name": "laptop.maru.home.arpa.", "User": 0, "Key": key,
        "Addresses": ["100.64.0.3/32", "fd7a:115c:a1e0::3/128"], "Endpoints": ["[::1]:1"], "HomeDERP": 901,
    });
    assert_eq!(serde_json::to_value(node).unwrap(), expected);
}

#[test]
fn a_small_change_is_applied_and_zero_time_means_never() {
    let mut node =
        Node { legacy_derp: "127.3.3.40:900".to_owned(), online: Some(false), ..Node::default() };
    node.key_expiry = Some("2027-01-01T00:00:00Z".to_owned());
    let endpoint = "192.0.2.1:1".parse().unwrap();
    let change: PeerChange = serde_json::from_value(json!({
        "NodeID": 3, "DERPRegion": 901, "Online": true, "Endpoints": ["192.0.2.1:1"], "KeyExpiry": ZERO_TIME,
        "Cap": 130, "CapMap": {"a": null},
    }))
    .unwrap();

    node.apply(&change);

    assert_eq!(
        (node.home_region(), node.online, node.endpoints.as_slice()),
        (Some(901), Some(true), &[endpoint][..])
    );
    assert_eq!((node.key_expiry.as_ref(), node.cap, node.cap_map.len()), (None, 130, 1));
    let before = node.clone();
    node.apply(&PeerChange { node_id: 3, ..PeerChange::default() });
    assert_eq!(node, before, "an empty change changes nothing");
}

#[test]
fn rules_of_2020_are_not_taken_for_their_addresses_alone() {
    let rule: FilterRule = serde_json::from_value(json!({
        "SrcIPs": ["10.0.0.0"], "SrcBits": [8], "DstPorts": [{"IP": "10.0.0.0", "Bits": 8, "Ports": {"First": 1, "Last": 2}}],
    }))
    .unwrap();

    assert!(!rule.is_supported());
    assert!(FilterRule::default().is_supported());
}

proptest! {
    /// Any bytes, and any change of a real message, are read or refused; what is read survives being written.
    #[test]
    fn any_bytes_are_read_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        at in any::<prop::sample::Index>(),
        new in prop::collection::vec(any::<u8>(), 0..4),
    ) {
        let splice = |text: &str| {
            let mut changed = text.as_bytes().to_vec();
            let at = at.index(changed.len());
            changed.splice(at..(at + new.len()).min(text.len()), new.iter().copied());
            changed
        };
        for bytes in [bytes.clone(), splice(GO), splice(RUST), splice(RESPONSE)] {
            if let Ok(request) = serde_json::from_slice::<MapRequest>(&bytes) {
                let again = serde_json::from_slice(&serde_json::to_vec(&request).unwrap()).unwrap();
                prop_assert_eq!(request, again);
            }
            if let Ok(response) = serde_json::from_slice::<MapResponse>(&bytes) {
                let again = serde_json::from_slice(&serde_json::to_vec(&response).unwrap()).unwrap();
                prop_assert_eq!(response, again);
            }
        }
    }

    /// Pins are read whole or satisfied by nothing; ports are read as Go reads them.
    #[test]
    fn relays_are_read_as_go_reads_them(pin in any::<[u8; 32]>(), text in "[0-9a-zA-Z:-]{0,80}", stun in any::<i32>()) {
        let pinned = DerpNode { cert_name: format!("sha256-raw:{}", hex::encode(pin)), ..DerpNode::default() };
        prop_assert_eq!(pinned.certificate_pin(), Some(Some(pin)));
        let other = DerpNode { cert_name: text.clone(), stun_port: stun, ..DerpNode::default() };
        prop_assert_eq!(other.certificate_pin().is_some(), text.starts_with("sha256-raw:"));
        prop_assert_eq!(other.stun().is_none(), !(0..=65535).contains(&stun));
        prop_assert_eq!((other.port(), pinned.stun()), (443, Some(3478)));
    }
}
