use std::os::unix::fs::PermissionsExt as _;

use common::wire::Version;
use confidential_api::policy::{Image, Registers, RekKind};
use ed25519_dalek::SigningKey;
use services::GATEWAY;

use super::*;

const AGENT: &str = "# mine\nlisten_port = 41000 # the router forwards it\n\n[[dial]]\nname = \"ollama\"\n\
                     socket = \"run/maru/dial/ollama/http.sock\"\nuid = 61002\nto = \"127.0.0.1:11434\"\n";
const OPENCLAW: &str = "{\n  // ours\n  models: { providers: { llamacpp: { baseUrl: \"unix:///run/llm.sock\" } } },\n}\n";

/// A home with files that an admin wrote.
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for (path, text) in [
        (node_agent_api::settings::FILE, AGENT),
        (gateway::FILE, "# gateway\nnetwork = \"kim.internal\"\n"),
        ("var/lib/maru/gateway/config/openclaw.json", OPENCLAW),
    ] {
        let path = home.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let authority = rcgen::generate_simple_self_signed(vec!["ca".to_owned()]).unwrap();
    fs::write(home.path().join("ca.pem"), authority.cert.pem()).unwrap();
    home
}

fn args(home: &Path, relays: &[&str]) -> AddArgs {
    AddArgs {
        name: "lab".to_owned(),
        identity: Fixed([7; 32]),
        auth: "auth.example@203.0.113.5:8080".parse().unwrap(),
        relay: relays.iter().map(|relay| relay.parse().unwrap()).collect(),
        ca: home.join("ca.pem"),
        model: vec!["smollm2".to_owned()],
        anchor: vec![home.join("ca.pem")],
        policy: None,
        simulated: true,
        write: true,
    }
}

fn text(home: &Path, path: impl AsRef<Path>) -> String {
    fs::read_to_string(home.join(path)).unwrap()
}

fn all(home: &Path) -> [String; 3] {
    let openclaw = "var/lib/maru/gateway/config/openclaw.json";
    [node_agent_api::settings::FILE, gateway::FILE, openclaw].map(|path| text(home, path))
}

#[test]
fn a_deployment_is_written_into_three_files_and_taken_out_again() {
    let home = home();
    let before = all(home.path());
    fs::set_permissions(home.path().join(gateway::FILE), fs::Permissions::from_mode(0o640))
        .unwrap();

    add(args(home.path(), &["203.0.113.6:3100", "127.0.0.1:3100"]), home.path()).unwrap();

    assert_eq!(simulated(home.path()), ["lab"]);
    assert!(simulated(&home.path().join("elsewhere")).is_empty());
    let [agent, gateway, openclaw] = all(home.path());
    assert!(agent.starts_with(AGENT.trim_end()), "comments stay: {agent}");
    let settings: Agent = settings::parse(Path::new("agent.toml"), &agent).unwrap();
    let seen: Vec<_> =
        settings.dial.iter().map(|it| (it.name.as_str(), it.outside, it.uid)).collect();
    assert_eq!(
        seen[1..],
        [
            ("lab-auth", true, GATEWAY),
            ("lab-relay-1", true, GATEWAY),
            ("lab-relay-2", false, GATEWAY)
        ]
    );
    let settings: gateway::Settings = settings::parse(Path::new("gateway.toml"), &gateway).unwrap();
    assert_eq!(settings.network, "kim.internal");
    let pinned = &settings.confidential["lab"];
    assert_eq!(
        (pinned.identity, pinned.simulated, pinned.shared_seeds),
        (Fixed([7; 32]), true, false)
    );
    assert_eq!(pinned.anchors.len(), 1);
    assert!(openclaw.contains("// ours") && openclaw.contains("\"auth.example\""), "{openclaw}");
    assert!(openclaw.contains("unix:///run/maru/dial/lab-relay-2/http.sock"), "{openclaw}");
    let ca = home.path().join("var/lib/maru/gateway/config/confidential-lab-ca.pem");
    assert!(ca.is_file());
    let mode = fs::metadata(home.path().join(gateway::FILE)).unwrap().mode() & 0o777;
    assert_eq!(mode, 0o640, "a file keeps its mode");
    assert_eq!(list(home.path()).unwrap()[0].leads_to.len(), 3);

    // Again, with fewer relays: nothing of the first time stays.
    add(args(home.path(), &["203.0.113.6:3100"]), home.path()).unwrap();
    assert_eq!(list(home.path()).unwrap()[0].leads_to.len(), 2);
    let once = all(home.path());
    add(args(home.path(), &["203.0.113.6:3100"]), home.path()).unwrap();
    assert_eq!(all(home.path()), once, "repeating it changes nothing");

    remove(&RemoveArgs { name: "lab".to_owned(), write: true }, home.path()).unwrap();
    let after = all(home.path());
    assert_eq!([&after[0], &after[1]], [&before[0], &before[1]]);
    assert!(!after[2].contains("lab") && after[2].contains("// ours"), "{}", after[2]);
    assert!(
        remove(&RemoveArgs { name: "lab".to_owned(), write: true }, home.path()).is_err(),
        "there is none any more"
    );
}

