//! A running appliance in a fresh root, for end-to-end tests.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::{Process, household::Household, seat::Seat};

/// A household whose home runs `maru up`; dropping it ends and removes everything.
#[derive(Debug)]
pub struct Scene {
    /// `maru up`.
    pub up: Process,
    /// Where it runs.
    pub home: Seat,
    /// The machines.
    pub household: Household,
    state: TempDir,
}

/// A device with a running agent.
#[derive(Debug)]
pub struct Member {
    /// The agent.
    pub agent: Process,
    /// Where it runs.
    pub seat: Seat,
}

impl Scene {
    /// Starts the appliance with the model that `MARU_TEST_MODEL` names.
    ///
    /// # Errors
    ///
    /// The model is not named, or `maru up` fails.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// As [`Scene::start`], with more arguments for `maru up`.
    ///
    /// # Errors
    ///
    /// The model is not named, or `maru up` fails.
    pub fn start_with(args: &[&str]) -> Result<Self> {
        let model = std::env::var_os("MARU_TEST_MODEL")
            .context("MARU_TEST_MODEL names no model: `cargo xtask test` sets it")?;
        let state = tempfile::tempdir()?;
        let household = Household::new(&[])?;
        let home = Seat::new(&household.home, &state.path().join("home"))?;
        let model = home.lend(Path::new(&model))?;
        let mut said = Vec::new();
        let up = home
            .up(&[&["--model", &model], args].concat(), |line| said.push(line.to_owned()))
            .with_context(|| said.join("\n"))?;
        Ok(Self { up, home, household, state })
    }

    /// Adds a laptop whose agent runs and has asked for nothing yet.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn stranger(&mut self, name: &str) -> Result<Member> {
        let machine = self.household.add(name)?;
        let seat = Seat::new(&machine, &self.state.path().join(name))?;
        let agent = seat.agent()?;
        Ok(Member { agent, seat })
    }

    /// Adds a laptop of `person` that was invited, approved, and knows the gateway.
    ///
    /// # Errors
    ///
    /// Any of that fails.
    pub fn member(&mut self, name: &str, person: &str) -> Result<Member> {
        let member = self.stranger(name)?;
        member.seat.ask_to_join(&self.home, person)?;
        self.home.approve(name)?;
        member.seat.wait_for_network()?;
        Ok(member)
    }

    /// Where the state of home and laptops lies, on the host.
    #[must_use]
    pub fn state(&self) -> &Path {
        self.state.path()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // Containers of a stopped `maru up` leave no control groups behind.
        let _ = self.up.stop(Duration::from_secs(30));
    }
}
