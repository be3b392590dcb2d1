"""A Chromium for the tests of the interface: the one that is installed, or else one from the npm registry in .dev/."""

import os
import platform
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import npm
from environment import HOME, extract, say

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "msedge", "microsoft-edge")
PACKAGE = "@sparticuz/chromium@147.0.0"
UNPACK = """
const zlib = require('zlib'), fs = require('fs'), [packed, unpacked] = process.argv.slice(1)
fs.writeFileSync(unpacked, zlib.brotliDecompressSync(fs.readFileSync(packed)))
"""


def find() -> tuple[str, dict[str, str]] | None:
    """(program, environment variables) of a Chromium; CHROMIUM names another. None if there is none and none can be had."""
    for name in (os.environ.get("CHROMIUM"), *NAMES):
        if name and shutil.which(name):
            return shutil.which(name), {}
    folder = HOME / "chromium"
    if not folder.is_dir() and not _get(folder):
        return None
    return str(folder / "chromium"), {"LD_LIBRARY_PATH": str(folder / "lib")}


def _get(folder: Path) -> bool:
    node = shutil.which("node")
    if (sys.platform, platform.machine()) != ("linux", "x86_64") or not node:
        return False
    say("Getting a Chromium …")
    parts = HOME / "chromium-parts"
    try:
        package = npm.pack(PACKAGE, parts)
        for packed, unpacked in (("chromium.br", "chromium"), ("al2023.tar.br", "libraries.tar"), ("swiftshader.tar.br", "graphics.tar")):
            subprocess.run([node, "-e", UNPACK, package / "bin" / packed, parts / unpacked], check=True)
        made = parts / "made"
        for unpacked in ("libraries.tar", "graphics.tar"):
            extract(parts / unpacked, made)
        program = shutil.move(parts / "chromium", made / "chromium")
        program.chmod(0o755)
        subprocess.run([program, "--version"], env={**os.environ, "LD_LIBRARY_PATH": str(made / "lib")}, check=True)
        made.rename(folder)
    except (subprocess.CalledProcessError, OSError, ValueError, tarfile.TarError) as error:
        say(f"No Chromium could be had ({error}): tests of the interface are skipped.")
        return False
    finally:
        shutil.rmtree(parts, ignore_errors=True)
    return True
