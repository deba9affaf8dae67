//! The pages for people, in English and Korean: the one behind an invitation, and the one of a device that waits.

mod html;
mod join;
mod register;

use chassis::endpoint::{Served, serve};
use coordinator_api::public;

use crate::app::App;

/// The pages.
pub(crate) fn endpoints() -> [Served<App>; 3] {
    [
        serve(&public::JOIN_PAGE, join::show),
        serve(&public::DEVICE_PAGE, register::show),
        serve(&public::REDEEM, register::redeem),
    ]
}
