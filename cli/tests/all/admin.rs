//! What the admin types, against a real coordinator: `maru user`, `key`, `device`, `policy` and
//! `invite`, in every form of printing.
//!
//! Fails if a command does not do what it says, if what it prints for programs cannot be read, or
//! if one that is refused changes anything or says more than a sentence.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::process::ExitStatusExt as _,
    process::Stdio,
    time::Duration,
};

use lab::{ROOT, STOP};
use rustix::process::Signal;
use serde_json::Value;

use super::control_plane::ControlPlane;

/// One form of printing.
#[derive(Clone, Copy)]
struct Form<'a> {
    plane: &'a ControlPlane,
    name: &'a str,
}

impl Form<'_> {
    /// Runs a command. For programs it must print a thing whose `key` is `value`, for people `words`.
    fn says(&self, args: &[&str], (key, value): (&str, &str), words: &str) {
        let text = self.plane.instance.ok(&[args, &["-o", self.name]].concat()).unwrap();
        let found = match self.name {
            "json" => json_value(&text, key),
            "yaml" => yaml_value(&text, key),
            _ => {
                assert!(text.contains(words), "{args:?}: {text}");
                return;
            }
        };
        assert_eq!(found.as_deref(), Some(value), "{args:?}: {text}");
    }
}

/// The value of a key of an object, or of the first object of a list.
fn json_value(text: &str, key: &str) -> Option<String> {
    let value: Value = serde_json::from_str(text).unwrap();
    let found = &value.get(0).unwrap_or(&value)[key];
    let text = || found.as_str().map_or_else(|| found.to_string(), str::to_owned);
    (!found.is_null()).then(text)
}

/// The same of YAML, as far as Maru's things need it.
fn yaml_value(text: &str, key: &str) -> Option<String> {
    assert!(!text.starts_with(['{', '[']), "{text}");
    let lines = text.lines().map(|line| line.strip_prefix("- ").unwrap_or(line).trim_start());
    let mut values = lines.filter_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
    values.next().map(|value| value.trim_matches(['"', '\'']).to_owned())
}

#[test]
#[ignore = "needs: root"]
fn every_command_of_the_admin_in_every_form() {
    let plane = ControlPlane::start();
    for (name, person) in [("table", "ann"), ("json", "bob"), ("yaml", "cho")] {
        let form = Form { plane: &plane, name };
        people_and_keys(form, person);
        devices(form, person);
        policy(form);
        form.says(&["user", "remove", person], ("name", person), &format!("removed {person}"));
        assert_eq!(plane.json(&["user", "list"]), serde_json::json!([]));
    }
}

fn people_and_keys(form: Form<'_>, person: &str) {
    form.says(&["user", "create", person], ("name", person), &format!("created {person}"));
    form.says(&["user", "list"], ("name", person), person);
    let args = ["key", "create", "--user", person, "--reusable", "--expires", "2h"];
    let created = form.plane.json(&args);
    assert!(created["key"].as_str().unwrap().len() > 20, "{created}");
    let id = created["id"].to_string();
    let next = (created["id"].as_u64().unwrap() + 1).to_string();
    form.says(&args, ("id", &next), "expires");
    form.says(&["key", "expire", &id], ("state", "expired"), &format!("expired {id}"));
    form.says(&["key", "expire", &next], ("id", &next), &format!("expired {next}"));
    form.says(&["key", "list"], ("state", "expired"), person);
    form.says(&["key", "remove", &next], ("id", &next), &format!("removed {next}"));
    let words = format!("renamed {person} {person}-2");
    form.says(
        &["user", "rename", person, &format!("{person}-2")],
        ("policy_names_old", "false"),
        &words,
    );
    form.plane.json(&["user", "rename", &format!("{person}-2"), person]);
    form.says(&["invite", person], ("user", person), "maru://127.0.0.1:8443/join#1.");
}

