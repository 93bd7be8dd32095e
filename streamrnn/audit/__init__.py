"""What a model gives away, whom it serves worse, and when it should ask a person: measured on labelled recordings.

Statistics are NumPy alone; JAX comes with the models that are run. docs/trust.md says what the figures can tell.
"""
