"""What a server offers to Wyoming clients, and how it describes itself to them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Self

from wyoming.info import AsrModel, AsrProgram, Attribution, Info, WakeModel, WakeProgram

from streamrnn.serve.engine import Engine
from streamrnn.serve.protocol import ProtocolError

PROGRAM = "streamrnn"
_LANGUAGE = re.compile(r"-([a-z]{2})$")


@dataclass(frozen=True)
class Offers:
    """Models, by purpose.

    Attributes:
        wake: wake word -> names of the models that detect it.
        asr: names of the models that transcribe -> their language; models of utterances come first.
    """

    wake: dict[str, tuple[str, ...]]
    asr: dict[str, str]

    @classmethod
    def of(cls, engines: Mapping[str, Engine]) -> Self:
        """The offers of these models.

        Raises:
            ValueError: none of them detects words.
        """
        outlets = {name: engine.model.outlet() for name, engine in engines.items()}
        spotting = [name for name, outlet in outlets.items() if "keyword" in outlet.kinds]
        writing = [name for name, outlet in outlets.items() if "endpoint" in outlet.kinds]
        if not spotting and not writing:
            raise ValueError(
                f"Wyoming needs a model that hears words; served are {', '.join(engines)}. "
                "Serve keywords-en, wake-computer-jarvis or digits-ctc as well."
            )
        words = {word for name in spotting for word in outlets[name].labels}
        wake = {word: tuple(name for name in spotting if word in outlets[name].labels) for word in sorted(words)}
        asr = writing + [name for name in spotting if not name.startswith("wake")]
        return cls(wake, {name: _language(name) for name in asr})

    def info(self) -> Info:
        """The answer to Describe: one program of each kind, since Home Assistant reads only one."""
        about: dict[str, Any] = {
            "attribution": Attribution(name="streamrnn", url=""),
            "installed": True,
            "version": version("streamrnn"),
        }
        wake = [
            WakeModel(name=word, description=word, phrase=word.replace("_", " "), languages=_languages(models), **about)
            for word, models in self.wake.items()
        ]
        asr = [AsrModel(name=name, description=name, languages=[spoken], **about) for name, spoken in self.asr.items()]
        return Info(
            wake=[WakeProgram(name=PROGRAM, description="Wake words", models=wake, **about)] if wake else [],
            asr=[
                AsrProgram(
                    name=PROGRAM,
                    description="Commands and numbers",
                    models=asr,
                    # The end of an utterance is detected here.
                    requires_external_vad=False,
                    # Models were trained with noise and at all levels.
                    prefers_auto_gain_enabled=False,
                    prefers_noise_reduction_enabled=False,
                    **about,
                )
            ]
            if asr
            else [],
        )

    def listening(self, names: list[str] | None) -> dict[str, tuple[str, ...]]:
        """Wake words to listen for -> the models that detect them; without names, all of them.

        Raises:
            ProtocolError: unknown_model; none of the names is offered.
        """
        found = {word: models for word, models in self.wake.items() if not names or word in names}
        if not found:
            asked, there = ", ".join(names or ["at all"])[:200], ", ".join(self.wake) or "none"
            raise ProtocolError("unknown_model", f"there is no wake word {asked} here; there are: {there}.")
        return found

    def writing(self, name: str | None, language: str | None) -> str:
        """The name of the model to transcribe with: the one asked for, or the first of the language.

        Raises:
            ProtocolError: unknown_model; there is none.
        """
        for model, spoken in self.asr.items():
            if name == model or (name is None and language in (None, spoken)):
                return model
            if name is None and language is not None and language.partition("-")[0].lower() == spoken:
                return model
        offered = ", ".join(f"{model} ({spoken})" for model, spoken in self.asr.items()) or "none"
        asked = f"model {name[:100]!r}" if name is not None else f"model of the language {str(language)[:20]!r}"
        raise ProtocolError("unknown_model", f"there is no {asked} here; there are: {offered}.")


def _languages(models: tuple[str, ...]) -> list[str]:
    return sorted(set(map(_language, models)))


def _language(name: str) -> str:
    found = _LANGUAGE.search(name)
    return found[1] if found else "en"


__all__ = ["PROGRAM", "Offers"]
