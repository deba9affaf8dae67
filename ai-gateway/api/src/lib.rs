//! Chat vocabulary, sealed-chat wire types and the plugin protocol.
