"""The statistics of the real images: made ahead, and what real images score by them."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.table import Table

from fedphd.common.config import Config
from fedphd.common.data.images import Split
from fedphd.common.errors import SettingError
from fedphd.common.run.figures import three_digits
from fedphd.launch.terminal import bare_table, open_console
from fedphd.launch.watch.notices import DETAIL
from fedphd.server.evaluation import Evaluator, Measuring
from fedphd.server.evaluation.real import SPLITS

PIPE_WIDTH = 200  # columns, where there is no terminal


@dataclass(frozen=True)
class SplitStatistics:
    """What there is of a split.

    Attributes
    ----------
    images : int
        Of how many images.
    features : int
        d, the length of one image's features.
    file : str or None
        Where the statistics are kept; None: nowhere.
    made : bool
        Whether they were computed now, and not found.
    """

    images: int
    features: int
    file: str | None
    made: bool


@dataclass(frozen=True)
class Stats:
    """What `fedphd stats` tells.

    Attributes
    ----------
    metric : str
        Name of the Fréchet distance.
    reference : str
        The split that runs are measured against.
    splits : dict[Split, SplitStatistics]
        By name; no ``holdout`` where nothing is held out.
    scores : dict[int, dict[str, float]]
        What real images score, by the number of images that are generated: at the end of a run and before.
    """

    metric: str
    reference: Split
    splits: dict[Split, SplitStatistics]
    scores: dict[int, dict[str, float]]


def stats(config: Config) -> Stats:
    """Make the statistics of both splits, or find them in `evaluation.cache`.

    Raises
    ------
    SettingError
        If nothing is measured, or the images or something that the extractor needs are missing.
    """
    with TemporaryDirectory(prefix="fedphd-") as folder:
        measuring = Evaluator(config, Path(folder)).measuring
        if measuring is None:
            raise SettingError("evaluation.extractor", None, "measures nothing; use evaluation=fd_classifier or fid")
        settings = config.evaluation
        counts = sorted({settings.images_at(last=False), settings.images_at(last=True)})
        scores = {count: measuring.references(count) for count in counts}
        splits = {split: _of(measuring, split, settings.cache) for split in SPLITS if measuring.there(split)}
    return Stats(measuring.extractor.metric, settings.reference, splits, scores)


def print_stats(config: Config, as_json: bool = False) -> None:
    """Make the statistics and print what they are.

    Parameters
    ----------
    config : Config
        The configuration.
    as_json : bool
        Print JSON instead of tables.

    Raises
    ------
    SettingError
        As `stats`.
    """
    found = stats(config)
    if as_json:
        print(json.dumps(asdict(found), indent=2))
        return
    console = open_console(PIPE_WIDTH)
    for table in (_splits(found), _scores(found)):
        console.print(table)
        console.print()
    for split, one in found.splits.items():
        nowhere = "nowhere: set evaluation.cache to a folder, where runs will find them"
        where = nowhere if one.file is None else f"in {one.file}"
        console.print(f"{split} kept {where}", style=DETAIL, markup=False, soft_wrap=True)


def _of(measuring: Measuring, split: Split, cache: Path | None) -> SplitStatistics:
    kept = measuring.real.kept(split)
    file = None if cache is None or kept.file is None else str(kept.file)
    return SplitStatistics(kept.statistics.images, kept.statistics.features.shape[1], file, kept.made)


def _splits(found: Stats) -> Table:
    table = _table("real images", "images", "features", "statistics")
    for split, one in found.splits.items():
        name = f"{split} (reference)" if split == found.reference else split
        table.add_row(name, f"{one.images:,}", f"{one.features:,}", "made" if one.made else "found")
    return table


def _scores(found: Stats) -> Table:
    table = _table("generated images", f"{found.metric} of as many of the reference", "of the other split")
    for count, scores in found.scores.items():
        floor, std = (three_digits(scores[f"{found.metric}_{end}"]) for end in ("floor", "floor_std"))
        other = scores.get(f"{found.metric}_reference")
        table.add_row(f"{count:,}", f"{floor} ± {std}", "n/a" if other is None else three_digits(other))
    return table


def _table(*titles: str) -> Table:
    table = bare_table()
    for index, title in enumerate(titles):
        table.add_column(title, justify="right" if index else "left", no_wrap=True)
    return table
