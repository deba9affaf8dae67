//! The connections of each person, their runs, and the keys of those that ended.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ai_gateway_api::sealed::SessionName;
use mesh_identity::Person;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{connect::Connected, outbox::Outbox};

/// Connections of one person at a time.
const CONNECTIONS_MAX: usize = 16;
/// Runs of one person at a time.
const RUNS_MAX: usize = 16;
/// Ended runs of one person whose keys are remembered.
const KEYS_MAX: usize = 256;
/// How long a key is remembered after its run: OpenClaw's clients repeat a request within minutes.
const KEY_LIFE: Duration = Duration::from_secs(10 * 60);

/// All people who are connected, or were a short time ago.
#[derive(Debug)]
pub(crate) struct Operators {
    inner: Arc<Mutex<Inner>>,
    started: Instant,
}

#[derive(Debug, Default)]
struct Inner {
    people: HashMap<Person, Operator>,
    last_id: u64,
}

#[derive(Debug, Default)]
struct Operator {
    connections: Vec<Connection>,
    runs: HashMap<String, ActiveRun>,
    /// The keys of runs that were answered or stopped, and when; the oldest first.
    ended: VecDeque<(String, Instant)>,
}

#[derive(Debug)]
struct Connection {
    id: u64,
    outbox: Arc<Outbox>,
    node: String,
    /// Set by the handshake.
    client: Option<Connected>,
}

/// A run under way.
#[derive(Debug)]
struct ActiveRun {
    session: SessionName,
    stop: CancellationToken,
}

/// The person has as many connections, or runs, as one may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany;

/// A connection's place; given back when dropped.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    operators: Arc<Mutex<Inner>>,
    person: Person,
    id: u64,
}

/// What a key of a run leads to.
#[derive(Debug)]
pub(super) enum RunStart {
    /// It is new.
    Run(RunPermit),
    /// It was sent before.
    Repeated(RunState),
}

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunState {
    Active,
    /// It was answered, or its person stopped it.
    Ended,
}

/// A run's place; given back when dropped. The same key may then be sent again, unless [`Self::end`] was called.
#[derive(Debug)]
pub(super) struct RunPermit {
    operators: Arc<Mutex<Inner>>,
    person: Person,
    id: String,
    /// Cancelled when the person stops the run.
    pub(super) stop: CancellationToken,
}

/// A connected client, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConnectedClient {
    pub(super) person: Person,
    pub(super) node: String,
    pub(super) client: Connected,
}

impl Default for Operators {
    fn default() -> Self {
        Self { inner: Arc::default(), started: Instant::now() }
    }
}

impl Operators {
    /// How long the gateway has run.
    pub(super) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Takes a connection's place.
    pub(super) fn enter(
        &self,
        person: &Person,
        node: &str,
        outbox: &Arc<Outbox>,
    ) -> Result<ConnectionPermit, TooMany> {
        let mut inner = lock(&self.inner);
        inner.last_id += 1;
        let id = inner.last_id;
        let connections = &mut inner.people.entry(person.clone()).or_default().connections;
        if connections.len() >= CONNECTIONS_MAX {
            return Err(TooMany);
        }
        let (outbox, node) = (Arc::clone(outbox), node.to_owned());
        connections.push(Connection { id, outbox, node, client: None });
        Ok(ConnectionPermit { operators: Arc::clone(&self.inner), person: person.clone(), id })
    }

    /// Begins a run under a key, which is its id.
    pub(super) fn begin(
        &self,
        person: &Person,
        key: &str,
        session: &SessionName,
    ) -> Result<RunStart, TooMany> {
        let mut inner = lock(&self.inner);
        let operator = inner.people.entry(person.clone()).or_default();
        operator.forget_keys();
        if let Some(state) = operator.state(key) {
            return Ok(RunStart::Repeated(state));
        }
        if operator.runs.len() >= RUNS_MAX {
            return Err(TooMany);
        }
        let stop = CancellationToken::new();
        let active = ActiveRun { session: session.clone(), stop: stop.clone() };
        operator.runs.insert(key.to_owned(), active);
        let (operators, person) = (Arc::clone(&self.inner), person.clone());
        Ok(RunStart::Run(RunPermit { operators, person, id: key.to_owned(), stop }))
    }

