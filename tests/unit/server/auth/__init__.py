"""Tokens, keys, grants."""
