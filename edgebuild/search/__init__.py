"""The search for mixed precision: which variants to measure, and which to choose."""
