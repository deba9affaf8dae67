//! `/room_keys`: a person's backed up sessions, encrypted by the apps (specification, client-server API, "Server-side
//! key backups").

mod download;
mod sessions;
mod version;

use ruma::api::client::backup;

use crate::matrix::{self, Route};

/// The endpoints.
pub(super) fn routes() -> Vec<Route> {
    [
        matrix::route::<backup::create_backup_version::v3::Request, _, _>(version::create),
        matrix::route::<backup::get_latest_backup_info::v3::Request, _, _>(version::latest),
        matrix::route::<backup::get_backup_info::v3::Request, _, _>(version::get),
        matrix::route::<backup::update_backup_version::v3::Request, _, _>(version::update),
        matrix::route::<backup::delete_backup_version::v3::Request, _, _>(version::delete),
        matrix::route::<backup::add_backup_keys::v3::Request, _, _>(sessions::add),
        matrix::route::<backup::add_backup_keys_for_room::v3::Request, _, _>(sessions::add_room),
        matrix::route::<backup::add_backup_keys_for_session::v3::Request, _, _>(
            sessions::add_session,
        ),
        matrix::route::<backup::delete_backup_keys::v3::Request, _, _>(sessions::delete),
        matrix::route::<backup::delete_backup_keys_for_room::v3::Request, _, _>(
            sessions::delete_room,
        ),
        matrix::route::<backup::delete_backup_keys_for_session::v3::Request, _, _>(
            sessions::delete_session,
        ),
        matrix::route::<backup::get_backup_keys::v3::Request, _, _>(download::all),
        matrix::route::<backup::get_backup_keys_for_room::v3::Request, _, _>(download::room),
        matrix::route::<backup::get_backup_keys_for_session::v3::Request, _, _>(download::session),
    ]
    .into_iter()
    .flatten()
    .collect()
}
