"""The annotations of six corpora and a plain folder, with the traps that their authors left in them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from playmate_core.errors import UserError
from training.prepare.entry import Entry, Item
from training.prepare.layouts import LAYOUTS, read_layout
from training.prepare.layouts.times import clock, minutes_seconds
from training.prepare.tracks import annotated_face


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"film")
    return root


def by_name(entries: list[Entry]) -> dict[str, Entry]:
    return {entry.name: entry for entry in entries}


def test_minutes_seconds_are_no_decimals() -> None:
    assert minutes_seconds("0.07") == 7 and minutes_seconds("2.44") == 164
    assert minutes_seconds("1.3") == 90 and minutes_seconds("0.5") == 50  # a spreadsheet drops the last zero
    assert minutes_seconds("12") == 720
    assert minutes_seconds("2.44") - minutes_seconds("0.07") == 157  # the length its authors state
    for wrong in ("0.75", "-1.2", "a.b", "", "1:30"):
        with pytest.raises(ValueError):
            minutes_seconds(wrong)


def test_clocks() -> None:
    assert clock("00:05") == 5 and clock("03:25") == 205 and clock("01:00:02") == 3602
    for wrong in ("5", "a:b", "1:2:3:4", "-1:00"):
        with pytest.raises(ValueError):
            clock(wrong)


def test_plain_folders_and_their_labels(tmp_path: Path) -> None:
    root = touch(tmp_path / "films", "a.mp4", "ann/one.MOV", "ann/two.mkv", ".hidden.mp4", "notes.txt")
    labels = tmp_path / "labels.csv"
    labels.write_text(
        "path,emotion,level,speaker,begin,end,lang,license\n"
        "a.mp4,Anger,2,bob,1.5,6,de,mine\n"
        "a.mp4,happy,,bob,7,9,,\n"
        "gone.mp4,,,,,,,\n"
    )
    entries = by_name(read_layout("plain", root, labels, "CC0"))
    assert sorted(entries) == ["a.mp4", "a.mp4#1", "ann/one.MOV", "ann/two.mkv", "gone.mp4"]
    first = entries["a.mp4"]
    assert (first.emotion, first.level, first.speaker, first.begin, first.end) == ("angry", 2.0, "bob", 1.5, 6.0)
    assert (first.lang, first.license_tag, entries["a.mp4#1"].license_tag) == ("de", "mine", "CC0")
    assert entries["ann/one.MOV"].speaker == entries["ann/two.mkv"].speaker == "ann"
    assert entries["gone.mp4"].problem == "missing_file"
    unlabelled = by_name(read_layout("plain", root, None))
    assert unlabelled["a.mp4"] == Entry("a.mp4", "a.mp4", "a", "unstated")


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("a.mp4,cheerful,1,", "line 2: the emotion is 'cheerful', expected one of angry"),
        ("a.mp4,happy,4,", "line 2: the level is 4"),
        ("a.mp4,happy,high,", "line 2: level is 'high'"),
    ],
)
def test_a_label_that_cannot_be_meant_names_its_line(tmp_path: Path, row: str, says: str) -> None:
    root = touch(tmp_path / "films", "a.mp4")
    (tmp_path / "labels.csv").write_text(f"path,emotion,level,speaker\n{row}\n")
    with pytest.raises(UserError, match=says):
        read_layout("plain", root, tmp_path / "labels.csv")


def test_labels_need_a_path_and_a_source_needs_videos(tmp_path: Path) -> None:
    root = touch(tmp_path / "films", "a.mp4")
    (tmp_path / "labels.csv").write_text("file,emotion\na.mp4,happy\n")
    with pytest.raises(UserError, match="expected 'path'"):
        read_layout("plain", root, tmp_path / "labels.csv")
    with pytest.raises(UserError, match="holds no video"):
        read_layout("plain", touch(tmp_path / "texts", "a.txt"), None)
    with pytest.raises(UserError, match="is no folder"):
        read_layout("plain", tmp_path / "nowhere", None)
    with pytest.raises(UserError, match="--layout is 'vox'"):
        read_layout("vox", root, None)


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name != "plain"])
def test_a_folder_without_the_annotations_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="please put|expected files like"):
        read_layout(name, touch(tmp_path, "a.mp4"), None)


def test_avspeech_has_no_header_several_rows_a_video_and_cut_files(tmp_path: Path) -> None:
    root = touch(tmp_path, "abcdefghijk.mp4", "-_cdefghijk_12.340000_17.1.mp4")
    (root / "avspeech_train.csv").write_text(
        "abcdefghijk,1.5,6.25,0.25,0.5\n"
        "abcdefghijk,1.5,6.25,0.75,0.5\n"
        "abcdefghijk,20.0,26.0,0.5,0.5\n"
        "-_cdefghijk,12.34,17.1,0.5,0.25\n"
        "zzzzzzzzzzz,0.0,5.0,0.5,0.5\n"
        "abcdefghijk,9.0,7.0,0.5,0.5\n"
        "abcdefghijk,1.0,7.0,320,200\n"
        "abcdefghijk,1.0\n"
    )
    entries = read_layout("avspeech", root, None)
    rows = by_name(entries)
    assert [e.problem for e in entries].count("bad_annotation") == 3
    left, right = rows["avspeech/abcdefghijk/1.5/0.25,0.5"], rows["avspeech/abcdefghijk/1.5/0.75,0.5"]
    assert (left.begin, left.end, left.near) == (1.5, 6.25, (0.25, 0.5)) and left.speaker == right.speaker
    assert Item(left, "d", 1.5, 6.25).id != Item(right, "d", 1.5, 6.25).id  # two faces of one moment are two clips
    cut = rows["avspeech/-_cdefghijk/12.34/0.5,0.25"]
    assert cut.video == "-_cdefghijk_12.340000_17.1.mp4" and (cut.begin, cut.end) == (0.0, 0.0)
    assert rows["avspeech/zzzzzzzzzzz/0/0.5,0.5"].problem == "missing_file"


def test_celebvtext_holds_seconds_whatever_they_are_called(tmp_path: Path) -> None:
    root = touch(tmp_path, "raw/0-5BrmyFsYM.mp4", "processed/00-30GQl0TM_7.mp4")
    box = {"top": 0, "bottom": 937, "left": 849, "right": 1872}
    clips = {
        "0-5BrmyFsYM_0": {
            "ytb_id": "0-5BrmyFsYM",
            "duration": {"start_frame": 415.29, "end_frame": 420.88},
            "bbox": box,
        },
        "00-30GQl0TM_7": {"ytb_id": "00-30GQl0TM", "duration": {"start_sec": 0.0, "end_sec": 9.64}, "bbox": box},
        "gone_0": {"ytb_id": "gone", "duration": {"start_sec": 0.0, "end_sec": 9.64}, "bbox": box},
        "odd_0": {"ytb_id": "odd", "duration": {}, "bbox": box},
    }
    (root / "celebvtext_info.json").write_text(json.dumps({"clips": clips}))
    (root / "emotion").mkdir()
    (root / "emotion" / "0-5BrmyFsYM_0.txt").write_text("She looks happy from start to end.\nThe woman is happy.\n")
    (root / "emotion" / "00-30GQl0TM_7.txt").write_text("At first he is sad, and then he turns angry.\n")
    rows = by_name(read_layout("celebvtext", root, None))
    raw, finished = rows["celebvtext/0-5BrmyFsYM_0"], rows["celebvtext/00-30GQl0TM_7"]
    assert (raw.begin, raw.end, raw.box) == (415.29, 420.88, (849.0, 0.0, 1872.0, 937.0))
    assert raw.video == "raw/0-5BrmyFsYM.mp4" and raw.emotion == "happy"
    assert finished.video == "processed/00-30GQl0TM_7.mp4" and (finished.begin, finished.end) == (0.0, 0.0)
    assert finished.box is None and finished.emotion == ""
    assert rows["celebvtext/gone_0"].problem == "missing_file" and rows["celebvtext/odd_0"].problem == "bad_annotation"


def test_a_box_of_a_larger_download_is_scaled_to_the_video() -> None:
    def face(width: int, height: int, **told: object) -> tuple[float, float] | None:
        pick = annotated_face(Entry("a", "a", "a", "a", **told), width, height)  # type: ignore[arg-type]
        return None if pick is None else pick.point

    box = (849.0, 0.0, 1872.0, 937.0)
    assert face(1920, 1080, box=box) == (1360.5, 468.5)
    assert face(640, 360, box=box) == pytest.approx((453.5, 156.2), abs=0.1)  # 1080 lines is the least that holds it
    assert face(640, 360, box=(0.25, 0.25, 0.75, 0.75)) == (320, 180)
    assert face(960, 540, box=(100.0, 100.0, 300.0, 300.0), box_height=1080) == (100, 100)
    assert face(640, 360, near=(0.25, 0.5)) == (160, 180) and face(640, 360) is None


def test_acappella_has_minutes_and_several_faces(tmp_path: Path) -> None:
    root = touch(tmp_path, "cttFanV0o7c.mp4", "SNgnylGkerE.mp4")
    (root / "demos.csv").write_text(
        "ID,Repeat,Init,Fin,Length (s),Face_IDs,Face Crop Region,Song Name,Link,Comments,Singer,Language,Gender,\n"
        'cttFanV0o7c,0,0.07,2.44,157,"[a, b]","[[5, 8, 560, 630], [570, 8, 1140, 630]]",S,x,,Jacob Collier,English,,\n'
        'SNgnylGkerE,1,1.29,1.5,21,[a],"[630, 50, 1150, 1070]",Song,x,,Multiple,Hindi,Male,\n'
        "SNgnylGkerE,1,2.09,2.3,21,,,Song,x,,Multiple,Hindi,Male,\n"
        "SNgnylGkerE,1,2.75,2.8,5,,,Song,x,,Multiple,Hindi,Male,\n"
        "goneGkerE00,1,0.1,0.2,10,,,Song,x,,Ann,English,Female,\n"
    )
    rows = by_name(read_layout("acappella", root, None))
    first, second = rows["acappella/cttFanV0o7c/7/0"], rows["acappella/cttFanV0o7c/7/1"]
    assert (first.begin, first.end) == (7, 164) and first.box == (5, 8, 560, 630) and second.box == (570, 8, 1140, 630)
    assert first.speaker == second.speaker == "acappella/Jacob Collier" and first.lang == "English"
    one, none = rows["acappella/SNgnylGkerE/89/0"], rows["acappella/SNgnylGkerE/129/0"]
    assert (one.begin, one.end) == (89, 110) and one.box == (630, 50, 1150, 1070)
    assert (none.begin, none.end, none.box) == (129, 150, None)
    assert rows["demos.csv:5"].problem == "bad_annotation"
    assert rows["acappella/goneGkerE00/10/0"].problem == "missing_file"


def test_mead_is_read_from_its_folders(tmp_path: Path) -> None:
    root = touch(
        tmp_path,
        "M003/video/front/disgusted/level_3/012.mp4",
        "M003/audio/disgusted/level_3/012.m4a",
        "W009/video/left_30/neutral/level_1/001.mp4",
        "W009/video/left_30/bored/level_1/002.mp4",
        "W009/other.mp4",
    )
    rows = by_name(read_layout("mead", root, None))
    assert len(rows) == 3
    strong = rows["M003/video/front/disgusted/level_3/012.mp4"]
    assert (strong.emotion, strong.level, strong.speaker) == ("disgusted", 3.0, "mead/M003")
    assert strong.audio == "M003/audio/disgusted/level_3/012.m4a"
    neutral = rows["W009/video/left_30/neutral/level_1/001.mp4"]
    assert (neutral.emotion, neutral.level, neutral.audio) == ("neutral", 0.0, "")
    assert rows["W009/video/left_30/bored/level_1/002.mp4"].problem == "bad_annotation"
    assert next(iter(read_layout("mead", root / "M003", None))).speaker == "mead/M003"  # one actor alone


def test_mafw_has_single_and_several_emotions(tmp_path: Path) -> None:
    root = touch(tmp_path, "clips/03352.mp4", "clips/20045.mp4", "clips/00007.mp4")
    labels = root / "caption-label"
    labels.mkdir()
    (labels / "single_label.txt").write_text(
        "03352.mp4\thappiness\t一个\tA person.\n00007.mp4  anxiety  <br> text\n00099.mp4\tfear\tx\ty\n"
    )
    (labels / "multi_label.txt").write_text("20045.mp4\tanger_disgust_anxiety\t<br>一\t<br>A woman\n")
    rows = by_name(read_layout("mafw", root, None))
    assert rows["mafw/03352"].emotion == "happy" and rows["mafw/03352"].emotion_dist[3] == 1.0
    assert rows["mafw/00007"].emotion == "anxiety"
    several = rows["mafw/20045"]
    assert several.emotion == "" and sum(several.emotion_dist) == pytest.approx(1) and len(several.emotion_dist) == 11
    assert [i for i, share in enumerate(several.emotion_dist) if share] == [0, 1, 8]
    assert rows["mafw/00099"].problem == "missing_file"


def test_hdtf_has_clocks_and_crops_of_one_resolution(tmp_path: Path) -> None:
    root = touch(tmp_path, "WDA_AmyKlobuchar1.mp4", "Radio2_0.mp4", "RD_Radio3_001.mp4")
    (root / "WDA_annotion_time.txt").write_text("AmyKlobuchar1.mp4 00:35-02:45 03:25-04:00\nGone0.mp4 00:02-00:09\n")
    (root / "WDA_crop_wh.txt").write_text("AmyKlobuchar1_0.mp4 400 600 100 600\n")
    (root / "WDA_resolution.txt").write_text("AmyKlobuchar1.mp4 1080\n")
    (root / "RD_annotion_time.txt").write_text("Radio2.mp4 00:20-01:35 \nRadio3.mp4 00:02-00:30 00:40\n")
    rows = by_name(read_layout("hdtf", root, None))
    first, second = rows["hdtf/WDA/AmyKlobuchar1/0"], rows["hdtf/WDA/AmyKlobuchar1/1"]
    assert (first.begin, first.end, first.box, first.box_height) == (35, 165, (400, 100, 1000, 700), 1080)
    assert (second.begin, second.end, second.box) == (205, 240, None)
    assert first.speaker == "hdtf/WDA/AmyKlobuchar" and rows["hdtf/RD/Radio2/0"].speaker == "hdtf/RD/Radio2"
    cut = rows["hdtf/RD/Radio2/0"]
    assert cut.video == "Radio2_0.mp4" and (cut.begin, cut.end) == (0.0, 0.0)
    assert rows["hdtf/RD/Radio3/0"].problem == "missing_file" and rows["hdtf/RD/Radio3/1"].problem == "bad_annotation"
    assert rows["hdtf/WDA/Gone0/0"].problem == "missing_file"


def test_an_item_survives_its_way_to_another_process() -> None:
    entry = Entry("a", "a.mp4", "s", "mine", near=(0.5, 0.25), emotion_dist=(0.5, 0.5), level=2.0)
    item = Item(entry, "d" * 64, 1.0, 4.5, {"vad": 0.5}, {"fps": 25.0}, {"probe": "probe-v1/ab"})
    assert Item.from_json(item.to_json()) == item and item.frames == 87
