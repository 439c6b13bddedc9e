"""What a deletion request leaves of a sample: a place, a salted hash, and nothing that it was; killed or not."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from safetensors.numpy import load_file
from typer.testing import CliRunner

from flows import cli
from tasks import embed, ingest
from tasks.classifying.given import log_path
from tasks.errors import LakeError, UsageError
from tasks.forgetting import forget
from tasks.forgetting.annotated import check
from tasks.labels.label_log import Entry, append, read_log
from tasks.lake import Lake, Version, find_pool
from tasks.lock import hold
from tasks.reading import tombstones
from tasks.reporting.pictures import thumbnails
from tasks.reporting.report import PIXELS
from tasks.searching import search_index
from tests.drawn_pool import draw_pool
from tests.flows.runs import curated
from tests.small_pool import digested, encoded, serial, write_members
from tests.tiny_clip import write_model


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pool of 48 shapes and near-copies of 8, with a filter, curated; an index; two labels for every sample."""
    root = tmp_path_factory.mktemp("forget")
    draw_pool(root / "shapes", 48, shard_rows=24)
    write_members(root / "shapes" / "copies.tar", near_copies(root / "shapes" / "00000.tar"))
    curated(root / "shapes", root / "lake")
    lake = find_pool(root / "lake", None)
    version = lake.version("latest")
    search_index.index_of(version)
    for number in range(2):
        said = f"2026-01-01T00:00:0{number}+00:00"
        uids = version.table("samples", ["uid"])["uid"].to_pylist()
        entries = [Entry(uid, "redcross", "unsure", "ada", said, "import", "") for uid in uids]
        append(log_path(lake, "redcross"), entries)
    return root


def near_copies(shard: Path) -> list[tuple[str, bytes]]:
    """Eight of a shard's images with a black corner, and with short captions: the originals are preferred."""
    members: list[tuple[str, bytes]] = []
    with tarfile.open(shard) as tar:
        for name in [name for name in tar.getnames() if name.endswith(".png")][:24:3]:
            stream = tar.extractfile(name)
            assert stream is not None
            image = Image.open(stream).convert("RGB")
            image.paste((0, 0, 0), (0, 0, 3, 3))
            members += [(f"copy-{name}", encoded(image)), (f"copy-{name[:-4]}.txt", b"a copy")]
    return members


@pytest.fixture
def lake(made: Path, tmp_path: Path) -> Lake:
    shutil.copytree(made / "lake", tmp_path / "lake")
    return find_pool(tmp_path / "lake", None)


def victim(lake: Lake) -> dict[str, Any]:
    """A kept sample that stands for others, and has a label that trained the filter."""
    version = lake.version("latest")
    table = version.table("samples").append_column("row", [list(range(version.rows))]).to_pylist()
    stands = set(version.table("decision", ["duplicate_of"])["duplicate_of"].to_pylist())
    trained = pq.read_table(version.artifact("model.redcross") / "labels.parquet")["uid"].to_pylist()
    images = [row["sha256"] for row in table]
    alone = [row for row in table if images.count(row["sha256"]) == 1]
    found: dict[str, Any] = next(row for row in alone if row["uid"] in stands and row["uid"] in trained)
    return found


def vector(version: Version, row: int) -> np.ndarray:
    found = np.concatenate(version.embeddings())[row].astype(np.float64)
    return found / np.linalg.norm(found)


def told(path: Path) -> Iterator[str | np.ndarray]:
    """Everything that a file holds, as text or as rows of numbers."""
    if path.suffix == ".parquet":
        yield json.dumps(pq.read_table(path, partitioning=None).to_pylist(), ensure_ascii=False)
        yield path.read_bytes().decode("latin-1")  # dictionaries and statistics
    elif path.suffix == ".npy":
        yield np.load(path)
    elif path.suffix == ".npz":
        yield from np.load(path).values()
    elif path.suffix == ".safetensors":
        yield from load_file(path).values()
    else:
        yield path.read_bytes().decode("latin-1")


def traces(lake: Lake, gone: dict[str, Any], lost: np.ndarray) -> list[str]:
    """Files that still hold the sample's uid, caption, digest or vector."""
    texts = [gone["uid"], gone["caption"], gone["sha256"], gone["caption"].rpartition(" ")[2] + '"']
    found = []
    for path in sorted(path for path in lake.home.rglob("*") if path.is_file()):
        for one in told(path):
            if isinstance(one, str):
                hit = any(text in one for text in texts[:3])
            elif one.ndim == 2 and one.shape[1] == len(lost):
                rows = one.astype(np.float64)
                hit = bool((rows @ lost > 0.9999 * np.linalg.norm(rows, axis=1).clip(1e-9)).any())
            else:
                hit = False
            if hit:
                found.append(path.relative_to(lake.home).as_posix())
    return sorted(set(found))


