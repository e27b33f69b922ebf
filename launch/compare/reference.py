"""Which row the others are set in relation to: flat FedAvg where there is one, since the papers compare with it."""

from collections.abc import Sequence

from fedphd.common.choices import no_such
from fedphd.common.errors import SettingError
from fedphd.launch.compare.configuration import Configuration

AVERAGING = "fedavg"


def pick_references(rows: Sequence[Configuration], names: Sequence[str]) -> list[Configuration]:
    """Find the rows with these names; if none is named, flat FedAvg, else FedAvg, else the first row.

    Raises
    ------
    SettingError
        If there is no row of a name.
    """
    if not names:
        return [min(rows, key=_rank)]
    by_name = {row.name: row for row in rows}
    for name in names:
        if name not in by_name:
            raise SettingError("--reference", name, no_such("configuration", name, list(by_name), ""))
    return [by_name[name] for name in names]


def _rank(row: Configuration) -> tuple[bool, bool]:
    return row.settings.get("method") != AVERAGING, not row.runs[0].flat
