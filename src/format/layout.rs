//! One offset table per on-disk structure.
