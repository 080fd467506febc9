"""The bundle, the documentation's pictures, and its words: everything it tells a person to type exists."""

from __future__ import annotations

import importlib
import re
import shutil
import wave
from pathlib import Path

import cv2
import numpy as np
import pytest

from playmate_core.cli import main as cli
from playmate_core.errors import UserError
from playmate_core.weights import files as weights
from playmate_core.weights.folders import bundled
from training import __main__ as verbs
from training import bundle, figures
from training.bundle import BundleConfig

ROOT = Path(__file__).resolve().parent.parent
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"))}
FENCED = re.compile(r"^```\w*\n(.*?)^```$", re.S | re.M)
#: Every piece of code of every page.
CODE = [block for page in PAGES.values() for block in FENCED.findall(page)]
CODE += [code for page in PAGES.values() for code in re.findall(r"`([^`]+)`", FENCED.sub("", page))]
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")


def small(out: Path, **changes: object) -> BundleConfig:
    return BundleConfig(out=str(out), size=32, speech="formant", **changes)  # type: ignore[arg-type]


def speech_facts(path: Path) -> tuple[tuple[int, int, int], np.ndarray]:
    with wave.open(str(path)) as file:
        kind = (file.getframerate(), file.getnchannels(), file.getsampwidth())
        return kind, np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)


def test_a_bundle_loads_together_and_comes_out_the_same_twice(
    tmp_path: Path, tiny_face: Path, tiny_motion: Path, tiny_emotion: Path
) -> None:
    models = {"face": str(tiny_face), "motion": str(tiny_motion), "emotion": str(tiny_emotion)}
    out = tmp_path / "bundled"
    sizes = bundle.bundle(small(out, **models))
    assert {path.name: path.stat().st_size for path in out.iterdir()} == sizes
    assert set(sizes) == {"portrait.png", "speech.wav", *(f"{name}.safetensors" for name in bundle.MODELS)}
    weights.load_face(out / "face.safetensors")
    weights.load_emotion(out / "emotion.safetensors", weights.load_motion(out / "motion.safetensors"))
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    assert bundle.bundle(small(out)) == sizes, "models that lie there are kept"
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first


def test_too_large_a_bundle_is_refused_before_anything_is_written(
    tmp_path: Path, tiny_motion: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "LIMIT_MB", 0.5)
    with pytest.raises(UserError, match="at most 0.5"):
        bundle.bundle(small(tmp_path / "bundled", motion=str(tiny_motion)))
    assert not list(tmp_path.iterdir())


def test_models_that_do_not_fit_are_refused(
    tmp_path: Path, tiny_face: Path, tiny_motion: Path, tiny_emotion: Path
) -> None:
    from playmate_core.diffusion.denoiser import MotionConfig, MotionDenoiser

    stranger = tmp_path / "stranger.safetensors"
    weights.save(MotionDenoiser(MotionConfig.tiny()), stranger, audio="logmel", license="", data="", training={})
    out = tmp_path / "bundled"
    wrong: dict[str, dict[str, object]] = {
        "--motion as well": {"emotion": str(tiny_emotion)},
        "of kind face": {"motion": str(tiny_face)},
        "was trained on": {"emotion": str(tiny_emotion), "motion": str(stranger)},
        "no model file": {"face": str(tmp_path / "none.safetensors")},
        "--voice is 9": {"voice": 9},
    }
    for message, changes in wrong.items():
        with pytest.raises(UserError, match=message):
            bundle.bundle(small(out, **changes))
    assert not out.exists()
    out.mkdir()
    shutil.copy(tiny_motion, out / "motion.safetensors")
    shutil.copy(tiny_emotion, out / "emotion.safetensors")
    with pytest.raises(UserError, match="was trained on"):
        bundle.bundle(small(out, motion=str(stranger)))


def test_the_bundled_portrait_is_a_square_picture() -> None:
    picture = cv2.imread(str(bundled("portrait.png")), cv2.IMREAD_UNCHANGED)
    assert picture is not None and picture.shape == (512, 512, 3) and picture.std() > 20