fn devices(form: Form<'_>, person: &str) {
    let plane = form.plane;
    let id = knock(plane, person, "tablet");
    form.says(&["device", "list"], ("state", "pending"), "tablet");
    let code = plane.json(&["device", "show", &id])["code"].as_str().unwrap().to_owned();
    form.says(&["device", "list"], ("code", &code), &code);
    form.says(&["device", "show", &code], ("source", "127.0.0.1"), "127.0.0.1");
    form.says(&["device", "show", &id], ("hostname", "tablet"), "tablet");
    let words = format!("rejected {id} tablet");
    form.says(&["device", "reject", &code], ("hostname", "tablet"), &words);
    assert_eq!(plane.json(&["device", "list"]), serde_json::json!([]));

    let id = knock(plane, person, "laptop");
    let words = format!("approved {id} study 100.");
    form.says(&["device", "approve", "laptop", "--name", "study"], ("name", "study"), &words);
    form.says(&["device", "show", "study"], ("user", person), person);
    form.says(&["device", "list"], ("hostname", "laptop"), "laptop");
    let words = format!("renamed {id} attic 100.");
    form.says(&["device", "rename", "study", "attic"], ("name", "attic"), &words);
    let extend = ["device", "extend", "attic", "--expires", "90d"];
    form.says(&extend, ("name", "attic"), "extended until 2");
    let words = format!("tagged {id} attic");
    form.says(&["device", "tag", "attic", "tag:printer"], ("id", &id), &words);
    assert_eq!(plane.json(&["device", "show", &id])["tags"], serde_json::json!(["tag:printer"]));
    let words = format!("expired {id} attic");
    form.says(&["device", "expire", &id], ("state", "expired"), &words);
    let words = format!("removed {id} attic");
    form.says(&["device", "remove", "attic"], ("name", "attic"), &words);
    assert_eq!(plane.json(&["device", "list"]), serde_json::json!([]));

    let (given, name) = ("민수의 노트북", "minsuui-noteubuk");
    knock(plane, person, given);
    form.says(&["device", "approve", given], ("name", name), name);
    form.says(&["device", "list"], ("hostname", given), given);
    form.says(&["device", "show", given], ("name", name), name);
    let refused = plane.instance.run(&["device", "rename", name, "거실"]).unwrap();
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && words.contains("\"geosil\""), "{words}");
    form.says(&["device", "remove", name], ("hostname", given), name);
}

/// A new device of `person` asks to join; its number, once it waits for approval.
fn knock(plane: &ControlPlane, person: &str, hostname: &str) -> String {
    let link = plane.invitation(person);
    let mut agent = plane.instance.agent().unwrap();
    plane.instance.ok(&["join", &link, "--hostname", hostname]).unwrap();
    agent.stop(STOP).unwrap();
    fs::remove_dir_all(plane.instance.root.join("var/lib/maru/agent")).unwrap();
    let devices = plane.json(&["device", "list"]);
    let waits = |device: &&Value| device["hostname"] == hostname && device["state"] == "pending";
    devices.as_array().unwrap().iter().find(waits).unwrap()["id"].to_string()
}

fn policy(form: Form<'_>) {
    let plane = form.plane;
    let text = format!("/* {} */ {{}}", form.name);
    fs::write(plane.instance.root.join("policy.json"), &text).unwrap();
    let file = format!("{ROOT}/policy.json");
    form.says(&["policy", "check", &file], ("ok", "true"), "would be accepted");
    assert_ne!(plane.json(&["policy", "get"])["policy"], text);
    form.says(&["policy", "set", &file], ("policy", &text), "in force");
    form.says(&["policy", "get"], ("policy", &text), &text);
}

