"""The table of tasks and their parts, which are imported on demand. Importing this module imports nothing else.

Other packages add tasks through entry points of the group `streamrnn.tasks`, in their pyproject.toml:

    [project.entry-points."streamrnn.tasks"]
    language = "my_package.tasks:LANGUAGE"

where LANGUAGE is a Task with the name language. CONTRIBUTING.md explains its parts.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from streamrnn.suggestions import did_you_mean

GROUP = "streamrnn.tasks"

Part = Literal["model", "decision", "recipe", "evaluate", "lines", "test_set", "situations", "teller"]


@dataclass(frozen=True)
class Task:
    """A task; its parts are named as "package.module:attribute" and imported by `resolve`.

    Attributes:
        name: its name on the command line: `streamrnn train NAME`, `streamrnn evaluate NAME`.
        model: the class of its models, or the function that builds their layers, decorated with `streamrnn.builder`.
        decision: the dataclass of its decision settings, which become flags of `streamrnn run`; None: it has none.
        recipe: the class that trains it (a Recipe); None: `streamrnn train` does not train it.
        evaluate: the function that measures a model on recordings, (model, folders, clips, progress) -> figures; for
            a task of lines, on the parts of its data, (model, places, split, progress) -> figures.
        lines: for a task whose streams are not sound, the class that reads them from text and formats their results,
            constructed from a model and settings: see streamrnn.lines.Lines.
        test_set: the function that composes recordings with known truth, (data, out, *, clips, seed, ...).
        situations: the function that judges a model in situations, (model) -> streamrnn.evaluation.situations.Judge.
        teller: reports each clip to audits, (model, folders) -> streamrnn.audit.telling.Teller.
        default: the model that the task's name stands for: the name of a shipped one, or "package:file.safetensors".
        gives: the output of its models.
    """

    name: str
    model: str
    decision: str | None = None
    recipe: str | None = None
    evaluate: str | None = None
    lines: str | None = None
    test_set: str | None = None
    situations: str | None = None
    teller: str | None = None
    default: str | None = None
    gives: Literal["events", "sound", "numbers"] = "events"

    def resolve(self, part: Part) -> Any:
        """Imports the class or function of a part.

        Raises:
            ValueError: the task has no such part.
            ImportError: the part cannot be imported.
        """
        path = getattr(self, part)
        if path is None:
            has = ", ".join(task.name for task in tasks() if getattr(task, part) is not None)
            raise ValueError(f"The task {self.name!r} has no {part}. Tasks that have one: {has}.")
        module, _, name = path.partition(":")
        try:
            return getattr(import_module(module), name)
        except Exception as error:
            raise ImportError(f"The {part} of the task {self.name!r}, {path}, can't be imported: {error!r}.") from error


OWN = (
    Task(
        "vad",
        model="streamrnn.models:VoiceActivity",
        decision="streamrnn.decisions:SpeechSettings",
        recipe="streamrnn.recipes:VoiceActivityRecipe",
        evaluate="streamrnn.evaluation.voice_activity:evaluate_voice_activity",
        test_set="streamrnn.recipes.test_sets.scenes:write_scenes",
        situations="streamrnn.evaluation.situations.speech:speech_judge",
        teller="streamrnn.audit.speech:SpeechTeller",
        default="vad",
    ),
    Task(
        "vad-compact",
        model="streamrnn.models:VoiceActivity",
        decision="streamrnn.decisions:SpeechSettings",
        recipe="streamrnn.recipes:CompactVoiceActivityRecipe",
        evaluate="streamrnn.evaluation.voice_activity:evaluate_voice_activity",
        situations="streamrnn.evaluation.situations.speech:speech_judge",
        teller="streamrnn.audit.speech:SpeechTeller",
        default="vad-compact",
    ),
    Task(
        "keywords",
        model="streamrnn.models:Keywords",
        decision="streamrnn.decisions:KeywordSettings",
        recipe="streamrnn.recipes:KeywordsRecipe",
        evaluate="streamrnn.evaluation.keywords:evaluate_keywords",
        situations="streamrnn.evaluation.situations.words:keyword_judge",
        teller="streamrnn.audit.words:WordTeller",
        default="keywords-en",
    ),
    Task(
        "digits",
        model="streamrnn.models:CTC",
        decision="streamrnn.decisions:TranscriptSettings",
        recipe="streamrnn.recipes:CTCRecipe",
        evaluate="streamrnn.evaluation.transcription:evaluate_transcription",
        test_set="streamrnn.recipes.test_sets.strings:write_strings",
        situations="streamrnn.evaluation.situations.words:transcript_judge",
        teller="streamrnn.audit.transcripts:TranscriptTeller",
        default="digits-ctc",
    ),
    Task(
        "digits-transducer",
        model="streamrnn.models:Transducer",
        decision="streamrnn.decisions:EndpointSettings",
        recipe="streamrnn.recipes:TransducerRecipe",
        evaluate="streamrnn.evaluation.transcription:evaluate_transcription",
        situations="streamrnn.evaluation.situations.words:transcript_judge",
        teller="streamrnn.audit.transcripts:TranscriptTeller",
        default="digits-transducer",
    ),
    Task(
        "phonemes",
        model="streamrnn.models:Phonemes",
        decision="streamrnn.decisions:PhraseSettings",
        recipe="streamrnn.recipes:PhonemesRecipe",
        evaluate="streamrnn.evaluation.phonemes:evaluate_phonemes",
        teller="streamrnn.audit.phonemes:PhonemeTeller",
        default="phonemes-en",
    ),
    Task(
        "phrases",
        model="streamrnn.models:Phonemes",
        decision="streamrnn.decisions:PhraseSettings",
        evaluate="streamrnn.evaluation.phrases:evaluate_phrases",
        default="phonemes-en",
    ),
    Task(
        "wake",
        model="streamrnn.models:Wake",
        decision="streamrnn.decisions:KeywordSettings",
        evaluate="streamrnn.evaluation.wake:evaluate_wake",
        default="wake-alexa",
    ),
    Task(
        "denoise",
        model="streamrnn.models:Denoising",
        decision="streamrnn.decisions.attenuation:SoundSettings",
        recipe="streamrnn.recipes:DenoisingRecipe",
        evaluate="streamrnn.evaluation.denoising:evaluate_denoising",
        test_set="streamrnn.recipes.test_sets.mixes:write_noisy_speech",
        teller="streamrnn.audit.sound:SoundTeller",
        default="denoise",
        gives="sound",
    ),
    Task("speaker", model="streamrnn.models:Speaker", decision="streamrnn.decisions:LabelSettings"),
    Task(
        "forecast",
        model="streamrnn.models:Forecast",
        recipe="streamrnn.recipes:ForecastRecipe",
        evaluate="streamrnn.evaluation.forecast:evaluate_forecast",
        lines="streamrnn.lines:ForecastLines",
        default="forecast",
        gives="numbers",
    ),
    Task(
        "choices",
        model="streamrnn.models:Choices",
        recipe="streamrnn.recipes:ChoicesRecipe",
        evaluate="streamrnn.evaluation.choices:evaluate_choices",
        lines="streamrnn.lines:ChoiceLines",
        default="choices",
        gives="numbers",
    ),
    Task(
        "music",
        model="streamrnn.models:Music",
        recipe="streamrnn.recipes:MusicRecipe",
        evaluate="streamrnn.evaluation.music:evaluate_music",
        lines="streamrnn.lines:MusicLines",
        default="music",
        gives="numbers",
    ),
    Task(
        "say",
        model="streamrnn.models:Speller",
        recipe="streamrnn.recipes:SayRecipe",
        evaluate="streamrnn.evaluation.speller:evaluate_speller",
        lines="streamrnn.lines:SpellingLines",
        default="say-en",
        gives="numbers",
    ),
    Task(
        "typing",
        model="streamrnn.models:NextItem",
        recipe="streamrnn.recipes:TypingRecipe",
        evaluate="streamrnn.evaluation.next_item:evaluate_next_item",
        lines="streamrnn.lines:TextLines",
        default="typing",
        gives="numbers",
    ),
    *(
        Task(
            name,
            model="streamrnn.models:Classifier",
            decision="streamrnn.decisions:LabelSettings",
            recipe=f"streamrnn.recipes:{name.title()}Recipe",
            evaluate="streamrnn.evaluation.classifier:evaluate_classifier",
            lines=f"streamrnn.lines:{kind}Lines",
            default=name,
        )
        for name, kind in (("intent", "Query"), ("emotion", "Word"), ("pen", "Pen"))
    ),
)


def find_task(name: str) -> Task | None:
    """The task of that name, or None. Loads at most the entry point of that name.

    Raises:
        ImportError: the entry point does not provide a Task.
    """
    for task in OWN:
        if task.name == name:
            return task
    points = entry_points(group=GROUP, name=name)
    return _loaded(next(iter(points))) if points else None


def task_of(name: str) -> Task:
    """The task of that name.

    Raises:
        ValueError: there is none; the message lists the known ones.
        ImportError: see find_task.
    """
    task = find_task(name)
    if task is None:
        known = [task.name for task in tasks()]
        raise ValueError(f"There is no task {name!r}.{did_you_mean(name, known)} Tasks are: {', '.join(known)}.")
    return task


def tasks() -> tuple[Task, ...]:
    """All tasks: streamrnn's own, then those of other packages, by name.

    An entry point that does not provide a task is skipped, with a UserWarning that names its package.
    """
    return (*OWN, *_others())


def _others() -> Iterator[Task]:
    known = {task.name for task in OWN}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            if point.name in known:
                raise ImportError(f"{_said(point)} has a name that is already taken. Rename it.")
            known.add(point.name)
            yield _loaded(point)
        except ImportError as error:
            warnings.warn(f"{error} The other tasks work.", stacklevel=3)


@cache
def _loaded(point: EntryPoint) -> Task:
    try:
        task = point.load()
    except Exception as error:
        raise ImportError(f"{_said(point)} can't be loaded: {error!r}. Fix the package, or uninstall it.") from error
    if not isinstance(task, Task) or task.name != point.name:
        found = f"a Task named {task.name!r}" if isinstance(task, Task) else f"a {type(task).__name__}"
        raise ImportError(f"{_said(point)} is {found}; it must be a streamrnn.tasks.Task named {point.name!r}.")
    return task


def _said(point: EntryPoint) -> str:
    package = "an installed package" if point.dist is None else f"the package {point.dist.name} {point.dist.version}"
    return f"The task {point.name!r} of {package} ({point.value})"


__all__ = ["Task", "find_task", "task_of", "tasks"]
