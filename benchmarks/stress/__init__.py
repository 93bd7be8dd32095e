"""What a server must bear: strangers of all kinds, and many who come, go and come back.

One command runs all of it: `python -m benchmarks.stress`.
"""

__all__: list[str] = []