    /// Stops the runs of a session, one of them, or one of any session; returns which.
    pub(super) fn abort(
        &self,
        person: &Person,
        session: Option<&SessionName>,
        run: Option<&str>,
    ) -> Vec<String> {
        let inner = lock(&self.inner);
        let runs = inner.people.get(person).into_iter().flat_map(|operator| &operator.runs);
        let stopped = runs.filter(|(id, active)| {
            session.is_none_or(|session| active.session == *session)
                && run.is_none_or(|run| run == id.as_str())
        });
        stopped.inspect(|(_, active)| active.stop.cancel()).map(|(id, _)| id.clone()).collect()
    }

    /// The runs of a person: their ids with their sessions.
    pub(super) fn runs(&self, person: &Person) -> Vec<(String, SessionName)> {
        let inner = lock(&self.inner);
        let runs = inner.people.get(person).into_iter().flat_map(|operator| &operator.runs);
        runs.map(|(id, active)| (id.clone(), active.session.clone())).collect()
    }

    /// What became of a run that a person began a short time ago. `None` also if it failed: nothing of it is kept.
    pub(super) fn run_state(&self, person: &Person, key: &str) -> Option<RunState> {
        lock(&self.inner).people.get(person)?.state(key)
    }

    /// Sends an event to each connection of a person whose handshake is done.
    pub(super) fn tell<T: Serialize>(&self, person: &Person, event: &'static str, payload: &T) {
        let outboxes: Vec<_> = {
            let inner = lock(&self.inner);
            let connections = inner.people.get(person).into_iter().flat_map(|it| &it.connections);
            connections.filter(|it| it.client.is_some()).map(|it| Arc::clone(&it.outbox)).collect()
        };
        for outbox in outboxes {
            outbox.event(event, payload);
        }
    }

    /// Who is connected: this person's own clients, or everyone's.
    pub(crate) fn present(&self, person: Option<&Person>) -> Vec<ConnectedClient> {
        let inner = lock(&self.inner);
        let people = inner.people.iter().filter(|(whose, _)| person.is_none_or(|it| it == *whose));
        let connections =
            people.flat_map(|(whose, it)| it.connections.iter().map(move |it| (whose, it)));
        let present = connections.filter_map(|(whose, it)| {
            let (person, node) = (whose.clone(), it.node.clone());
            Some(ConnectedClient { person, node, client: it.client.clone()? })
        });
        present.collect()
    }

    /// Forgets keys that are old, and people of whom nothing is left. Call it each minute.
    pub(crate) fn forget(&self) {
        lock(&self.inner).people.retain(|_, operator| {
            operator.forget_keys();
            let is_idle = operator.connections.is_empty() && operator.runs.is_empty();
            !(is_idle && operator.ended.is_empty())
        });
    }
}

impl Operator {
    fn state(&self, key: &str) -> Option<RunState> {
        if self.runs.contains_key(key) {
            return Some(RunState::Active);
        }
        self.ended.iter().any(|(id, _)| id == key).then_some(RunState::Ended)
    }

    fn forget_keys(&mut self) {
        while self.ended.front().is_some_and(|(_, at)| at.elapsed() >= KEY_LIFE) {
            self.ended.pop_front();
        }
    }
}

impl ConnectionPermit {
    /// Records that the handshake is done: events come from now on.
    pub(super) fn connected(&self, client: Connected) {
        let mut inner = lock(&self.operators);
        let connections = inner.people.get_mut(&self.person).map(|it| &mut it.connections);
        let own = connections.and_then(|all| all.iter_mut().find(|it| it.id == self.id));
        if let Some(own) = own {
            own.client = Some(client);
        }
    }

    /// The connection's id, unique since the start.
    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        if let Some(operator) = lock(&self.operators).people.get_mut(&self.person) {
            operator.connections.retain(|it| it.id != self.id);
        }
    }
}

