"""YAML as a tree that knows where every value is written."""
