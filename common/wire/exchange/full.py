"""All parts travel both ways in every round."""

from fedphd.common.wire.exchange.base import EXCHANGES, Exchange


@EXCHANGES.register("full")
class Full(Exchange):
    """FedAvg's exchange."""
