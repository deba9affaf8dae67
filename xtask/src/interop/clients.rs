//! The clients, what each has to be able to do, and what they say about it.

use std::{path::PathBuf, process::Stdio};

use anyhow::{Context as _, Result};

use super::{
    house::TestDeployment,
    outcome::Outcome,
    steps::{self, Report},
};
use crate::build;

/// What runs a client's cases.
#[derive(Clone, Copy, Debug)]
enum Runs {
    /// A script for Python.
    Python(&'static str),
    /// A script for Node.
    Node(&'static str),
    /// A script for Python that types commands of an Ollama.
    Command(&'static str),
    /// The program in `interop/`.
    Rust,
}

/// A client that we did not write.
#[derive(Clone, Debug)]
pub(super) struct Client {
    /// With its version.
    pub(super) name: &'static str,
    runs: Runs,
    /// The cases that it must have run, in groups, and how many replies it leaves in the middle.
    cases: &'static [&'static [&'static str]],
    left: u64,
}

/// Cases of every client.
const EVERY: &[&str] = &["chat", "stream", "tools", "structured", "image", "unknown_model"];
/// Cases of those that are libraries.
const LIBRARY: &[&str] = &["embeddings", "cancel"];
/// Cases of OpenAI's own libraries.
const OPENAI: &[&str] = &["models", "any_key", "completion", "unsupported", "waits"];
/// Cases of Ollama's own libraries.
const OLLAMA: &[&str] = &["models", "any_key", "generate", "changes_nothing", "waits"];

/// Every client but the command `ollama`.
const CLIENTS: [Client; 7] = [
    Client {
        name: "openai 3.54.0 (Python)",
        runs: Runs::Python("openai_client.py"),
        cases: &[EVERY, LIBRARY, OPENAI, &["tools_streamed"]],
        left: 1,
    },
    Client {
        name: "openai 7.57.0 (Node)",
        runs: Runs::Node("openai_client.mjs"),
        cases: &[EVERY, LIBRARY, OPENAI],
        left: 1,
    },
    Client {
        name: "ollama 0.6.3 (Python)",
        runs: Runs::Python("ollama_client.py"),
        cases: &[EVERY, LIBRARY, OLLAMA, &["unsupported"]],
        left: 2,
    },
    Client {
        name: "ollama 0.6.4 (Node)",
        runs: Runs::Node("ollama_client.mjs"),
        cases: &[EVERY, LIBRARY, OLLAMA],
        left: 2,
    },
    Client {
        name: "ollama-rs 0.3.6 (Rust)",
        runs: Runs::Rust,
        cases: &[EVERY, LIBRARY, &["models", "generate"]],
        left: 1,
    },
    Client {
        name: "llm 0.36 (command)",
        runs: Runs::Python("llm_client.py"),
        cases: &[EVERY],
        left: 0,
    },
    Client {
        name: "langchain-openai 1.7.3 (Python)",
        runs: Runs::Python("langchain_client.py"),
        cases: &[EVERY, LIBRARY],
        left: 1,
    },
];

/// The command `ollama`.
const COMMAND: Client = Client {
    name: "ollama 0.17.4 (command)",
    runs: Runs::Command("command.py"),
    cases: &[&["models", "chat", "structured", "unknown_model", "changes_nothing", "cancel"]],
    left: 1,
};

/// Every client; the command `ollama` where there is one.
pub(super) fn all(with_command: bool) -> Vec<Client> {
    CLIENTS.into_iter().chain(with_command.then_some(COMMAND)).collect()
}

/// Their names, for a message.
pub(super) fn names(clients: &[Client]) -> String {
    clients.iter().map(|client| client.name).collect::<Vec<_>>().join(", ")
}

impl Client {
    /// Runs its cases and prints a line for each.
    pub(super) fn run(&self, house: &TestDeployment) -> Result<Outcome> {
        let before = house.quiet()?;
        let python = || PathBuf::from("python3");
        let script = |name| Some(house.installed.script(name));
        let (program, arguments) = match self.runs {
            Runs::Python(name) => (python(), [script(name), None]),
            Runs::Command(name) => (python(), [script(name), house.program.clone()]),
            Runs::Node(name) => (house.installed.node(), [script(name), None]),
            Runs::Rust => {
                (build::stock_client_path()?.with_file_name("ollama-rs-client"), [None, None])
            }
        };
        let mut command = house.on_laptop(&program)?;
        command.args(arguments.into_iter().flatten()).stderr(Stdio::piped()).stdout(Stdio::piped());
        let out =
            command.output().with_context(|| format!("{} does not start", program.display()))?;
        let said = steps::read(&String::from_utf8_lossy(&out.stdout));
        let left = house.quiet().map(|now| now.left - before.left);
        let outcome = self.judge(&said, &left.map_err(|error| error.to_string()));
        if !outcome.failed.is_empty() {
            eprintln!("{}", String::from_utf8_lossy(&out.stderr));
        }
        Ok(outcome)
    }

    /// Compares what it did with what it has to do.
    fn judge(&self, said: &Report, left: &Result<u64, String>) -> Outcome {
        let cases: Vec<_> = self.cases.iter().copied().flatten().copied().collect();
        let mut outcome = steps::judge(self.name, &cases, said);
        let failed = match left {
            Ok(count) if *count == self.left => None,
            Ok(count) => Some(format!("{count} replies were stopped, not {}", self.left)),
            Err(why) => Some(why.clone()),
        };
        if let Some(why) = failed {
            outcome.failed.push(steps::failed(self.name, "cancel", &why));
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: Client =
        Client { name: "x", runs: Runs::Rust, cases: &[&["a"], &["b"]], left: 1 };

    #[test]
    fn a_case_that_failed_or_did_not_run_or_is_unknown_fails_the_client() {
        let judged = |text: &str, left| CLIENT.judge(&steps::read(text), &left);
        assert_eq!(judged("ok a\nok b\nnoise", Ok(1)), Outcome { passed: 2, failed: vec![] });
        for (text, left) in [
            ("ok a", Ok(1)),
            ("ok a\nnot ok b: why: not", Ok(1)),
            ("ok a\nok b\nok c", Ok(1)),
            ("ok a\nok b", Ok(0)),
            ("ok a\nok b", Ok(2)),
            ("ok a\nok b", Err("goes on".to_owned())),
        ] {
            assert_eq!(judged(text, left).failed.len(), 1, "{text}");
        }
    }
}
