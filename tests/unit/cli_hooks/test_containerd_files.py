"""Imports are followed as containerd follows them, and what cannot be read is a finding."""

from __future__ import annotations

from pathlib import Path

from trustcli.hooks.containerd_files import load_config


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
