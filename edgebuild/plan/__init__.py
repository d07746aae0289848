"""From a manifest and toolchains to actions. Pure."""
