//! The PROXY v2 header that tells a service who is calling.
