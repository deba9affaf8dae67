//! The embedded engine: llama.cpp behind llama-server's HTTP shapes.
