"""`trust login`: try a password or a token at a trust server, and store it for that server alone."""

from __future__ import annotations

import contextlib
import sys
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Final

import typer

from trustcli.client.ci_identity import exchange, job_token, unauthenticated_link
from trustcli.client.problem_details import doubtful_absence, problem
from trustcli.client.server_link import ServerLink
from trustcli.client.trust_credentials import checked_token, is_token, token_from_file
from trustcli.commands.support.trust_server_choice import ServerArgument, chosen_server
from trustcli.config.credential import TOKEN_FILE_VARIABLE, TOKEN_LOGIN, TOKEN_VARIABLE, Credential
from trustcli.config.trust_logins import TrustLogins
from trustcli.console.exit_codes import DONE
from trustcli.errors import RemoteMisbehaved, RemoteRefused, UsageError
from trustcli.http.messages import Origin, Response
from trustcli.http.record import Record
from trustcli.http.refusals import no_document, words
from trustcli.session import Session

_LIMIT: Final = 256 * 1024
_LONGEST: Final = 16 * 1024
_ASKED: Final = ("/api/v1/collections/unknown.invalid/login/keys/snapshot", "/v2/")
"""What nobody gets without a login where one is wanted. First a key of a collection that nobody has, of servers of this
kind, since a registry on the same host may have /v2/; then what `docker login` asks, of Notary's servers."""

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("login")
def command(
    ctx: typer.Context,
    server: ServerArgument = None,
    username: Annotated[str | None, typer.Option("--username", "-u", help="Who logs in.")] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    token_stdin: Annotated[
        bool, typer.Option("--token-stdin", help="Read a token of the server from standard input.")
    ] = False,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", metavar="FILE", help="Read a token of the server from a file.")
    ] = None,
    oidc: Annotated[bool, typer.Option("--oidc", help="Exchange the token that a CI job has.")] = False,
    audience: Annotated[
        str | None,
        typer.Option("--audience", metavar="URL", help="The audience of the job's token. [the server's URL]"),
    ] = None,
) -> int:
    """Log in at a trust server; a registry on the same host keeps its own login."""
    session: Session = ctx.obj
    url, origin = chosen_server(session, server)
    if not origin.may_carry_credentials:
        raise UsageError(f"{origin} is neither https nor this machine: no password or token goes there in the clear")
    if sum((password_stdin, token_stdin, token_file is not None, oidc)) > 1:
        raise UsageError("give one of --password-stdin, --token-stdin, --token-file and --oidc")
    if audience and not oidc:
        raise UsageError("--audience is about the token of a job: give --oidc as well")
    if oidc and username:
        raise UsageError("the token of a job says itself whose it is: leave --username out")
    if oidc:
        return _as_this_job(session, url, origin, audience or str(origin))
    if token_stdin or token_file is not None:
        if username:
            raise UsageError("a token says itself whose it is: leave --username out")
        user, password = TOKEN_LOGIN, _token(session, token_file)
    else:
        user, password = _typed(session, origin, username, password_stdin=password_stdin)
    source = str(token_file or ("standard input" if password_stdin or token_stdin else "what was typed"))
    _check(session, url, origin, Credential(source=source, username=user, password=password))
    place = TrustLogins(session.environ).store(origin.netloc, user, password)
    has_token = user == TOKEN_LOGIN
    how = "with a token" if has_token else f"as {user}"
    session.output.result(f"logged in at {origin} {how}; stored in {place}")
    _tell_of_what_counts_before(session)
    session.output.document(
        {"server": str(origin), "username": "token" if has_token else user, "stored_in": place, "exit": DONE}
    )
    return DONE


def _as_this_job(session: Session, url: str, origin: Origin, audience: str) -> int:
    """Log in with the token that the CI platform gives to this job."""
    network = session.network()
    token = job_token(session.environ, session.settings, network, audience=audience)
    with contextlib.closing(unauthenticated_link(url, network)) as link:
        given = exchange(link, token)
    place = TrustLogins(session.environ).store(origin.netloc, TOKEN_LOGIN, given.token)
    session.output.result(f"logged in at {origin} as {given.subject} until {given.expires}; stored in {place}")
    _tell_of_what_counts_before(session)
    session.output.document(
        {
            "server": str(origin),
            "username": given.subject,
            "expires": given.expires,
            "stored_in": place,
            "exit": DONE,
        }
    )
    return DONE


def _tell_of_what_counts_before(session: Session) -> None:
    """Tell of a token in the environment: what was stored here counts only without it."""
    for variable in (TOKEN_VARIABLE, TOKEN_FILE_VARIABLE):
        if session.environ.get(variable, "").strip():
            session.output.notice(f"{variable} is set and counts before this login: unset {variable}")


