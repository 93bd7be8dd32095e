"""Benchmarks that run from a checkout: other programs, servers for minutes, training speed, what networks remember."""
