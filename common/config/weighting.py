"""How much each member of an average counts, at each tier (`conf/weighting/`)."""

from typing import Annotated

from fedphd.common.averaging.weighting import WEIGHTINGS, Weighting
from fedphd.common.choices import Section


class TiersWeighting(Section):
    """The weighting of each tier's average."""

    edge: Annotated[Weighting, WEIGHTINGS.at("weighting.edge")]
    root: Annotated[Weighting, WEIGHTINGS.at("weighting.root")]
