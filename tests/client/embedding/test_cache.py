"""Vectors kept on the disk, and builds that go on from them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from client.embedding.build import Build
from client.embedding.cache import VectorCache
from client.embedding.embedder import Floats, Origin
from client.embedding.local import open_local
from common.concepts import Token
from common.embeddings import PROBE_PHRASES, load_table
from common.errors import TableError

HERE = Origin("sha256:1", "mean", "", {})


def vector(text: str, size: int = 4) -> list[float]:
    return [byte / 255 for byte in hashlib.sha256(text.encode()).digest()[:size]]


@dataclass
class Words:
    """An embedder that notes what it is asked, and may stop or drift."""

    origin: Origin = HERE
    batch: int = 64
    asked: list[str] = field(default_factory=list)
    batches: list[tuple[str, ...]] = field(default_factory=list)
    stop_after: int = 1_000_000
    drift: float = 0.0

    def embed(self, texts: Sequence[str]) -> Floats:
        if texts[0] not in PROBE_PHRASES:
            if len(self.asked) + len(texts) > self.stop_after:
                raise KeyboardInterrupt
            self.asked += texts
            self.batches.append(tuple(texts))
        return np.array([vector(text) for text in texts], np.float32) + np.float32(self.drift)


def named(texts: Sequence[str]) -> list[Token]:
    return [Token(f"t{number}", text) for number, text in enumerate(texts)]


TEXTS = [f"finding {'very ' * (n % 5)}{n}" for n in range(1500)]


def test_a_build_that_was_stopped_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    whole = Words()
    Build(whole, "acme/words", named(TEXTS), tmp_path / "other").write(tmp_path / "whole.safetensors")
    with pytest.raises(KeyboardInterrupt):
        Build(Words(stop_after=1000), "acme/words", named(TEXTS), tmp_path / "c").write(tmp_path / "t.safetensors")
    assert not (tmp_path / "t.safetensors").exists()
    rest = Words()
    built = Build(rest, "acme/words", named(TEXTS), tmp_path / "c").write(tmp_path / "t.safetensors")
    assert built.cached == 960  # three whole parts of 256, and the three batches of the next
    assert len(rest.asked) == 1500 - 960
    assert whole.batches[15:] == rest.batches  # the same batches, so the same last digits
    assert (tmp_path / "t.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


def test_batches_that_do_not_divide_a_part_stay_whole(tmp_path: Path) -> None:
    whole, rest = Words(batch=100), Words(batch=100)
    Build(whole, "acme/words", named(TEXTS[:900]), tmp_path / "other").write(tmp_path / "whole.safetensors")
    stopped = Build(Words(batch=100, stop_after=360), "acme/words", named(TEXTS[:900]), tmp_path / "c")
    with pytest.raises(KeyboardInterrupt):
        stopped.write(tmp_path / "t.safetensors")
    Build(rest, "acme/words", named(TEXTS[:900]), tmp_path / "c").write(tmp_path / "t.safetensors")
    assert rest.batches == whole.batches[3:]


def test_a_second_vocabulary_embeds_only_its_new_texts(tmp_path: Path) -> None:
    Build(Words(), "acme/words", named(TEXTS[:20]), tmp_path / "c").write(tmp_path / "one.safetensors")
    second = Words()
    plan = Build(second, "acme/words", named(["new", *TEXTS[10:30]]), tmp_path / "c")
    assert plan.to_embed == [*PROBE_PHRASES, "new", *TEXTS[20:30]]
    built = plan.write(tmp_path / "two.safetensors")
    assert (built.texts, built.dimension, built.cached, built.damaged) == (21, 4, 10, 0)
    assert second.asked == ["new", *TEXTS[20:30]]
    table = load_table(tmp_path / "two.safetensors")
    expected = [vector(token.text) for token in table.tokens]
    np.testing.assert_array_equal(table.vectors[1:], np.array(expected, np.float32))


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "other"])
def test_a_damaged_part_is_made_again(damage: str, tmp_path: Path) -> None:
    Build(Words(), "acme/words", named(TEXTS[:600]), tmp_path / "c").write(tmp_path / "t.safetensors")
    before = (tmp_path / "t.safetensors").read_bytes()
    parts = sorted(path for path in (tmp_path / "c").rglob("*.safetensors") if path.stem != "probes")
    assert len(parts) == 3
    content = bytearray(parts[1].read_bytes())
    content[-5] ^= 1
    other = {"flip": bytes(content), "cut": bytes(content[:-9]), "empty": b"", "other": parts[0].read_bytes()[:8] * 4}
    parts[1].write_bytes(other[damage])
    again = Words()
    built = Build(again, "acme/words", named(TEXTS[:600]), tmp_path / "c").write(tmp_path / "t.safetensors")
    assert built.damaged == 1
    assert len(again.asked) == 600 - built.cached
    assert len(again.asked) in (256, 600 - 512)
    assert (tmp_path / "t.safetensors").read_bytes() == before


def test_a_damaged_part_is_thrown_away_even_if_its_texts_are_not_asked_for(tmp_path: Path) -> None:
    Build(Words(), "acme/words", named(TEXTS[:9]), tmp_path / "c").write(tmp_path / "t.safetensors")
    [part] = [path for path in (tmp_path / "c").rglob("*.safetensors") if path.stem != "probes"]
    part.write_bytes(b"damaged")
    Build(Words(), "acme/words", named(["new"]), tmp_path / "c").write(tmp_path / "t.safetensors")
    assert not part.exists()


def test_without_its_probes_nothing_of_a_cache_is_trusted(tmp_path: Path) -> None:
    Build(Words(), "acme/words", named(TEXTS[:600]), tmp_path / "c").write(tmp_path / "t.safetensors")
    [probes] = (tmp_path / "c").rglob("probes.safetensors")
    probes.write_bytes(b"damaged")
    again = Words(drift=0.5)  # another space, which the probes would have told
    built = Build(again, "acme/words", named(TEXTS[:700]), tmp_path / "c").write(tmp_path / "t.safetensors")
    assert (built.cached, built.damaged, len(again.asked)) == (0, 4, 700)


def test_what_decides_a_vector_decides_its_key(tmp_path: Path) -> None:
    origins = [
        HERE,
        Origin("sha256:2", "mean", "", {}),
        Origin("sha256:1", "cls", "", {}),
        Origin("sha256:1", "mean", "query: ", {}),
        Origin("sha256:1", "mean", "", {"service": "https://host/v1"}),
    ]
    caches = [VectorCache(tmp_path, origin) for origin in origins]
    assert len({cache.folder for cache in caches}) == len(origins)
    assert len({cache.keys(["fever"])[0] for cache in caches}) == len(origins)
    assert len(set(caches[0].keys(["fever", "Fever"]))) == 2


def test_the_cache_holds_no_text_and_is_its_owners_alone(tmp_path: Path) -> None:
    Build(Words(), "acme/words", named(["secret words"]), tmp_path / "c").write(tmp_path / "t.safetensors")
    files = [path for path in (tmp_path / "c").rglob("*") if path.is_file()]
    assert len(files) == 2
    assert all(b"secret" not in path.read_bytes() for path in files)
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_a_model_that_changed_under_its_name_is_refused(tmp_path: Path) -> None:
    Build(Words(), "acme/words", named(["a"]), tmp_path / "c").write(tmp_path / "t.safetensors")
    with pytest.raises(TableError, match=r"gives other vectors than when .* was filled, under the same name"):
        Build(Words(drift=0.1), "acme/words", named(["b"]), tmp_path / "c").write(tmp_path / "t.safetensors")
    before = load_table(tmp_path / "t.safetensors").probes
    Build(Words(drift=1e-4), "acme/words", named(["b"]), tmp_path / "c").write(tmp_path / "t.safetensors")
    after = load_table(tmp_path / "t.safetensors").probes
    assert before is not None
    assert after is not None
    np.testing.assert_array_equal(after, before)  # noise does not make a second space of one cache


def test_numbers_that_are_not_finite_are_refused_and_not_kept(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="not finite for 32 of 32 texts"):
        Build(Words(drift=float("nan")), "acme/words", named(["a"]), tmp_path / "c").write(tmp_path / "t.safetensors")
    assert not (tmp_path / "c").exists()


def test_texts_of_another_dimension_than_the_probes_are_refused(tmp_path: Path) -> None:
    class Short(Words):
        def embed(self, texts: Sequence[str]) -> Floats:
            return super().embed(texts)[:, : 4 if texts[0] in PROBE_PHRASES else 3]

    with pytest.raises(TableError, match=r"3 numbers a text\. The probe phrases have 4 each"):
        Build(Short(), "acme/words", named(["a"]), tmp_path / "c").write(tmp_path / "t.safetensors")


def test_where_the_table_cannot_be_written_nothing_is_embedded(tmp_path: Path) -> None:
    words = Words()
    with pytest.raises(TableError, match="there is no folder"):
        Build(words, "acme/words", named(["a"]), tmp_path / "c").write(tmp_path / "none" / "t.safetensors")
    with pytest.raises(TableError, match="cannot be written"):
        Build(words, "acme/words", named(["a"]), tmp_path / "c").write(tmp_path)
    assert words.asked == []
    assert os.listdir(tmp_path) == []


def test_progress_counts_what_is_embedded(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    Build(Words(), "acme/words", named(TEXTS[:100]), tmp_path / "c").write(tmp_path / "t.safetensors")
    plan = Build(Words(), "acme/words", named(TEXTS[:300]), tmp_path / "c")
    plan.write(tmp_path / "t.safetensors", lambda done, total: told.append((done, total)))
    assert told == [(64, 200), (128, 200), (192, 200), (200, 200)]


def test_many_texts_are_embedded_longest_first_and_stand_in_the_order_given(tmp_path: Path, tiny_model: Path) -> None:
    words = Words()
    Build(words, "acme/words", named(TEXTS), tmp_path / "c").write(tmp_path / "t.safetensors")
    lengths = [len(text) for text in words.asked]
    assert lengths == sorted(lengths, reverse=True)
    table = load_table(tmp_path / "t.safetensors")
    assert [token.text for token in table.tokens] == TEXTS
    np.testing.assert_array_equal(table.vectors[1:], np.array([vector(text) for text in TEXTS], np.float32))


def test_batches_move_only_the_last_digits_of_a_real_model(tmp_path: Path, tiny_model: Path) -> None:
    words = ["fever", "cough", "dry", "a", "on", "of", "the"]
    mixed = [f"{' '.join(words[: 1 + n % 7])} {n}" for n in range(1100)]
    few = open_local(str(tiny_model), batch=32)
    Build(few, "acme/tiny", named(mixed), tmp_path / "c").write(tmp_path / "t.safetensors")
    alone = open_local(str(tiny_model)).model.embed(mixed[:50], batch=1)
    np.testing.assert_allclose(load_table(tmp_path / "t.safetensors").vectors[1:51], alone, atol=1e-6)
