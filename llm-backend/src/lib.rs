//! Backends that answer chats: OpenAI-compatible servers over a UNIX socket or TCP.
