//! Rules of this workspace that neither rustc nor clippy can state.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

mod circles;
mod dashboards;
mod names;
mod pages;

/// What a crate that says or decides must do without.
const IO: &[&str] = &["axum", "hyper", "mio", "reqwest", "socket2", "sqlx", "tokio"];

/// What its sources must do without: sockets, the clock, and leave to read it.
const IO_IN_SOURCES: &[&str] = &[
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "UnixDatagram",
    "UnixListener",
    "UnixStream",
    "Instant::now",
    "SystemTime::now",
    ".elapsed()",
    "clippy::disallowed_methods",
];

/// Ways to a UNIX socket that follow links and ask nobody who listens.
const SOCKETS_BY_PATH: &[&str] =
    &["UnixStream::connect(", "UnixDatagram", "SocketAddrUnix", ".unix_socket("];

/// Where they are all the same: what stands in their place, what hands a path to a library that was checked by it, and the
/// journal, whose folders are root's and which answers nothing.
const CONNECTORS: &[&str] = &[
    "chassis/src/log/journal.rs",
    "chassis/src/unix.rs",
    "chassis/src/unix/connect.rs",
    "cli/supervisor/src/local.rs",
];

/// Ways to hold a whole body that bound its bytes and not the memory that it takes.
const BODIES_WHOLE: &[&str] = &[
    "body().collect()",
    "body.collect()",
    "body::to_bytes",
    "LengthLimitError",
    "JsonRejection",
    "BytesRejection",
    "): Json<",
    "response.json(",
    ".json::<",
];

/// Crates that are tests, and machines for them.
const OF_TESTS: &[&str] =
    &["attester", "lab", "store-testkit", "telmeet-testkit", "testkit", "walkthrough", "xtask"];

fn metadata(args: &[&str]) -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(args)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Crates by layer, as the table of `docs/architecture.md` has them.
fn layers() -> BTreeMap<&'static str, u8> {
    let (mut layers, mut layer) = (BTreeMap::new(), None);
    for row in include_str!("../../../architecture.md").lines() {
        let mut cells = row.split('|').skip(1).map(str::trim);
        let (Some(first), Some(names)) = (cells.next(), cells.next()) else { continue };
        layer = first.split(' ').next().and_then(|word| word.parse().ok()).or(layer);
        let names = names.split('`').skip(1).step_by(2);
        layers.extend(
            layer.into_iter().flat_map(|layer| names.clone().map(move |name| (name, layer))),
        );
    }
    layers
}

fn layer(name: &str) -> Option<u8> {
    layers().get(name).copied()
}

/// Names of what a package depends on, tests and build scripts left out.
fn dependencies(package: &Value) -> Vec<String> {
    let all = package["dependencies"].as_array().unwrap().iter();
    let normal = all.filter(|dependency| dependency["kind"].is_null());
    normal.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn dependencies_point_down() {
    let metadata = metadata(&["--no-deps"]);
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let own = layer(name).unwrap_or_else(|| panic!("{name} is not in docs/architecture.md"));
        for dependency in dependencies(package) {
            let Some(below) = layer(&dependency) else { continue };
            let allowed = match (own, below) {
                (4, _) => {
                    name != "cli" || below <= 1 || ["chassis", "supervisor"].contains(&&*dependency)
                }
                (3, 3) => false,
                _ => below < own || (below == own && own < 3),
            };
            assert!(allowed, "{name} (layer {own}) depends on {dependency} (layer {below})");
        }
    }
}

#[test]
fn crates_that_say_or_decide_do_no_io() {
    let metadata = metadata(&[]);
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let name = |id: &str| -> String {
        let packages = metadata["packages"].as_array().unwrap();
        let package = packages.iter().find(|package| package["id"] == id).unwrap();
        package["name"].as_str().unwrap().to_owned()
    };
    let normal: BTreeMap<&str, Vec<&str>> = nodes
        .iter()
        .map(|node| {
            let all = node["deps"].as_array().unwrap().iter();
            let normal = all.filter(|dep| {
                dep["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null())
            });
            let ids = normal.map(|dep| dep["pkg"].as_str().unwrap()).collect();
            (node["id"].as_str().unwrap(), ids)
        })
        .collect();
    for id in normal.keys() {
        let own = name(id);
        if layer(&own).is_none_or(|layer| layer > 1) {
            continue;
        }
        let (mut seen, mut next) = (Vec::new(), vec![*id]);
        while let Some(id) = next.pop() {
            for dependency in &normal[id] {
                if !seen.contains(dependency) {
                    seen.push(dependency);
                    next.push(dependency);
                }
            }
        }
        for dependency in seen {
            let dependency = name(dependency);
            assert!(!IO.contains(&dependency.as_str()), "{own} depends on {dependency}");
        }
    }
}

/// What a source file ships, as rustfmt wrote it: each line that is neither comment nor test, with its number. Names of
/// files that hold only tests go to `tests`.
fn shipped<'a>(text: &'a str, tests: &mut Vec<&'a str>) -> Vec<(usize, &'a str)> {
    let mut shipped = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let code = line.trim_start();
        if code.starts_with("//") {
            continue;
        }
        if code != "#[cfg(test)]" {
            shipped.push((number + 1, line));
            continue;
        }
        // The item ends where a line as far left as its first one ends it.
        let left = &line[..line.len() - code.len()];
        for (_, line) in lines.by_ref() {
            let Some(code) = line.strip_prefix(left) else { continue };
            if let Some(name) = code.strip_prefix("mod ").and_then(|name| name.strip_suffix(';')) {
                tests.push(name);
            }
            if code == "}" || (code.ends_with(';') && !code.starts_with(' ')) {
                break;
            }
        }
    }
    shipped
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            files.push(path);
        }
    }
    files
}

