"""A file is written completely or not at all."""

from __future__ import annotations

import pytest

from mmseg_pointrend.errors import InputError
from mmseg_pointrend.files import atomic_write


def test_the_folder_is_made_and_the_suffix_kept(tmp_path):
    path = tmp_path / 'new/labels.png'
    with atomic_write(path) as temporary:
        assert temporary.suffix == '.png'
        temporary.write_bytes(b'whole')
        assert not path.exists()
    assert path.read_bytes() == b'whole'
    assert list(path.parent.iterdir()) == [path]


def fill_disk(*args):
    raise OSError(28, 'No space left on device')


def test_a_full_disk_is_a_sentence_and_the_older_file_stays(tmp_path, monkeypatch):
    path = tmp_path / 'iter_2.pth'
    path.write_bytes(b'old')
    monkeypatch.setattr('os.fsync', fill_disk)
    sentence = r'write .*iter_2.pth \(No space left on device\): [\d.]+ MB are free; me'
    with pytest.raises(InputError, match=sentence), atomic_write(path) as temporary:
        temporary.write_bytes(b'new')
    assert path.read_bytes() == b'old'
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize('error', [KeyboardInterrupt, ValueError])
def test_a_block_that_is_left_half_way_leaves_nothing(tmp_path, error):
    def write_half():
        with atomic_write(tmp_path / 'file') as temporary:
            temporary.write_bytes(b'half')
            raise error

    with pytest.raises(error):
        write_half()
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / 'file').touch()
    path = tmp_path / 'file/below/iter_2.pth'
    sentence = rf'^cannot write {path} \(Not a directory\): mend'
    with pytest.raises(InputError, match=sentence), atomic_write(path):
        pass


def test_a_link_stays_one(tmp_path):
    target, link = tmp_path / 'target', tmp_path / 'link'
    link.symlink_to(target)
    with atomic_write(link) as temporary:
        temporary.write_bytes(b'new')
    assert link.is_symlink()
    assert target.read_bytes() == b'new'