def _token(session: Session, file: Path | None) -> str:
    """Return the token from a file, or from standard input. Raises: SettingsUnusable, UsageError."""
    if file is not None:
        return token_from_file(file, session.settings, given_by="--token-file")
    return checked_token(_from_stdin(), "standard input")


def _typed(session: Session, origin: Origin, username: str | None, *, password_stdin: bool) -> tuple[str, str]:
    """Return the user name and the password. Raises: UsageError."""
    user = username or _asked(session, f"User name at {origin}: ", hidden=False, instead="--username")
    if is_token(user):
        raise UsageError("a token stands in the place of the user name: give it with --token-stdin or --token-file")
    password = (
        _from_stdin() if password_stdin else _asked(session, "Password: ", hidden=True, instead="--password-stdin")
    )
    if ":" in user or not user:
        raise UsageError("a user name is not empty and has no colon: that separates it from the password")
    if not password:
        raise UsageError("the password is empty")
    return user, password


class _Typed:
    """The credential that was typed, for the server for which it was typed, and for no other."""

    def __init__(self, origin: Origin, credential: Credential) -> None:
        self._origin = origin
        self._credential = credential

    def credential_for(self, server: str, *, repository: str = "") -> Credential | None:
        del repository
        return self._credential if server == self._origin.netloc else None


def _check(session: Session, url: str, origin: Origin, credential: Credential) -> None:
    """Check that the server takes the login.

    Raises: UsageError (it wants none), RemoteRefused, RemoteMisbehaved (it is no trust server), RemoteUnreachable.
    """
    record = Record()
    answers: list[Response] = []
    with contextlib.closing(ServerLink(url, session.network(record), _Typed(origin, credential))) as link:
        for target in _ASKED:
            response = link.ask("GET", target, scope="", limit=_LIMIT)
            answers.append(response)
            if record.authentications:
                break
    if not record.authentications and not response.forbids and not response.server_fails:
        strangers = [_of_a_stranger(each, str(origin)) for each in answers]
        if all(strangers):
            raise next(error for error in strangers if error)
        shown_there = ", ".join(session.network().authorities.client_certificates(origin))
        reason = f"it answers {response.status} without one"
        if shown_there:
            reason += f", or for the client certificate {shown_there} (trust whoami says whose that is)"
        raise UsageError(f"{origin} wants no login: {reason}; nothing was stored")
    if response.server_fails or (response.forbids and not _is_taken(response, credential, record)):
        said = problem(response).get("reason") or words(response) or HTTPStatus(response.status).phrase
        raise RemoteRefused(remote=str(origin), status=response.status, reason=f"{said}; nothing was stored", login="")


def _is_taken(answer: Response, credential: Credential, record: Record) -> bool:
    """Return whether the login behind a refusal is good: which rights it has for that name is of no matter here.

    A token server that gave a token has taken the password. A token of the server itself was only sent to it: that it
    is good is seen where the refusal says whom it refuses.
    """
    if credential.is_api_token:
        return problem(answer).get("authenticated") is True
    return any(met.authorization.startswith("Bearer ") for met in record.authentications)


def _of_a_stranger(answer: Response, remote: str) -> RemoteMisbehaved | RemoteRefused | None:
    """Return the error that says so if an answer does not come from a trust server: a page, or a 404 in other words."""
    if answer.absent:
        return doubtful_absence(answer, remote=remote)
    reason = no_document(answer, what="an answer about logins", remote=remote) if answer.body.strip() else ""
    return RemoteMisbehaved(remote=remote, reason=f"{reason}; nothing was stored") if reason else None


def _asked(session: Session, question: str, *, hidden: bool, instead: str) -> str:
    if session.settings.non_interactive:
        raise UsageError(f"nobody can be asked here: give {instead}")
    from trustcli.console.prompt import TerminalPrompt

    prompt = TerminalPrompt()
    answer = prompt.ask_hidden(question) if hidden else prompt.ask(question)
    if answer is None:
        raise UsageError(f"there was no answer; nothing was stored; give {instead}")
    return answer


def _from_stdin() -> str:
    """Return the password or token from standard input, without the line end that most tools put behind it."""
    text = sys.stdin.read(_LONGEST + 1)
    if len(text) > _LONGEST:
        raise UsageError(f"standard input is longer than the {_LONGEST} characters that it may have")
    return text.removesuffix("\n").removesuffix("\r")