/// Lines of a crate's sources, without its tests, with one of these words.
fn reaches(folder: &Path, words: &[&str]) -> Vec<String> {
    let files: Vec<(PathBuf, String)> = sources(folder)
        .into_iter()
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect();
    let mut tests = Vec::new();
    let read: Vec<_> = files.iter().map(|(path, text)| (path, shipped(text, &mut tests))).collect();
    assert!(!read.is_empty(), "{} has no sources", folder.display());
    // With all that is in the folder of its name.
    let is_test = |path: &Path| {
        let mut parts = path.strip_prefix(folder).unwrap().iter().map(Path::new);
        parts.any(|part| tests.iter().any(|name| part.file_stem().unwrap() == *name))
    };
    let shipped = read.into_iter().filter(|(path, _)| !is_test(path));
    let mut found = Vec::new();
    for (path, lines) in shipped {
        for (number, line) in lines {
            if words.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{number}: {}", path.display(), line.trim()));
            }
        }
    }
    found
}

#[test]
fn sources_that_say_or_decide_read_no_clock_and_open_no_socket() {
    let metadata = metadata(&["--no-deps"]);
    let mut seen = 0;
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        if layer(name).is_none_or(|layer| layer > 1) {
            continue;
        }
        seen += 1;
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        let found = reaches(&manifest.with_file_name("src"), IO_IN_SOURCES);
        assert!(found.is_empty(), "{name} is of layer {:?}:\n{}", layer(name), found.join("\n"));
    }
    assert_eq!(seen, layers().values().filter(|layer| **layer <= 1).count());
}

/// The lint against it is off in crates that read the clock.
#[test]
fn sockets_are_connected_to_where_no_link_is_and_the_right_user_listens() {
    let metadata = metadata(&["--no-deps"]);
    let mut connectors = BTreeSet::new();
    for package in metadata["packages"].as_array().unwrap() {
        if OF_TESTS.contains(&package["name"].as_str().unwrap()) {
            continue;
        }
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        for line in reaches(&manifest.with_file_name("src"), SOCKETS_BY_PATH) {
            let known = CONNECTORS.iter().find(|file| line.contains(&format!("/{file}:")));
            connectors
                .insert(*known.unwrap_or_else(|| panic!("use chassis::unix::Connector: {line}")));
        }
    }
    assert_eq!(connectors, CONNECTORS.iter().copied().collect(), "the search finds what is there");
}

/// The reader itself, which knows the error of a limited body that is passed on.
const PASSED_ON: &str = "chassis/src/body.rs";

#[test]
fn bodies_are_held_as_a_whole_by_one_reader() {
    let metadata = metadata(&["--no-deps"]);
    let mut found = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        if OF_TESTS.contains(&package["name"].as_str().unwrap()) {
            continue;
        }
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        found.extend(reaches(&manifest.with_file_name("src"), BODIES_WHOLE));
    }
    let (passed_on, held): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|line| line.contains(&format!("/{PASSED_ON}:")));
    assert!(held.is_empty(), "use chassis::body:\n{}", held.join("\n"));
    assert!(!passed_on.is_empty(), "the search finds what is there");
}

/// Whoever implements `Candidate` is sealed to: in what is shipped, that is who proved itself to the verifier.
#[test]
fn only_what_the_verifier_found_fit_is_sealed_to() {
    let metadata = metadata(&["--no-deps"]);
    let mut found = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        let files: Vec<(PathBuf, String)> = sources(&manifest.with_file_name("src"))
            .into_iter()
            .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
            .collect();
        let mut tests = Vec::new();
        let read: Vec<_> =
            files.iter().map(|(path, text)| (path, shipped(text, &mut tests))).collect();
        for (path, lines) in read {
            let is_test = tests.iter().any(|name| path.file_stem().unwrap() == *name);
            let implements = lines.iter().any(|(_, line)| line.contains("Candidate for "));
            if implements && !is_test {
                found.push(path.clone());
            }
        }
    }
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].ends_with("confidential/attestation/src/verify.rs"), "{found:?}");
}

