//! The methods: who may call each, and what it counts as.

mod absent;
mod agent;
mod agents;
mod chat;
mod new_session;
mod sessions;
mod status;

use serde_json::Value;

use super::{
    caller::Caller,
    connect::{Scope, Scopes},
    frame::{Failure, Request},
};
use crate::limits::Kind;

/// A method.
#[derive(Clone, Copy, Debug)]
pub(super) struct Method {
    name: &'static str,
    scope: Scope,
    action: Action,
}

/// What a method does.
#[derive(Clone, Copy, Debug)]
enum Action {
    /// A question, whose response has the reply.
    Agent,
    Chat(chat::Call),
    Sessions(sessions::Call),
    NewSession(new_session::Call),
    Agents(agents::Call),
    Status(status::Call),
    /// This gateway has nothing of the kind.
    Absent(fn() -> Value),
}

const fn method(name: &'static str, scope: Scope, action: Action) -> Method {
    Method { name, scope, action }
}

/// All methods by name.
const METHODS: &[Method] = &[
    method("health", Scope::Read, Action::Status(status::Call::Health)),
    method("status", Scope::Read, Action::Status(status::Call::Status)),
    method("system-presence", Scope::Read, Action::Status(status::Call::Presence)),
    method("config.get", Scope::Read, Action::Status(status::Call::Config)),
    method("chat.send", Scope::Write, Action::Chat(chat::Call::Send)),
    method("agent", Scope::Write, Action::Agent),
    method("chat.abort", Scope::Write, Action::Chat(chat::Call::Abort)),
    method("chat.history", Scope::Read, Action::Chat(chat::Call::History)),
    method("chat.startup", Scope::Read, Action::Chat(chat::Call::Startup)),
    method("chat.metadata", Scope::Read, Action::Agents(agents::Call::Metadata)),
    method("models.list", Scope::Read, Action::Agents(agents::Call::Models)),
    method("agents.list", Scope::Read, Action::Agents(agents::Call::List)),
    method("agent.identity.get", Scope::Read, Action::Agents(agents::Call::Identity)),
    method("commands.list", Scope::Read, Action::Agents(agents::Call::Commands)),
    method("sessions.list", Scope::Read, Action::Sessions(sessions::Call::List)),
    method("sessions.describe", Scope::Read, Action::Sessions(sessions::Call::Describe)),
    method("sessions.subscribe", Scope::Read, Action::Sessions(sessions::Call::Subscribe)),
    method("sessions.messages.subscribe", Scope::Read, Action::Sessions(sessions::Call::Messages)),
    method(
        "sessions.messages.unsubscribe",
        Scope::Read,
        Action::Sessions(sessions::Call::Messages),
    ),
    method("sessions.create", Scope::Write, Action::NewSession(new_session::Call::Create)),
    method("sessions.fork", Scope::Write, Action::NewSession(new_session::Call::Fork)),
    method("sessions.send", Scope::Write, Action::Chat(chat::Call::Send)),
    method("sessions.abort", Scope::Write, Action::Chat(chat::Call::AbortSession)),
    method("sessions.resolve", Scope::Read, Action::Sessions(sessions::Call::Resolve)),
    method("sessions.patch", Scope::Write, Action::Sessions(sessions::Call::Patch)),
    method("sessions.reset", Scope::Write, Action::Sessions(sessions::Call::Reset)),
    method("sessions.delete", Scope::Write, Action::Sessions(sessions::Call::Delete)),
    method("sessions.branches.list", Scope::Read, Action::Absent(absent::branches)),
    method("sessions.companion.state", Scope::Read, Action::Absent(absent::exchanges)),
    method("sessions.observer.visibility", Scope::Read, Action::Absent(absent::ok)),
    method("models.authStatus", Scope::Read, Action::Absent(absent::providers)),
    method("question.list", Scope::Read, Action::Absent(absent::questions)),
    method("exec.approval.list", Scope::Read, Action::Absent(absent::list)),
    method("plugin.approval.list", Scope::Read, Action::Absent(absent::list)),
    method("openclaw.approval.list", Scope::Read, Action::Absent(absent::list)),
    method("cron.list", Scope::Read, Action::Absent(absent::jobs)),
    method("cron.status", Scope::Read, Action::Absent(absent::scheduler)),
    method("tasks.list", Scope::Read, Action::Absent(absent::tasks)),
    method("talk.catalog", Scope::Read, Action::Absent(absent::talk)),
    method("progressCard.get", Scope::Read, Action::Absent(absent::card)),
    method("update.status", Scope::Admin, Action::Absent(absent::update)),
];

/// The names of all methods.
pub(super) fn names() -> Vec<&'static str> {
    METHODS.iter().map(|method| method.name).collect()
}

/// The method of this name, if these scopes allow it.
pub(super) fn find(name: &str, scopes: Scopes) -> Result<Method, Failure> {
    let found = METHODS.iter().find(|method| method.name == name);
    let method = found.ok_or_else(|| Failure::Invalid(format!("unknown method: {name}").into()))?;
    if scopes.has(method.scope) { Ok(*method) } else { Err(Failure::Scope(method.scope.name())) }
}

impl Method {
    /// What a call counts as.
    pub(super) fn kind(self) -> Kind {
        match self.scope {
            Scope::Read => Kind::Read,
            Scope::Write | Scope::Admin => Kind::Write,
        }
    }

    /// Calls it. `None` if it has sent a response itself.
    pub(super) async fn run(
        self,
        caller: &Caller<'_>,
        request: &Request<'_>,
    ) -> Result<Option<Value>, Failure> {
        match self.action {
            Action::Agent => return agent::run(caller, request).await,
            Action::Chat(call) => call.run(caller, request).await,
            Action::Sessions(call) => call.run(caller, request).await,
            Action::NewSession(call) => call.run(caller, request).await,
            Action::Agents(call) => Ok(call.run(caller.app)),
            Action::Status(call) => Ok(call.run(caller).await),
            Action::Absent(answer) => Ok(answer()),
        }
        .map(Some)
    }
}
