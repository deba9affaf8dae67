//! Serves HTTP on a UNIX socket to callers that the mesh identified.
