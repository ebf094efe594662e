//! A TCP network in virtual time.
