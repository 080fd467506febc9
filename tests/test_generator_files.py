"""Published motion generators are loaded as what they are, converted, and refused by name where they do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from generator_copies import (  # noqa: F401
    ditto,
    elsewhere,  # noqa: F401
    joyvasa,
    same,
)
from generator_models import (
    DITTO,
    ditto_run,
    ditto_tensors,
    joyvasa_tensors,
    template_arrays,
    write_ditto,
    write_joyvasa,
)

from playmate_core.cli.main import main
from playmate_core.diffusion.joyvasa.generator import JoyVasaGenerator
from playmate_core.errors import UserError
from playmate_core.weights.catalogue import DITTO_CONFIG, DITTO_ENCODER, JOYVASA_MODEL, JOYVASA_TEMPLATE, Edition
from playmate_core.weights.folders import bundled, mismatch
from playmate_core.weights.generator_file import Companions
from playmate_core.weights.generators import (
    _layouts,
    convert_generator,
    files_of_generator,
    find_generator,
    generator_kind,
    load_generator,
)


def test_joyvasa_as_published(joyvasa: Path) -> None:
    made: Any = load_generator(joyvasa)
    wanted, config = joyvasa_tensors(), made.network.config
    assert (made.name, made.keypoint_space, made.emotions) == ("joyvasa", "liveportrait", ())
    assert (config.layers, config.window, config.steps, config.heads) == (2, 100, 50, 8)  # not what its options say
    assert all(torch.equal(value, wanted[key]) for key, value in made.network.state_dict().items())
    assert all(torch.equal(v, wanted[f"audio_encoder.{k}"]) for k, v in made.audio_encoder.state_dict().items())
    assert not any(p.requires_grad or p.is_meta for module in made.modules for p in module.parameters())
    assert torch.equal(made.template.entries["std_exp"], torch.from_numpy(template_arrays()["std_exp"]))
    assert made.settings.waveform == "raw" and made.settings.lead_frames == 2
    assert made.defaults.steps == 50 and made.defaults.sampler == "ddpm"


def test_the_first_release_is_told_by_its_size(joyvasa: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    first = replace(JOYVASA_MODEL, editions=(Edition("November 2024", joyvasa.stat().st_size),))
    monkeypatch.setattr("playmate_core.weights.joyvasa.JOYVASA_MODEL", first)
    made: Any = load_generator(joyvasa)
    assert (made.settings.waveform, made.settings.lead_frames) == ("standardised", 0)


def test_either_spelling_of_the_weight_normalised_convolution(tmp_path: Path) -> None:
    tensors = joyvasa_tensors()
    conv = "audio_encoder.encoder.pos_conv_embed.conv."
    swaps = {f"{conv}parametrizations.weight.original0": f"{conv}weight_g"}
    swaps |= {f"{conv}parametrizations.weight.original1": f"{conv}weight_v"}
    other = type(tensors)((swaps.get(key, key), value) for key, value in tensors.items())
    assert set(other) != set(tensors)
    one: Any = load_generator(write_joyvasa(tmp_path / "one", tensors))
    two: Any = load_generator(write_joyvasa(tmp_path / "two", other))
    assert same(one.audio_encoder, two.audio_encoder)


@pytest.mark.parametrize("change, named", [
    ({"denoising_net.motion_dec.2.bias": None}, "misses denoising_net.motion_dec.2.bias"),
    ({"denoising_net.extra": torch.zeros(2)}, "has the unknown denoising_net.extra"),
    ({"diffusion_sched.gammas": torch.zeros(51)}, "has the unknown diffusion_sched.gammas"),
    ({"denoising_net.PE.pe": torch.zeros(1, 500, 32)}, "denoising_net.PE.pe"),
    ({"null_audio_feat": None}, "null_audio_feat"),
    ({"audio_encoder.encoder.layer_norm.bias": None}, "misses audio_encoder.encoder.layer_norm.bias"),
    ({"audio_encoder.encoder.layer_norm.weight": None}, "encoder.layer_norm.weight"),
    ({"denoising_net.feature_proj.weight": torch.zeros(32, 74)}, "indicator"),
    ({"audio_feature_map.bias": torch.full((32,), torch.nan)}, "NaN"),
])  # fmt: skip
def test_what_does_not_fit_joyvasa_is_named(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    tensors = joyvasa_tensors()
    tensors.update({key: value for key, value in change.items() if value is not None})
    for key, value in change.items():
        if value is None:
            del tensors[key]
    with pytest.raises(UserError, match=named.replace(".", r"\.")):
        load_generator(write_joyvasa(tmp_path, tensors))


@pytest.mark.parametrize("dropped", ["TE.pe", "PE.pe", "alignment_mask"])
def test_joyvasas_tables_may_be_missing(tmp_path: Path, dropped: str) -> None:
    tensors = joyvasa_tensors()
    del tensors[f"denoising_net.{dropped}"]
    load_generator(write_joyvasa(tmp_path, tensors))


def test_ditto_as_published(ditto: Path) -> None:
    made: Any = load_generator(ditto)
    wanted, run = ditto_tensors(), ditto_run()
    assert (made.name, made.keypoint_space, len(made.emotions)) == ("ditto", "liveportrait", 8)
    assert made.network.config == DITTO
    assert all(torch.equal(value, wanted[key]) for key, value in made.network.state_dict().items())
    assert made.settings.offsets == (2.0, None, None) and made.settings.kept == (0, 202)
    assert (made.settings.fade, made.settings.fade_parts) == ("first", ("expression",))
    assert (made.defaults.steps, made.defaults.overlap, made.defaults.eta) == (4, 10, 1.0)
    assert torch.equal(made.data.emotions, torch.from_numpy(run["emo"]))
    assert torch.equal(made.data.limits, torch.from_numpy(run["v_min_max_for_clip"][:2]))
    assert made.data.blink_table.shape == (15, 21, 3)
    assert made.data.character.motion.angles.shape == (1, 3, 66)


@pytest.mark.parametrize("change, named", [
    ({"final_layer.bias": None}, "misses final_layer.bias"),
    ({"rotary.freqs": torch.zeros(3)}, "rotary.freqs"),
    ({"seqTransDecoder.stack.7.rotary.freqs": torch.zeros(16)}, "not Ditto's motion generator"),
    ({"other": torch.zeros(3)}, "has the unknown other"),
])  # fmt: skip
def test_what_does_not_fit_ditto_is_named(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    tensors = ditto_tensors()
    tensors.update({key: value for key, value in change.items() if value is not None})
    for key, value in change.items():
        if value is None:
            del tensors[key]
    with pytest.raises(UserError, match=named.replace(".", r"\.")):
        load_generator(write_ditto(tmp_path, tensors))


def test_configurations_say_in_our_words_what_they_want(tmp_path: Path) -> None:
    run = ditto_run() | {"online_mode": True, "overlap_v2": 70, "use_d_keys": {"exp": 0.8, "t": 0.3}, "emo": 4}
    run |= {"delta_eye_open_n": [30, 50], "ch_info": None, "eye_f0_mode": True, "fade_out_keys": ("exp", "pitch")}
    made: Any = load_generator(write_ditto(tmp_path, run=run))
    assert made.settings.run == "online" and made.defaults.overlap == 70 and made.settings.hold_eyes
    assert made.settings.drive.expression == 0.8 and made.settings.drive.pitch is None
    assert made.settings.blinks == (30, 50) and made.settings.fade_parts == ("expression", "pitch")
    assert made.data.character is None and made.data.emotions is None


def facts(message: str, file: Any) -> None:
    """The sentence says what to get: name, folder, licence, address, and the size where one is known."""
    assert file.name in message and file.folder in message and file.license in message and file.url in message
    if file.size:
        assert "MB" in message or "kB" in message


def test_a_missing_template_configuration_and_encoder_say_where_they_are_to_be_had(joyvasa: Path, ditto: Path) -> None:
    (joyvasa.parents[1] / "motion_template" / "motion_template.pkl").unlink()
    with pytest.raises(UserError) as refusal:
        load_generator(joyvasa)
    facts(str(refusal.value), JOYVASA_TEMPLATE)
    made = load_generator(ditto)
    with pytest.raises(UserError) as refusal:
        made.encoder()
    facts(str(refusal.value), DITTO_ENCODER)
    (ditto.parents[2] / "ditto_cfg" / "v0.4_hubert_cfg_pytorch.pkl").unlink()
    with pytest.raises(UserError) as refusal:
        load_generator(ditto)
    facts(str(refusal.value), DITTO_CONFIG)


def test_companions_are_found_in_the_models_folders_or_named(
    joyvasa: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = tmp_path / "alone.pt"
    alone.write_bytes(joyvasa.read_bytes())
    template = joyvasa.parents[1] / "motion_template" / "motion_template.pkl"
    load_generator(alone, Companions(template=template))
    with pytest.raises(UserError, match="check the path"):
        load_generator(alone, Companions(template=tmp_path / "no.pkl"))
    monkeypatch.setenv("PLAYMATE_MODELS", str(tmp_path / "models"))
    load_generator(alone)


def test_the_files_of_a_generator_are_its_own_and_those_that_loading_would_read(joyvasa: Path, ditto: Path) -> None:
    """Another file for any companion of the table, and nodes load the model again (`fingerprint_inputs`)."""
    (ditto.parents[1] / "aux_models").mkdir(exist_ok=True)
    (ditto.parents[1] / "aux_models" / "hubert_streaming_fix_kv.onnx").write_bytes(b"x")
    for path in (joyvasa, ditto):
        (model, *others), layout = files_of_generator(path), _layouts()[generator_kind(path)]
        assert model == path and [one.name for one in others] == [Path(file.name).name for file, _ in layout.companions]
        others[0].unlink()
        assert files_of_generator(path) == [model, *others[1:]]
        with pytest.raises(UserError, match=others[0].name):
            load_generator(path)
    assert files_of_generator(bundled("motion.safetensors")) == [bundled("motion.safetensors")]


def test_generators_are_found_by_name(
    joyvasa: Path, ditto: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError) as refusal:
        load_generator("joyvasa")
    facts(str(refusal.value), JOYVASA_MODEL)
    monkeypatch.setenv("PLAYMATE_MODELS", str(tmp_path / "models"))
    assert find_generator("joyvasa") == joyvasa and find_generator("ditto") == ditto
    converted = convert_generator("joyvasa", joyvasa.parents[1] / "one.safetensors")
    joyvasa.unlink()
    assert find_generator("joyvasa") == converted and load_generator("joyvasa").name == "joyvasa"
    assert find_generator("ditto/ditto_pytorch/models/lmdm_v0.4_hubert.pth") == ditto


def test_the_catalogue_knows_both_editions_and_says_where_only_a_size_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", "list", "--models", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    for file in (JOYVASA_MODEL, JOYVASA_TEMPLATE, DITTO_CONFIG, DITTO_ENCODER):
        assert file.name in shown
    line = next(line for line in shown.splitlines() if DITTO_ENCODER.name in line)
    assert "only its size is checked" in line
    path = tmp_path / JOYVASA_TEMPLATE.below_models
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * JOYVASA_TEMPLATE.editions[0].size)
    assert mismatch(JOYVASA_TEMPLATE, path) == ""
    path.write_bytes(b"x" * JOYVASA_TEMPLATE.size)
    assert "SHA-256" in mismatch(JOYVASA_TEMPLATE, path)
    config = tmp_path / DITTO_CONFIG.below_models
    config.parent.mkdir(parents=True)
    config.write_bytes(b"x" * DITTO_CONFIG.size)
    assert main(["weights", "check", "--models", str(tmp_path)]) != 0  # the template is still wrong
    assert "only its size was compared" in capsys.readouterr().out


def test_settings_say_what_may_be_chosen() -> None:
    from playmate_core.diffusion.ditto.settings import DittoSettings
    from playmate_core.diffusion.joyvasa.settings import JoyVasaSettings

    for refused in (dict(positions="x"), dict(smoother="x"), dict(region="x"), dict(smoothing=0.0)):
        with pytest.raises(UserError, match="choose"):
            JoyVasaSettings(**refused)  # type: ignore[arg-type]
    for refused_too in (dict(run="x"), dict(fade="x"), dict(fade_parts=("x",)), dict(reset=-1)):
        with pytest.raises(UserError, match="choose"):
            DittoSettings(**refused_too)  # type: ignore[arg-type]
    assert JoyVasaGenerator.emotions == ()
