"""Caches elsewhere, asked and fed beside the one that is here."""
