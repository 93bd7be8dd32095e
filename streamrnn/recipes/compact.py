"""The recipe of voice activity models that are small enough for any runtime, and for Silero VAD's interface."""

import math
from dataclasses import dataclass, field
from typing import Any

from streamrnn.models import VoiceActivity, VoiceActivitySettings
from streamrnn.recipes.voice_activity import VoiceActivityRecipe, VoiceActivityTraining

# Clients of Silero VAD keep 256 floats of state and 64 samples of context, and send 512 samples at a time.
COMPACT = VoiceActivitySettings(
    hop_samples=128,
    window_samples=192,
    memory_s=0.0,
    floor_rise_s=0.0,
    channels=64,
    kernel_frames=2,
    lookahead_frames=4,
    hidden=88,
)


@dataclass(frozen=True)
class CompactVoiceActivityTraining(VoiceActivityTraining):
    """Settings of `streamrnn train vad-compact`."""

    model: VoiceActivitySettings = field(default_factory=lambda: COMPACT)


class CompactVoiceActivityRecipe(VoiceActivityRecipe):
    """Voice activity by a small model: a probability per 8 ms, 216 floats of state besides the window's context."""

    Settings = CompactVoiceActivityTraining

    def finish(self, model: VoiceActivity) -> None:
        """Takes the weight of speech back from its odds: clients of Silero VAD decide at 0.5, whatever was trained."""
        network: Any = model.network
        bias = network.layers[-1].bias
        bias[...] = bias[...] - math.log(self.settings.speech_weight)


__all__ = ["COMPACT", "CompactVoiceActivityRecipe", "CompactVoiceActivityTraining"]
