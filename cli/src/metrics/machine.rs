//! How this machine stands: services, certificates, keys, peers, the last backup, the disk. No metric names a person.

use std::{path::Path, sync::atomic::AtomicU64, time::SystemTime};

use coordinator_api::{DeviceState, endpoints};
use coordinator_core::time::{self, Millis};
use node_agent_api::endpoints::STATUS;
use prometheus_client::{
    encoding::text::encode,
    metrics::{family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};
use services::SERVICES;
use supervisor::ready;

use crate::{
    backup,
    client::Client,
    doctor::certificates,
    up::{config, saved_options::SavedOptions},
};

/// How the names begin.
pub(super) const PREFIX: &str = "maru_machine_";

/// The one label of a metric, and its value.
type Label = [(&'static str, &'static str); 1];
type Bytes = Gauge<u64, AtomicU64>;

/// All metrics.
#[derive(Default)]
struct Metrics {
    collected: Gauge,
    services: Family<Label, Gauge>,
    certificates: Family<Label, Gauge>,
    keys: Family<Label, Gauge>,
    peers: Family<Label, Gauge>,
    backup: Gauge,
    free: Bytes,
    size: Bytes,
}

impl Metrics {
    fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix(PREFIX.trim_end_matches('_'));
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Version of the program", build);
        let help = "When these metrics were collected";
        registry.register("collected_timestamp_seconds", help, self.collected.clone());
        let help = "Whether a service answers";
        registry.register("service_up", help, self.services.clone());
        let help = "When the first certificate of this use ends; 0 if one cannot be read";
        let name = "certificate_expiry_timestamp_seconds";
        registry.register(name, help, self.certificates.clone());
        let help = "When the first valid key of this use expires";
        registry.register("key_expiry_timestamp_seconds", help, self.keys.clone());
        let help = "Other nodes by the path that packets of this machine take to them";
        registry.register("peers", help, self.peers.clone());
        let help = "When the last complete backup was made; 0 if none was";
        registry.register("backup_timestamp_seconds", help, self.backup.clone());
        let help = "Bytes that services may still write on the disk of var/lib/maru";
        registry.register("disk_free_bytes", help, self.free.clone());
        let help = "Size of the file system of var/lib/maru";
        registry.register("disk_size_bytes", help, self.size.clone());
        registry
    }

    /// Keeps the earliest end of each use.
    fn ends(family: &Family<Label, Gauge>, name: &'static str, of: &'static str, end: Millis) {
        let known = family.get(&[(name, of)]).map(|gauge| gauge.get());
        let end = known.map_or(seconds(end), |known| known.min(seconds(end)));
        family.get_or_create(&[(name, of)]).set(end);
    }

    async fn ask_agent(&self, root: &Path, now: Millis) {
        let Ok(status) = Client::agent(root).call(&STATUS, &[], &()).await else { return };
        let expiry = status.node.and_then(|node| node.key_expiry);
        if let Some(end) = expiry.as_deref().and_then(time::parse_rfc3339).filter(|end| *end > now)
        {
            Self::ends(&self.keys, "key", "node", end);
        }
        for certificate in &status.certificates {
            let end = certificate.ends.as_deref().and_then(time::parse_rfc3339).unwrap_or(0);
            Self::ends(&self.certificates, "certificate", "mesh", end);
        }
        for path in ["direct", "relay", "none"] {
            let count =
                status.peers.iter().filter(|peer| peer.path.split(' ').next() == Some(path));
            let count = i64::try_from(count.count()).unwrap_or(i64::MAX);
            self.peers.get_or_create(&[("path", path)]).set(count);
        }
    }

    async fn ask_coordinator(&self, root: &Path, now: Millis) {
        let client = Client::coordinator(root);
        let devices = client.call(&endpoints::LIST_DEVICES, &[], &()).await.unwrap_or_default();
        let devices = devices.into_iter().filter(|it| it.state == DeviceState::Approved);
        let devices = devices.filter_map(|it| Some(("device", it.key_expiry?)));
        let keys = client.call(&endpoints::LIST_API_KEYS, &[], &()).await.unwrap_or_default();
        let keys = keys.into_iter().map(|it| ("api", it.expires));
        for (of, end) in devices.chain(keys) {
            if let Some(end) = time::parse_rfc3339(&end).filter(|end| *end > now) {
                Self::ends(&self.keys, "key", of, end);
            }
        }
    }
}

/// Collects them, and encodes them in OpenMetrics' format.
///
/// # Errors
///
/// The settings cannot be read.
pub(super) async fn collect(root: &Path) -> anyhow::Result<String> {
    let (metrics, now) = (Metrics::default(), time::from_system(SystemTime::now()));
    metrics.collected.set(seconds(now));
    let settings = config::coordinator(root)?;
    let remembered = SavedOptions::load(root).unwrap_or_default();
    for service in SERVICES.iter().filter(|service| remembered.runs(service)) {
        let up = ready::is_ready(service, root, &settings).await;
        metrics.services.get_or_create(&[("service", service.name)]).set(up.into());
    }
    for (of, end) in certificates::ends(root, &settings) {
        let of = if of == "certificate" { "coordinator" } else { "relay" };
        Metrics::ends(&metrics.certificates, "certificate", of, end.unwrap_or(0));
    }
    metrics.ask_agent(root, now).await;
    metrics.ask_coordinator(root, now).await;
    metrics.backup.set(seconds(backup::last(root).unwrap_or(0)));
    if let Ok(disk) = rustix::fs::statvfs(root.join("var/lib/maru")) {
        metrics.free.set(disk.f_bavail.saturating_mul(disk.f_frsize));
        metrics.size.set(disk.f_blocks.saturating_mul(disk.f_frsize));
    }
    let mut text = String::new();
    encode(&mut text, &metrics.registry())?;
    Ok(text)
}

fn seconds(time: Millis) -> i64 {
    time / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_lists_every_metric() {
        let metrics = Metrics::default();
        metrics.services.get_or_create(&[("service", "relay")]).set(1);
        metrics.peers.get_or_create(&[("path", "relay")]).set(1);
        Metrics::ends(&metrics.certificates, "certificate", "relay", 1);
        Metrics::ends(&metrics.keys, "key", "api", 1);
        let mut text = String::new();
        encode(&mut text, &metrics.registry()).unwrap();
        testkit::metrics::listed(&text, PREFIX);
    }

    #[test]
    fn the_first_that_ends_counts() {
        let family = Family::default();
        for end in [5000, 3000, 4000] {
            Metrics::ends(&family, "key", "api", end);
        }
        assert_eq!(family.get_or_create(&[("key", "api")]).get(), 3);
    }
}
