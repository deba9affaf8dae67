use ai_gateway_api::settings::gateway;
use node_agent_api::settings::Wireguard;
use services::{GATEWAY_MESH, TELMEET_MESH};
use telmeet_api::settings as telmeet;

use super::*;

fn root() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for folder in ["etc/maru", "var/lib/maru/gateway/config"] {
        std::fs::create_dir_all(root.path().join(folder)).unwrap();
    }
    root
}

fn plain(host: &str) -> Option<Reach> {
    Some(Reach::Plain(host.to_owned()))
}

fn written(root: &Path, path: &str) -> String {
    std::fs::read_to_string(root.join(path)).unwrap()
}

#[test]
#[ignore = "needs: root"]
fn what_the_user_wrote_stays() {
    let root = root();
    let own = "server_url = \"http://maru.example.org:8443\"\nlisten = \"127.0.0.1:9443\"\n";
    std::fs::write(root.path().join("etc/maru/coordinator.toml"), own).unwrap();

    let mut planned = plan(root.path(), plain("203.0.113.7"), Some("other.internal")).unwrap();
    planned.write(root.path()).unwrap();

    assert_eq!(written(root.path(), "etc/maru/coordinator.toml"), own);
    assert!(written(root.path(), "etc/maru/agent.toml").contains("18789"));
    let numbers: Vec<_> = ports(root.path()).unwrap().iter().map(|port| port.number).collect();
    assert_eq!(numbers, [9443, 8444, 3478, 41641]);
}

#[test]
#[ignore = "needs: root"]
fn the_first_configuration_is_complete() {
    let root = root();

    let before = ports(root.path()).unwrap();
    let mut planned = plan(root.path(), plain("2001:db8::7"), Some("home.example.org")).unwrap();
    assert!(!root.path().join("etc/maru/coordinator.toml").exists(), "only planned so far");
    planned.write(root.path()).unwrap();

    assert_eq!(ports(root.path()).unwrap(), before);
    assert_eq!(coordinator(root.path()).unwrap(), planned.coordinator);
    let config = coordinator(root.path()).unwrap();
    assert_eq!(config.server_url.as_deref(), Some("http://[2001:db8::7]:8443"));
    assert_eq!(config.network, "home.example.org");
    assert_eq!(local_url(&config), "http://127.0.0.1:8443");
    insta::assert_snapshot!(
        "openclaw",
        written(root.path(), "var/lib/maru/gateway/config/openclaw.json")
    );
}

#[test]
fn a_mistake_in_a_configuration_names_its_file() {
    let root = root();
    std::fs::write(root.path().join("etc/maru/coordinator.toml"), "\nlisten = 8443\n").unwrap();

    let error = ports(root.path()).unwrap_err().to_string();

    assert!(error.contains("coordinator.toml, line 2, column 10: "), "{error}");
}

#[test]
fn each_daemon_reads_what_is_written_for_it() {
    let network = "home.example.org";
    let (text, for_telmeet) =
        (mesh_toml(&GATEWAY_MESH, network), mesh_toml(&TELMEET_MESH, network));
    let path = Path::new("written.toml");
    let (network, names) = (network.to_owned(), vec![format!("home.{network}")]);

    let defaults = gateway::Settings::default();
    let read: gateway::Settings = settings::parse(path, &text).unwrap();
    assert_eq!(
        read,
        gateway::Settings { network: network.clone(), names: names.clone(), ..defaults }
    );
    let defaults = telmeet::Settings::default();
    let read: telmeet::Settings = settings::parse(path, &for_telmeet).unwrap();
    let gateway_uid = Some(services::GATEWAY);
    assert_eq!(read, telmeet::Settings { network, names, gateway_uid, ..defaults });

    let agent: Agent = settings::parse(path, &agent_toml()).unwrap();
    let socket = |name| agent.service.iter().find(|it| it.name == name).map(|it| &it.socket);
    assert_eq!(socket("telmeet"), Some(&telmeet::Settings::default().socket));
    assert_eq!(socket("gateway"), Some(&gateway::Settings::default().socket));
    let wireguard = Some(Wireguard { internet: true, ..Wireguard::default() });
    assert_eq!(agent, Agent { service: agent.service.clone(), wireguard, ..Agent::default() });
}

#[test]
fn text_of_the_first_configuration() {
    insta::assert_snapshot!(
        "coordinator",
        coordinator_toml(&Reach::Plain("203.0.113.7".to_owned()), "maru.home.arpa", &[])
    );
    insta::assert_snapshot!("agent", agent_toml());
    assert!(openclaw().contains("unix:///run/maru/inference-2/llm.sock"));
    assert!(crate::openclaw::is_of_maru(&openclaw()));
}

#[test]
fn the_relay_has_this_machines_address_of_the_other_family() {
    let own = ["203.0.113.7", "2001:db8::7"].map(|text| text.parse().unwrap());
    let written = |host: &str| {
        let text = coordinator_toml(&Reach::Plain(host.to_owned()), "maru.home.arpa", &own);
        let read: Coordinator = settings::parse(Path::new(COORDINATOR), &text).unwrap();
        [read.relay.ipv4.map(IpAddr::from), read.relay.ipv6.map(IpAddr::from)]
    };
    assert_eq!(written("203.0.113.7"), [None, Some(own[1])]);
    assert_eq!(written("2001:db8::7"), [Some(own[0]), None]);
    assert_eq!(written("home.example.org"), [None, None], "the name says");
}

#[test]
#[ignore = "needs: root"]
fn what_a_file_written_by_hand_lacks_is_said() {
    let root = root();
    assert!(lacking(root.path()).unwrap().is_empty(), "a file that is missing will be written");
    let mut planned = plan(root.path(), plain("203.0.113.7"), None).unwrap();
    planned.write(root.path()).unwrap();
    assert!(lacking(root.path()).unwrap().is_empty(), "what was written lacks nothing");

    let write = |path: &str, text: &str| std::fs::write(root.path().join(path), text).unwrap();
    write("etc/maru/coordinator.toml", "listen = \"0.0.0.0:9443\"\n");
    write("etc/maru/agent.toml", "listen_port = 0\n");
    let lacking = lacking(root.path()).unwrap().join("\n");
    for text in ["`server_url`", "telmeet", "port = 80 ", "gateway", "port = 18789"] {
        assert!(lacking.contains(text), "{text}: {lacking}");
    }
    // As it was written before pages were cut.
    write("etc/maru/agent.toml", &agent_toml().replace("pages = false\n", ""));
    let lacking = super::lacking(root.path()).unwrap().join("\n");
    assert!(lacking.contains("pages = false"), "{lacking}");
    // As it was written before there were rooms.
    write("etc/maru/agent.toml", &agent_toml().replace("page_names = [\"rooms\"]\n", ""));
    let lacking = super::lacking(root.path()).unwrap().join("\n");
    assert!(lacking.contains("page_names = [\"rooms\"]"), "{lacking}");
    // As it was written before there was HTTPS.
    write("etc/maru/agent.toml", &agent_toml().replace("https = [\"rooms\"]\n", ""));
    let lacking = super::lacking(root.path()).unwrap().join("\n");
    assert!(lacking.contains("https = [\"rooms\"]"), "{lacking}");
}
