//! Flow pages with end-to-end tests.
