//! The command line of tieline.

fn main() {}