def contents(lake: Lake) -> dict[str, str]:
    """Digest of every file that a request rewrites."""
    return {
        path.relative_to(lake.home).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in ("columns", "artifacts", "versions", "labels", "runs")
        for path in (lake.home / folder).rglob("*")
        if path.is_file()
    }


def test_nothing_of_the_sample_is_left_in_any_file(lake: Lake) -> None:
    gone = victim(lake)
    lost = vector(lake.version("latest"), gone["row"])
    before = traces(lake, gone, lost)
    kinds = {name.split("/")[1].rpartition("-")[0] for name in before if "/" in name}
    assert {"samples", "embedding", "decision", "groups", "published", "model.redcross"} <= kinds
    done = forget.forget(lake, [gone["uid"]])
    assert done.versions == [1, 2, 3, 4, 5]
    assert traces(lake, gone, lost) == []
    assert not list((lake.home / "artifacts").glob("search-*")) and not forget._journal(lake).exists()


def test_tokens_lose_the_rows_and_the_words_that_only_they_had(lake: Lake) -> None:
    gone = victim(lake)
    plate = gone["caption"].rpartition(" ")[2]
    forget.forget(lake, [gone["uid"]])
    paths = (lake.home / "artifacts").glob("tokens-*/*.parquet")
    text = json.dumps([pq.read_table(path).to_pylist() for path in paths])
    assert f'"{plate}"' not in text and '"plate"' in text


def test_rows_keep_their_places_and_other_samples_what_they_were(lake: Lake) -> None:
    version, gone = lake.version("latest"), victim(lake)
    before = [version.table(group).to_pylist() for group in ("samples", "score.redcross")]
    vectors = np.concatenate(version.embeddings())
    forget.forget(lake, [gone["uid"]])
    after = [version.table(group).to_pylist() for group in ("samples", "score.redcross")]
    changed = [row for row in range(version.rows) if before[0][row] != after[0][row]]
    assert changed == [gone["row"]] and [r for r in range(version.rows) if before[1][r] != after[1][r]] in ([], changed)
    assert (np.flatnonzero((np.concatenate(version.embeddings()) != vectors).any(axis=1)) == changed).all()
    blank = after[0][gone["row"]]
    assert blank["reason"] == "forgotten" and blank["caption"] is None and len(blank["uid"]) == 32
    assert version.table("decision")["verdict"][gone["row"]].as_py() == "quarantined"


@pytest.fixture(scope="module")
def whole(made: Path) -> Lake:
    """A request that nothing interrupted, with a known salt."""
    shutil.copytree(made / "lake", made / "whole")
    found = find_pool(made / "whole", None)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(secrets, "token_hex", lambda n: "ab" * n)
        forget.forget(found, [victim(found)["uid"]])
    return found


