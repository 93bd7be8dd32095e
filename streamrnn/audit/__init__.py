"""What a model leaks, which groups it serves worse, and when it should ask a person: measured on labelled recordings.

Statistics need only NumPy; JAX is imported with the models. docs/trust.md explains what the figures can show.
"""
