"""Programs start without the back ends of securesystemslib; whoever else imports them gets them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from keys.back_ends import _BACK_ENDS, _WithoutBackEnds


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def test_securesystemslib_finds_none_and_everybody_else_does() -> None:
    pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed")
    lean = "import keys.back_ends as b; b.leave_out_back_ends(); b.leave_out_back_ends()"
    code = "import sys, securesystemslib.signer; print('pkcs11' in sys.modules); import pkcs11; print(pkcs11.__name__)"
    assert run(f"{lean}; {code}").split() == ["False", "pkcs11"]
    assert run(f"import keys.signers; {code}").split() == ["True", "pkcs11"], "only programs leave it out"


def test_it_is_asked_once_whatever_calls_it() -> None:
    lean = "import keys.back_ends as b; b.leave_out_back_ends(); b.leave_out_back_ends()"
    assert run(f"{lean}; import sys; print(sys.meta_path.count(b._WithoutBackEnds))") == "1"


@pytest.mark.parametrize("name", sorted(_BACK_ENDS))
def test_it_finds_nothing_itself(name: str) -> None:
    assert _WithoutBackEnds.find_spec(name) is None
    asking = {"__name__": "securesystemslib.signer._some_signer", "find": _WithoutBackEnds.find_spec}
    with pytest.raises(ModuleNotFoundError, match="is left out here"):
        exec(f"find({name!r})", asking)
    exec("find('json')", asking)


def test_the_program_starts_without_them() -> None:
    assert run("import trustcli.__main__, sys; print('pkcs11' in sys.modules)") == "False"
