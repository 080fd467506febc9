"""``playmate weights``: list, download, check and convert model files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ..errors import UserError, elided, suggestion
from ..host import HOST
from ..weights.catalogue import NEWEST, SETS, ModelFile, ModelSet
from ..weights.folders import VARIABLE, SearchPaths, below, by_hand, megabytes, mismatch
from .arguments import models_folder, path
from .terminal import command


def register_weights(commands: argparse._SubParsersAction[Any]) -> None:
    """Add ``weights`` and its actions to the commands."""
    what = "list, fetch, check and convert the model files this program can use"
    weights = command(commands, "weights", what, "playmate weights list", "playmate weights fetch liveportrait")
    actions = weights.add_subparsers(metavar="ACTION", required=True)
    shown = command(actions, "list", "show every file: what for, size, licence, source, and whether it is here")
    shown.set_defaults(run=run_list)
    wanted = command(actions, "fetch", "download the files of a set into the first models folder")
    wanted.add_argument("sets", metavar="SET", nargs="+", help=", ".join(SETS))
    wanted.set_defaults(run=run_fetch)
    checked = command(actions, "check", "compare the files that are here with their known size and SHA-256")
    checked.add_argument("sets", metavar="SET", nargs="*", help="only these; all that are here if none is named")
    checked.set_defaults(run=run_check)
    add_models_flag(wanted, path)  # fetch makes the folder
    made = command(actions, "convert", "write one self-describing .safetensors of a published motion generator")
    made.add_argument("source", metavar="FILE", help="its file, or joyvasa or ditto wherever that lies")
    made.add_argument("-o", "--output", metavar="FILE", type=path, required=True, help="the .safetensors to write")
    made.add_argument("--template", metavar="FILE", type=path, help="JoyVASA's motion_template.pkl, if not beside it")
    made.add_argument("--configuration", metavar="FILE", type=path, help="Ditto's configuration, if not beside it")
    made.set_defaults(run=run_convert)
    for action in (shown, checked, made):
        add_models_flag(action)


def add_models_flag(to: argparse._ActionsContainer, kind: Callable[[str], Path] = models_folder) -> None:
    """Add ``--models``, which can be repeated."""
    what = (
        "a folder laid out like ComfyUI's models, or a file like its extra_model_paths.yaml, searched first; may be"
        f" given again (or ${VARIABLE})"
    )
    to.add_argument("--models", metavar="FOLDER", type=kind, action="append", default=[], help=what)


def search_first(options: argparse.Namespace) -> None:
    """Search the folders of ``--models`` before all others, in this process."""
    named = tuple(getattr(options, "models", ()))
    HOST.set_model_folders(lambda category: below(named, category))


def resolved(weights: Path | None) -> Path | None:
    """Resolve a model path, or its name below a models folder; None stays None."""
    return weights and SearchPaths.standard().resolve(weights)


def run_list(options: argparse.Namespace) -> None:
    """Print the table."""
    places = SearchPaths.standard()
    for one in SETS.values():
        _print_line(f"{one.name}: {one.purpose}")
        origin = ""
        for file in one.files:
            if (source_line := f"{file.license}; {_source(file)}") != origin:  # once for all files that follow
                _print_line(f"  {source_line}")
                origin = source_line
            here = places.find(file)
            size = megabytes(here.stat().st_size if here else file.size or file.about)
            unknown = "no public checksum, only its size is checked" if file.size else "no checksum known"
            known = f"SHA-256 {file.sha256[:12]}..." if file.sha256 else unknown
            _print_line(f"  {'here   ' if here else 'missing'} {size:>9}  {here or places.target(file)}  ({known})")


def run_fetch(options: argparse.Namespace) -> None:
    """Print what will be downloaded, with source and size, then download it; existing files are skipped."""
    places = SearchPaths.standard()
    missing = [file for one in _chosen(options.sets) for file in one.files if not places.find(file)]
    if not missing:
        _print_line("Everything is here already; `playmate weights check` compares it with its checksums.")
        return
    total = sum(file.size for file in missing)
    _print_line(f"{len(missing)} files to fetch, {megabytes(total)} where the size is known:")
    for file in missing:
        _print_line(f"  {by_hand(file, places.target(file))}")
    try:
        from ..weights.download import fetch, waiting_for
    except ImportError as error:
        raise UserError("This copy of playmate cannot fetch; please put the files above there by hand.") from error
    for file in missing:
        target = places.target(file)
        try:
            _print_line(f"fetched  {fetch(file, target)}{_remark(file)}")
        except KeyboardInterrupt:
            _print_line(f"The next fetch goes on with {waiting_for(file, target)}.")
            raise


def run_check(options: argparse.Namespace) -> None:
    """Compare existing files with the catalogue. Raises UserError when a file differs, or a named set is incomplete."""
    places = SearchPaths.standard()
    faults = 0
    for file in (file for one in _chosen(options.sets or SETS) for file in one.files):
        here = places.find(file)
        if here is None:
            if options.sets:
                faults += 1
                _print_line(f"missing  {by_hand(file, places.target(file))}")
            continue
        wrong = mismatch(file, here)
        faults += bool(wrong)
        _print_line(f"WRONG    {here}: {wrong}" if wrong else f"ok       {here}{_remark(file, here)}")
    if faults:
        raise UserError(f"{faults} of the files above must be fetched again: remove what is wrong, then fetch its set.")


def run_convert(options: argparse.Namespace) -> None:
    """Convert a published motion generator to one safetensors file."""
    from ..weights.generator_file import Companions
    from ..weights.generators import convert_generator

    companions = Companions(template=options.template, configuration=options.configuration)
    _print_line(f"written  {convert_generator(options.source, options.output, companions)}")


def _chosen(names: Iterable[str]) -> list[ModelSet]:
    unknown = [name for name in names if name not in SETS]
    if unknown:
        named = elided(", ".join(unknown)) + suggestion(unknown[0], SETS)
        raise UserError(f"There is no set {named}; choose from {', '.join(SETS)}.")
    return [SETS[name] for name in dict.fromkeys(names)]


def _source(file: ModelFile) -> str:
    if not file.repository:
        return file.address
    newest = f"{NEWEST}, which is whatever is newest: no fixed revision is known"
    return f"{file.repository} at {newest if file.revision == NEWEST else file.revision[:12]}"


def _remark(file: ModelFile, here: Path | None = None) -> str:
    """What a successful comparison of the file ``here`` leaves open, and which edition it is if not the current one."""
    size = here.stat().st_size if here else file.size
    edition = next((one for one in file.editions if one.size == size), None)
    remarks = [f"the edition of {edition.when}"] if edition else []
    if not (edition or file).sha256:
        compared = "only its size was compared: no checksum is known"
        remarks.append(compared if file.size else "no checksum is known to compare it with")
    return f"  ({'; '.join(remarks)})" if remarks else ""


def _print_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