#[test]
#[ignore = "needs: root"]
fn a_policy_is_compared_tested_and_explained() {
    let plane = ControlPlane::start();
    plane.json(&["user", "create", "ann"]);
    for name in ["laptop", "phone"] {
        let id = knock(&plane, "ann", name);
        plane.json(&["device", "approve", &id]);
    }
    let write = |name: &str, text: &str| {
        fs::write(plane.instance.root.join(name), text).unwrap();
        format!("{ROOT}/{name}")
    };
    let open = write(
        "open.json",
        "{ \"acls\": [\n  { \"action\": \"accept\", \"src\": [\"ann\"], \"dst\": [\"autogroup:self:22\"] },\n],\n\
         \"ssh\": [{ \"action\": \"accept\", \"src\": [\"ann@\"], \"dst\": [\"autogroup:self\"], \"users\": [\"root\"] }],\n\
         \"tests\": [{ \"src\": \"ann\", \"accept\": [\"ann:22\"], \"deny\": [\"ann:23\"] }] }",
    );
    let wrong = write("wrong.json", r#"{ "tests": [{ "src": "ann", "accept": ["ann:22"] }] }"#);

    let opens = serde_json::json!([
        { "from": ["phone"], "to": "laptop", "what": ["22"] },
        { "from": ["laptop"], "to": "phone", "what": ["22"] },
    ]);
    assert_eq!(plane.json(&["policy", "diff", &open])["opens"], opens);
    let checked = plane.json(&["policy", "check", &open]);
    assert_eq!(checked["warnings"][0]["place"], "ssh[0]");
    let set = plane.instance.run(&["policy", "set", &open]).unwrap();
    let (done, said) =
        (String::from_utf8(set.stdout).unwrap(), String::from_utf8(set.stderr).unwrap());
    assert_eq!(done, "the policy is in force\n");
    assert!(said.contains("opens: phone -> laptop: 22\n"), "{said}");
    assert!(said.find("opens: ") < said.find("warning: "), "before it acts: {said}");
    assert!(said.contains("warning: line 4, column 9: ssh[0]: this rule has no effect"), "{said}");
    assert_eq!(
        plane.instance.ok(&["policy", "diff", &open]).unwrap(),
        "nothing opens, nothing closes\n"
    );

    let tested = plane.instance.ok(&["policy", "test"]).unwrap();
    assert_eq!(tested.lines().filter(|line| line.starts_with("ok ")).count(), 2, "{tested}");
    let failed = plane.instance.run(&["policy", "test", &wrong]).unwrap();
    assert_eq!(failed.status.code(), Some(1));
    let shown = String::from_utf8(failed.stdout).unwrap();
    assert!(shown.contains("line 1, column 40: tests[0].accept[0]"), "{shown}");
    assert!(shown.contains("FAILS") && shown.contains("does not reach"), "{shown}");

    let explained = plane.json(&["policy", "explain", "laptop", "phone:22"]);
    let rule = serde_json::json!({ "place": "acls[0]", "line": 2, "column": 3 });
    assert_eq!((&explained[0]["allowed"], &explained[0]["rule"]), (&true.into(), &rule));
    let closed =
        plane.instance.ok(&["policy", "explain", "ann", "phone:23", "--proto", "udp"]).unwrap();
    assert!(closed.contains("no rule allows it"), "{closed}");
    let icmp = plane.json(&["policy", "explain", "ann", "ann", "--proto", "icmp"]);
    assert_eq!(icmp.as_array().unwrap().len(), 2, "each of two devices to the other: {icmp}");
}

/// Policies that are refused.
const WRONG: [(&str, &str); 4] = [
    ("typo.json", "{ \"acls\": [\n  { \"acton\": \"accept\" },\n] }"),
    ("cut.json", "{ \"acls\": [\n"),
    ("group.json", r#"{ "acls": [{ "action": "accept", "src": ["group:a"], "dst": ["*:*"] }] }"#),
    ("test.json", r#"{ "tests": [{ "src": "100.64.0.9", "accept": ["100.64.0.8:22"] }] }"#),
];

#[test]
#[ignore = "needs: root"]
fn what_is_refused_says_one_sentence_and_changes_nothing() {
    let plane = ControlPlane::start();
    plane.json(&["user", "create", "ann"]);
    let id = knock(&plane, "ann", "laptop");
    let before = plane.state();
    for (name, text) in WRONG {
        fs::write(plane.instance.root.join(name), text).unwrap();
    }
    let unknown = "there is no such device";
    let waiting = "there is no such waiting device";
    let refusals: &[(&[&str], &str)] = &[
        (&["device", "show", "attic"], unknown),
        (&["device", "approve", "attic"], waiting),
        (&["device", "approve", "WDJB-MJHT"], waiting),
        (&["device", "approve", &id, "--name", "chat"], "reserved"),
        (&["device", "approve", &id, "--user", "nobody"], "there is no such user"),
        (&["device", "reject", "attic"], unknown),
        (&["device", "rename", "attic", "study"], unknown),
        (&["device", "tag", "attic", "tag:printer"], unknown),
        (&["device", "expire", "99"], unknown),
        (&["device", "extend", "attic"], unknown),
        (&["device", "remove", "attic"], unknown),
        (&["key", "create", "--user", "nobody"], "there is no such user"),
        (&["key", "create", "--tag", "printer"], "a tag is"),
        (&["key", "expire", "99"], "there is no such key"),
        (&["key", "remove", "99"], "there is no such key"),
        (&["user", "create", "ann"], "taken"),
        (&["user", "create", "Ann Lee"], "a user's name is"),
        (&["user", "rename", "nobody", "bob"], "there is no such user"),
        (&["user", "rename", "ann", "Ann Lee"], "a user's name is"),
        (&["user", "remove", "nobody"], "there is no such user"),
        (&["invite", "Ann Lee"], "a user's name is"),
        (
            &["policy", "check", "ROOT/typo.json"],
            "line 2, column 5: acls[0]: unknown field: \"acton\"",
        ),
        (&["policy", "set", "ROOT/typo.json"], "dst; nothing was changed: correct the policy"),
        (&["policy", "set", "ROOT/cut.json"], "line 1, column 11: Unterminated array"),
        (&["policy", "set", "ROOT/group.json"], "acls[0].src[0]: src=group not defined"),
        (&["policy", "set", "ROOT/test.json"], "tests[0]"),
        (&["policy", "set", "ROOT/none.json"], "cannot read"),
        (&["policy", "diff", "ROOT/group.json"], "acls[0].src[0]: src=group not defined"),
        (&["policy", "test", "ROOT/cut.json"], "line 1, column 11: Unterminated array"),
        (&["policy", "explain", "attic", "tag:home:80"], "\"attic\" is no device in the network"),
        (&["policy", "explain", "laptop", "tag:home"], "write DST:PORT"),
    ];
    for (args, words) in refusals {
        let args: Vec<_> = args.iter().map(|arg| arg.replace("ROOT", ROOT)).collect();
        for form in ["table", "json", "yaml"] {
            let args: Vec<_> = args.iter().map(String::as_str).chain(["-o", form]).collect();
            let said = plane.refused(&args, 1);
            assert!(said.contains(words), "{args:?}: {said}");
        }
    }
    assert_eq!(plane.state(), before);
}

#[test]
#[ignore = "needs: root"]
fn over_https_an_invitation_is_a_link_and_a_qr_code_beside_it() {
    let plane = ControlPlane::reached_at("https://home.example");

    let invited = plane.instance.run(&["invite", "ann"]).unwrap();
    let said = String::from_utf8(invited.stderr).unwrap();
    let link = String::from_utf8(invited.stdout).unwrap();
    assert!(
        link.starts_with("https://home.example/join#1.") && link.lines().count() == 1,
        "{link}"
    );
    // A link of this length takes 57 modules each way, the quiet zone included.
    let drawn = said.lines().filter(|line| line.chars().any(|c| "█▀▄".contains(c)));
    assert!(drawn.clone().count() > 20, "{said}");
    assert!(
        drawn
            .clone()
            .all(|line| line.chars().count() == drawn.clone().next().unwrap().chars().count())
    );
    assert!(!said.contains('\u{1b}'), "no colours where no terminal is: {said}");
    let json = plane.instance.run(&["invite", "ann", "-o", "json"]).unwrap();
    assert_eq!(json.stderr, b"");
}

#[test]
#[ignore = "needs: root"]
fn the_audit_log_is_followed_until_ctrl_c() {
    let plane = ControlPlane::start();
    plane.json(&["user", "create", "before"]);
    let mut command = plane.instance.maru(&["log", "--follow", "-o", "json"]);
    command.stdout(Stdio::piped());
    let mut following = plane.instance.machine.spawn(&mut command).unwrap();
    let mut lines = BufReader::new(following.child().stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    while next()["target"] != "before" {}

    plane.json(&["user", "create", "after"]);

    let entry = next();
    assert_eq!((&entry["action"], &entry["target"]), (&"user.create".into(), &"after".into()));
    assert_eq!(following.wait_for(Duration::ZERO).unwrap(), None, "it goes on");
    following.signal(Signal::INT);
    let ended = following.wait_for(STOP).unwrap().expect("Ctrl-C ends it");
    let by_signal = ended.signal() == Some(Signal::INT.as_raw());
    assert!(by_signal || [Some(0), Some(130)].contains(&ended.code()), "{ended:?}");
    assert!(lines.next().is_none(), "it says no more");
}
