"""Captures of real instrumentations, made by running them against a double of the providers.

A development tool, not a test; see README.md. What it makes, packed, is captures.json.xz, which
test_own_captures.py reads.
"""
