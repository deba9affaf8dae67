//! What a member with a modified app and the participant could try.

mod floods;
mod ids;
mod sizes;
