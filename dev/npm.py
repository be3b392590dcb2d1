"""Packages from the npm registry, where npm is installed."""

import platform
import shutil
import subprocess
import sys
from pathlib import Path

from environment import HOME, extract

BIOME = "2.6.8"
PLATFORMS = {"linux": "linux", "darwin": "darwin", "win32": "win32"}
PROCESSORS = {"x86_64": "x64", "AMD64": "x64", "aarch64": "arm64", "arm64": "arm64"}


def pack(package: str, folder: Path) -> Path:
    """Unpacked in `folder`, which is made anew; OSError or CalledProcessError where it cannot be had."""
    npm = shutil.which("npm")
    if npm is None:
        raise OSError("npm is not installed")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    subprocess.run([npm, "pack", "--silent", package], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    (archive,) = folder.glob("*.tgz")
    extract(archive, folder)
    archive.unlink()
    return folder / "package"


def biome() -> Path | None:
    """The linter of web/; None where it cannot be had."""
    program = HOME / f"biome-{BIOME}" / "package" / ("biome.exe" if sys.platform == "win32" else "biome")
    system, processor = PLATFORMS.get(sys.platform), PROCESSORS.get(platform.machine())
    if not program.is_file() and system and processor:
        try:
            pack(f"@biomejs/cli-{system}-{processor}@{BIOME}", program.parents[1])
        except (OSError, subprocess.CalledProcessError):
            return None
    return program if program.is_file() else None
