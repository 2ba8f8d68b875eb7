//! fpt-prompt
