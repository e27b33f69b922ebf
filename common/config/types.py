"""Types of options that several sections have."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

Ratio = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(gt=0, le=1)]


def _absolute_folder(text: str) -> str:
    path = Path(text).expanduser()
    return str(path.absolute()) if path.is_dir() or text.startswith((".", "~")) else text


CLASS_EMBEDS = "num_class_embeds"  # a U-Net's option, by diffusers' name: the number of labels that it takes

FolderOrId = Annotated[str, AfterValidator(_absolute_folder)]  # a folder, or an id of the Hugging Face hub
