"""Grey and colour: every colour space of Pillow's becomes grey or sRGB, transparency lies on a stated background.

Colour profiles (ICC) are not applied: the numbers in the file are taken for sRGB. The survey counts those of others.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

Colour = tuple[int, int, int]
WHITE: Colour = (255, 255, 255)
GREY_MODES = ("1", "L", "LA", "La", "I", "F")


def flatten(image: Image, channels: int, background: Colour) -> Image:
    """Make an image of 8 bits a channel grey (one channel) or RGB, without transparency."""
    from PIL import Image as pil  # noqa: N813, PLC0415  (only where images are decoded)

    if image.mode == "LAB":
        image = _from_lab(image)
    if image.has_transparency_data:
        ground = pil.new("RGBA", image.size, (*background, 255))
        ground.alpha_composite(image.convert("RGBA"))
        image = ground
    return image.convert("RGB" if channels == 3 else "L")


def is_grey(image: Image) -> bool:
    """Whether an image is grey by its mode; palettes and pixels are not looked at."""
    return image.mode.startswith("I;16") or image.mode in GREY_MODES


def other_profile(image: Image) -> str | None:
    """Name the colour profile of an image, if it has one that is not sRGB or of a grey image."""
    content = image.info.get("icc_profile")
    if not content or image.mode in GREY_MODES:
        return None
    name = _profile_name(content)
    return None if "srgb" in name.lower() else name


@cache
def _profile_name(content: bytes) -> str:
    from io import BytesIO  # noqa: PLC0415

    from PIL import ImageCms  # noqa: PLC0415

    try:
        return ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(content))).strip() or "unnamed"
    except (OSError, ImageCms.PyCMSError):
        return "damaged"


@cache
def _lab_transform() -> Any:
    from PIL import ImageCms  # noqa: PLC0415

    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")


def _from_lab(image: Image) -> Image:
    from PIL import ImageCms  # noqa: PLC0415

    converted = ImageCms.applyTransform(image, _lab_transform())
    if converted is None:
        raise ValueError("CIELAB colours cannot be converted")
    return converted


def parse_colour(text: str) -> Colour:
    """Read a colour: a name of CSS, or as ``#rrggbb``.

    Raises
    ------
    ValueError
        If there is no such colour.
    """
    from PIL import ImageColor  # noqa: PLC0415

    red, green, blue = ImageColor.getrgb(text)[:3]
    return red, green, blue
