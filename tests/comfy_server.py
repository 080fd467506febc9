"""A real ComfyUI with this pack in it, in a folder of its own, spoken to as the page does.

COMFYUI_PATH is a checkout, COMFYUI_PYTHON the Python that has its requirements. Nothing is written into either.
COMFYUI_FRONTENDS names frontends to try in place of the installed one: folders ``comfyui_frontend_package/static`` of
unpacked wheels, with the separator of PATH between them.
The pack is what the registry's archive would hold, so these tests need a clone.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
import wave
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from archive import ROOT, published

COMFY, PYTHON = os.environ.get("COMFYUI_PATH", ""), os.environ.get("COMFYUI_PYTHON", "")
#: An input file of every server, with the first seconds of the bundled speech.
SHORT, SECONDS = "short.wav", 0.4
#: "" is the installed one.
FRONTENDS = os.environ.get("COMFYUI_FRONTENDS", "").split(os.pathsep)
PACK = "playmate-portrait"
Prompt = dict[str, Any]


@dataclass(frozen=True)
class Ended:
    """How a prompt ended: ``said`` and ``blamed`` (a node's class) where it was refused or failed."""

    status: str
    outputs: dict[str, Any] = field(default_factory=dict)
    cached: frozenset[str] = frozenset()
    said: str = ""
    blamed: str = ""

    def ran(self, prompt: Prompt) -> set[str]:
        """The classes of the nodes that were computed and not taken from the cache."""
        return {entry["class_type"] for key, entry in prompt.items() if key not in self.cached}


class ComfyServer:
    """``with ComfyServer(folder, models) as server``: started and, at the end, stopped by its process id.

    ``api_nodes``: ComfyUI's paid nodes too. Without them it forbids the page, by a Content-Security-Policy, all that it
    did not bring itself. ``packages``, set before it starts: a folder of packages besides those that are installed.
    """

    def __init__(self, base: Path, models: Path, *flags: str, frontend: str = "", api_nodes: bool = False) -> None:
        self.base, self.flags, self.packages = base, list(flags), ""
        self.flags += ["--front-end-root", frontend] * bool(frontend) + ["--disable-api-nodes"] * (not api_nodes)
        for name in ("custom_nodes", "input", "output", "temp", "user", "home"):
            (base / name).mkdir(parents=True)
        (base / "models").symlink_to(models, target_is_directory=True)
        pack = base / "custom_nodes" / PACK
        for name in published():  # what the registry would install, and not a file more
            (pack / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, pack / name)
        with wave.open(str(ROOT / "playmate_core" / "bundled" / "speech.wav")) as whole:
            with wave.open(str(base / "input" / SHORT), "wb") as short:
                short.setparams(whole.getparams())
                short.writeframes(whole.readframes(int(whole.getframerate() * SECONDS)))
        self.log = base / "server.log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def __enter__(self) -> ComfyServer:
        kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ}
        kept |= {"HOME": str(self.base / "home"), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        kept |= {"PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1", "http_proxy": "http://127.0.0.1:9"}
        kept |= {"PYTHONPATH": self.packages} if self.packages else {}
        words = [PYTHON, "-B", "main.py", "--cpu", "--listen", "127.0.0.1", "--port", str(self.port)]
        words += ["--base-directory", str(self.base), "--database-url", f"sqlite:///{self.base / 'comfy.db'}"]
        words += ["--disable-auto-launch", *self.flags]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(words, cwd=COMFY, env=kept, stdout=log, stderr=subprocess.STDOUT)
        try:
            self._wait(lambda: self._answers(), 600, "ComfyUI did not start")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *ended: Any) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(20)

    @property
    def process(self) -> psutil.Process:
        """The process that runs Python, below a wrapper script if there is one."""
        whole = psutil.Process(self._process.pid)
        return max([whole, *whole.children(recursive=True)], key=lambda one: one.memory_info().rss)

    def get(self, path: str, body: Any = None) -> Any:
        """What the server answers, parsed; an answer of 400 too, which says what is wrong with a prompt."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                text = answer.read()
        except urllib.error.HTTPError as refused:
            text = refused.read()
        return json.loads(text) if text else {}

    def begin(self, prompt: Prompt) -> str | Ended:
        """Put a prompt into the queue: its id, or why it was refused."""
        answer = self.get("/prompt", {"prompt": prompt})
        faults = [(entry["class_type"], entry["errors"]) for entry in (answer.get("node_errors") or {}).values()]
        if faults:
            kind, errors = faults[0]
            said = " ".join(fault.get("details") or fault["message"] for fault in errors)
            return Ended("refused", said=said, blamed=kind)
        return str(answer["prompt_id"])

    def end(self, prompt_id: str, seconds: float = 600) -> Ended:
        """Wait for the end of a prompt."""
        self._wait(lambda: prompt_id in self.get(f"/history/{prompt_id}"), seconds, "the prompt did not end")
        entry = self.get(f"/history/{prompt_id}")[prompt_id]
        told = dict(entry["status"]["messages"])
        cached = frozenset(told.get("execution_cached", {}).get("nodes", []))
        if "execution_interrupted" in told:
            return Ended("stopped", cached=cached)
        if "execution_error" in told:
            fault = told["execution_error"]
            return Ended("error", {}, cached, fault["exception_message"].strip(), fault["node_type"])
        return Ended(entry["status"]["status_str"], entry["outputs"], cached)

    def run(self, prompt: Prompt) -> Ended:
        begun = self.begin(prompt)
        return begun if isinstance(begun, Ended) else self.end(begun)

    def files(self) -> set[Path]:
        """Everything in the output folder, hidden and temporary files too."""
        return {path for path in (self.base / "output").rglob("*") if path.is_file()}

    def saved(self, ended: Ended, suffix: str) -> Path:
        """The one file of a kind that a prompt says it saved."""
        (path,) = self.all_saved(ended, suffix)
        return path

    def all_saved(self, ended: Ended, suffix: str) -> list[Path]:
        """The files of a kind that a prompt says it saved."""
        told = [
            item for node in ended.outputs.values() for key in ("images", "video", "text") for item in node.get(key, [])
        ]
        names = [item if isinstance(item, str) else f"{item['subfolder']}/{item['filename']}" for item in told]
        return [self.base / "output" / name for name in names if name.endswith(suffix)]

    def cpu_seconds(self) -> float:
        spent = self.process.cpu_times()
        return spent.user + spent.system

    def _answers(self) -> bool:
        assert self._process.poll() is None, self.log.read_text(errors="replace")[-3000:]
        with contextlib.suppress(OSError, ValueError):
            return "system" in self.get("/system_stats")
        return False

    def _wait(self, done: Callable[[], bool], seconds: float, complaint: str) -> None:
        until = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < until, f"{complaint} within {seconds:g} s"
            time.sleep(0.02)
