"""Doors to programs in which streaming models live: one module each, imported by name, with an extra of its name."""
