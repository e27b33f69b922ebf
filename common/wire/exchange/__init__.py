"""Which parts of the U-Net travel, and who reports them: one class for each choice of `conf/exchange/`.

What never travels is personal: each client trains its own and keeps it. A new choice is imported here, so that it is
registered.
"""

from fedphd.common.wire.exchange.base import EXCHANGES, Exchange
from fedphd.common.wire.exchange.full import Full
from fedphd.common.wire.exchange.personal import UDec, ULatDec
from fedphd.common.wire.exchange.usplit import USplit

__all__ = ["EXCHANGES", "Exchange", "Full", "UDec", "ULatDec", "USplit"]
