//! Seals and opens chat requests and streamed replies with HPKE.
