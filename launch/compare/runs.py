"""A run as the comparison sees it, and whether it may take part."""

from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict, Field

from fedphd.common.choices import Affects
from fedphd.common.config import affects
from fedphd.common.errors import SettingError
from fedphd.common.run.events import Fail
from fedphd.common.run.figures import one_line
from fedphd.launch.compare.drawn import Drawn, with_images
from fedphd.launch.compare.settings import UNSET, Settings, completed, settings_of
from fedphd.launch.compare.standing import Standing, standings
from fedphd.launch.report.recorded_run import RecordedRun


class Run(BaseModel):
    """A run of the comparison: all that is taken from its folder, and all that is saved of it.

    Attributes
    ----------
    name : str
        Its folder.
    seed : int
        The seed of all its random choices.
    started : float or None
        When it began, in seconds since the epoch.
    measure : str or None
        Name of its quality measure; None if nothing was measured.
    settings : dict[str, str]
        What makes it another experiment than others.
    standings : list[Standing]
        Where it stood after the rounds that were measured, and after the last.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    seed: int
    started: float | None = None
    measure: str | None = None
    settings: dict[str, str]
    standings: list[Standing] = Field(min_length=1)

    @classmethod
    def of(cls, folder: RecordedRun, name: str) -> "Run":
        """Take what is compared from a run that `flaw` has nothing against, to be called `name`."""
        every = standings(folder)
        measure = folder.evaluations[-1].quality if folder.evaluations else None
        rounds = {every[-1].round, *(line.round for line in folder.evaluations)}
        run = cls(
            name=name,
            seed=folder.setting("seed"),
            started=folder.history.first,
            measure=None if measure is None else measure[0],
            settings={},
            standings=[one for one in every if one.round in rounds],
        )
        return run.with_settings(settings_of(folder.config))

    def with_settings(self, settings: Settings) -> "Run":
        """Give it these settings, and its evaluations what follows from them."""
        measured = with_images(self.standings, settings, self.measure)
        return self.model_copy(update={"settings": dict(settings), "standings": measured})

    @property
    def final(self) -> Standing:
        """Where it stood after its last root round."""
        return self.standings[-1]

    @property
    def curve(self) -> list[Standing]:
        """Where it stood whenever it was measured."""
        return [one for one in self.standings if self.measure in one.measures]

    @property
    def flat(self) -> bool:
        """Whether its clients talked to the root itself."""
        return self.settings.get("topology.edges") == "0"

    @property
    def drawn(self) -> Drawn:
        """How many images its evaluations measure."""
        return Drawn.of(self.settings)

    def scored(self, key: str) -> float | None:
        """Give what the latest evaluation tells; a star in `key` stands for the measure's name."""
        return self.curve[-1].measures.get(key.replace("*", str(self.measure))) if self.curve else None

    def before_last(self) -> "Run | None":
        """Keep the evaluations over as many images as those before the last round; None if there is none."""
        early = [one for one in self.curve if one.images == self.drawn.before]
        return self.model_copy(update={"standings": early}) if early else None

    def until(self, what: str, limit: int) -> "Run | None":
        """Cut it after the last evaluation with at most so much of ``client_epochs`` or ``image_passes``.

        Returns
        -------
        Run or None
            None if there is no such evaluation, or it is unknown which.
        """
        spent = [getattr(one, what) for one in self.curve]
        if None in spent:
            return None  # the last one that is known to be within need not be the last one within
        within = [one for one, much in zip(self.curve, spent, strict=True) if much <= limit]
        return self.model_copy(update={"standings": within}) if within else None

    def as_good_as(self, quality: float) -> "Run | None":
        """Cut it after the first evaluation of `quality` or less; None if there is no such evaluation."""
        good = [number for number, one in enumerate(self.curve) if one.measures[str(self.measure)] <= quality]
        return self.model_copy(update={"standings": self.curve[: good[0] + 1]}) if good else None


def flaw(folder: RecordedRun) -> str | None:
    """Say why a run cannot be averaged with others: it failed, is not finished, or cannot be read."""
    if not isinstance(folder.setting("seed"), int) or not isinstance(folder.setting("rounds"), int):
        return "config.yaml cannot be read"
    done, planned = folder.latest.round if folder.latest else 0, folder.setting("rounds")
    ending = folder.history.ending
    if isinstance(ending, Fail):
        return f"failed after round {done} of {planned}: {one_line(ending.reason)}"
    if ending is None:
        return f"not finished: round {done} of {planned}"
    return None if done == planned else f"metrics.jsonl ends with round {done} of {planned}"


def of_one_version(runs: Sequence[Run]) -> list[Run]:
    """Let older runs have the settings that newer ones have, at their defaults, so that they compare."""
    keys = list(dict.fromkeys(key for run in runs for key in run.settings))
    return [run.with_settings(completed(run.settings, keys)) for run in runs]


def check_same_measure(runs: Iterable[Run]) -> None:
    """Refuse runs whose quality was measured in different ways.

    Other extractors, other numbers of images and other real images give other distances for the same model.

    Raises
    ------
    SettingError
        Naming the setting in which the measurements differ, its values, and a run for each.
    """
    measured = [run for run in runs if run.measure is not None]
    for key in dict.fromkeys(key for run in measured for key in run.settings):
        if Affects.MEASUREMENT not in affects(key):
            continue
        examples = {run.settings.get(key, UNSET): run.name for run in reversed(measured)}
        if len(examples) > 1:
            where = ", ".join(f"{value} in {name}" for value, name in sorted(examples.items()))
            advice = f"quality that was measured differently cannot stand in one column ({where}); compare them apart"
            raise SettingError(key, " and ".join(sorted(examples)), advice)
