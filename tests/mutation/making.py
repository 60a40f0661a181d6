"""Let mutmut make the mutants of the folder that `tests.mutation` has prepared. This program is run in that folder.

`mutmut run` does the same before it runs tests, in a way that cannot be asked for alone.
"""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Iterator
from pathlib import Path


def main(children: int) -> None:
    """Write the mutants below `mutants/` of this folder, beside what the tests need, and the changes that they are."""
    # mutmut reads the settings of the folder when it is imported.
    from mutmut.__main__ import create_mutants
    from mutmut.mutation.trampoline import set_mutant_under_test
    from mutmut.utils.file_utils import copy_also_copy_files, copy_src_dir, setup_source_paths, walk_mutatable_files

    set_mutant_under_test("mutant_generation")
    Path("mutants").mkdir()
    copy_src_dir()
    copy_also_copy_files()
    setup_source_paths()
    create_mutants(children)
    changes = {name: change for path in walk_mutatable_files() for name, change in changes_of(path)}
    if not changes:
        sys.exit("no mutants can be made of this part")
    Path("mutants", "changes.json").write_text(json.dumps(changes, indent=0))


def changes_of(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Give the name of each mutant of a file, and the lines that differ."""
    from mutmut.mutation.data import MutantLineSpans, SourceFileMutationData

    mutants = SourceFileMutationData(path=path)
    mutants.load()
    spans = MutantLineSpans.load(path)
    if spans is None:
        return
    lines = Path("mutants", path).read_text().split("\n")

    def source(generated: str) -> list[str]:
        span = spans.span_by_function_name[generated]
        plain = plain_name(generated)
        return [line.replace(generated, plain, 1) for line in lines[span.start - 1 : span.end]]

    for name in mutants.exit_code_by_key:
        generated = name.rpartition(".")[2]
        original = generated.rpartition("__mutmut_")[0] + "__mutmut_orig"
        yield name, changed_lines(source(original), source(generated))


def plain_name(generated: str) -> str:
    """Return the name in the source of a generated function: `xǁCǁf__mutmut_3` and `x_f__mutmut_orig` are f."""
    mangled = generated.rpartition("__mutmut_")[0]
    return mangled.rpartition("ǁ")[2] if mangled.startswith("xǁ") else mangled.removeprefix("x_")


def changed_lines(before: list[str], after: list[str]) -> list[str]:
    """Return the removed and added lines with their signs, without their indentation."""
    difference = list(difflib.unified_diff(before, after, n=0, lineterm=""))[2:]
    return [line[0] + line[1:].strip() for line in difference if line.startswith(("-", "+"))]


if __name__ == "__main__":
    main(int(sys.argv[1]))
