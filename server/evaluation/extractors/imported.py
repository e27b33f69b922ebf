"""A function, or a class that makes a network, of the user's own: without options, by its import path alone."""

from typing import Any

from fedphd.common.choices import import_object
from fedphd.server.evaluation.extractor import Extractor
from fedphd.server.evaluation.features import NetworkFeatures
from fedphd.server.evaluation.workbench import Workbench


class Imported(Extractor):
    """Features by what `kind` names; it is called as `NetworkFeatures` says.

    A class is instantiated without arguments.
    """

    @property
    def found(self) -> Any:
        """What `kind` names.

        Raises
        ------
        SettingError
            If it cannot be imported.
        """
        return import_object("evaluation.extractor", self.kind)

    def build(self, bench: Workbench) -> NetworkFeatures:
        """Make the features."""
        found = self.found
        make = found if isinstance(found, type) else lambda: found
        return NetworkFeatures(make, self.kind, bench)
