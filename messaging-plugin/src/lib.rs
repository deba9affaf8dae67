//! telmeet: messaging; in this version it relays sealed chats to the gateway.
