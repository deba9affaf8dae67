//! Dashboards and alert rules: what they name exists, and each rule fires when it should.

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

use serde_json::Value;
use testkit::metrics::{Metric, allowed, documented, page};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../dashboards")
}

fn read(file: &str) -> String {
    fs::read_to_string(folder().join(file)).unwrap()
}

/// The identifiers in a text, each with what follows it.
fn identifiers(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_part = |it: char| it.is_ascii_alphanumeric() || it == '_';
    let ends = text
        .char_indices()
        .filter(move |(at, it)| is_part(*it) && !text[at + 1..].starts_with(is_part));
    ends.map(move |(at, _)| {
        let start = text[..at].rfind(|it| !is_part(it)).map_or(0, |before| before + 1);
        (&text[start..=at], &text[at + 1..])
    })
}

/// The labels that stand in braces at the beginning of a text.
fn selected(text: &str) -> BTreeSet<&str> {
    let inside = text.strip_prefix('{').and_then(|rest| rest.split_once('}'));
    let matchers = inside.map_or("", |(inside, _)| inside).split(',');
    let names = matchers.filter_map(|it| it.split(['=', '!']).next()).map(str::trim);
    names.filter(|name| !name.is_empty()).collect()
}

/// The labels after each `by`.
fn grouped(text: &str) -> BTreeSet<&str> {
    let lists = text.split("by (").skip(1).filter_map(|rest| rest.split(')').next());
    lists.flat_map(|list| list.split(',')).map(str::trim).collect()
}

/// What an expression names that does not exist, and the metrics that it names.
fn unknown(expression: &str) -> (Vec<String>, Vec<Metric>) {
    let (all, mut wrong, mut named) = (documented(&page()), Vec::new(), Vec::new());
    for (name, rest) in identifiers(expression).filter(|(name, _)| name.starts_with("maru_")) {
        let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|part| {
            all.get(name.strip_suffix(part)?).filter(|metric| metric.kind == "histogram")
        });
        let plain = all.get(name).filter(|metric| metric.kind != "histogram");
        let Some(metric) = of_histogram.or(plain) else {
            wrong.push(name.to_owned());
            continue;
        };
        let of_metric = |label: &str| metric.labels.contains(label) || label == "le";
        let strange = selected(rest).into_iter().filter(|label| !of_metric(label));
        wrong.extend(strange.map(|label| format!("{name}{{{label}}}")));
        named.push(metric.clone());
    }
    let has = |label: &str| label == "le" || named.iter().any(|it| it.labels.contains(label));
    wrong
        .extend(grouped(expression).into_iter().filter(|it| !has(it)).map(|it| format!("by {it}")));
    (wrong, named)
}

#[test]
fn every_panel_shows_metrics_and_labels_that_exist() {
    let mut shown = BTreeSet::new();
    for file in ["house.json", "gateway.json", "mesh.json"] {
        let dashboard: Value = serde_json::from_str(&read(file)).unwrap();
        let panels = dashboard["panels"].as_array().unwrap();
        assert!(panels.len() > 8, "{file}");
        for panel in panels {
            for target in panel["targets"].as_array().unwrap() {
                let expression = target["expr"].as_str().unwrap();
                let (wrong, named) = unknown(expression);
                assert!(wrong.is_empty() && !named.is_empty(), "{file}: {expression}: {wrong:?}");
                let legend = target["legendFormat"].as_str().unwrap();
                for label in legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()) {
                    let has = named.iter().any(|metric| metric.labels.contains(label));
                    assert!(has, "{file}: {expression} has no {label}");
                }
            }
            shown.insert((file, panel["title"].as_str().unwrap().to_owned()));
        }
    }
    assert!(shown.len() > 30);
}

#[test]
fn every_rule_names_what_exists_and_has_a_test() {
    let (rules, tests) = (read("maru.rules.yml"), read("maru.rules.test.yml"));
    for text in [&rules, &tests] {
        for line in text.lines() {
            // A test counts alerts by their names.
            let line = line.replace("by (alertname)", "");
            let mut wrong = unknown(&line).0;
            // An expression of more than one line names its metric on another.
            let allowed = allowed(&page());
            wrong.retain(|it| it.strip_prefix("by ").is_none_or(|label| !allowed.contains(label)));
            assert!(wrong.is_empty(), "{line}: {wrong:?}");
        }
    }
    let names: Vec<_> =
        rules.split("- alert: ").skip(1).map(|it| it.lines().next().unwrap()).collect();
    assert!(names.len() > 10);
    for name in names {
        assert!(tests.contains(&format!("alertname=\"{name}\"")), "no test makes {name} fire");
    }
    let labels = rules.split("$labels.").skip(1).map(|rest| identifiers(rest).next().unwrap().0);
    for label in labels {
        assert!(allowed(&page()).contains(label), "{label}");
    }
}

#[test]
fn a_name_that_does_not_exist_is_found() {
    let wrong = |expression: &str| unknown(expression).0;
    assert!(
        wrong("sum by (outcome) (rate(maru_gateway_chats_total{surface=\"x\"}[5m]))").is_empty()
    );
    assert_eq!(wrong("maru_gateway_chats"), ["maru_gateway_chats"]);
    assert_eq!(wrong("maru_gateway_chat_seconds"), ["maru_gateway_chat_seconds"]);
    assert_eq!(
        wrong("rate(maru_gateway_chats_total_bucket[5m])"),
        ["maru_gateway_chats_total_bucket"]
    );
    let other = "maru_gateway_chats_total{person=\"x\"}";
    assert_eq!(wrong(other), ["maru_gateway_chats_total{person}"]);
    assert_eq!(wrong("sum by (person) (maru_gateway_chats_total)"), ["by person"]);
}

#[test]
#[ignore = "needs: promtool"]
fn the_rules_are_sound_and_fire_when_they_should() {
    for args in [["check", "rules", "maru.rules.yml"], ["test", "rules", "maru.rules.test.yml"]] {
        let output = Command::new("promtool").args(args).current_dir(folder()).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
    }
}
