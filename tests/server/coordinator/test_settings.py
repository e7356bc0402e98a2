"""`coordinator.toml`: what `init` writes is what is read, and an address is checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import ConfigError
from server.coordinator.folder import Folder, find_folder
from server.coordinator.settings import Settings, read_settings, settings_text, split
from server.coordinator.setup import initialise


def test_what_is_written_is_read(tmp_path: Path) -> None:
    settings = Settings(address="[fd00::1]:443", also=["hub.example.org"], listen="[::]:8443", mutual_tls=True)
    (tmp_path / "coordinator.toml").write_text(settings_text(settings))
    assert read_settings(tmp_path / "coordinator.toml") == settings
    assert settings.hosts == ["fd00::1", "hub.example.org"]


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("hub.example.org", "expected HOST:PORT"),
        ("hub.example.org:0", "expected HOST:PORT"),
        ("hub.example.org:65536", "expected HOST:PORT"),
        ("fd00::1:443", r"stands in brackets: \[fd00::1\]:443"),
        ("https://hub:443", "stands in brackets|neither an IP"),
        ("hub;evil:443", "neither an IP address nor a host's name"),
        ("hub example:443", "neither an IP address nor a host's name"),
        ("1.2.3:443", "neither an IP address nor a host's name"),
        ("Hub:443", "small letters"),
    ],
)
def test_an_address_that_is_none(address: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        split(address)


def test_a_mistake_in_the_file_is_named(folder: Folder) -> None:
    text = folder.settings.read_text()
    folder.settings.write_text(text.replace("mutual_tls", "mutual_tsl").replace("127.0.0.1", "127.0.0"))
    with pytest.raises(ConfigError, match="did you mean mutual_tls") as error:
        read_settings(folder.settings)
    assert "address" in str(error.value)


def test_a_folder_in_use_is_left_alone(tmp_path: Path, make_folder: Callable[..., Folder]) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "precious").touch()
    with pytest.raises(ConfigError, match="already there and not empty"):
        initialise(tmp_path / "used", Settings(address="hub:8443"))
    with pytest.raises(ConfigError, match="no coordinator here"):
        find_folder(tmp_path / "used")
    made = make_folder(tmp_path / "new")
    assert find_folder(tmp_path / "new") == made
