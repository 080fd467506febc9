"""ComfyUI's own page in a headless Chromium, opened on a running server and asked what it made of a workflow.

Needs the package playwright and a Chromium on the path; playwright's own browser is not downloaded.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comfy_server import ComfyServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

CHROMIUM = next(filter(None, map(shutil.which, (os.environ.get("CHROMIUM", ""), "chromium", "google-chrome"))), None)
HAS_PAGE = CHROMIUM is not None and importlib.util.find_spec("playwright") is not None
#: No tour, no welcome, and every warning of what is missing.
SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Workflow.ShowMissingNodesWarning": True,
    "Comfy.Workflow.ShowMissingModelsWarning": True,
    "Comfy.Locale": "en",
    "Comfy.UseNewMenu": "Top",
    "Comfy.Minimap.Visible": False,
}
WINDOW = {"width": 1600, "height": 900}
WAIT = 180_000  # ms; the machine may be busy
#: What the core says of itself when a server shows an older frontend than it asks for; all of the box, and no more.
OUTDATED = re.compile(
    r"(?:Alert\s+)?Version Compatibility Warning:?\s+Frontend version [\d.]+ is outdated\. Backend requires "
    r"(?:version )?[\d.]+ or higher\.(?:\s+Visit https://docs\.comfy\.org/\S+ for update instructions\.)?"
)
APP = "const app = window.app ?? window.comfyAPI?.app?.app;"
LOADED = f"kind => {{ {APP} return Boolean(app?.canvas && window.LiteGraph?.registered_node_types?.[kind]); }}"
OPEN = f"async ([graph, name]) => {{ {APP} await app.loadGraphData(graph, true, true, name); }}"
#: Whether a workflow is what stands there: on a busy machine the page's own first one can come after it.
STANDS = f"kinds => {{ {APP} return JSON.stringify(app.graph.nodes.map(node => node.type).sort()) === kinds; }}"
SETTLED = "() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 1000)))"
SEEN = f"""async () => {{
    {APP}
    const known = window.LiteGraph.registered_node_types;
    const said = node => `${{node.type}} (${{node.id}})`;
    const shown = box => box.getClientRects().length > 0 && box.innerText.trim();
    const odd = [];
    for (const node of app.graph.nodes)
        for (const widget of node.widgets ?? []) {{
            const listed = widget.type === 'combo' ? widget.options?.values : undefined;
            if (widget.value == null || Number.isNaN(widget.value) ||
                    (Array.isArray(listed) && !listed.includes(widget.value)))
                odd.push(`${{said(node)}}.${{widget.name}} = ${{widget.value}}`);
        }}
    return {{
        missing: app.graph.nodes.filter(node => !(node.type in known)).map(said),
        red: app.graph.nodes.filter(node => node.has_errors).map(said),
        odd,
        boxes: [...document.querySelectorAll('[role=dialog], .p-dialog, .p-toast-message')].map(shown).filter(Boolean),
        prompt: (await app.graphToPrompt()).output,
    }};
}}"""


SET = f"""values => {{
    {APP}
    for (const node of app.graph.nodes)
        for (const widget of node.widgets ?? []) {{
            const value = values[`${{node.type}}.${{widget.name}}`];
            if (value !== undefined) widget.value = value;
        }}
}}"""
RUN = f"async () => {{ {APP} await app.queuePrompt(0, 1); }}"
APP_MODE = f"async () => {{ {APP} await app.extensionManager.command.execute('Comfy.ToggleLinear'); }}"
#: The labels of the form that app mode shows.
FORM = "() => [...document.querySelectorAll('[data-testid=app-mode-widget-item]')].map(item => item.innerText)"
#: The newest frame is shown while a node renders.
FRAME_SHOWN = "() => [...document.querySelectorAll('img.playmate-live-frame')].some(image => image.naturalWidth > 0)"
#: The video of that name can be played, and no still is shown where it should be.
VIDEO_SHOWN = """name => {
    const plays = video => video.readyState >= 2 && video.videoWidth > 0 && video.currentSrc.includes(name);
    return [...document.querySelectorAll('video')].some(plays) && !document.querySelector('img.playmate-live-frame');
}"""
#: Nodes of these classes alone, side by side in their least size.
ROW = f"""async kinds => {{
    {APP}
    app.graph.clear();
    let at = 0;
    for (const kind of kinds) {{
        const node = window.LiteGraph.createNode(kind);
        node.pos = [at, 0];
        app.graph.add(node);
        const [wide, tall] = node.computeSize();
        node.setSize([Math.max(wide, 250), tall]);
        at += node.size[0] + 30;
    }}
}}"""
#: Brings the whole graph into view; where it then lies in the window, in pixels.
FRAME = f"""async ([left, top, right, bottom]) => {{
    {APP}
    const nodes = app.graph.nodes, title = 50;  // above a node's place: its title and its owner's badge
    const x = Math.min(...nodes.map(node => node.pos[0])), y = Math.min(...nodes.map(node => node.pos[1])) - title;
    const width = Math.max(...nodes.map(node => node.pos[0] + node.size[0])) - x;
    const height = Math.max(...nodes.map(node => node.pos[1] + node.size[1])) - y;
    const rect = app.canvas.canvas.getBoundingClientRect();
    const scale = Math.min((right - left) / width, (bottom - top) / height, 1.5);
    app.canvas.ds.scale = scale;
    app.canvas.ds.offset[0] = (left - rect.left) / scale - x;
    app.canvas.ds.offset[1] = (top - rect.top) / scale - y;
    app.canvas.setDirty(true, true);
    return {{x: left, y: top, width: width * scale, height: height * scale}};
}}"""


@dataclass(frozen=True)
class Seen:
    """What the page made of a workflow.

    ``missing`` and ``red`` nodes, ``odd`` widgets (no value, or one that is not among the choices), ``boxes``: texts of
    dialogs and toasts, ``console``: errors since the last look, ``prompt``: what Run would send.
    """

    missing: tuple[str, ...]
    red: tuple[str, ...]
    odd: tuple[str, ...]
    boxes: tuple[str, ...]
    console: tuple[str, ...]
    prompt: dict[str, Any]


#: Wires a number to a widget and loads the graph again -> the socket's type, or a fault.
WIRED = """async ([kind, name]) => {
    const app = window.app ?? window.comfyAPI?.app?.app;
    app.graph.clear();
    const [number, node] = ['PrimitiveFloat', kind].map(one => window.LiteGraph.createNode(one));
    for (const one of [number, node]) app.graph.add(one);
    const at = node.inputs.findIndex(input => input.name === name);
    if (at < 0) return 'has no socket';
    if (!number.connect(0, node, at)) return 'cannot be connected';
    await app.loadGraphData(app.graph.serialize());
    const again = app.graph.nodes.find(one => one.type === kind);
    const input = again.inputs.find(one => one.name === name);
    return input.link == null ? 'lost its link' : input.type;
}"""


class ComfyPage:
    """One page of ComfyUI; made by :func:`comfy_page`."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self._console: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self._console.append(f"uncaught: {error}"))
        page.goto(url)
        page.wait_for_function(LOADED, arg="PlaymateTalk", timeout=WAIT)
        page.evaluate(SETTLED)
        self.started = tuple(self._console)

    def _hear(self, message: ConsoleMessage) -> None:
        # For an absent model, its own first workflow's included, the page asks a model hub how large the file is.
        if message.type == "error" and "missingModelMetadata" not in message.location["url"]:
            self._console.append(f"{message.location['url']}: {message.text}")

    def open(self, workflow: Path) -> Seen:
        """Open a workflow as if its file had been dropped on the page, and look."""
        graph = json.loads(workflow.read_text(encoding="utf-8"))
        kinds = json.dumps(sorted(node["type"] for node in graph["nodes"]), separators=(",", ":"))
        for _ in range(3):
            self._console.clear()
            self.page.evaluate(OPEN, [graph, workflow.stem])
            self.page.evaluate(SETTLED)
            if self.page.evaluate(STANDS, kinds):
                break
        return self.look()

    def wire_number(self, kind: str, name: str) -> str:
        """See WIRED."""
        return str(self.page.evaluate(WIRED, [kind, name]))

    def look(self) -> Seen:
        """What the page makes of what is open now."""
        self.page.evaluate(SETTLED)
        seen = self.page.evaluate(SEEN)
        lists = {name: tuple(seen[name]) for name in ("missing", "red", "odd", "boxes")}
        lists["boxes"] = tuple(box for box in lists["boxes"] if not OUTDATED.fullmatch(box))
        return Seen(**lists, console=tuple(self._console), prompt=seen["prompt"])

    def form(self) -> list[str]:
        """What app mode asks for, entry by entry; the graph is shown again afterwards."""
        self.page.evaluate(APP_MODE)
        self.page.evaluate(SETTLED)
        asked: list[str] = self.page.evaluate(FORM)
        self.page.evaluate(APP_MODE)
        return asked

    def found(self, words: str) -> str:
        """All that the page says after a search for a node by ``words``."""
        self.page.mouse.dblclick(WINDOW["width"] - 300, WINDOW["height"] - 200)
        self.page.evaluate(SETTLED)
        self.page.keyboard.type(words)
        self.page.evaluate(SETTLED)
        said: str = self.page.evaluate("() => document.body.innerText")
        self.page.keyboard.press("Escape")
        return said

    def run(self, values: Mapping[str, Any], video: str) -> None:
        """Set widgets ("class.widget"), press Run, and wait for frames and then a video named ``video``..."""
        self.page.evaluate(SET, dict(values))
        self.page.evaluate(RUN)
        self.page.wait_for_function(FRAME_SHOWN, timeout=5 * WAIT)
        self.page.wait_for_function(VIDEO_SHOWN, arg=video, timeout=5 * WAIT)

    def picture(self, path: Path) -> None:
        """The window with the whole graph in it, as PNG."""
        self.page.evaluate(FRAME, [80, 110, WINDOW["width"] - 20, WINDOW["height"] - 20])
        self.page.evaluate(SETTLED)
        self.page.screenshot(path=path)

    def row(self, kinds: Sequence[str], path: Path) -> None:
        """Nodes of some classes side by side, as PNG."""
        self.page.evaluate(ROW, list(kinds))
        box = self.page.evaluate(FRAME, [80, 130, WINDOW["width"] - 20, WINDOW["height"] - 120])
        self.page.evaluate(SETTLED)
        margin = {"x": box["x"] - 10, "y": box["y"] - 20, "width": box["width"] + 20, "height": box["height"] + 30}
        self.page.screenshot(path=path, clip=margin)


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium; one at a time in a process."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def comfy_page(browser: Browser, server: ComfyServer, **settings: Any) -> Iterator[ComfyPage]:
    """ComfyUI's page with settings of its own (ids as its settings dialog stores them)."""
    server.get("/settings", {**SETTINGS, **settings})
    page = browser.new_page(viewport=WINDOW)
    page.set_default_timeout(WAIT)
    try:
        yield ComfyPage(page, f"http://127.0.0.1:{server.port}")
    finally:
        page.close()
