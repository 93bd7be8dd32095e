"""Test sets composed from recordings of a test split, with their truth: what `streamrnn compose` writes."""