#[test]
fn a_clock_or_a_socket_is_found_and_those_of_tests_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let used = "fn now() -> Instant {\n    Instant::now()\n}\n";
    write(
        "lib.rs",
        "//! Instant::now\nmod core;\n#[cfg(test)]\nmod fixture;\n\npub use core::X;\n",
    );
    write("fixture.rs", used);
    write("core.rs", &format!("struct X;\n\n#[cfg(test)]\nmod tests {{\n    {used}}}\n"));
    assert_eq!(reaches(folder.path(), IO_IN_SOURCES), [""; 0]);

    for line in [
        "use std::net::{TcpStream, IpAddr};",
        "let now = SystemTime::now();",
        "#![allow(clippy::disallowed_methods)]",
    ] {
        write(
            "core.rs",
            &format!("#[cfg(test)]\nimpl X {{\n    {used}}}\n\nfn f() {{\n{line}\n}}\n"),
        );
        let found = reaches(folder.path(), IO_IN_SOURCES);
        assert!(found.len() == 1 && found[0].ends_with(line), "{found:?}");
    }
}

#[test]
fn lab_and_testkit_are_of_use_to_every_crates_tests_and_in_no_program() {
    let metadata = metadata(&["--no-deps"]);
    for package in metadata["packages"].as_array().unwrap() {
        let own = package["name"].as_str().unwrap();
        let is_for_all = ["lab", "testkit"].contains(&own);
        for name in dependencies(package) {
            let own_is_a_test = OF_TESTS.contains(&own);
            assert!(name != "testkit" || own_is_a_test, "{own} depends on testkit");
            let known = layer(&name).is_some() && name != "testkit";
            assert!(!(is_for_all && known), "{own} depends on {name}, whose tests cannot use it");
        }
    }
}

#[test]
fn every_crate_inherits_the_workspace_lints() {
    let metadata = metadata(&["--no-deps"]);
    for package in metadata["packages"].as_array().unwrap() {
        let path = package["manifest_path"].as_str().unwrap();
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains("[lints]\nworkspace = true"), "{path} sets its own lints");
    }
}

#[test]
fn crates_that_say_or_decide_forbid_unsafe_code() {
    let metadata = metadata(&["--no-deps"]);
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        if layer(name).is_none_or(|layer| layer > 1) {
            continue;
        }
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        let text = fs::read_to_string(manifest.with_file_name("src/lib.rs")).unwrap();
        assert!(text.contains("#![forbid(unsafe_code)]"), "{name} may be unsafe");
    }
}

#[test]
fn a_daemons_main_is_short() {
    let metadata = metadata(&["--no-deps"]);
    let mut seen = 0;
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let is_daemon = layer(name) == Some(3) || name == "cli";
        // It has three commands with arguments of their own.
        if !is_daemon || name == "maru-compute" {
            continue;
        }
        seen += 1;
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        let text = fs::read_to_string(manifest.with_file_name("src/main.rs")).unwrap();
        assert!(text.lines().count() <= 50, "{name}: a daemon is a library and a short main");
    }
    assert!(seen > 5, "{seen}");
}

/// Most words in a row of a table of the security page.
const ROW_WORDS: usize = 60;

/// The rows of a page's tables that have more words than [`ROW_WORDS`].
fn long_rows(page: &str) -> Vec<&str> {
    let words =
        |row: &str| row.split_whitespace().filter(|it| it.contains(char::is_alphanumeric)).count();
    page.lines().filter(|line| line.starts_with('|') && words(line) > ROW_WORDS).collect()
}

#[test]
fn rows_of_the_security_page_are_short() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../security.md");
    let page = fs::read_to_string(page).unwrap();
    assert_eq!(long_rows(&page), [""; 0], "move details below the table");
    let rows = page.lines().filter(|line| line.starts_with("| ")).count();
    assert!(rows > 57, "only {rows} rows were found");
}

#[test]
fn a_long_row_is_found() {
    let row = |words| format!("| 1 | {}| `x` |", "word ".repeat(words));
    let page = [row(ROW_WORDS - 2), row(ROW_WORDS - 1), "word ".repeat(ROW_WORDS + 1)].join("\n");
    assert_eq!(long_rows(&page), [row(ROW_WORDS - 1)]);
}