@pytest.mark.parametrize("writes", [0, 1, 2, 6, 12, 18, 24])
def test_a_kill_at_any_write_leaves_a_journal_that_the_next_run_finishes(
    lake: Lake, whole: Lake, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda n: "ab" * n)
    killed, uid = lake, victim(lake)["uid"]
    left, replace = writes, Path.replace

    def dying(self: Path, target: Path) -> Path:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return replace(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", dying)
        with pytest.raises(KeyboardInterrupt):
            forget.forget(killed, [uid])
    with hold(killed.home, "the next run"):
        resumed = forget.finish(killed)
    if writes < 2:  # the request was not written down: it can be made again
        assert resumed is None
        forget.forget(killed, [uid])
    assert contents(killed) == contents(whole)
    assert check(killed.version("latest")) == check(whole.version("latest"))


def test_a_curate_run_finishes_what_was_interrupted_and_decides_the_near_duplicates_anew(
    lake: Lake, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, version = victim(lake), lake.version("latest")
    table = version.table("decision").append_column("uid", version.table("samples", ["uid"])["uid"]).to_pylist()
    orphans = {row["uid"] for row in table if row["duplicate_of"] == gone["uid"]}
    with monkeypatch.context() as patched:
        patched.setattr(forget, "_texts", lambda lake, what: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            forget.forget(lake, [gone["uid"]])
    outcome = curated(made / "shapes", lake.root)
    after = lake.version("latest")
    assert outcome["status"] == "done" and after.number == 10 and not forget._journal(lake).exists()
    rows = after.table("decision").append_column("uid", after.table("samples", ["uid"])["uid"]).to_pylist()
    kept = {row["uid"] for row in rows if row["verdict"] == "kept"}
    assert {row["duplicate_of"] for row in rows if row["duplicate_of"]} <= kept
    assert orphans and kept & orphans
    assert after.summary["ingest"]["quarantined"] == {"forgotten": 1}
    assert curated(made / "shapes", lake.root)["status"] == "nothing new"


def test_the_sample_is_refused_when_it_comes_again_under_either_name(lake: Lake, made: Path, tmp_path: Path) -> None:
    gone = victim(lake)
    forget.forget(lake, [gone["uid"]])
    again = shutil.copytree(made / "shapes", tmp_path / "again")
    image = _image(made / "shapes", gone)
    write_members(again / "other.tar", [("zz.png", image), ("zz.txt", b"the same picture, another name")])
    config = ingest.Config(max_bytes=1 << 27)  # other settings: every shard is read again
    draft = ingest.run(Version(lake), config, serial, digested(again, lake), None, 1)
    refused = [row for row in draft.table("samples").to_pylist() if row["reason"] == "forgotten"]
    assert len(refused) == 2 and {row["caption"] for row in refused} == {None}
    assert gone["uid"] not in draft.table("samples", ["uid"])["uid"].to_pylist()


def _image(pool: Path, gone: dict[str, Any]) -> bytes:
    for shard in sorted(pool.glob("*.tar")):
        with tarfile.open(shard) as tar:
            for member in tar:
                stream = tar.extractfile(member)
                data = stream.read() if stream else b""
                if hashlib.sha256(data).hexdigest() == gone["sha256"]:
                    return data
    raise AssertionError("the pool lacks the image")


def test_another_encoder_embeds_the_pool_without_what_was_forgotten(lake: Lake, made: Path, tmp_path: Path) -> None:
    gone = victim(lake)
    forget.forget(lake, [gone["uid"]])
    version, shards = lake.version(1), digested(made / "shapes", lake)
    tiny = embed.Config(model=str(write_model(tmp_path / "model")), pretrained="")
    key, sink = embed.embedder(lake, tiny, version.columns["samples"])
    rows = np.concatenate(embed.run(version, tiny, serial, shards, key, sink).embeddings())
    assert rows.shape[1] == 32 and np.flatnonzero(~rows.any(axis=1)).tolist() == [gone["row"]]


def test_every_sample_of_the_same_bytes_goes_too(lake: Lake, made: Path) -> None:
    version = lake.version("latest")
    table = version.table("samples", ["uid", "sha256"]).to_pylist()
    known = [row["sha256"] for row in table]
    row = next(row for row in table if known.count(row["sha256"]) > 1)
    copies = {other["uid"] for other in table if other["sha256"] == row["sha256"]}
    assert set(forget.forget(lake, [row["uid"].upper()]).samples) == copies


def test_a_check_tells_a_deletion_request_from_damage(lake: Lake) -> None:
    gone = victim(lake)
    first = lake.version(1)
    damaged = first.column_path("decision", first.parts[-1])
    pq.write_table(pq.read_table(damaged), damaged, compression="gzip")
    forget.forget(lake, [gone["uid"]])
    found = check(lake.version("latest"))
    assert found.changed and found.whole and not found.corrupt and not found.missing
    assert check(first).corrupt == [damaged.relative_to(lake.home).as_posix()]
    path = lake.version("latest").column_path("embedding", first.parts[0])
    path.write_bytes(path.read_bytes()[:-1])
    assert len(check(lake.version("latest")).corrupt) == 1
    path.unlink()
    assert len(check(lake.version("latest")).missing) == 1


def test_a_second_request_is_annotated_beside_the_first(lake: Lake) -> None:
    uids = lake.version("latest").table("samples", ["uid"])["uid"].to_pylist()
    alone = victim(lake)["uid"], next(uid for uid in reversed(uids) if len(forget.find(lake, [uid])) == 1)
    for uid in alone:
        forget.forget(lake, [uid])
    found = check(lake.version("latest"))
    assert not found.corrupt and found.changed
    stones = json.loads(tombstones.path_of(lake).read_text())
    assert len(stones["tombstones"]) == 4 and not {*uids} & {one["hash"][:32] for one in stones["tombstones"]}


def test_a_log_of_labels_keeps_its_lines_and_the_hash_of_the_uid(lake: Lake) -> None:
    uid = victim(lake)["uid"]
    before = read_log(log_path(lake, "redcross"), "redcross")
    done = forget.forget(lake, [uid])
    after = read_log(log_path(lake, "redcross"), "redcross")
    assert len(after.entries) == len(before.entries) > 100 and not after.damaged
    assert {entry.uid for entry in after.entries} - {entry.uid for entry in before.entries} == {done.samples[uid]}


def test_the_pool_itself_is_never_touched(lake: Lake, made: Path) -> None:
    before = {path: path.read_bytes() for path in (made / "shapes").iterdir()}
    forget.forget(lake, [victim(lake)["uid"]])
    assert {path: path.read_bytes() for path in (made / "shapes").iterdir()} == before


def test_a_wrong_request_changes_nothing(lake: Lake) -> None:
    before = contents(lake)
    for uid, said in (("f" * 32, "has no sample"), ("plate 3", "32 hex digits")):
        with pytest.raises(UsageError, match=said):
            forget.forget(lake, [victim(lake)["uid"], uid])
    with hold(lake.home, "a run"), pytest.raises(LakeError, match="held"):
        forget.forget(lake, [victim(lake)["uid"]])
    assert contents(lake) == before and not tombstones.path_of(lake).exists()
    uid = victim(lake)["uid"]
    forget.forget(lake, [uid])
    with pytest.raises(UsageError, match="forgotten already"):
        forget.forget(lake, [uid])


def test_damaged_tombstones_stop_a_run_before_what_was_forgotten_comes_back(lake: Lake) -> None:
    forget.forget(lake, [victim(lake)["uid"]])
    tombstones.path_of(lake).write_text('{"salt": 1}')
    with pytest.raises(LakeError, match="would come back"):
        tombstones.read_tombstones(lake)


def test_a_file_that_cannot_be_rewritten_is_named_and_the_request_goes_on_when_it_is_gone(lake: Lake) -> None:
    uid, version = victim(lake)["uid"], lake.version("latest")
    damaged = version.artifact("model.redcross") / "labels.parquet"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-9])
    with pytest.raises(LakeError, match=r"labels\.parquet cannot be rewritten"):
        forget.forget(lake, [uid])
    damaged.write_bytes(whole)
    with hold(lake.home, "the next run"):
        done = forget.finish(lake)
    assert done is not None and uid in done.samples and uid not in str(pq.read_table(damaged)["uid"].to_pylist())


def test_the_commands_ask_tell_and_check(lake: Lake) -> None:
    uid = victim(lake)["uid"]
    where = ("--lake", str(lake.root))
    refused = CliRunner().invoke(cli.app, ["forget", uid, *where])
    assert isinstance(refused.exception, UsageError) and "--yes" in str(refused.exception)
    assert "near-duplicates that stay" in refused.output and "a copy" in refused.output
    before = contents(lake)
    done = json.loads(CliRunner().invoke(cli.app, ["forget", uid, "--yes", "--json", *where]).stdout)
    assert contents(lake) != before and done["versions"] == [1, 2, 3, 4, 5]
    assert "forgotten 1 sample at" in CliRunner().invoke(cli.app, ["show", "latest", *where]).output
    assert "quarantined by forget" in CliRunner().invoke(cli.app, ["why", uid, *where]).output
    checked = CliRunner().invoke(cli.app, ["verify", *where])
    assert checked.exit_code == 0 and "changed by a deletion request" in checked.output
    version = lake.version("latest")
    version.column_path("embedding", version.parts[0]).write_bytes(b"x")
    checked = CliRunner().invoke(cli.app, ["verify", "--json", *where])
    assert checked.exit_code == 1 and len(json.loads(checked.stdout)["corrupt"]) == 1


def test_the_report_shows_its_picture_no_more(lake: Lake) -> None:
    gone, version = victim(lake), lake.version("latest")
    picture = thumbnails(version, [gone["row"]], PIXELS)[gone["row"]]
    report = version.artifact("published") / "report.html"
    assert picture is not None and picture in report.read_text()
    forget.forget(lake, [gone["uid"]])
    assert picture not in report.read_text() and "data:image/webp" in report.read_text()
    assert thumbnails(version, [gone["row"]])[gone["row"]] is None
