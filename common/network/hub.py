"""A pretrained model's files in diffusers' layout: in a folder of the user's, or from the Hugging Face hub."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from fedphd.common.errors import SettingError

OPTIONS, WEIGHTS = "config.json", "diffusion_pytorch_model.safetensors"


@dataclass(frozen=True)
class Source:
    """Where a user says that a pretrained model is.

    Attributes
    ----------
    key : str
        The setting that says so.
    path : str
        A folder, or an id of the hub.
    what : str
        What should be there, as "autoencoder".
    subfolder : str or None
        Where within that.
    elsewhere : str
        The advice if a file is not there but perhaps in a subfolder.
    """

    key: str
    path: str
    what: str
    subfolder: str | None = None
    elsewhere: str = ""

    def folder(self) -> Path:
        """Find the folder with options and weights: the user's own, or one of the hub's cache.

        Of a hub's id, both are fetched once; what is there already is taken as it is, also offline.

        Raises
        ------
        SettingError
            If there is no such folder or id, one of the files is not there, or the hub cannot be reached.
        """
        path = Path(self.path).expanduser()
        if not path.is_dir():
            if path.exists() or self.path.startswith(("/", "~", ".")):
                raise self.unusable("is no folder; give one in diffusers' format, or an id of the Hugging Face hub")
            if is_mistyped(path):
                raise self.unusable(f"there is no such folder in {path.parent}; give one, or an id of the hub")
            return self._from_hub()
        folder = path / (self.subfolder or "")
        for file in (OPTIONS, WEIGHTS):
            if not (folder / file).is_file():
                advice = f"there is no {file} in {folder}; give a folder with both {OPTIONS} and {WEIGHTS}"
                raise self.unusable(f"{advice}{self.elsewhere}")
        return folder

    def unusable(self, advice: str) -> SettingError:
        """Make the error of a model that cannot be used."""
        return SettingError(self.key, self.path, advice)

    def _from_hub(self) -> Path:
        try:
            for file in (OPTIONS, WEIGHTS):
                fetched = self._fetch(file)
        except HFValidationError:
            raise self.unusable("is neither a folder nor an id of the Hugging Face hub (owner/name)") from None
        except RepositoryNotFoundError:
            advice = (
                f"is no folder, and the Hugging Face hub shows no such {self.what}; if it is private: hf auth login"
            )
            raise self.unusable(advice) from None
        except LocalEntryNotFoundError:
            advice = (
                f"is no folder, and the Hugging Face hub cannot be reached; bring the {self.what} here and give its"
            )
            raise self.unusable(f"{advice} folder") from None
        except EntryNotFoundError:
            raise self.unusable(f"has no {file} on the Hugging Face hub{self.elsewhere}") from None
        except (HfHubHTTPError, OSError) as error:
            raise self.unusable(f"cannot be fetched from the Hugging Face hub ({first_line(error)})") from error
        return Path(fetched).parent

    def _fetch(self, file: str) -> str:
        try:
            return hf_hub_download(self.path, file, subfolder=self.subfolder, local_files_only=True)
        except LocalEntryNotFoundError:
            return hf_hub_download(self.path, file, subfolder=self.subfolder)


def is_mistyped(path: Path) -> bool:
    """Whether a path that is not there could be an id of the hub, but rather means a folder beside others."""
    return path.parent != Path() and path.parent.is_dir()


def fetch_if_there(id: str, file: str) -> None:
    """Fetch a file that a repository of the hub may have, to the hub's cache, as far as it can be reached."""
    with suppress(EntryNotFoundError, HfHubHTTPError, OSError):
        try:
            hf_hub_download(id, file, local_files_only=True)
        except LocalEntryNotFoundError:
            hf_hub_download(id, file)


def first_line(error: Exception) -> str:
    """Give what a library says of an error, in one line."""
    return (str(error) or repr(error)).split("\n")[0]
