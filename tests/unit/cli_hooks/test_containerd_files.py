"""Imports are followed as containerd follows them, and what cannot be read is a finding."""

from __future__ import annotations

import os
from pathlib import Path

from trustcli.doctor.containerd.files import MAX_CONFIG_FILE, load_config


def test_imports_relative_absolute_and_by_pattern_each_once(tmp_path: Path) -> None:
    folder = tmp_path / "etc"
    (folder / "conf.d").mkdir(parents=True)
    main = folder / "config.toml"
    main.write_text(f'imports = ["conf.d/*.toml", "../other.toml", "{folder}/conf.d/a.toml", "config.toml"]')
    for name in ("b.toml", "a.toml", "ignored.conf"):
        (folder / "conf.d" / name).write_text("version = 3")
    (tmp_path / "other.toml").write_text('imports = ["etc/conf.d/deeper.tom*"]')
    (folder / "conf.d" / ".hidden.toml").write_text("version = 3")
    files, findings = load_config(main)
    assert [str(Path(file.path).relative_to(tmp_path)) for file in files] == [
        "etc/config.toml",
        "etc/conf.d/.hidden.toml",
        "etc/conf.d/a.toml",
        "etc/conf.d/b.toml",
        "other.toml",
    ]
    assert findings == []


def test_an_imported_file_that_is_not_there_is_a_finding(tmp_path: Path) -> None:
    main = tmp_path / "config.toml"
    main.write_text('imports = ["missing.toml", "wrong.toml", "none/*.toml"]')
    (tmp_path / "wrong.toml").write_text("= 5")
    files, findings = load_config(main)
    assert [file.path for file in files] == [str(main)]
    assert [(f.check, f.severity, f.place) for f in findings] == [
        ("config", "wrong", str(tmp_path / "missing.toml")),
        ("config", "wrong", str(tmp_path / "wrong.toml")),
    ]


def test_no_main_file_is_a_finding(tmp_path: Path) -> None:
    files, (finding,) = load_config(tmp_path / "nothing.toml")
    assert files == []
    assert finding.severity == "wrong"


def test_files_without_end_are_not_followed(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"{number}.toml").write_text(f'imports = ["{number + 1}.toml"]')
    _, findings = load_config(tmp_path / "0.toml")
    assert [f.check for f in findings] == ["config"]


def test_what_has_no_end_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "huge.toml").write_bytes(b"#" * (MAX_CONFIG_FILE + 1))
    (tmp_path / "folder.toml").mkdir()
    main = tmp_path / "config.toml"
    main.write_text(r'imports = ["pipe.toml", "/dev/zero", "huge.toml", "folder.toml", "a\u0000b", "\u0000*"]')
    files, findings = load_config(main)
    assert [file.path for file in files] == [str(main)]
    said = [finding.text.partition(": ")[2].partition(";")[0] for finding in findings]
    assert said[:4] == ["is no file", "is no file", f"larger than {MAX_CONFIG_FILE} bytes", "Is a directory"]
    assert len(said) == 5
    assert load_config(tmp_path / "pipe.toml")[0] == []
