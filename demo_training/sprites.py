"""Pictures of things to draw scenes from: Fluent Emoji 3D (MIT, Microsoft and LobeHub), fetched from the npm registry."""

import io
import shutil
import subprocess
import sys
import tarfile
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

PACKAGE = "@lobehub/fluent-emoji-3d@1.1.0"
FOLDER = Path(__file__).resolve().parents[1] / ".dev" / "things"
EMOJI = {
    "dragon": "🐉",
    "cat": "🐈",
    "penguin": "🐧",
    "frog": "🐸",
    "butterfly": "🦋",
    "whale": "🐳",
    "pizza": "🍕",
    "apple": "🍎",
    "donut": "🍩",
    "tree": "🌳",
    "sunflower": "🌻",
    "mushroom": "🍄",
    "rocket": "🚀",
    "car": "🚗",
    "house": "🏠",
    "crown": "👑",
}


@lru_cache(maxsize=1024)
def sprite(name, size):
    """[h, w, 4], colours and alpha in 0..1, cut to what is to be seen; its longer side is `size`."""
    picture = _original(name)
    scale = size / max(picture.size)
    picture = picture.resize([max(1, round(side * scale)) for side in picture.size], Image.Resampling.LANCZOS)
    return np.asarray(picture, np.float32) / 255


@cache
def _original(name):
    with tarfile.open(fetch()) as archive:
        data = archive.extractfile(f"package/assets/{ord(EMOJI[name]):x}.webp").read()
    picture = Image.open(io.BytesIO(data)).convert("RGBA")
    return picture.crop(picture.getchannel("A").point(lambda a: 255 * (a > 8)).getbbox())


def fetch() -> Path:
    """The package's archive, kept in .dev/."""
    archives = list(FOLDER.glob("*fluent-emoji-3d*.tgz"))
    if archives:
        return archives[0]
    npm = shutil.which("npm")
    if not npm:
        sys.exit(f"The pictures of the things come from npm: install npm, or put the archive of {PACKAGE} into {FOLDER}.")
    FOLDER.mkdir(parents=True, exist_ok=True)
    subprocess.run([npm, "pack", "--silent", PACKAGE], cwd=FOLDER, check=True, stdout=subprocess.DEVNULL)
    return fetch()
