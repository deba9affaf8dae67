//! Endpoints of push rules (specification, client-server API, "Push Rules: API").

use std::sync::Arc;

use axum::{extract::State, http::Method};
use futures_util::FutureExt as _;
use ruma::{
    api::client::push::{
        PushRule, delete_pushrule, get_pushrule, get_pushrule_actions, get_pushrule_enabled,
        get_pushrules_all, get_pushrules_global_scope, set_pushrule, set_pushrule_actions,
        set_pushrule_enabled,
    },
    push::{AnyPushRuleRef, InsertPushRuleError, RemovePushRuleError, RuleKind, Ruleset},
};

use super::push_rules;
use crate::{
    error::Error,
    homeserver::Homeserver,
    matrix::{Reply, Route, Ruma, raw, route},
    session::Session,
};

/// Longest id and pattern of a rule, in bytes.
const TEXT_MAX: usize = 255;

const NOT_FOUND: Error = Error::NotFound("there is no such push rule");

/// The endpoints.
pub(crate) fn routes() -> Vec<Route> {
    [
        route::<get_pushrules_all::v3::Request, _, _>(all),
        // Without the slash at the end, which some clients leave out.
        raw(Method::GET, "/_matrix/client/v3/pushrules", all),
        route::<get_pushrules_global_scope::v3::Request, _, _>(global),
        route::<get_pushrule::v3::Request, _, _>(get),
        route::<get_pushrule_actions::v3::Request, _, _>(actions),
        route::<get_pushrule_enabled::v3::Request, _, _>(enabled),
        route::<set_pushrule::v3::Request, _, _>(set),
        route::<set_pushrule_actions::v3::Request, _, _>(set_actions),
        route::<set_pushrule_enabled::v3::Request, _, _>(set_enabled),
        route::<delete_pushrule::v3::Request, _, _>(delete),
    ]
    .into_iter()
    .flatten()
    .collect()
}

async fn all(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
) -> Result<Reply<get_pushrules_all::v3::Response>, Error> {
    Ok(Reply(get_pushrules_all::v3::Response::new(read(&homeserver, &session).await?)))
}

async fn global(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
) -> Result<Reply<get_pushrules_global_scope::v3::Response>, Error> {
    Ok(Reply(get_pushrules_global_scope::v3::Response::new(read(&homeserver, &session).await?)))
}

async fn get(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<get_pushrule::v3::Request>,
) -> Result<Reply<get_pushrule::v3::Response>, Error> {
    let rules = read(&homeserver, &session).await?;
    let rule = PushRule::from(find(&rules, request.kind, &request.rule_id)?);
    Ok(Reply(get_pushrule::v3::Response::new(rule)))
}

async fn actions(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<get_pushrule_actions::v3::Request>,
) -> Result<Reply<get_pushrule_actions::v3::Response>, Error> {
    let rules = read(&homeserver, &session).await?;
    let actions = find(&rules, request.kind, &request.rule_id)?.actions().to_vec();
    Ok(Reply(get_pushrule_actions::v3::Response::new(actions)))
}

async fn enabled(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<get_pushrule_enabled::v3::Request>,
) -> Result<Reply<get_pushrule_enabled::v3::Response>, Error> {
    let rules = read(&homeserver, &session).await?;
    let enabled = find(&rules, request.kind, &request.rule_id)?.enabled();
    Ok(Reply(get_pushrule_enabled::v3::Response::new(enabled)))
}

async fn set(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<set_pushrule::v3::Request>,
) -> Result<Reply<set_pushrule::v3::Response>, Error> {
    if request.rule.rule_id().len() > TEXT_MAX {
        return Err(
            telmeet_core::Error::TooLarge { what: "the rule's id", max: "255 bytes" }.into()
        );
    }
    change(&homeserver, session, move |rules| {
        let (after, before) = (request.after.as_deref(), request.before.as_deref());
        rules.insert(request.rule, after, before).map_err(|error| refused(&error))
    })
    .await?;
    Ok(Reply(set_pushrule::v3::Response::new()))
}

async fn set_actions(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<set_pushrule_actions::v3::Request>,
) -> Result<Reply<set_pushrule_actions::v3::Response>, Error> {
    change(&homeserver, session, move |rules| {
        rules.set_actions(request.kind, &request.rule_id, request.actions).map_err(|_| NOT_FOUND)
    })
    .await?;
    Ok(Reply(set_pushrule_actions::v3::Response::new()))
}

async fn set_enabled(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<set_pushrule_enabled::v3::Request>,
) -> Result<Reply<set_pushrule_enabled::v3::Response>, Error> {
    change(&homeserver, session, move |rules| {
        rules.set_enabled(request.kind, &request.rule_id, request.enabled).map_err(|_| NOT_FOUND)
    })
    .await?;
    Ok(Reply(set_pushrule_enabled::v3::Response::new()))
}

async fn delete(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<delete_pushrule::v3::Request>,
) -> Result<Reply<delete_pushrule::v3::Response>, Error> {
    change(&homeserver, session, move |rules| {
        rules.remove(request.kind, &request.rule_id).map_err(|error| {
            if matches!(error, RemovePushRuleError::ServerDefault) {
                return Error::invalid("a default rule cannot be deleted; disable it");
            }
            NOT_FOUND
        })
    })
    .await?;
    Ok(Reply(delete_pushrule::v3::Response::new()))
}

async fn read(homeserver: &Homeserver, session: &Session) -> Result<Ruleset, Error> {
    let mut connection = homeserver.pool().acquire().await?;
    push_rules::read(&mut connection, homeserver.vault(), &session.user).await
}

fn find<'a>(rules: &'a Ruleset, kind: RuleKind, id: &str) -> Result<AnyPushRuleRef<'a>, Error> {
    rules.get(kind, id).ok_or(NOT_FOUND)
}

/// Changes the rules in one transaction.
async fn change(
    homeserver: &Homeserver,
    session: Session,
    change: impl FnOnce(&mut Ruleset) -> Result<(), Error> + Send + 'static,
) -> Result<(), Error> {
    homeserver
        .write(move |transaction| {
            async move {
                let vault = transaction.vault();
                let mut rules =
                    push_rules::read(transaction.connection(), &vault, &session.user).await?;
                change(&mut rules)?;
                push_rules::write(transaction, &session.user, &rules).await
            }
            .boxed()
        })
        .await
}

fn refused(error: &InsertPushRuleError) -> Error {
    if matches!(error, InsertPushRuleError::UnknownRuleId) {
        return Error::NotFound("there is no push rule with the id of `before` or `after`");
    }
    Error::invalid(error.to_string())
}
