"""Catalogue of third-party model files: purpose, size, licence, source and target folder.

Sizes, revisions and checksums are those that several public projects pin for the same files; unknown ones are empty,
never guessed. ``playmate weights list`` shows the table.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .judge_networks import JUDGES
from .model_file import NON_COMMERCIAL, Edition, ModelFile, ModelSet

#: Kijai's conversion; it declares no licence of its own, LivePortrait's weights are MIT.
_KIJAI = ModelFile("liveportrait", "", "MIT (LivePortrait)", "Kijai/LivePortrait_safetensors")
_KIJAI = replace(_KIJAI, revision="59f30f36d7b791929c25437df7461d5b0e0010b1")
#: The official repository; KwaiVGI/LivePortrait, its former name, redirects to it.
_OFFICIAL = ModelFile("liveportrait", "", "MIT", "KlingTeam/LivePortrait")
_OFFICIAL = replace(_OFFICIAL, revision="82a4fa6735ca58432b6ce39301b4b9ee066dea47")
_WAV2VEC = ModelFile("audio_encoders", "", "Apache-2.0", "facebook/wav2vec2-base-960h")
_WAV2VEC = replace(_WAV2VEC, revision="22aad52d435eb6dbaf354bdad9b0da84ce7d6156")
_BASE = ("appearance_feature_extractor", "motion_extractor", "warping_module", "spade_generator")


def _kijai(name: str, size: int, sha256: str) -> ModelFile:
    return replace(_KIJAI, name=name, source=name, size=size, sha256=sha256)


def _official(name: str, source: str, size: int, sha256: str, **other: Any) -> ModelFile:
    return replace(_OFFICIAL, name=name, source=source, size=size, sha256=sha256, **other)


def _wav2vec(name: str, size: int, sha256: str) -> ModelFile:
    return replace(_WAV2VEC, name=f"wav2vec2-base-960h/{name}", source=name, size=size, sha256=sha256)


def _buffalo(name: str, size: int, sha256: str) -> ModelFile:
    source = f"insightface/models/buffalo_l/{name}"
    return _official(f"models/buffalo_l/{name}", source, size, sha256, folder="insightface", license=NON_COMMERCIAL)


LIVEPORTRAIT_HUMAN = ModelSet(
    "liveportrait",
    "LivePortrait's networks, human, as safetensors",
    (
        _kijai(
            "appearance_feature_extractor.safetensors",
            3_361_936,
            "38bef5de50a92bf1fc66e8c511051a19dfacdf80c37f8713425ec15dc9ca7d34",
        ),
        _kijai(
            "motion_extractor.safetensors",
            112_496_256,
            "3568cd410e29d046771acb55ecfdfe4c7c197d345bd8b7f95942ef63130b6c9e",
        ),
        _kijai(
            "warping_module.safetensors",
            182_158_564,
            "f7b7834bd6039b4088f72e5161e60ad366f68a3763df8a3eac0bc0f9d46fdbbf",
        ),
        _kijai(
            "spade_generator.safetensors",
            221_771_768,
            "ca04fbec765745e9eae836d2d7522c274647b277ce5f25104fa1705b75222212",
        ),
        _kijai(
            "stitching_retargeting_module.safetensors",
            911_836,
            "60725cf3523ae413880da28ed583c9e84c5c25695a0cef1b77210ea31cc424ea",
        ),
    ),
)
LIVEPORTRAIT_ANIMAL = ModelSet(
    "liveportrait-animal",
    "LivePortrait's networks, animals, as safetensors; stitching is the human file",
    tuple(_kijai(f"animal/{name}.safetensors", 0, "") for name in _BASE),
)
OFFICIAL = ModelSet(
    "liveportrait-official",
    "the same human networks as published, .pth",
    (
        _official(
            "base_models/appearance_feature_extractor.pth",
            "liveportrait/base_models/appearance_feature_extractor.pth",
            3_387_959,
            "5279bb8654293dbdf327030b397f107237dd9212fb11dd75b83dfb635211ceb5",
        ),
        _official(
            "base_models/motion_extractor.pth",
            "liveportrait/base_models/motion_extractor.pth",
            112_545_506,
            "251e6a94ad667a1d0c69526d292677165110ef7f0cf0f6d199f0e414e8aa0ca5",
        ),
        _official(
            "base_models/warping_module.pth",
            "liveportrait/base_models/warping_module.pth",
            182_180_086,
            "2f61a6f265fe344f14132364859a78bdbbc2068577170693da57fb96d636e282",
        ),
        _official(
            "base_models/spade_generator.pth",
            "liveportrait/base_models/spade_generator.pth",
            221_813_590,
            "4780afc7909a9f84e24c01d73b31a555ef651521a1fe3b2429bd04534d992aee",
        ),
        _official(
            "retargeting_models/stitching_retargeting_module.pth",
            "liveportrait/retargeting_models/stitching_retargeting_module.pth",
            2_393_098,
            "3652d5a3f95099141a56986aaddec92fadf0a73c87a20fac9a2c07c32b28b611",
        ),
    ),
)
OFFICIAL_ANIMAL = ModelSet(
    "liveportrait-official-animal",
    "the animal networks as published (v1.1), .pth; stitching is the human file",
    tuple(
        _official(f"animal/base_models_v1.1/{name}.pth", f"liveportrait_animals/base_models_v1.1/{name}.pth", 0, "")
        for name in _BASE
    ),
)
LANDMARKS = ModelSet(
    "landmarks",
    "203 points of a face, refining what a detector found (needs onnxruntime)",
    (
        _kijai(
            "landmark.onnx",
            114_666_491,
            "31d22a5041326c31f19b78886939a634a5aedcaa5ab8b9b951a1167595d147db",
        ),
    ),
)
WAV2VEC2 = ModelSet(
    "wav2vec2",
    "audio encoder for motion models that were trained on it",
    (
        _wav2vec("model.safetensors", 377_607_901, "8aa76ab2243c81747a1f832954586bc566090c83a0ac167df6f31f0fa917d74a"),
        _wav2vec("config.json", 1_596, "d3ec255c063d9f95057b553b19c20135b259875834a4fe9deb218a6be25b4cf3"),
    ),
)
INSIGHTFACE = ModelSet(
    "insightface",
    "face detector and 106 points (needs the packages insightface and onnxruntime)",
    (
        _buffalo("det_10g.onnx", 16_923_827, "5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91"),
        _buffalo("2d106det.onnx", 5_030_888, "f001b856447c413801ef5c42091ed0cd516fcd21f2d6b79635b1e733a7109dbf"),
    ),
)
MEDIAPIPE = ModelSet(
    "mediapipe",
    "face detector and 478 points (needs the package mediapipe)",
    (
        ModelFile(
            "detection",
            "face_landmarker.task",
            "Apache-2.0",
            address="https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/"
            "face_landmarker.task",
            size=3_758_596,
            sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
        ),
    ),
)
#: The newest revision: no full commit of these two repositories is public in what was at hand (of JoyVASA's current one
#: only that it begins with b8f13fe), so the SHA-256, or the size where no checksum is public, says which file is meant.
NEWEST = "main"
_JOYVASA = ModelFile("joyvasa", "", "MIT", "jdh-algo/JoyVASA", NEWEST)
JOYVASA_MODEL = replace(
    _JOYVASA,
    name="motion_generator/motion_generator_hubert_chinese.pt",
    source="motion_generator/motion_generator_hubert_chinese.pt",
    size=414_067_833,
    sha256="9dd869329725caedf5f0c13dd383abec1e385f566d8afe2047b141f604844e80",
    editions=(
        Edition("November 2024", 414_086_265, "d7401b53a095eed55f4ed63470ba65a85b6f5c0fb3a1a4f936acb14a6628849c"),
    ),
)
JOYVASA_TEMPLATE = replace(
    _JOYVASA,
    name="motion_template/motion_template.pkl",
    source="motion_template/motion_template.pkl",
    size=3_616,
    sha256="294ce67350b18031b375361756f654c76d5e14c8f1e319cf9ed07f759ef81a98",
    editions=(Edition("November 2024", 3_141),),
)
JOYVASA = ModelSet(
    "joyvasa",
    "motion generator for LivePortrait's faces, without emotions; hears Chinese and English best",
    (JOYVASA_MODEL, JOYVASA_TEMPLATE),
)
_DITTO = ModelFile("ditto", "", "Apache-2.0", "digital-avatar/ditto-talkinghead", NEWEST)


def _ditto(source: str, size: int) -> ModelFile:
    return replace(_DITTO, name=source, source=source, size=size)


DITTO_MODEL = _ditto("ditto_pytorch/models/lmdm_v0.4_hubert.pth", 191_247_715)
DITTO_CONFIG = _ditto("ditto_cfg/v0.4_hubert_cfg_pytorch.pkl", 31_002)
DITTO_ENCODER = _ditto("ditto_pytorch/aux_models/hubert_streaming_fix_kv.onnx", 1_460_740_880)
DITTO = ModelSet(
    "ditto",
    "motion generator for LivePortrait's faces with eight emotions; hears Chinese and English best (needs onnxruntime)",
    (DITTO_MODEL, DITTO_CONFIG, DITTO_ENCODER),
)
PLAYMATE = ModelSet(
    "playmate",
    "the small models trained here; they come with the program",
    tuple(
        ModelFile("playmate", f"{name}.safetensors", "Apache-2.0", address="a clone of this repository")
        for name in ("face", "motion", "emotion")
    ),
)
SETS = {
    one.name: one
    for one in (
        PLAYMATE,
        LIVEPORTRAIT_HUMAN,
        LIVEPORTRAIT_ANIMAL,
        OFFICIAL,
        OFFICIAL_ANIMAL,
        JOYVASA,
        DITTO,
        LANDMARKS,
        WAV2VEC2,
        INSIGHTFACE,
        MEDIAPIPE,
        JUDGES,
    )
}
