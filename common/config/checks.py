"""Checks of the configuration that need more than one option."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedphd.common.choices import Section

if TYPE_CHECKING:
    from fedphd.common.config.schema import Config


def check(config: Config) -> None:
    """Check what needs more than one option.

    Raises
    ------
    SettingError
        If two options contradict each other, or one would have no effect.
    """
    for name in type(config).model_fields:
        section = getattr(config, name)
        if isinstance(section, Section):
            section.check(config)
