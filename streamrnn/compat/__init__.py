"""The calls of other packages, answered by models of this one: one module for each package, imported by name."""
