"""The APIs of other packages, implemented with models of this one: one module per package, imported by name."""
