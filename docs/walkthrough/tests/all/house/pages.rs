//! Pages that list what the code declares: keys of settings, events.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use chassis::log::event::EVENTS;
use confidential_api::settings::{auth, gateway, relay, router};
use serde::Deserialize;

use crate::support::{expected::SETTINGS, keys::keys};

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file)).unwrap()
}

/// The rows of the tables below a heading, each as its cells; of tables whose head begins with `first`.
fn rows<'a>(page: &'a str, heading: &str, first: &str) -> Vec<Vec<&'a str>> {
    let section = page.lines().skip_while(|line| line.trim_start_matches('#').trim() != heading);
    let section = section.skip(1).take_while(|line| !line.starts_with('#'));
    let (mut rows, mut wanted) = (Vec::new(), None);
    for line in section.filter(|line| !line.starts_with("|---")) {
        let Some(cells) = line.strip_prefix("| ") else {
            wanted = None;
            continue;
        };
        let cells: Vec<_> = cells.split(" | ").collect();
        match wanted {
            Some(true) => rows.push(cells),
            Some(false) => {}
            None => wanted = Some(cells[0] == first),
        }
    }
    rows
}

/// The code spans of a cell.
fn spans(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// The keys of a section of `docs/configuration.md`: `[tls] certificate, key` is `tls.certificate` and `tls.key`, and
/// `[[dial]] name` is `dial[].name`.
fn documented(page: &str, heading: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for row in rows(page, heading, "key") {
        let mut table = String::new();
        for span in spans(row[0]) {
            let names = match span.rsplit_once("] ") {
                Some((head, names)) => {
                    let list = if head.starts_with("[[") { "[]." } else { "." };
                    table = format!("{}{list}", head.trim_matches(['[', ']']));
                    names
                }
                None => span,
            };
            found.extend(names.split(", ").map(|name| format!("{table}{name}")));
        }
    }
    assert!(!found.is_empty(), "there is no table of keys below {heading:?}");
    found
}

/// Keys that are declared and not documented, and the reverse. A documented list may leave out the keys of its entries.
fn differences(declared: &BTreeSet<String>, documented: &BTreeSet<String>) -> Vec<String> {
    let covers = |page: &str, key: &str| {
        key.strip_prefix(page).is_some_and(|rest| rest.is_empty() || rest.starts_with("[]"))
    };
    let missing = declared.iter().filter(|key| !documented.iter().any(|page| covers(page, key)));
    let unknown = documented.iter().filter(|page| !declared.iter().any(|key| covers(page, key)));
    let missing = missing.map(|key| format!("{key} is not documented"));
    missing.chain(unknown.map(|key| format!("there is no {key}"))).collect()
}

#[test]
fn each_key_of_the_settings_is_documented_and_no_other() {
    let page = read("docs/configuration.md");
    for (heading, declared) in SETTINGS {
        let differ = differences(&declared(), &documented(&page, heading));
        assert!(differ.is_empty(), "{heading}: {differ:#?}");
    }
    for (service, mesh) in services::mesh_services() {
        let is_its = |heading| mesh.settings == format!("etc/maru/{heading}");
        assert!(SETTINGS.iter().any(|(heading, _)| is_its(heading)), "{}", service.name);
    }
}

#[test]
fn each_event_for_programs_is_documented_and_no_other() {
    let page = read("docs/administration.md");
    let rows = rows(&page, "What daemons log", "event");
    let documented: Vec<_> =
        rows.iter().map(|row| [0, 1].map(|at| spans(row[at]).next())).collect();
    let declared: Vec<_> = EVENTS.iter().map(|event| [Some(event.name), Some(event.id)]).collect();
    assert_eq!(documented, declared);
}

#[test]
fn each_key_of_the_confidential_servers_is_documented_and_no_other() {
    let page = read("docs/configuration.md");
    let shared = documented(&page, "The confidential chain");
    let mut used = BTreeSet::new();
    for (server, declared) in [
        ("relay", keys::<relay::Settings>()),
        ("gateway", keys::<gateway::Settings>()),
        ("router", keys::<router::Settings>()),
        ("auth", keys::<auth::Settings>()),
    ] {
        let own: BTreeSet<_> = declared.difference(&shared).cloned().collect();
        used.extend(declared.intersection(&shared).cloned());
        let heading = format!("confidential-{server}.toml");
        let documented =
            if server == "relay" { BTreeSet::new() } else { documented(&page, &heading) };
        let differ = differences(&own, &documented);
        assert!(differ.is_empty(), "{heading}: {differ:#?}");
    }
    let differ = differences(&used, &shared);
    assert!(differ.is_empty(), "The confidential chain: {differ:#?}");
}

#[test]
fn a_key_that_is_missing_or_unknown_is_found() {
    #[derive(Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Settings {
        listen: Option<std::net::SocketAddr>,
        tls: Tls,
        dial: Vec<Dial>,
        extra: Vec<Dial>,
        named: BTreeMap<String, Tls>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Tls {
        certificate: String,
        key: String,
    }
    #[derive(Deserialize)]
    struct Dial {
        name: String,
    }
    let settings = Settings::default();
    let (tls, dials) = (settings.tls, settings.dial.into_iter().chain(settings.extra));
    assert!(settings.listen.is_none() && tls.certificate == tls.key && settings.named.is_empty());
    assert!(dials.map(|dial| dial.name).next().is_none());
    let declared = keys::<Settings>();
    let all = ["dial[].name", "extra[].name", "listen", "named", "tls.certificate", "tls.key"];
    assert!(declared.iter().eq(all), "{declared:?}");

    let head = "## a.toml\n\n| key | default |\n|---|---|\n";
    let page =
        |rows: &str| documented(&format!("{head}{rows}\n## b.toml\n| `other` | 1 |\n"), "a.toml");
    let whole = "| `listen` | `x` |\n| `[tls] certificate`, `key` | – |\n| `[[dial]] name` | – |\n| `extra` | – |\n\
                 | `named` | – |\n";
    assert!(differences(&declared, &page(whole)).is_empty());
    let other = whole.replace("`key`", "`kye`");
    let expected = ["tls.key is not documented", "there is no tls.kye"];
    assert_eq!(differences(&declared, &page(&other)), expected);
}
