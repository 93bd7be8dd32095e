"""Adapters to other programs: one module each, imported by name, each with an extra of its name."""
