//! The admin API's types and problem types.
