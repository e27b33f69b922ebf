"""A data set whose images are decoded, and where they are kept once they are."""

from __future__ import annotations

import logging
from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from fedphd.common.choices import Affects
from fedphd.common.data.data_set import DataSet
from fedphd.common.errors import SettingError
from fedphd.common.paths import UserPath

if TYPE_CHECKING:
    from fedphd.common.config.schema import Config

log = logging.getLogger(__name__)


class CachedSet(DataSet):
    """Images that take time to decode.

    Attributes
    ----------
    cache : "auto", Path or None
        Where decoded images are kept. "auto": on the disk of each client that has its own, or else in the run folder
        until the run ends. A folder: there, for all runs of this machine. None: nowhere, so that each message of a
        deployed client decodes them anew.
    """

    cache: Annotated[Literal["auto"] | UserPath | None, Affects.NOTHING] = "auto"

    @property
    @abstractmethod
    def source(self) -> Path | None:
        """The file or folder that the images are in, if it is known."""

    @property
    def kept_at(self) -> Path | None:
        """Where decoded images are kept."""
        return self.cache if isinstance(self.cache, Path) else None

    def keeping_at(self, folder: Path) -> Self:
        """Give the same data set with a place for decoded images, where `cache` leaves it open.

        A folder among the images is not used, since it could be taken for some of them: the log says so.
        """
        if self.cache != "auto":
            return self
        inside = self._holds(folder)
        if inside:
            log.warning("%s lies among the images, so that decoded ones are not kept there", folder)
        return self.model_copy(update={"cache": None if inside else folder})

    def check(self, config: Config) -> None:
        """Check that a folder for decoded images is of this machine, and does not lie among the images.

        Raises
        ------
        SettingError
            If not.
        """
        super().check(config)
        if self.kept_at is None:
            return
        if config.runtime.own_disks:
            advice = f"with runtime={config.runtime.name} each client keeps them below its state-dir; use auto or null"
            raise SettingError("data.cache", self.kept_at, advice)
        if self._holds(self.kept_at):
            raise SettingError(
                "data.cache", self.kept_at, f"lies among the images in {self.source}; use another folder"
            )

    def _holds(self, folder: Path) -> bool:
        return self.source is not None and folder.resolve().is_relative_to(self.source.resolve())
