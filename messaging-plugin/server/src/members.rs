//! Who is in the network, by the list that the coordinator writes ([`mesh_identity::members`]): a device or a person that was
//! removed is out within seconds, and people who have not signed in yet are found and invited.
//!
//! * An app whose node is gone, or belongs to somebody else now, is signed out: its requests end, its keys, pushers and
//!   messages are deleted.
//! * A person who is gone leaves all rooms ([`remove_person`]). One who is invited to the network again has another number at
//!   the coordinator, so is another person with another user id.
//! * Who is new gets a user id.
//!
//! Nobody is taken away by a list that cannot be read, nor by one without nodes: the home itself is a node. A coordinator that
//! is away, or just started, leaves the last list in place.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use chassis::{
    state::{Format, StateError},
    watched::WatchedFiles,
};
use mesh_identity::members::Members;
use ruma::{OwnedUserId, UserId};
use sqlx::Row as _;
use store::{DatabaseError, column};

use crate::{
    error::Error,
    homeserver::{Homeserver, Transaction},
    participant,
    sign_in::{devices, people, removal::remove_person},
};

/// Interval of checks for a new list.
const LOOK: Duration = Duration::from_millis(500);
/// Longest list that is read, in bytes: some ten thousand nodes.
const FILE_MAX: u64 = 4 << 20;
/// Its format.
const FORMAT: Format<Members> = Format::new(Members::VERSION)
    .remedy(|| "restart the coordinator, which writes it again".into());

/// The list, as it is in its file now.
#[derive(Debug)]
pub struct MemberList(WatchedFiles<Option<Arc<Members>>, StateError>);

impl MemberList {
    /// Watches a file, which need not exist.
    ///
    /// # Errors
    ///
    /// It exists and is invalid.
    pub fn open(path: PathBuf) -> Result<Self, StateError> {
        let of = path.clone();
        let read = move || Ok(FORMAT.read_of_another(&of, FILE_MAX)?.map(Arc::new));
        Ok(Self(WatchedFiles::load("the list of people", vec![path], read)?.again(LOOK)))
    }

    /// The current list; `None` if there is none that takes somebody away.
    fn current(&self) -> Option<Arc<Members>> {
        self.0.current().filter(|members| !members.nodes.is_empty())
    }
}

/// Applies the list whenever it changes.
pub async fn follow(homeserver: &Homeserver, list: MemberList) -> Infallible {
    let list = Arc::new(list);
    let mut applied: Option<Arc<Members>> = None;
    let mut is_failing = false;
    loop {
        let is_new =
            |list: &Arc<Members>| !applied.as_ref().is_some_and(|it| Arc::ptr_eq(it, list));
        if list.current().is_some_and(|list| is_new(&list)) {
            match apply(homeserver, &list).await {
                Ok(members) => (applied, is_failing) = (members, false),
                Err(error) if is_failing => tracing::debug!(%error, "still not applied"),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "the list of people is not applied; retrying");
                    is_failing = true;
                }
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Applies the current list, and returns it.
async fn apply(
    homeserver: &Homeserver,
    list: &Arc<MemberList>,
) -> Result<Option<Arc<Members>>, Error> {
    let (network, list) = (homeserver.network.clone(), Arc::clone(list));
    let applied = homeserver.write(move |tx| {
        Box::pin(async move {
            // Read now: the coordinator wrote it before it let a node in, so it has the node of every app that is stored.
            let Some(members) = list.current() else { return Ok(None) };
            remove_devices(tx, &members).await?;
            people::learn(tx, &network, &members.people).await?;
            let gone = gone(tx, &members).await?;
            Ok(Some((members, gone)))
        })
    });
    let Some((members, gone)) = applied.await? else { return Ok(None) };
    for user in gone {
        tracing::info!("a person was removed from the network, and leaves the rooms");
        // A transaction for each, so that others write in between.
        let removed =
            homeserver.write(move |tx| Box::pin(async move { remove_person(tx, &user).await }));
        removed.await?;
    }
    Ok(Some(members))
}

/// Signs out the apps whose node is gone or belongs to somebody else.
async fn remove_devices(tx: &mut Transaction, members: &Members) -> Result<(), Error> {
    let owners: HashMap<&str, Option<u64>> =
        members.nodes.iter().map(|node| (&*node.node, node.owner)).collect();
    let query = "SELECT d.user_id, d.device_id, d.node, p.mesh_user FROM devices d \
         JOIN people p ON p.user_id = d.user_id";
    for row in sqlx::query(query).fetch_all(tx.connection()).await? {
        let (node, person): (String, _) =
            (row.try_get("node")?, column::number(&row, "mesh_user")?);
        if owners.get(&*node) == Some(&Some(person)) || person == participant::NUMBER {
            continue;
        }
        let device: String = row.try_get("device_id")?;
        devices::remove(tx, &user(row.try_get("user_id")?)?, device.as_str().into()).await?;
    }
    Ok(())
}

/// People who are not in the network any more.
async fn gone(tx: &mut Transaction, members: &Members) -> Result<Vec<OwnedUserId>, Error> {
    let there: HashSet<u64> = members.people.iter().map(|person| person.id).collect();
    let query = "SELECT user_id, mesh_user FROM people WHERE removed_at IS NULL";
    let mut gone = Vec::new();
    for row in sqlx::query(query).fetch_all(tx.connection()).await? {
        let person = column::number(&row, "mesh_user")?;
        if !there.contains(&person) && person != participant::NUMBER {
            gone.push(user(row.try_get("user_id")?)?);
        }
    }
    Ok(gone)
}

fn user(text: String) -> Result<OwnedUserId, Error> {
    Ok(UserId::parse(text).map_err(|_| DatabaseError::Row("user_id"))?)
}

#[cfg(test)]
mod tests;
