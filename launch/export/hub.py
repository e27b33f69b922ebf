"""Bringing an export to the Hugging Face hub."""

from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HFValidationError, LocalTokenNotFoundError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from fedphd.common.errors import FedPhDError, SettingError
from fedphd.common.network.exported import REST, SCHEDULER, UNET, VAE
from fedphd.common.network.hub import first_line

OPTION = "--push-to-hub"
REPLACED = [REST, "*.py", *(f"{folder}/*" for folder in (UNET, VAE, SCHEDULER, "onnx"))]  # what an export may lack


def check_name(name: str) -> None:
    """Check a repository's name before anything is written.

    Raises
    ------
    SettingError
        If it is not OWNER/NAME.
    """
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise SettingError(OPTION, name, f"is no name of a repository ({first_line(error)}); use OWNER/NAME") from None
    if name.count("/") != 1:
        raise SettingError(OPTION, name, "is no name of a repository; use OWNER/NAME")


def push(folder: Path, name: str) -> str:
    """Upload an export; a repository that is not there is made, as a private one.

    What an export before left there, and this one lacks, is removed in the same commit: old weights beside new ones
    would be read as theirs.

    Returns
    -------
    str
        Where it is.

    Raises
    ------
    FedPhDError
        If there is no login, no network, or no right to write there; the folder stays as it is.
    """
    api = HfApi(library_name="fedphd")
    try:
        where = api.create_repo(name, private=True, exist_ok=True)
        text = "Export of fedphd"
        api.upload_folder(repo_id=name, folder_path=folder, commit_message=text, delete_patterns=REPLACED)
    except LocalTokenNotFoundError:
        raise FedPhDError(
            f"{OPTION}={name}: no login on this machine; {_again(folder, name, 'hf auth login')}"
        ) from None
    except Exception as error:  # of the hub, of its client, or of the network
        text = f"cannot be uploaded ({first_line(error)})"
        raise FedPhDError(f"{OPTION}={name}: {text}; {_again(folder, name)}") from error
    return str(where)


def _again(folder: Path, name: str, first: str = "") -> str:
    return f"{folder} is written; {f'{first}, then ' if first else ''}hf upload {name} {folder}"
