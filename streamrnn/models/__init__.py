"""Whole models, sound in and decisions out, one file per task."""

from streamrnn.models.model import Decoder, Model
from streamrnn.models.voice_activity import VoiceActivity, VoiceActivitySettings

__all__ = ["Decoder", "Model", "VoiceActivity", "VoiceActivitySettings"]
