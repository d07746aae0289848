"""``python -m edgebuild``."""

try:
    from edgebuild.cli.entry import entry
except KeyboardInterrupt:  # Ctrl-C may come at any moment
    raise SystemExit(130) from None

entry()