def test_the_bundled_speech_is_five_seconds_with_a_pause() -> None:
    kind, samples = speech_facts(bundled("speech.wav"))
    assert kind == (16000, 1, 2)
    assert 5.0 <= len(samples) / 16000 <= 6.5
    frames = np.sqrt((samples[: len(samples) // 640 * 640].reshape(-1, 640) ** 2).mean(1))
    loud = np.flatnonzero(frames > 0.05 * frames.max())
    assert np.diff(loud).max() >= 0.4 * 25, "no pause between the sentences"
    assert abs(samples).max() < 32767, "clipped"


def test_figures_have_the_stated_sizes(
    tmp_path: Path,
    tiny_face: Path,
    tiny_motion: Path,
    tiny_emotion: Path,
    portrait_picture: Path,
    speech_wave: Path,
) -> None:
    given = {"face": tiny_face, "motion": tiny_motion, "emotion": tiny_emotion}
    given |= {"portrait": portrait_picture, "speech": speech_wave, "out": tmp_path / "docs"}
    figures.main([word for name, path in given.items() for word in (f"--{name}", str(path))] + ["--tile", "128"])
    tall = 128 + figures.CAPTION
    wanted = {
        "emotions": (2 * tall, 4 * 128),
        "emotion_layer": (4 * (80 + figures.CAPTION), 4 * 80),
        "pose_override": (2 * tall, 5 * 128),
        "talk": (80 + figures.CAPTION + figures.PLOT_HEIGHT, figures.STRIP * 80),
    }
    for name, size in wanted.items():
        picture = cv2.imread(str(tmp_path / "docs" / f"{name}.png"))
        assert picture is not None and picture.shape[:2] == size, name
    assert len(list((tmp_path / "docs").iterdir())) == len(wanted) == len(figures.FIGURES)


def test_one_figure_is_drawn_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no figure 'smiles'.*emotion_layer"):
        figures.main(["--only", "smiles", "--out", str(tmp_path)])
    figures.main(["--only", "emotion_layer", "--out", str(tmp_path)])
    assert [path.name for path in tmp_path.iterdir()] == ["emotion_layer.png"]
    drawn = cv2.imread(str(tmp_path / "emotion_layer.png")).astype(float)
    tile, tall = 160, 160 + figures.CAPTION
    faces = [drawn[tall * row :, tile * column :][:tile, :tile] for row in range(2) for column in range(4)]
    apart = [np.abs(one - other).mean() for i, one in enumerate(faces) for other in faces[:i]]
    assert min(apart) > 0.5, "two of the eight faces are drawn alike"


@pytest.mark.parametrize(("heading", "verb"), [("talk and demo", "talk"), ("animate and render", "animate")])
def test_every_flag_of_a_command_stands_once_in_its_table(heading: str, verb: str) -> None:
    chapter = PAGES["cli.md"].split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.split("|")[1] for line in chapter.splitlines() if line.startswith("| `-")]
    shown = [flag for row in rows for flag in FLAG.findall(row)]
    command = cli.parser()._subparsers._group_actions[0].choices[verb]  # type: ignore[union-attr,index,call-overload]
    real = {flag for action in command._actions for flag in action.option_strings if flag.startswith("--")}
    assert sorted(shown) == sorted(real - {"--help"})


def test_playmate_commands_of_the_pages_parse() -> None:
    lines = [line for block in CODE for line in block.splitlines() if line.startswith("playmate ")]
    assert len(lines) >= 3
    for line in lines:
        if line != "playmate talk":
            cli.parser().parse_args(line.split()[1:])


def training_commands() -> dict[str, set[str]]:
    """Verb -> every flag the pages give it."""
    found: dict[str, set[str]] = {}
    for block in CODE:
        starts = re.split(r"(?=(?:python|accelerate launch[^\n]*?|torchrun[^\n]*?) -m training )", block)
        for words in (piece.split("training ", 1)[1] for piece in starts if "-m training " in piece):
            found.setdefault(words.split()[0], set()).update(FLAG.findall(words))
    return found


def test_training_commands_of_the_pages_exist(capsys: pytest.CaptureFixture[str]) -> None:
    commands = training_commands()
    assert set(commands) == set(verbs.VERBS), "the pages show every verb, and no other"
    for verb, flags in commands.items():
        with pytest.raises(SystemExit):
            importlib.import_module(f"training.{verb}").main(["--help"])
        assert flags <= set(FLAG.findall(capsys.readouterr().out)), verb


def test_architecture_names_every_package_and_no_module_that_is_gone() -> None:
    core = ROOT / "playmate_core"
    rows = re.findall(r"^\| `?([a-z]+)`? \| (`[^|]+`) \|", PAGES["architecture.md"].split("\n## Packages\n")[1], re.M)
    named = {package: re.findall(r"`(\w+)`", modules) for package, modules in rows}
    assert set(named) == {"root", *(path.parent.name for path in core.glob("*/__init__.py"))}
    for package, modules in named.items():
        folder = core if package == "root" else core / package
        assert not [name for name in modules if not (folder / f"{name}.py").is_file()], package
    assert set(named["root"]) == {path.stem for path in core.glob("*.py") if not path.stem.startswith("__")}


def test_links_of_the_pages_lead_somewhere() -> None:
    """Files that exist, and headings of ours by the anchor that GitHub makes of them."""
    for name, page in PAGES.items():
        folder = ROOT / "docs" if (ROOT / "docs" / name).is_file() else ROOT
        for target in re.findall(r"\]\(([^)\s]+)\)", FENCED.sub("", page)):
            path, _, anchor = target.partition("#")
            if ":" in path:
                continue
            file = folder / path if path else folder / name
            assert file.exists(), f"{name}: {target}"
            if anchor:
                assert anchor in anchors(PAGES[file.name]), f"{name}: {target}"


def anchors(page: str) -> set[str]:
    """What GitHub calls the headings of a page in its address."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", ["method.md", "liveportrait.md", "performance.md"])
def test_sections_that_the_source_cites_exist(name: str) -> None:
    numbers = set(re.findall(r"^#+ (\d+(?:\.\d+)?) ", PAGES[name], re.M))
    places = ("playmate_core", "nodes", "training", "benchmarks", "tests", ".ci")
    for path in (path for place in places for path in (ROOT / place).rglob("*.py")):
        for cited in re.findall(rf"docs/{re.escape(name)} (\d+(?:\.\d+)?)", path.read_text(encoding="utf-8")):
            assert cited in numbers, f"{path.relative_to(ROOT)} cites {name} {cited}"
