//! What Linux shows: one file per source, a pure parser each, and one place that touches the system.
//!
//! Nothing here decodes SQLite's formats or judges.
