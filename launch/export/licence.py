"""The licence in a model card."""

import re

IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9.+-]*")  # as the Hugging Face hub names licences, e.g. apache-2.0


def licence_fields(given: str | None) -> dict[str, str]:
    """Give the fields of the front matter: one of the hub's licences, or another by its name."""
    if given is None:
        return {"license": "other", "license_name": "not-stated"}
    if IDENTIFIER.fullmatch(given):
        return {"license": given}
    name = re.sub(r"[^a-z0-9.]+", "-", given.lower()).strip("-")
    return {"license": "other", "license_name": name or "stated-in-the-card"}


def licence_text(given: str | None) -> str:
    """Say it in the card itself."""
    return given or "Not stated. Ask those who trained the model before you use it."
