//! `/policy`.

mod convert;
mod explain;

use axum::{
    Extension, Json,
    extract::{Request, State},
};
use chassis::endpoint::{Served, serve};
use coordinator_api::{
    Actor, ExplainPolicy, Policy, PolicyChanges, PolicyChecked, PolicyDecision, PolicyDiff,
    PolicySet, PolicyTested, TestPolicy, endpoints,
};
use coordinator_core::network;

use super::{error::Error, read::read};
use crate::{
    app::App,
    clock,
    hub::{HubError, Snapshot},
};

/// Endpoints of this resource.
pub(super) fn endpoints() -> [Served<App>; 6] {
    [
        serve(&endpoints::SHOW_POLICY, show),
        serve(&endpoints::SET_POLICY, set),
        serve(&endpoints::CHECK_POLICY, check),
        serve(&endpoints::DIFF_POLICY, diff),
        serve(&endpoints::TEST_POLICY, test),
        serve(&endpoints::EXPLAIN_POLICY, explain),
    ]
}

async fn show(State(app): State<App>) -> Json<Policy> {
    let snapshot = app.hub.snapshot();
    let revision = Some(snapshot.loaded.policy_revision);
    Json(Policy { policy: snapshot.loaded.policy.to_string(), revision })
}

async fn set(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    request: Request,
) -> Result<Json<PolicySet>, Error> {
    let Policy { policy, revision } = read(request).await?;
    let snapshot = app.hub.snapshot();
    let (fitting, warnings) = PolicyWithNetwork::checked(&snapshot, &policy)?;
    let mut change = app.store.change(actor).await?;
    let before = change.policy_revision().await?;
    if revision.is_some_and(|revision| revision != before) {
        return Err(Error::Replaced);
    }
    let replaced = PolicyWithNetwork::stored(&snapshot, &change.policy().await?)?;
    let changes = replaced.changes(&fitting);
    change.set_policy(&policy).await?;
    let revision = change.policy_revision().await?;
    let (opens, closes) = (changes.opens.len(), changes.closes.len());
    change.note("policy.set", "policy", &format!("opens {opens}, closes {closes}"));
    change.commit().await?;
    tracing::info!(
        opens = changes.opens.len(),
        closes = changes.closes.len(),
        "the policy was replaced"
    );
    for warning in &warnings {
        tracing::warn!(%warning, "the policy uses a feature that is not supported");
    }
    app.hub.refresh().await?;
    let warnings = warnings.into_iter().map(convert::note).collect();
    Ok(Json(PolicySet { policy, revision, warnings, changes }))
}

async fn check(State(app): State<App>, request: Request) -> Result<Json<PolicyChecked>, Error> {
    let Policy { policy, .. } = read(request).await?;
    let (_, warnings) = PolicyWithNetwork::checked(&app.hub.snapshot(), &policy)?;
    let warnings = warnings.into_iter().map(convert::note).collect();
    Ok(Json(PolicyChecked { ok: true, warnings }))
}

/// What the policy would open and close.
async fn diff(State(app): State<App>, request: Request) -> Result<Json<PolicyDiff>, Error> {
    let Policy { policy, .. } = read(request).await?;
    let snapshot = app.hub.snapshot();
    let (fitting, _) = PolicyWithNetwork::checked(&snapshot, &policy)?;
    let changes = PolicyWithNetwork::in_force(&snapshot)?.changes(&fitting);
    Ok(Json(PolicyDiff { revision: snapshot.loaded.policy_revision, changes }))
}

async fn test(State(app): State<App>, request: Request) -> Result<Json<PolicyTested>, Error> {
    let TestPolicy { policy } = read(request).await?;
    let snapshot = app.hub.snapshot();
    let PolicyWithNetwork { policy, network } = match policy {
        Some(text) => PolicyWithNetwork::parsed(&snapshot, &text)?,
        None => PolicyWithNetwork::in_force(&snapshot)?,
    };
    let tests = policy.test(&network);
    let passed = tests.iter().all(|test| test.passed);
    Ok(Json(PolicyTested { passed, tests: tests.into_iter().map(convert::test).collect() }))
}

async fn explain(
    State(app): State<App>,
    request: Request,
) -> Result<Json<Vec<PolicyDecision>>, Error> {
    let question: ExplainPolicy = read(request).await?;
    let PolicyWithNetwork { policy, network } = PolicyWithNetwork::in_force(&app.hub.snapshot())?;
    explain::answer(&policy, &network, &question).map(Json).map_err(Error::Question)
}

/// A policy, and the network that it applies to.
struct PolicyWithNetwork {
    policy: acl::Policy,
    network: acl::Network,
}

impl PolicyWithNetwork {
    fn of(snapshot: &Snapshot, policy: acl::Policy) -> Self {
        let loaded = &snapshot.loaded;
        let network = network::for_policy(&loaded.users, &loaded.nodes, &policy, clock::now());
        Self { policy, network }
    }

    /// The policy in force.
    fn in_force(snapshot: &Snapshot) -> Result<Self, Error> {
        Self::stored(snapshot, &snapshot.loaded.policy)
    }

    /// A policy that was in force.
    fn stored(snapshot: &Snapshot, text: &str) -> Result<Self, Error> {
        let (policy, _) = acl::Policy::parse_stored(text).map_err(HubError::Policy)?;
        Ok(Self::of(snapshot, policy))
    }

    /// A new policy.
    fn parsed(snapshot: &Snapshot, text: &str) -> Result<Self, Error> {
        acl::Policy::parse(text).map(|policy| Self::of(snapshot, policy)).map_err(Error::Policy)
    }

    /// A new policy that is valid for the current network, and its warnings.
    fn checked(snapshot: &Snapshot, text: &str) -> Result<(Self, Vec<acl::Warning>), Error> {
        let fitting = Self::parsed(snapshot, text)?;
        let warnings = fitting.policy.check(&fitting.network).map_err(Error::Policy)?;
        Ok((fitting, warnings))
    }

    /// What changes if `other` replaces this policy.
    fn changes(&self, other: &Self) -> PolicyChanges {
        let (before, after) = ((&self.policy, &self.network), (&other.policy, &other.network));
        convert::changes(acl::Changes::between(before, after))
    }
}
