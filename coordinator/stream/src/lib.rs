//! The Noise channel of the control protocol as a byte stream.
