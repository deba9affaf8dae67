//! Building the product's binaries.

use std::{
    collections::BTreeSet,
    io::{BufReader, Read as _},
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, bail};
use services::{SERVERS, SERVICES};

use crate::{model, packages, progress::Step, stop, workspace};

/// Installs what is missing, builds a home's programs and fetches the model; returns the model's path.
pub(crate) fn home() -> Result<PathBuf> {
    packages::for_running()?;
    named(of_home())?;
    model::get()
}

/// The same with the programs of the confidential chain.
pub(crate) fn everything() -> Result<PathBuf> {
    packages::for_running()?;
    programs()?;
    model::get()
}

/// The programs that run at home and on devices.
fn of_home() -> BTreeSet<&'static str> {
    SERVICES.iter().map(|service| service.binary).chain(["maru"]).collect()
}

/// The same with the programs of a confidential chain.
fn of_everybody() -> BTreeSet<&'static str> {
    SERVERS.iter().map(|server| server.binary).chain(of_home()).collect()
}

/// Builds the programs as they are shipped, and nothing else: release, static.
pub(crate) fn programs() -> Result<()> {
    named(of_everybody())
}

/// Builds some of them.
///
/// They are named without their packages: `--package` would choose other features of the crates
/// that they share, so that the next `cargo xtask test` compiled those again. A test below holds
/// that tests choose no others either; where it fails, `[workspace.dependencies]` has to name one.
pub(crate) fn named<'a>(programs: impl IntoIterator<Item = &'a str>) -> Result<()> {
    let mut what = vec!["--workspace"];
    what.extend(programs.into_iter().flat_map(|program| ["--bin", program]));
    let step = Step::new("building Maru (the first time takes many minutes)");
    cargo(&workspace::root(), &what, &workspace::target()?, &step)?;
    step.done("Maru's programs are built");
    Ok(())
}

/// Builds the programs for packages, and an example: whatever folders the sources, the crates of others in `crates`, and the results are in, the
/// programs do not name them. Returns the folder with the programs.
///
/// The results have a folder of their own: with other flags everything is compiled again, and so it would be by the next
/// `cargo xtask test`.
pub(crate) fn for_packages(
    triple: &str,
    example: &str,
    crates: &BTreeSet<PathBuf>,
) -> Result<PathBuf> {
    let (root, target) = (workspace::root(), workspace::target()?.join("package"));
    let mut folders = vec![(root.as_path(), "/maru")];
    folders.extend(crates.iter().map(|folder| (folder.as_path(), "/crates")));
    // The last one that fits counts, and this may be in the first.
    folders.push((&target, "/target"));
    let mut what =
        ["--workspace", "--target", triple, "--example", example].map(str::to_owned).to_vec();
    what.extend(of_everybody().into_iter().map(|program| format!("--bin={program}")));
    what.extend(anonymous(triple, &folders).into_iter().map(|line| format!("--config={line}")));
    let what: Vec<_> = what.iter().map(String::as_str).collect();
    let step = Step::new(&format!("building Maru for {triple} (many minutes)"));
    cargo(&root, &what, &target, &step)?;
    step.done("the programs for packages are built");
    Ok(target.join(triple).join("release"))
}

/// Settings of cargo with which compilers write another name for each of these folders.
fn anonymous(triple: &str, folders: &[(&Path, &str)]) -> [String; 3] {
    let of = |option: &str| -> Vec<_> {
        folders.iter().map(|(from, to)| format!("{option}={}={to}", from.display())).collect()
    };
    let c = format!("{:?}", of("-ffile-prefix-map").join(" "));
    let name = triple.replace('-', "_");
    [
        format!("target.{triple}.rustflags={:?}", of("--remap-path-prefix")),
        format!("env.CFLAGS_{name}={c}"),
        format!("env.CXXFLAGS_{name}={c}"),
    ]
}

/// Builds the stand-in for a node's security module, which is not shipped.
pub(crate) fn attester() -> Result<()> {
    let step = Step::new("building the stand-in for security modules");
    let what = ["--workspace", "--bin", "maru-attester"];
    cargo(&workspace::root(), &what, &workspace::target()?, &step)?;
    step.done("the stand-in for security modules is built");
    Ok(())
}

/// Builds one example of the workspace.
pub(crate) fn example(name: &str) -> Result<()> {
    let step = Step::new(&format!("building the example {name}"));
    cargo(&workspace::root(), &["--workspace", "--example", name], &workspace::target()?, &step)?;
    step.done(&format!("the example {name} is built"));
    Ok(())
}

/// Builds one test program of the workspace; returns its path.
pub(crate) fn test_program(name: &str) -> Result<PathBuf> {
    let step = Step::new(&format!("building the tests {name}"));
    let (root, target) = (workspace::root(), workspace::target()?);
    let what = ["--workspace", "--test", name];
    cargo(&root, &what, &target, &step)?;
    // It is built: now cargo only says where.
    let mut again = workspace::with_cargo(env!("CARGO"));
    again.args(["build", "--release", "--locked", "--quiet", "--message-format=json"]).args(what);
    let out = again.arg("--target-dir").arg(target).current_dir(root).output()?;
    let path = executable(&String::from_utf8_lossy(&out.stdout), name)
        .with_context(|| format!("cargo names no test program {name}"))?;
    step.done(&format!("the tests {name} are built"));
    Ok(path)
}

