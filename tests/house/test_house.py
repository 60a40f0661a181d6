"""The house: where arrows point, what stays pure, what a start of `trust verify` may cost."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

from tests.support.loaded_modules import modules_loaded_by

ROOT = Path(__file__).parents[2]
PACKAGES = ("keys", "trustdata", "trustcli", "trustserver")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*PACKAGES, include_external_packages=True, cache_dir=None)


def test_arrows() -> None:
    """The contracts of pyproject.toml."""
    tool = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout


def test_no_module_imports_itself_by_a_detour(graph: grimp.ImportGraph) -> None:
    """Imports inside functions count, and those for types alone: either way one is read to understand the other."""
    modules = {module for module in graph.modules if module.split(".")[0] in PACKAGES}
    cycles = []
    for module in sorted(modules):
        for imported in graph.find_modules_directly_imported_by(module):
            chain = graph.find_shortest_chain(importer=imported, imported=module) if imported in modules else None
            if chain:
                cycles.append(chain)
    assert cycles == []
    assert modules


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        (
            "trustdata",
            {
                "urllib3",
                "sqlmodel",
                "sqlalchemy",
                "fastapi",
                "typer",
                "socket",
                "sqlite3",
                "time",
                "os",
                "pathlib",
                "random",
            },
        ),
        ("trustdata", {"trustcli", "trustserver"}),
        ("keys", {"trustdata", "trustcli", "trustserver", "tuf"}),
        ("trustcli", {"trustserver", "fastapi", "sqlalchemy", "sqlmodel"}),
        ("trustserver", {"trustcli", "typer"}),
    ],
)
def test_what_a_package_does_not_know(graph: grimp.ImportGraph, package: str, forbidden: set[str]) -> None:
    found = {
        (module, imported)
        for module in graph.modules
        if module.split(".")[0] == package
        for imported in graph.find_modules_directly_imported_by(module)
        if imported.split(".")[0] in forbidden
    }
    if package == "trustserver":
        found = {pair for pair in found if pair[0] not in _SERVER_COMMAND_LINE}
    assert found == set()


_SERVER_COMMAND_LINE = {
    "trustserver.__main__",
    *(
        f"trustserver.admin.{name}"
        for name in (
            "access",
            "access_app",
            "commands",
            "credentials",
            "events_app",
            "reseal",
            "seal_app",
            "shown_settings",
            "store_options",
            "users",
        )
    ),
}


@pytest.mark.parametrize("command", ["verify", "inspect"])
def test_what_is_called_in_loops_starts_without_frameworks(command: str) -> None:
    first_contact = "cached_format(lambda name: MemoryCache())"  # nothing is known of the collection
    loaded = modules_loaded_by(
        f"import trustcli.session, trustcli.commands.{command}\n"
        "from trustcli.client.format_discovery import cached_format\n"
        "from trustcli.client.memory_cache import MemoryCache\n"
        f"{first_contact}"
    )
    heavy = {
        "rich",
        "fastapi",
        "sqlalchemy",
        "sqlmodel",
        "urllib3",
        "requests",
        "starlette",
        "granian",
        "typer",
        "click",
        "cryptography.x509",  # root keys of Notary v1 are certificates; TUF 1.0 has none
    }
    assert heavy & loaded == set()


def test_http_is_spoken_in_one_room() -> None:
    """The client's requests are made by trustcli/http alone (ADR 0028), the server's by process/outgoing (ADR 0083).

    Those to services that hold keys are made by keys/kms, for both (ADR 0102).
    """
    libraries = {"http.client", "urllib.request", "urllib3", "requests", "httpx", "aiohttp"}
    assert _rooms_that_import(libraries) == {"keys/kms", "trustcli/http", "trustserver/process"}


def test_resident_doors_share_one_http_server() -> None:
    """It alone parses requests, with h11 (ADR 0088)."""
    assert _rooms_that_import({"h11"}) == {"trustcli/hooks/serving"}


def _rooms_that_import(libraries: set[str]) -> set[str]:
    return {
        str(path.relative_to(ROOT).parent)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if _imported(node) & libraries
    }


def _imported(node: ast.AST) -> set[str]:
    """Return the modules that an import statement may load."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.module:
        return {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return set()


def test_names_say_what_is_inside() -> None:
    grab_bags = {"utils", "util", "helpers", "helper", "common", "base", "misc", "tools"}
    assert [path for path in (*SOURCES, *TESTS) if path.stem.strip("_") in grab_bags] == []


def test_files_have_a_length_that_one_reads() -> None:
    lengths = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in (*SOURCES, *TESTS)}
    assert {str(path): n for path, n in lengths.items() if n > _LONGEST.get(str(path), 500)} == {}


_LONGEST = {"trustdata/errors.py": 730}
"""The tree of errors is one table, drawn at its top."""


def test_a_property_s_docstring_says_what_it_is() -> None:
    """It is read as an attribute is; what is called returns something."""
    seen, wrong = 0, []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and any("property" in ast.unparse(d) for d in node.decorator_list):
                seen += 1
                if (ast.get_docstring(node) or "").startswith(("Return ", "Say ")):
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert seen
    assert wrong == []


def test_the_clock_is_read_in_the_composition_roots_only() -> None:
    readers = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow", "today"}:
                readers.add(str(path.relative_to(ROOT)))
    roots = {"trustcli/session.py", "trustserver/app.py", "trustserver/auth/opening.py"}
    assert readers <= roots | {"trustserver/process/kernel_clock.py"}
