//! The questions of `maru setup`, for what no option said.

use std::{
    io::{BufRead, Write},
    path::PathBuf,
};

use anyhow::bail;
use common::mesh;
use messages::{Language, Message, message};
use services::jobs::BACKUPS;

use super::args::check_domain;
use crate::{
    backup::kept,
    error::Usage,
    model::{folder::Entry, size::size},
    up::{
        checks,
        config::{self, Reach},
    },
};

/// What is said of the appliance; `None` keeps what there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answers {
    /// Domain of the network.
    pub(super) network: Option<String>,
    /// First person.
    pub(super) user: Option<String>,
    /// How devices reach this machine.
    pub(super) reach: Option<Reach>,
    /// The model: a name in the folder of models, or a file.
    pub(super) model: Option<String>,
    /// Folder of the daily backups.
    pub(super) backups: Option<PathBuf>,
}

/// What an earlier run answered.
#[derive(Clone, Debug)]
pub(super) struct ExistingSetup {
    /// Whether there is a configuration.
    pub(super) network: bool,
    /// Whether there is a person.
    pub(super) user: bool,
    /// Whether a model was chosen.
    pub(super) model: bool,
    /// Whether a folder of the daily backups was chosen.
    pub(super) backups: bool,
    /// The models in the folder.
    pub(super) models: Vec<Entry>,
}

impl Answers {
    /// The options that are missing where nobody can be asked.
    pub(super) fn missing(&self, known: &ExistingSetup) -> Vec<&'static str> {
        let mut missing = Vec::new();
        if !known.network {
            missing.extend(self.network.is_none().then_some("--network NAME"));
            missing.extend(self.user.is_none().then_some("--user NAME"));
            let reach = "--lan, --domain NAME / --address HOST";
            missing.extend(self.reach.is_none().then_some(reach));
        }
        let is_clear = known.model || known.models.len() == 1;
        missing.extend((self.model.is_none() && !is_clear).then_some("--model MODEL"));
        missing
    }

    /// Asks for what is neither answered nor known.
    pub(super) fn ask(
        mut self,
        known: &ExistingSetup,
        terminal: &mut Terminal<impl BufRead, impl Write>,
    ) -> anyhow::Result<Self> {
        if !known.network && self.network.is_none() {
            self.network = Some(terminal.network()?);
        }
        if !known.user && self.user.is_none() {
            self.user = terminal.user(known)?;
        }
        if !known.network && self.reach.is_none() {
            self.reach = Some(terminal.reach()?);
        }
        if !known.model && self.model.is_none() {
            self.model = Some(terminal.model(&known.models)?);
        }
        if !known.network && !known.backups && self.backups.is_none() {
            self.backups = Some(terminal.backups()?);
        }
        Ok(self)
    }
}

/// Where questions are asked, and in which language.
#[derive(Debug)]
pub(super) struct Terminal<R, W> {
    pub(super) input: R,
    pub(super) output: W,
    pub(super) language: Language,
}

impl<R: BufRead, W: Write> Terminal<R, W> {
    fn network(&mut self) -> anyhow::Result<String> {
        self.ask(&message!("setup-ask-network", usual = mesh::DOMAIN), |text| {
            let network = if text.is_empty() { mesh::DOMAIN } else { text };
            checks::options(None, Some(network), None)?;
            Ok(network.to_owned())
        })
    }

    /// Nobody need be named where somebody may be known already.
    fn user(&mut self, known: &ExistingSetup) -> anyhow::Result<Option<String>> {
        self.ask(&message!("setup-ask-user"), |text| {
            if text.is_empty() && known.network {
                return Ok(None);
            }
            checks::options(None, None, Some(text))?;
            Ok(Some(text.to_owned()))
        })
    }

    fn reach(&mut self) -> anyhow::Result<Reach> {
        let domain = self.ask(&message!("setup-ask-domain"), |text| {
            if !text.is_empty() {
                check_domain(text)?;
            }
            Ok(text.to_owned())
        })?;
        if domain.is_empty() {
            return Ok(Reach::Plain(config::own_address()?));
        }
        Ok(Reach::Certified(domain))
    }

    fn model(&mut self, models: &[Entry]) -> anyhow::Result<String> {
        let lines = (1_usize..).zip(models);
        let lines =
            lines.map(|(at, model)| format!("\n  {at}  {} ({})", model.name, size(model.bytes)));
        let list: String = lines.collect();
        let question = match models {
            [] => message!("setup-ask-file"),
            [only] => message!("setup-ask-model-or", list, usual = only.name),
            [..] => message!("setup-ask-model", list),
        };
        self.ask(&question, |text| {
            let numbered = text.parse::<usize>().ok().and_then(|at| models.get(at.checked_sub(1)?));
            match (text, models) {
                ("", [only]) => Ok(only.name.clone()),
                ("", _) => Err(Usage(message!("setup-no-model"))),
                _ => Ok(numbered.map_or_else(|| text.to_owned(), |model| model.name.clone())),
            }
        })
    }

    fn backups(&mut self) -> anyhow::Result<PathBuf> {
        let usual = format!("/{BACKUPS}");
        self.ask(&message!("setup-ask-backups", usual = &usual), |text| {
            let folder = PathBuf::from(if text.is_empty() { &usual } else { text });
            kept::check_place(&folder).map_err(Usage)?;
            Ok(folder)
        })
    }

    /// Asks until an answer can be used.
    fn ask<T>(
        &mut self,
        question: &Message,
        read: impl Fn(&str) -> Result<T, Usage>,
    ) -> anyhow::Result<T> {
        loop {
            write!(self.output, "{}: ", question.text(self.language))?;
            self.output.flush()?;
            let mut line = String::new();
            if self.input.read_line(&mut line)? == 0 {
                bail!(message!("setup-no-answer"));
            }
            match read(line.trim()) {
                Ok(answer) => return Ok(answer),
                Err(Usage(wrong)) => writeln!(self.output, "{}", wrong.text(self.language))?,
            }
        }
    }
}

/// The model that an answer names.
pub(super) fn model_path(answer: &str, models: &[Entry], folder: &std::path::Path) -> PathBuf {
    let is_there = models.iter().any(|model| model.name == answer);
    if is_there { folder.join(answer) } else { PathBuf::from(answer) }
}

#[cfg(test)]
mod tests;