/// Finds a test program in cargo's messages.
fn executable(messages: &str, test: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str(line).ok());
    let mut found = messages.filter(|message: &serde_json::Value| {
        let target = &message["target"];
        target["kind"][0] == "test" && target["name"] == test
    });
    Some(found.next()?["executable"].as_str()?.into())
}

/// Builds the programs, the tests, the benches and what they run.
pub(crate) fn all() -> Result<()> {
    let step = Step::new("building Maru and its tests (the first time takes many minutes)");
    cargo(&workspace::root(), &["--workspace", "--all-targets"], &workspace::target()?, &step)?;
    step.done("programs and tests are built");
    Ok(())
}

/// Builds the client that we did not write.
pub(crate) fn stock_client() -> Result<()> {
    let step = Step::new("building the stock client");
    let target = workspace::target()?.join("interop");
    cargo(&workspace::root().join("interop"), &[], &target, &step)?;
    step.done("stock client built");
    Ok(())
}

/// Where it lies then.
pub(crate) fn stock_client_path() -> Result<PathBuf> {
    interop_program("stock-client")
}

/// Builds Element X without its screen; returns its path.
pub(crate) fn element_x() -> Result<PathBuf> {
    let step = Step::new("building Element X's engine");
    let target = workspace::target()?.join("interop");
    cargo(&workspace::root().join("interop"), &["--package", "element-x"], &target, &step)?;
    step.done("Element X's engine is built");
    interop_program("element-x-client")
}

fn interop_program(name: &str) -> Result<PathBuf> {
    let triple = lab::binaries()?;
    let triple = triple.parent().and_then(|dir| dir.file_name()).unwrap_or_default();
    Ok(workspace::target()?.join("interop").join(triple).join("release").join(name))
}

/// Runs `cargo build --release` in the workspace of `dir`, showing how far it is.
pub(crate) fn cargo(dir: &Path, what: &[&str], target: &Path, step: &Step) -> Result<()> {
    let mut child = workspace::with_cargo(env!("CARGO"))
        .args(["build", "--release", "--locked"])
        .args(what)
        .arg("--target-dir")
        .arg(target)
        .current_dir(dir)
        // The bar, in which cargo tells how many units there are, into a pipe as well.
        .env("CARGO_TERM_PROGRESS_WHEN", "always")
        .env("CARGO_TERM_PROGRESS_WIDTH", "120")
        .env("CARGO_TERM_COLOR", "never")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run cargo")?;
    let stderr = child.stderr.take().context("no pipe")?;
    let said = follow(BufReader::new(stderr), step)?;
    let status = child.wait()?;
    if !status.success() {
        stop::check()?;
        bail!("cargo build in {} ended with {status}:\n{}", dir.display(), said.join("\n"));
    }
    Ok(())
}

/// Hands cargo's bar to `step`; returns what it said besides.
fn follow(stderr: BufReader<impl std::io::Read>, step: &Step) -> Result<Vec<String>> {
    let mut said = Vec::new();
    let mut line = Vec::new();
    for byte in stderr.bytes() {
        let byte = byte?;
        if byte != b'\r' && byte != b'\n' {
            line.push(byte);
            continue;
        }
        let text = String::from_utf8_lossy(&line).trim().to_owned();
        line.clear();
        match bar(&text) {
            Some((position, length, what)) => step.at(share(position, length), what),
            None if text.is_empty() || text.starts_with("Compiling ") => {}
            None => said.push(text),
        }
    }
    Ok(said)
}

/// Shares of the units that are built, and of the time that is over then (a cold build of the programs).
const CURVE: [(f64, f64); 5] = [(0.0, 0.0), (0.5, 0.14), (0.85, 0.3), (0.93, 0.45), (1.0, 1.0)];

/// How much of a build's time is over after so many of its units: our own are the last ones, and take the longest.
fn share(position: u64, length: u64) -> f64 {
    let units = position as f64 / (length as f64).max(1.0);
    let after = CURVE.iter().position(|point| units <= point.0).unwrap_or(CURVE.len() - 1).max(1);
    let ((from, low), (to, high)) = (CURVE[after - 1], CURVE[after]);
    low + (high - low) * ((units - from) / (to - from)).clamp(0.0, 1.0)
}

