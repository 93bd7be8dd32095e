"""Evaluation of models on folders of labelled recordings, live and offline."""

from streamrnn.evaluation.evaluate import evaluate

__all__ = ["evaluate"]