impl RunPermit {
    /// The run was answered, or its person stopped it: its key is remembered.
    pub(super) fn end(self) {
        if let Some(operator) = lock(&self.operators).people.get_mut(&self.person) {
            if operator.ended.len() >= KEYS_MAX {
                operator.ended.pop_front();
            }
            operator.ended.push_back((self.id.clone(), Instant::now()));
        }
    }
}

impl Drop for RunPermit {
    fn drop(&mut self) {
        if let Some(operator) = lock(&self.operators).people.get_mut(&self.person) {
            operator.runs.remove(&self.id);
        }
    }
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn main() -> SessionName {
        "main".parse().unwrap()
    }

    #[test]
    fn a_key_runs_once_and_each_person_has_their_own() {
        let operators = Operators::default();
        let (ada, bob) = (Person::User(1), Person::User(2));
        let Ok(RunStart::Run(run)) = operators.begin(&ada, "key", &main()) else { panic!("new") };
        let again = |state| {
            let begun = operators.begin(&ada, "key", &main());
            assert!(matches!(begun, Ok(RunStart::Repeated(it)) if it == state));
            assert_eq!(operators.run_state(&ada, "key"), Some(state));
            assert_eq!(operators.run_state(&bob, "key"), None);
        };
        again(RunState::Active);
        operators.forget();
        again(RunState::Active);
        assert!(matches!(operators.begin(&bob, "key", &main()), Ok(RunStart::Run(_))));
        run.end();
        again(RunState::Ended);
    }

    #[test]
    fn a_run_that_failed_or_never_began_may_be_sent_again() {
        let operators = Operators::default();
        let ada = Person::User(1);
        let Ok(RunStart::Run(run)) = operators.begin(&ada, "key", &main()) else { panic!("new") };
        drop(run);
        assert_eq!(operators.run_state(&ada, "key"), None);
        assert!(matches!(operators.begin(&ada, "key", &main()), Ok(RunStart::Run(_))));
    }

    #[test]
    fn what_is_held_for_a_person_is_bounded() {
        let operators = Operators::default();
        let ada = Person::User(1);
        let runs: Vec<_> = (0..RUNS_MAX)
            .map(|n| operators.begin(&ada, &format!("held {n}"), &main()).unwrap())
            .collect();
        assert_eq!(operators.begin(&ada, "more", &main()).unwrap_err(), TooMany);
        drop(runs);
        for n in 0..2 * KEYS_MAX {
            match operators.begin(&ada, &format!("{n}"), &main()) {
                Ok(RunStart::Run(run)) => run.end(),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(lock(&operators.inner).people[&ada].ended.len(), KEYS_MAX);

        let outbox = Arc::new(Outbox::default());
        let places: Vec<_> =
            (0..CONNECTIONS_MAX).map(|_| operators.enter(&ada, "n1", &outbox).unwrap()).collect();
        assert_eq!(operators.enter(&ada, "n1", &outbox).unwrap_err(), TooMany);
        operators.enter(&Person::User(2), "n2", &outbox).unwrap();
        drop(places);
        operators.enter(&ada, "n1", &outbox).unwrap();
    }

    #[test]
    fn one_person_stops_their_own_runs_alone() {
        let operators = Operators::default();
        let (ada, bob) = (Person::User(1), Person::User(2));
        let Ok(RunStart::Run(run)) = operators.begin(&ada, "key", &main()) else { panic!("new") };
        assert!(operators.abort(&bob, Some(&main()), Some("key")).is_empty());
        assert!(operators.abort(&bob, None, Some("key")).is_empty());
        assert!(operators.abort(&ada, Some(&"other".parse().unwrap()), None).is_empty());
        assert!(operators.abort(&ada, Some(&main()), Some("another")).is_empty());
        assert!(!run.stop.is_cancelled() && operators.runs(&bob).is_empty());
        assert_eq!(operators.abort(&ada, Some(&main()), None), ["key"]);
        assert_eq!(operators.abort(&ada, None, Some("key")), ["key"]);
        assert!(run.stop.is_cancelled());
    }
}
