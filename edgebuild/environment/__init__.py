"""Where a toolchain's tools are, which they are, and what they run in."""
