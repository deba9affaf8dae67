//! An update's services, which systemd runs.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use coordinator_api::settings::Settings;
use messages::message;
use serde_json::json;
use services::{
    AGENT_SERVICE, COORDINATOR_SERVICE, INFERENCE_2_SERVICE, INFERENCE_SERVICE, RELAY_SERVICE,
    SERVERS, SERVICES, Service, jobs::JOBS,
};
use supervisor::local::{LocalClient, connector};

use super::{door, machine::Machine, package};
use crate::{
    units::{ready, systemctl},
    up::{config, setup},
};

/// How long a service other than an engine may take; images are loaded meanwhile.
const STARTING: Duration = Duration::from_secs(5 * 60);
/// How long the answer of one token may take: a spare engine may load its model for it, and a large one comes from a slow disk.
const ANSWER: Duration = STARTING;
/// What carries the mesh's packets. It goes on in its former version until the new one takes over within seconds.
const CARRIERS: [&Service; 2] = [&AGENT_SERVICE, &RELAY_SERVICE];
/// What starts last, in this order: the coordinator, where devices register, and the agent, through which alone messages come.
const LAST: [&Service; 2] = [&COORDINATOR_SERVICE, &AGENT_SERVICE];

/// The units of the instance at `root`.
#[derive(Debug)]
pub(super) struct Units<'a> {
    root: &'a Path,
    /// Units that ran before.
    running: Vec<String>,
}

impl<'a> Units<'a> {
    pub(super) fn of(root: &'a Path) -> Self {
        Self { root, running: Vec::new() }
    }

    /// Services that ran before.
    fn services(&self) -> impl Iterator<Item = &'static Service> {
        SERVICES.iter().filter(move |service| self.running.contains(&unit(service)))
    }

    async fn wait(&self, service: &Service) -> anyhow::Result<()> {
        // Another device than a home has no coordinator.
        let settings = if config::is_there(self.root) {
            config::coordinator(self.root)?
        } else {
            Settings::default()
        };
        ready::wait(service, service.ready.patience.max(STARTING), self.root, &settings).await
    }

    /// Fails unless an engine answers with one token.
    async fn chat(&self, engine: &Service) -> anyhow::Result<()> {
        let name = engine.unit();
        let link = engine.listens.first().context("an engine has a socket")?;
        let local = LocalClient::open(&connector(link, self.root), ANSWER)
            .await
            .with_context(|| message!("upgrade-no-answer", unit = &name))?;
        let asked = json!({ "messages": [{ "role": "user", "content": "hi" }], "max_tokens": 1 });
        let answer = local.http.post("http://localhost/v1/chat/completions").json(&asked).send();
        if !answer.await.is_ok_and(|answer| answer.status().is_success()) {
            bail!(message!("upgrade-no-answer", unit = &name));
        }
        Ok(())
    }
}

impl Machine for Units<'_> {
    async fn is_running(&mut self) -> anyhow::Result<bool> {
        let servers = SERVERS.iter().map(|server| format!("{}.service", server.unit()));
        let units: Vec<_> = SERVICES.iter().map(unit).chain(servers).collect();
        self.running = systemctl::active(&units).await;
        Ok(!self.running.is_empty())
    }

    async fn stop(&mut self) -> anyhow::Result<()> {
        systemctl::stop(&[systemctl::TARGET, "maru-*.service"]).await
    }

    async fn close(&mut self) -> anyhow::Result<()> {
        // Their stop would stop every service, too.
        let mut kept = [systemctl::PREPARE, systemctl::UPGRADE].map(str::to_owned).to_vec();
        kept.extend(CARRIERS.map(unit));
        let mut others = systemctl::loaded("maru-*.service").await?;
        others.retain(|unit| !kept.contains(unit));
        // A device has not all of them.
        let timers = systemctl::loaded("maru-*.timer").await?;
        others
            .extend(timers.into_iter().filter(|name| JOBS.iter().any(|job| job.timer() == *name)));
        if !others.is_empty() {
            systemctl::stop(&others.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        }
        door::close(self.root)
    }

    async fn reload(&mut self) -> anyhow::Result<()> {
        systemctl::reload().await
    }

    async fn start_and_judge(&mut self) -> anyhow::Result<()> {
        systemctl::restart_alone(systemctl::PREPARE).await?;
        let is_last = |service: &Service| LAST.iter().any(|it| it.name == service.name);
        let relay = unit(&RELAY_SERVICE);
        if self.running.contains(&relay) {
            systemctl::restart(&relay).await?;
        }
        let mut inner: Vec<_> = self.running.iter().map(String::as_str).collect();
        inner.retain(|name| LAST.iter().all(|service| unit(service) != *name));
        if !inner.is_empty() {
            systemctl::start(&inner).await?;
        }
        for service in self.services().filter(|service| !is_last(service)) {
            self.wait(service).await?;
        }
        for engine in [INFERENCE_SERVICE, INFERENCE_2_SERVICE] {
            if self.running.contains(&unit(&engine)) {
                self.chat(&engine).await?;
            }
        }
        for service in self.services().filter(|service| is_last(service)) {
            // The agent's interface and the connections over it outlive that.
            systemctl::restart(&unit(service)).await?;
            self.wait(service).await?;
        }
        Ok(())
    }

    async fn open(&mut self) -> anyhow::Result<()> {
        door::open(self.root)?;
        // Units that the new version adds.
        systemctl::start(&[systemctl::TARGET]).await
    }

    async fn announce(&mut self) -> anyhow::Result<()> {
        let is_home = LAST.iter().all(|it| self.services().any(|service| service.name == it.name));
        if is_home {
            setup::home(self.root, None, &config::coordinator(self.root)?).await?;
        }
        Ok(())
    }

    async fn start_former(&mut self) -> anyhow::Result<()> {
        door::open(self.root)?;
        let mut units: Vec<_> = self.running.iter().map(String::as_str).collect();
        if !units.is_empty() || systemctl::is_enabled(systemctl::TARGET).await {
            units.push(systemctl::TARGET);
            systemctl::start(&units).await?;
        }
        for service in self.services() {
            self.wait(service).await.context(message!("upgrade-former-away"))?;
        }
        Ok(())
    }

    fn package_files(&mut self) -> Vec<PathBuf> {
        package::files()
    }
}

fn unit(service: &Service) -> String {
    format!("{}.service", service.unit())
}
