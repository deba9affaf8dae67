//! Named network and mount namespaces for tests, demos and benches.