/// Reads cargo's `Building [===>   ] 12/345: serde, tokio`.
fn bar(line: &str) -> Option<(u64, u64, &str)> {
    let (count, what) = line.strip_prefix("Building [")?.split_once("] ")?.1.split_once(": ")?;
    let (position, length) = count.split_once('/')?;
    Some((position.parse().ok()?, length.parse().ok()?, what))
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use super::*;

    /// Every crate with the features that cargo chooses for it, a line each.
    fn features(edges: &str) -> BTreeSet<String> {
        let out = Command::new(env!("CARGO"))
            .args([
                "tree",
                "--workspace",
                "--locked",
                "--offline",
                "--prefix=none",
                "--edges",
                edges,
            ])
            .args(["--format", "{p} {f}"])
            .current_dir(workspace::root())
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let text = String::from_utf8(out.stdout).unwrap();
        text.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect()
    }

    #[test]
    fn tests_choose_no_other_features_of_what_they_share_with_the_programs() {
        let (programs, all) = (features("normal,build"), features("normal,build,dev"));
        assert!(programs.len() > 100 && programs.len() < all.len());
        let others: Vec<_> = programs.difference(&all).collect();
        assert!(others.is_empty(), "name their features in [workspace.dependencies]: {others:#?}");
    }

    #[test]
    fn the_programs_are_all_there_are() {
        let out = Command::new(env!("CARGO"))
            .args(["metadata", "--no-deps", "--format-version=1", "--locked", "--offline"])
            .current_dir(workspace::root())
            .output()
            .unwrap();
        let metadata: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        // Those of the automation are not shipped.
        let ours = |package: &&serde_json::Value| {
            ["attester", "lab", "xtask"].iter().all(|name| package["name"] != *name)
        };
        let packages = metadata["packages"].as_array().unwrap().iter().filter(ours);
        let targets = packages.flat_map(|package| package["targets"].as_array().unwrap());
        let programs = targets.filter(|target| target["kind"][0] == "bin");
        let names: BTreeSet<_> = programs.map(|target| target["name"].as_str().unwrap()).collect();
        assert_eq!(names, of_everybody());
    }

    /// A program that names a file that its build script has made, as bindings do.
    fn program_that_names_its_folder(home: &Path) -> Vec<u8> {
        let (root, target, triple) =
            (home.join("maru"), home.join("out"), "x86_64-unknown-linux-gnu");
        fs::create_dir_all(root.join("src")).unwrap();
        for (name, text) in [
            ("Cargo.toml", "[package]\nname = \"named\"\nedition = \"2024\"\n"),
            (
                "build.rs",
                r#"fn main() {
                    let out = std::env::var("OUT_DIR").unwrap();
                    std::fs::write(out + "/made.rs", "pub fn name() -> &'static str { file!() }").unwrap();
                }"#,
            ),
            (
                "src/main.rs",
                "include!(concat!(env!(\"OUT_DIR\"), \"/made.rs\"));\nfn main() { print!(\"{}\", name()) }",
            ),
        ] {
            fs::write(root.join(name), text).unwrap();
        }
        let built = workspace::with_cargo(env!("CARGO"))
            .args(["build", "--release", "--offline", "--quiet", "--target", triple])
            .args(
                anonymous(triple, &[(&root, "/maru"), (&target, "/target")])
                    .map(|it| format!("--config={it}")),
            )
            .arg("--target-dir")
            .arg(&target)
            .current_dir(&root)
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let program = target.join(triple).join("release/named");
        let said = Command::new(&program).output().unwrap().stdout;
        let said = String::from_utf8(said).unwrap();
        assert!(said.starts_with("/target/") && said.ends_with("/made.rs"), "{said}");
        fs::read(program).unwrap()
    }

    #[test]
    fn programs_for_packages_are_the_same_from_whatever_folder() {
        let homes = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let [first, second] =
            homes.each_ref().map(|home| program_that_names_its_folder(home.path()));
        assert!(first == second, "the programs differ");
    }

    #[test]
    fn reads_the_bar_of_cargo() {
        let line = "Building [====>     ] 45/612: llama-cpp-sys-2(build), tokio";
        assert_eq!(bar(line), Some((45, 612, "llama-cpp-sys-2(build), tokio")));
        assert_eq!(bar("Compiling serde v1.0.0"), None);
        assert_eq!(bar("Building [====>     ] many"), None);
    }

    #[test]
    fn the_share_of_the_time_grows_with_the_units() {
        let shares: Vec<_> = (0..=100).map(|unit| share(unit, 100)).collect();
        assert!(shares.is_sorted());
        assert_eq!((shares[0], shares[100]), (0.0, 1.0));
        assert_eq!(share(0, 0), 0.0);
        assert_eq!(share(9, 5), 1.0);
    }

    #[test]
    fn finds_a_test_program_in_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"tunnel"},"executable":null}
{"reason":"compiler-artifact","target":{"kind":["test"],"name":"tunnel"},"executable":"/a/tunnel-1"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages, "tunnel"), Some("/a/tunnel-1".into()));
        assert_eq!(executable(messages, "other"), None);
        assert_eq!(executable("error", "tunnel"), None);
    }

    #[test]
    fn keeps_what_is_not_the_bar() {
        let text = b"   Compiling x v1\n    Building [=> ] 1/2: x\r\nerror: no `y`\n --> z.rs\n";
        let said = follow(BufReader::new(text.as_slice()), &Step::new("a build")).unwrap();
        assert_eq!(said, ["error: no `y`", "--> z.rs"]);
    }
}
