//! The HTML pages, in English and Korean: for an invitation, and for a waiting device.

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
