"""A ComfyUI server on this machine with this repository as a custom node and folders of its own."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def running_server(base: Path, output: Path, log: Path):
    """Start a server on a free port and yield (address, process); stop it at the end. RuntimeError shows the log's end."""
    link_pack(base / "custom_nodes")
    output.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [sys.executable, Path(os.environ["COMFYUI_PATH"], "main.py"), "--cpu", "--disable-auto-launch", "--port", str(port)]
    command += ["--base-directory", base, "--output-directory", output]
    command += ["--database-url", f"sqlite:///{base / 'comfyui.db'}"]
    if "COMFYUI_FRONTEND" in os.environ:  # the folder of another one than ComfyUI's own
        command += ["--front-end-root", os.environ["COMFYUI_FRONTEND"]]
    with open(log, "w") as sink, subprocess.Popen([str(part) for part in command], stdout=sink, stderr=sink) as process:
        try:
            address = f"127.0.0.1:{port}"
            wait_until_up(process, address, log)
            yield address, process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_until_up(process, address, log, seconds=180):
    end = time.monotonic() + seconds
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < end and process.poll() is None:
        try:
            direct.open(f"http://{address}/system_stats", timeout=5).close()
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.3)
    raise RuntimeError("ComfyUI did not start. The end of its log:\n" + "\n".join(log.read_text(errors="replace").splitlines()[-30:]))


def link_pack(custom_nodes: Path):
    custom_nodes.mkdir(parents=True, exist_ok=True)
    link = custom_nodes / "concept-attention"
    if link.exists() and link.samefile(ROOT):
        return
    if os.path.lexists(link):  # the repository has moved
        link.rmdir() if os.name == "nt" else link.unlink()
    if os.name == "nt":  # a symbolic link needs rights that a junction does not
        import _winapi

        _winapi.CreateJunction(str(ROOT), str(link))
    else:
        link.symlink_to(ROOT, target_is_directory=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
