//! State that survives: written whole, checksummed, refused when damaged.