/// The text of every file below a folder.
fn texts(folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let text = |path: PathBuf| {
        if path.is_dir() {
            return texts(&path);
        }
        String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned()
    };
    entries.map(text).collect()
}

#[test]
fn no_private_key_comes_home_with_a_deployment() {
    use base64::{
        Engine as _,
        engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
    };
    let (home, theirs) = (home(), tempfile::tempdir().unwrap());
    let authority = rcgen::generate_simple_self_signed(vec!["theirs".to_owned()]).unwrap();
    let key = authority.signing_key.serialize_der();
    let both = theirs.path().join("both.pem");
    let key_pem = authority.signing_key.serialize_pem();
    fs::write(&both, format!("{key_pem}{}", authority.cert.pem())).unwrap();
    let before = texts(home.path());

    let ca = AddArgs { ca: both.clone(), ..args(home.path(), &["203.0.113.6:3100"]) };
    let said = add(ca, home.path()).unwrap_err().to_string();
    assert!(said.contains("both.pem") && said.contains("private key"), "{said}");
    assert_eq!(texts(home.path()), before);

    // Of an anchor's file the certificate alone is taken.
    let anchor = AddArgs { anchor: vec![both], ..args(home.path(), &["203.0.113.6:3100"]) };
    add(anchor, home.path()).unwrap();
    let after = texts(home.path());
    let certificate = URL_SAFE_NO_PAD.encode(authority.cert.der());
    assert!(after.contains(&certificate), "the search finds what was taken");
    // A line of PEM has 64 letters.
    let secrets = [STANDARD.encode(&key)[..48].to_owned(), URL_SAFE_NO_PAD.encode(&key)];
    for secret in secrets.into_iter().chain(["PRIVATE KEY".to_owned()]) {
        assert!(!after.contains(&secret), "{secret}");
    }
}

