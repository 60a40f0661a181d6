"""The server does not start on data or settings that others may change."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulator.workload_issuers import KEY, jwk, jwks
from tests.unit.server.guarded_site import ISSUED
from trustserver.auth.token_keys import load_keys
from trustserver.errors import StartRefused
from trustserver.settings import GivenSettings, Settings, load
from trustserver.storage.opening import existing_store, open_store
from trustserver.webhooks.hooks import read_hooks


def test_a_data_folder_that_others_may_change_is_refused(tmp_path: Path) -> None:
    """It would stay so: what the server finds there may be anybody's."""
    folder = tmp_path / "data"
    folder.mkdir()
    for mode in (0o777, 0o775, 0o1777):
        folder.chmod(mode)
        with pytest.raises(StartRefused) as refused:
            open_store(Settings(data=folder))
        said = f"{folder}: has mode {mode:o}, so it has files that may be replaced by others; run chmod go-w {folder}"
        assert str(refused.value) == said
        assert list(folder.iterdir()) == []
    folder.chmod(0o755)
    open_store(Settings(data=folder)).close()


def test_a_data_folder_that_the_server_makes_is_its_own(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "new" / "data")
    open_store(settings).close()
    assert settings.data.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_database_that_others_may_change_is_refused(tmp_path: Path, elsewhere: bool) -> None:  # noqa: FBT001
    place = tmp_path / "elsewhere"
    place.mkdir()
    file = place / "other.db" if elsewhere else tmp_path / "data" / "trust.db"
    settings = Settings(data=tmp_path / "data", database=f"sqlite:///{file}" if elsewhere else "")
    open_store(settings).close()
    # With the sticky bit nobody may replace the database, but anybody may put a journal beside it.
    for exposed, mode in ((file, 0o666), (file.parent, 0o777), (file.parent, 0o1777)):
        before = exposed.stat().st_mode & 0o7777
        exposed.chmod(mode)
        for opening in (open_store, existing_store):
            with pytest.raises(StartRefused, match=f"{exposed}: has mode {mode:o}"):
                opening(settings)
        exposed.chmod(before)
    existing_store(settings).close()


@pytest.mark.parametrize("kind", ["certificates", "jwks"])
def test_keys_of_a_token_server_that_others_may_change_are_refused(tmp_path: Path, kind: str) -> None:
    """Whoever may add one signs tokens for everybody."""
    file = tmp_path / "keys"
    file.write_bytes(ISSUED.pem if kind == "certificates" else jwks(jwk(KEY)))
    arguments = (file, None) if kind == "certificates" else (None, file)
    load_keys(*arguments)
    file.chmod(0o664)
    with pytest.raises(StartRefused, match=f"{file}: has mode 664, so it may be changed by others"):
        load_keys(*arguments)


def test_authorities_of_a_webhook_that_others_may_change_are_refused(tmp_path: Path) -> None:
    file, secret, authorities = (tmp_path / name for name in ("hooks.toml", "secret", "ca.pem"))
    file.write_text(
        '[[webhook]]\nname = "a"\nurl = "https://hooks.example.com/"\nsecret_file = "secret"\ncacert = "ca.pem"\n'
    )
    secret.write_text("x" * 32)
    secret.chmod(0o600)
    authorities.write_bytes(ISSUED.pem)
    assert read_hooks(file)[0].cacert == authorities
    authorities.chmod(0o666)
    with pytest.raises(StartRefused, match=f"{authorities}: has mode 666, so it may be changed by others"):
        read_hooks(file)


def test_settings_that_others_may_change_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text('log-level = "debug"')
    assert load(GivenSettings(), {}, file).settings.log_level == "debug"
    file.chmod(0o666)
    with pytest.raises(StartRefused, match=f"{file}: has mode 666, so it may be changed by others; run chmod go-w"):
        load(GivenSettings(), {}, file)
