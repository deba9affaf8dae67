//! The agent daemon: control client, relay client, local API, mesh services.