#[test]
fn what_was_pinned_by_hand_stays_when_a_deployment_is_added_again() {
    let home = home();
    let file = home.path().join("ak.json");
    fs::write(&file, r#"{"certificate":null,"key":"AAEACw","kind":"tpm","name":"node-1"}"#)
        .unwrap();
    let with = |relay| AddArgs {
        anchor: vec![home.path().join("ca.pem"), file.clone()],
        ..args(home.path(), &[relay])
    };
    let pinned = || {
        let text = text(home.path(), gateway::FILE);
        let mut settings: gateway::Settings =
            settings::parse(Path::new("gateway.toml"), &text).unwrap();
        settings.confidential.remove("lab").unwrap()
    };
    add(with("203.0.113.6:3100"), home.path()).unwrap();
    let by_hand = "[[confidential.lab.images]]\nname = \"image\"\nkind = \"tpm\"\nmodels = [\"smollm2\"]\nrek = \"p-256\"\n\
                   [confidential.lab.images.pcrs]\n8 = \"0101\"\n";
    let before = text(home.path(), gateway::FILE)
        .replace("simulated = true\n", "simulated = true\nmin_epoch = 7\nverified_for_s = 30\n")
        .replace("key = \"AAEACw\"\n", &format!("key = \"AAEACw\"\nvendor = true\n{by_hand}"));
    fs::write(home.path().join(gateway::FILE), before).unwrap();
    let before = pinned();
    assert!(before.anchors[1].vendor && before.images.is_some(), "{before:?}");

    add(with("203.0.113.7:3100"), home.path()).unwrap();

    assert_eq!(pinned(), before);
    assert_eq!(list(home.path()).unwrap()[0].leads_to[1].to_string(), "203.0.113.7:3100");
    let once = all(home.path());
    add(with("203.0.113.7:3100"), home.path()).unwrap();
    assert_eq!(all(home.path()), once, "repeating it changes nothing");

    // What the options do say is exchanged.
    let fewer =
        AddArgs { simulated: false, anchor: vec![file.clone()], ..with("203.0.113.7:3100") };
    add(fewer, home.path()).unwrap();
    let after = pinned();
    assert_eq!((after.simulated, after.anchors.len(), after.min_epoch), (false, 1, 7));
    assert!(after.anchors[0].vendor && after.images == before.images, "{after:?}");

    // It was written for this identity, and for no other.
    let once = all(home.path());
    let other = AddArgs { identity: Fixed([8; 32]), ..with("203.0.113.7:3100") };
    let said = add(other, home.path()).unwrap_err().to_string();
    assert!(said.contains("min_epoch") && said.contains("another identity"), "{said}");
    assert_eq!(all(home.path()), once);
}

#[test]
fn what_cannot_be_changed_without_a_doubt_leaves_all_as_it_is() {
    for (path, broken) in [
        (node_agent_api::settings::FILE, "listen_port = "),
        (
            node_agent_api::settings::FILE,
            "[[dial]]\nname = \"lab-auth\"\nsocket = \"run/maru/dial/lab-auth/http.sock\"\nuid = 1\nto = \"127.0.0.1:1\"\n",
        ),
        (
            gateway::FILE,
            "[confidential.lab]\nidentity = \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"\n",
        ),
        (
            "var/lib/maru/gateway/config/openclaw.json",
            "{ models: { providers: { lab: { api: \"ollama\" } } } }",
        ),
        ("var/lib/maru/gateway/config/openclaw.json", "["),
    ] {
        let home = home();
        fs::write(home.path().join(path), broken).unwrap();
        let before = all(home.path());
        let said =
            add(args(home.path(), &["203.0.113.6:3100"]), home.path()).map_err(|it| it.to_string());
        assert!(said.is_err(), "{path}: {broken}");
        assert_eq!(all(home.path()), before);
    }
}

#[test]
fn a_file_that_maru_did_not_write_changes_only_with_leave() {
    let home = home();
    let before = all(home.path());
    let with = |write| AddArgs { write, ..args(home.path(), &["203.0.113.6:3100"]) };

    let refused = add(with(false), home.path()).unwrap_err().to_string();

    assert!(refused.contains("--write"), "{refused}");
    assert_eq!(all(home.path()), before);
    add(with(true), home.path()).unwrap();
    let added = all(home.path());
    let lab = |write| RemoveArgs { name: "lab".to_owned(), write };
    assert!(remove(&lab(false), home.path()).is_err());
    assert_eq!(all(home.path()), added);
    let path = "var/lib/maru/gateway/config/openclaw.json";
    assert_eq!(text(home.path(), format!("{path}.former")), OPENCLAW);
    let own = format!("// Models and agents of Maru, in OpenClaw's format (JSON5).\n{OPENCLAW}");
    fs::write(home.path().join(path), own).unwrap();
    add(with(false), home.path()).unwrap();
}

#[test]
fn a_policys_images_and_epoch_are_pinned_until_another_one_is_given() {
    let home = home();
    let file = home.path().join("policy.json");
    let key = SigningKey::from_bytes(&[1; 32]);
    let policy = |epoch, images: &[&str]| {
        let image = |name: &&str| Image {
            name: (*name).to_owned(),
            kind: EvidenceKind::Nitro,
            models: vec!["smollm2".to_owned()],
            pcrs: Registers([(0, vec![1; 48]), (16, vec![2; 48])].into()),
            rek: RekKind::XWing,
        };
        let policy = Policy {
            version: Version,
            policy_id: "lab".to_owned(),
            epoch,
            not_after: 2_000_000_000_000,
            simulated: true,
            anchors: Vec::new(),
            images: images.iter().map(image).collect(),
        };
        fs::write(&file, Signed::sign(&policy, &key, None).unwrap().to_json()).unwrap();
        policy.images
    };
    let with = |policy: Option<&Path>, identity| AddArgs {
        identity: Fixed(identity),
        policy: policy.map(Path::to_owned),
        ..args(home.path(), &["203.0.113.6:3100"])
    };
    let identity = key.verifying_key().to_bytes();
    let pinned = || {
        let text = text(home.path(), gateway::FILE);
        let settings: gateway::Settings =
            settings::parse(Path::new("gateway.toml"), &text).unwrap();
        let pinned = &settings.confidential["lab"];
        (pinned.min_epoch, pinned.images.clone())
    };

    let two = policy(7, &["one", "two"]);
    add(with(Some(&file), identity), home.path()).unwrap();
    assert_eq!(pinned(), (7, Some(two.clone())));
    // Without one, what is pinned stays.
    add(with(None, identity), home.path()).unwrap();
    assert_eq!(pinned(), (7, Some(two)));
    let one = policy(8, &["one"]);
    add(with(Some(&file), identity), home.path()).unwrap();
    assert_eq!(pinned(), (8, Some(one)));

    // Signed by somebody else, or no policy at all: nothing is changed.
    remove(&RemoveArgs { name: "lab".to_owned(), write: true }, home.path()).unwrap();
    let before = all(home.path());
    let said = add(with(Some(&file), [7; 32]), home.path()).unwrap_err().to_string();
    assert!(said.contains("policy.json is no policy of this deployment"), "{said}");
    fs::write(&file, "{}").unwrap();
    assert!(add(with(Some(&file), identity), home.path()).is_err());
    assert_eq!(all(home.path()), before);
}

#[test]
fn a_place_is_a_written_out_address() {
    let place = |text: &str| text.parse::<ServerAddress>();
    assert_eq!(place("203.0.113.5:1").unwrap().name, "203.0.113.5");
    assert_eq!(place("a.example@[2001:db8::1]:1").unwrap().name, "a.example");
    for wrong in ["a.example:1", "203.0.113.5", "@203.0.113.5:1", "a b@203.0.113.5:1", ""] {
        assert!(place(wrong).is_err(), "{wrong}");
    }
    for wrong in ["", "-lab", "Lab", "a/b", "a b", "\u{d55c}", &"a".repeat(41)] {
        assert!(check_name(wrong).is_err(), "{wrong}");
    }
    assert!(check_name("lab-2.example").is_ok());
}

#[test]
fn a_tpms_key_is_pinned_as_it_was_printed() {
    let home = home();
    let file = home.path().join("ak.json");
    let printed = r#"{"certificate":null,"key":"AAEACw","kind":"tpm","name":"node-1"}"#;
    fs::write(&file, printed).unwrap();
    let with = |anchor: &[&Path]| AddArgs {
        anchor: anchor.iter().map(|path| path.to_path_buf()).collect(),
        ..args(home.path(), &["203.0.113.6:3100"])
    };

    add(with(&[&home.path().join("ca.pem"), &file]), home.path()).unwrap();

    let text = text(home.path(), gateway::FILE);
    let settings: gateway::Settings = settings::parse(Path::new("gateway.toml"), &text).unwrap();
    let anchors = &settings.confidential["lab"].anchors;
    let expected: Anchor = serde_json::from_str(printed).unwrap();
    assert_eq!((anchors.len(), &anchors[1].anchor, anchors[1].vendor), (2, &expected, false));

    for other in ["{}", r#"{"name":"x","kind":"nitro","certificate":"AA","key":null}"#, "{"] {
        fs::write(&file, other).unwrap();
        let said = add(with(&[&file]), home.path()).unwrap_err().to_string();
        assert!(said.contains("ak.json") && said.contains("maru-compute ak"), "{said}");
    }
}
