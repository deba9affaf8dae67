//! The pages for people, in English and Korean: the one behind an invitation, and the one of a device that waits.

mod html;
mod join;
mod register;

use chassis::endpoint::{Endpoint, get, post};

use crate::app::App;

/// The pages.
pub(crate) fn endpoints() -> [Endpoint<App>; 3] {
    [
        get("/join", join::show),
        get("/register/{ticket}", register::show),
        post("/register/{ticket}", register::redeem),
    ]
}
