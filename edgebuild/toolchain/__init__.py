"""What a toolchain's folder says, as checked values."""
