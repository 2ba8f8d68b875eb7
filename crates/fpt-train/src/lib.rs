//! fpt-train
