//! A stock node and our agent find a direct path to each other, on lab machines with the real coordinator and relay.
//!
//! Fails if `tailscale ping` does not say that the path to our agent is direct, or if our agent's path to the stock node is not.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

use lab::stock::StockNode;
use serde_json::json;
use testkit::blocking::eventually;

use super::control_plane::{ControlPlane, Node, echo};

const SERVICE: &str = "hostname = \"server\"\n\
    [[service]]\nname = \"echo\"\nport = 80\nsocket = \"run/maru/echo/http.sock\"\n";

#[test]
#[ignore = "needs: root, go"]
fn a_stock_node_and_our_agent_are_direct_both_ways() {
    let plane = ControlPlane::new();
    plane.open_policy();
    let home = Node::start(&plane.topology.home.clone(), SERVICE);
    let _callers = echo(&home.root.path().join("run/maru/echo/http.sock"));
    home.join(&plane.invite("mina", true));
    home.wait_for_state("running");
    let address: Ipv4Addr = home.address().parse().unwrap();

    let stock = StockNode::start(&plane.topology.laptops[0]).unwrap();
    let key = plane.ask("POST", "/keys", Some(json!({ "user": "mina", "pre_approved": true })));
    stock.join("http://10.77.1.2:8443", key["key"].as_str().unwrap(), &[]).unwrap();
    stock.wait_for_peers(&["server"]).unwrap();
    home.peer("laptop");

    // As `tailscale ping --until-direct` does, which fails if it stays relayed.
    stock.wait_for_direct(address).unwrap();
    let said = stock.ok(&["ping", "--c=1", &address.to_string()]).unwrap();
    assert!(said.contains(&format!("pong from server ({address}) via 10.77.")), "{said}");

    let hello = || {
        stock.machine.in_network(|| {
            let to = (address, 80).into();
            let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(5)).ok()?;
            stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
            stream.write_all(b"hello").ok()?;
            stream.shutdown(std::net::Shutdown::Write).ok()?;
            let mut back = String::new();
            stream.read_to_string(&mut back).ok()?;
            (back == "hello").then_some(())
        })
    };
    eventually("an answer through the tunnel", hello);
    eventually("our agent's path to it is direct", || {
        let path = home.peer("laptop")["path"].as_str()?.to_owned();
        path.starts_with("direct 10.77.").then_some(())
    });
    let peer = stock.peer("server").unwrap().unwrap();
    assert!(peer["CurAddr"].as_str().is_some_and(|at| at.starts_with("10.77.")), "{peer}");
}
