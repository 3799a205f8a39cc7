//! Holds the layer table.
