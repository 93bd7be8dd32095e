"""Groups come from tables: of clips, or of speakers."""

import pytest

from streamrnn.audit.columns import alike, column_of, cut, sources_of
from streamrnn.audit.telling import clips_of


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "manifest.csv").write_text(
        "path,start,end,speaker,room,snr\na.wav,0,9,ls_1,hall,3\na.wav,10,19,ls_1,car,12\nb.wav,0,9,ls_2,,\n"
    )
    (tmp_path / "people.csv").write_text("speaker,sex\n1,F\nls_2,M\n")
    return tmp_path


def test_a_column_of_the_manifest_tells_parts_of_one_recording_apart(folder):
    assert column_of([folder], clips_of([folder]), "room") == ["hall", "car", ""]
    assert column_of([folder], clips_of([folder]), "speaker") == ["ls_1", "ls_1", "ls_2"]


def test_speakers_are_found_by_their_whole_name_or_by_its_last_part(folder):
    assert column_of([folder], clips_of([folder]), "sex", folder / "people.csv") == ["F", "F", "M"]


def test_numbers_become_groups_by_cuts(folder):
    snr = column_of([folder], clips_of([folder]), "snr")
    assert cut(snr, [5, 15]) == ["below 5", "5 to 15", ""]
    with pytest.raises(ValueError, match="must rise"):
        cut(snr, [15, 5])
    with pytest.raises(ValueError, match="the column has 'hall'"):
        cut(["hall"], [5])


def test_what_is_no_number_is_in_no_group_by_cuts():
    with pytest.raises(ValueError, match=r"the column has 'nan'\. Leave such fields empty"):
        cut(["3", "nan"], [5])
    with pytest.raises(ValueError, match="they must rise"):
        cut(["3"], [float("nan")])


def test_a_column_that_is_not_there_is_refused_with_those_that_are(folder):
    with pytest.raises(ValueError, match=r"No manifest\.csv has the column 'sex'; columns are: room, snr, speaker"):
        column_of([folder], clips_of([folder]), "sex")
    (folder / "others.csv").write_text("speaker,sex\n7,F\n")
    with pytest.raises(ValueError, match="says nothing of any of 3 clips"):
        column_of([folder], clips_of([folder]), "sex", folder / "others.csv")


def test_members_and_others_are_made_alike_by_source(tmp_path):
    rows = "".join(f"{n}.wav,s{n},{'phone' if n < 6 else 'radio'},{'train' if n % 3 else 'test'}\n" for n in range(9))
    (tmp_path / "manifest.csv").write_text("path,speaker,source,split\n" + rows)
    sides = alike([clips_of([tmp_path], [split]) for split in ("train", "test")], [tmp_path])
    assert [sorted(sources_of([tmp_path], side)) for side in sides] == [["phone", "phone", "radio"]] * 2
    (tmp_path / "manifest.csv").write_text("path,source,split\na.wav,phone,train\nb.wav,radio,test\n")
    with pytest.raises(ValueError, match="no source in common"):
        alike([clips_of([tmp_path], [split]) for split in ("train", "test")], [tmp_path])
