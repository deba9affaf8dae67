//! The line before each provider: replies that wait until a slot of its backend is free.
//!
//! ```text
//!             enter                 turn                     drop
//!   request ────────▶ waiting line ───────▶ slot (the model ──────▶ the next whose turn it is
//!        │ full: 429, 503   │ too late: 503   is asked)
//! ```
//!
//! An engine serves its own line first come, first served: who asked it twenty times would be served twenty times
//! before anybody else. So the gateway gives a provider no more at a time than it has slots for, and lets people take
//! turns before it ([`turns`]). Where a fallback answers in a provider's stead, it is given no more than that provider
//! would have been.

mod place;
mod turns;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ai_gateway_api::settings::gateway;
use mesh_identity::Person;
use tokio::time::Instant;

use crate::{limits::Exceeded, metrics::Metrics, openclaw::Provider};

pub use place::{Late, Line, Place};
pub use turns::{Bounds, Full};

/// The line of each provider.
#[derive(Debug)]
pub struct Lines {
    by_provider: BTreeMap<String, Line<Person>>,
    metrics: Arc<Metrics>,
}

/// A reply's place in a line, then its slot; dropping it gives back either.
#[derive(Debug)]
#[must_use]
pub struct Ticket {
    /// None where there is no line to wait in.
    place: Option<Place<Person>>,
    since: Instant,
    metrics: Arc<Metrics>,
}

impl Lines {
    /// A line for each of these providers. Settings for a provider that there is not are said in the log.
    #[must_use]
    pub fn new(
        settings: &gateway::Line,
        providers: &BTreeMap<String, Provider>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let line = |(name, provider): (&String, &Provider)| {
            let bounds = Bounds {
                slots: slots(settings, name, provider),
                waiting: settings.waiting,
                waiting_per_person: settings.waiting_per_person,
                bytes: settings.waiting_bytes,
                bytes_per_person: settings.waiting_bytes_per_person,
            };
            (name.clone(), Line::new(bounds, Duration::from_secs(settings.seconds.into())))
        };
        let by_provider: BTreeMap<_, _> = providers.iter().map(line).collect();
        for name in settings.providers.keys().filter(|name| !by_provider.contains_key(*name)) {
            tracing::warn!(
                "gateway.toml: line.providers names {name:?}, which is no provider of openclaw.json"
            );
        }
        Self { by_provider, metrics }
    }

    /// Takes a place in the provider's line for a request of this person's that has so many bytes.
    ///
    /// # Errors
    ///
    /// [`Exceeded::Person`] or [`Exceeded::Total`] if the line is full.
    pub fn enter(&self, provider: &str, person: &Person, bytes: usize) -> Result<Ticket, Exceeded> {
        let line = self.by_provider.get(provider);
        let place = line.map(|line| line.enter(person, bytes)).transpose();
        let place = place.map_err(|full| match full {
            Full::Person => {
                self.metrics.refuse_line("person");
                Exceeded::Person
            }
            Full::Total => {
                self.metrics.refuse_line("total");
                Exceeded::Total
            }
        })?;
        Ok(Ticket { place, since: Instant::now(), metrics: Arc::clone(&self.metrics) })
    }

    /// Each provider with how many replies wait for it.
    #[must_use]
    pub fn waiting(&self) -> Vec<(String, usize)> {
        self.by_provider.iter().map(|(name, line)| (name.clone(), line.waiting())).collect()
    }
}

impl Ticket {
    /// Waits for the slot. Dropping the future keeps the place.
    ///
    /// # Errors
    ///
    /// [`Exceeded::Late`]; then drop the ticket.
    pub async fn turn(&mut self) -> Result<(), Exceeded> {
        let turn = match &mut self.place {
            Some(place) => place.turn().await,
            None => Ok(()),
        };
        self.metrics.waited(self.since.elapsed());
        turn.map_err(|Late| {
            self.metrics.refuse_line("late");
            Exceeded::Late
        })
    }
}

/// Replies under way at a time at a provider: what the settings say of it, or else what its nodes have together.
fn slots(settings: &gateway::Line, name: &str, provider: &Provider) -> usize {
    let usual = settings.slots.get().into();
    let of_nodes = provider.nodes.iter().map(|node| node.slots.unwrap_or(usual));
    let together = of_nodes.fold(0, u32::saturating_add);
    let slots = settings.providers.get(name).map_or(together, |&slots| slots.get().into());
    usize::try_from(slots).unwrap_or(usize::MAX).max(1)
}
