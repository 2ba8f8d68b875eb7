//! fpt-world
