"""The terminal client: shows an answer as it is made, loses none of it to a dropped connection, and pipes.

Exit codes: 0, 1 for what failed, 2 for a wrong call, 130 after Ctrl-C.
"""

import hashlib
import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import httpx2
import typer

from chat_cli.ids import new_id
from chat_cli.sse import SSEDecoder

USAGE: Final = """Chat from the terminal.

\b
chat "hello"                      begins a conversation
chat --continue "and then?"       goes on with the last one
git diff | chat -                 reads the message from standard input
chat list, chat show ID           read conversations back

The first word is the command if it is a command's name; all else is a message. To send one that looks like a command:
chat say list, or chat -- list. Ctrl-C stops the answer and keeps what came.
"""
LOCAL: Final = "http://127.0.0.1:8000"
BACKOFF_S: Final = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)  # after a cut; begins anew with every event that arrives
SILENCE_S: Final = 35.0  # docs/api.md: a comment at least every 10 s, so three missing ones are a dead connection
PASSING: Final = frozenset({404, 429, 500, 502, 503, 504})  # what a resume may meet while the server comes back
TERMINAL: Final = frozenset({"complete", "error"})
_CONTROL: Final = dict.fromkeys(code for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t")


class Failure(Exception):
    """What went wrong, as one sentence for the person at the terminal."""


class Refused(Failure):
    """The server answered with an error."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


class Unreachable(Failure):
    """No connection could be made."""


def _for_the_edge(request: httpx2.Request) -> None:
    """CloudFront signs the request to the function, and takes the body's digest from whoever sends it, the empty body's too.

    It signs the query as well, where a form's `+` for a space has a second reading: `%20` has one.
    """
    request.url = request.url.copy_with(query=request.url.query.replace(b"+", b"%20") or None)
    if request.method not in {"GET", "HEAD"}:
        request.headers["x-amz-content-sha256"] = hashlib.sha256(request.read()).hexdigest()


# ── The server ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Server:
    """The HTTP API of one deployment or of the local run; every refusal is a sentence."""

    def __init__(self, url: str, token: str | None) -> None:
        self.url = url
        self._loopback = urlsplit(url).hostname in {"127.0.0.1", "localhost", "::1"}
        self._http = httpx2.Client(
            base_url=url,
            headers={"accept-encoding": "identity"} | ({"authorization": f"Bearer {token}"} if token else {}),
            timeout=httpx2.Timeout(10.0, read=SILENCE_S),
            trust_env=not self._loopback,  # a proxy to the world is no way to this machine
            event_hooks={"request": [_for_the_edge]},
        )

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, **params: str | int | None) -> Any:
        """The JSON document at `path`; raises Failure."""
        given = {name: value for name, value in params.items() if value is not None}
        try:
            response = self._http.get(path, params=given)
        except httpx2.TransportError as error:
            raise self._unreachable(error) from error
        if response.status_code != httpx2.codes.OK:
            raise self._refused(response)
        try:
            return response.json()
        except ValueError as error:
            raise self._stranger() from error

    def pages(self, path: str, items: str, **params: str | int | None) -> Iterator[dict[str, Any]]:
        """Every page at `path`, as long as the caller goes on; `items` names the list in it."""
        cursor: str | None = None
        while True:
            page = self.get(path, cursor=cursor, **params)
            if not isinstance(page, dict) or not isinstance(page.get(items), list):
                raise self._stranger()
            yield page
            if not (cursor := page.get("cursor")):
                return

    def frames(self, path: str, body: bytes | None = None, after: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
        """`(number, event)` as they arrive; POST with a body, GET after the event `after` without one.

        Raises Failure before the first event; httpx2.TransportError when the connection breaks later.
        """
        headers = {} if body is None else {"content-type": "application/json"}
        if after:
            headers["last-event-id"] = str(after)
        request = self._http.build_request("GET" if body is None else "POST", path, content=body, headers=headers)
        try:
            response = self._http.send(request, stream=True)
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise self._unreachable(error) from error
        try:
            if response.status_code != httpx2.codes.OK:
                response.read()
                raise self._refused(response)
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                raise self._stranger()
            decoder = SSEDecoder()
            for chunk in response.iter_raw():
                for message in decoder.feed(chunk):
                    yield int(message.id or 0), _event(message.data)
        except ValueError as error:  # SSEOverflow is one too
            raise self._stranger() from error
        finally:
            response.close()

    def stop(self, turn_id: str) -> None:
        """Asks for the turn's end, again when the turn is not known yet; raises Failure."""
        for delay in (0.2, 0.5, 1.0, None):
            try:
                response = self._http.post(f"/api/turns/{turn_id}/stop")
            except httpx2.TransportError as error:
                raise self._unreachable(error) from error
            if response.is_success:
                return
            if response.status_code not in PASSING or delay is None:
                raise self._refused(response)
            time.sleep(delay)

    def _unreachable(self, error: httpx2.TransportError) -> Unreachable:
        if self._loopback and isinstance(error, httpx2.ConnectError):
            return Unreachable(
                f"Nothing answers at {self.url}. Start the server with `make run` in the repository, or name one with --url."
            )
        return Unreachable(f"{self.url} cannot be reached ({type(error).__name__}).")

    def _stranger(self) -> Failure:
        return Failure(f"Something answers at {self.url}, but it does not speak this API.")

    def _refused(self, response: httpx2.Response) -> Refused:
        """The problem document's own words; the status alone when there is none."""
        try:
            problem = response.json()
        except ValueError:
            problem = None
        if response.status_code == httpx2.codes.UNAUTHORIZED:
            return Refused("The server wants a valid access token: set CHAT_TOKEN, or pass --token.", response.status_code)
        if not isinstance(problem, dict) or not problem.get("title"):
            return Refused(f"{self.url} answered {response.status_code} {response.reason_phrase}.", response.status_code)
        sentence = f"{problem['title']}: {problem['detail']}" if problem.get("detail") else str(problem["title"])
        if wait := response.headers.get("retry-after"):
            sentence += f"; try again in {wait} s"
        return Refused(f"{sentence} ({problem.get('code', response.status_code)})", response.status_code)


def _event(data: bytes) -> dict[str, Any]:
    event = json.loads(data)
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise ValueError("not an event")  # noqa: TRY004 - what a server sent, not how a function was called
    return event


def follow(server: Server, path: str, body: bytes, turn_id: str) -> Iterator[dict[str, Any]]:
    """The events of a turn up to its last one, each exactly once, over as many connections as it takes; raises Failure.

    A cut before the first event repeats the POST, which is safe because the turn's id is its idempotency key.
    """
    seen, cut, delays = 0, False, iter(BACKOFF_S)
    while True:
        try:
            for number, event in server.frames(f"/api/turns/{turn_id}/stream", after=seen) if seen else server.frames(path, body):
                if number <= seen:
                    continue
                seen, delays = number, iter(BACKOFF_S)
                yield event
                if event["type"] in TERMINAL:
                    return
        except Unreachable:
            if not cut:
                raise
        except Refused as refusal:
            if not seen or refusal.status not in PASSING:
                raise
        except httpx2.TransportError:
            pass  # the connection broke: what follows is the resume
        cut = True
        if (delay := next(delays, None)) is None:
            raise Failure(
                "The connection was lost and does not come back. The turn goes on without it: look with `chat list` later."
            )
        time.sleep(delay * random.uniform(0.7, 1.3))  # noqa: S311 - spreads clients out, guards nothing


# ── What is remembered between runs ───────────────────────────────────────────────────────────────────────────────────────


class LastTurn:
    """What `--continue` goes on with: per server, the id of the last turn until its conversation's id is known."""

    def __init__(self, url: str, env: Mapping[str, str]) -> None:
        home = env.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        self._file = Path(home) / "streaming-first-chat" / "last.json"
        self._url = url

    def remember(self, what: str, value: str) -> None:
        """`what` is `turn` or `conversation`. A state that cannot be written is said, and no more: the answer matters more."""
        part = self._file.with_suffix(f".{os.getpid()}")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(self._read() | {self._url: {what: value}}))
            part.replace(self._file)
        except OSError as error:
            note(f"`--continue` will not know this conversation: {self._file} cannot be written ({error.strerror}).")

    def conversation(self, server: Server) -> str:
        """The id of the last conversation; raises Failure."""
        last = self._read().get(self._url, {})
        if conversation := last.get("conversation"):
            return str(conversation)
        if not (turn := last.get("turn")):
            raise Failure(f"There is no conversation with {self._url} yet to go on with.")
        if conversation := server.get(f"/api/turns/{turn}").get("conversationId"):
            return str(conversation)
        raise Failure("The last message is not stored yet; try again in a moment.")

    def _read(self) -> dict[str, dict[str, str]]:
        # A missing or damaged file is no state, not an error.
        with suppress(OSError, ValueError):
            state = json.loads(self._file.read_text())
            if isinstance(state, dict):
                return state
        return {}


# ── Conversations ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_conversation(server: Server, conversation_id: str) -> dict[str, Any]:
    """The conversation with the messages of all its pages; raises Failure."""
    first, *rest = server.pages(f"/api/conversations/{conversation_id}", "messages")
    for page in rest:
        first["messages"] += page["messages"]
    return first


def newest_branch(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages from the root to the newest leaf."""
    by_id = {message["id"]: message for message in messages}
    parents = {message["parentId"] for message in messages}
    leaves = [message for message in messages if message["id"] not in parents]
    step = max(leaves, key=lambda message: (message["createdAt"], message["id"]), default=None)
    branch: list[dict[str, Any]] = []
    while step is not None:
        branch.append(step)
        step = by_id.get(step["parentId"])
    return branch[::-1]


@dataclass(frozen=True, slots=True)
class Choices:
    """What the person asked for on the command line; None leaves it to the server or to the conversation."""

    bud: str | None
    model: str | None
    workspace: str | None


def new_request(text: str, choices: Choices) -> tuple[str, dict[str, Any]]:
    """Path and body of a turn that begins a conversation."""
    messages = [{"id": new_id(), "role": "user", "content": text}]
    return "/api/chat", {"messages": messages} | _chosen(choices)


def continue_request(conversation: dict[str, Any], text: str, choices: Choices) -> tuple[str, dict[str, Any]]:
    """Path and body of a turn that goes on with a conversation's newest branch; raises Failure while that is still growing."""
    branch = newest_branch(conversation["messages"])
    if branch and branch[-1]["status"] == "streaming":
        raise Failure("The last answer is still being written; wait for it, then go on.")
    messages = [{name: message[name] for name in ("id", "role", "content")} for message in branch]
    kept = Choices(choices.bud or conversation["budId"], choices.model or conversation["model"], choices.workspace)
    return f"/api/chat/{conversation['id']}", {
        "messages": [*messages, {"id": new_id(), "role": "user", "content": text}],
        "parentId": branch[-1]["id"] if branch else None,
    } | _chosen(kept)


def _chosen(choices: Choices) -> dict[str, str]:
    given = {"budId": choices.bud, "model": choices.model, "workspaceId": choices.workspace}
    return {name: value for name, value in given.items() if value}


# ── The terminal ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def printable(text: str) -> str:
    """The text without the control characters by which a model or a title could drive the terminal."""
    return text.translate(_CONTROL)


def note(sentence: str) -> None:
    print(f"chat: {printable(sentence)}", file=sys.stderr, flush=True)


class Screen:
    """Where an answer goes: a terminal gets a spinner until there is text, and dim reasoning; a pipe gets the answer alone."""

    def __init__(self) -> None:
        self._tty = sys.stdout.isatty()
        self._tail = "\n"
        self._dim = False
        self._waiting = self._spinner() if self._tty else nullcontext()

    def __enter__(self) -> "Screen":
        self._waiting.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the line, so that whatever is said next begins one."""
        self._wait_no_more()
        self._colour(dim=False)
        self._write("" if self._tail == "\n" else "\n")

    def answer(self, text: str) -> None:
        self._wait_no_more()
        if self._dim:
            self._colour(dim=False)
            self._write("\n\n")
        self._write(text)

    def reasoning(self, text: str) -> None:
        if self._tty:
            self._wait_no_more()
            self._colour(dim=True)
            self._write(text)

    def _write(self, text: str) -> None:
        text = printable(text) if self._tty else text
        self._tail = text[-1:] or self._tail
        sys.stdout.write(text)
        sys.stdout.flush()

    def _colour(self, *, dim: bool) -> None:
        if dim != self._dim:
            self._dim = dim
            sys.stdout.write("\033[2m" if dim else "\033[0m")

    def _wait_no_more(self) -> None:
        waiting, self._waiting = self._waiting, nullcontext()
        waiting.__exit__(None, None, None)

    @staticmethod
    def _spinner() -> AbstractContextManager[object]:
        from rich.console import Console  # a pipe needs none of it, and it takes longer to import than all the rest

        return Console().status("")


@dataclass(slots=True)
class Measure:
    """What `-v` tells of a turn. Times in seconds on the monotonic clock."""

    begun: float = 0.0
    first: float | None = None
    last: float = 0.0
    model: str = ""
    conversation_id: str | None = None
    usage: Mapping[str, int] | None = None

    def text_came(self) -> None:
        self.last = time.monotonic()
        self.first = self.first or self.last

    def sentence(self) -> str:
        parts = [f"{self.first - self.begun:.3f} s to the first token" if self.first else "no text", self.model]
        if self.usage:
            parts.append(f"{self.usage['inputTokens']} tokens in, {self.usage['outputTokens']} out")
            if self.first and self.last > self.first:
                parts.append(f"{self.usage['outputTokens'] / (self.last - self.first):.1f} tokens/s")
        parts.append(f"conversation {self.conversation_id}" if self.conversation_id else "conversation not stored yet")
        return " · ".join(part for part in parts if part)


@contextmanager
def stop_on_interrupt(stop: Callable[[], None]) -> Iterator[threading.Event]:
    """Inside, the first Ctrl-C calls `stop` beside the reading of the stream, which then ends by itself; a second one leaves."""
    asked = threading.Event()

    def ask() -> None:
        try:
            stop()
        except Failure as failure:
            note(f"The turn could not be stopped: {failure} Ctrl-C again leaves it to itself.")

    def on_interrupt(*_: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        threading.Thread(target=ask, daemon=True).start()

    previous = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, previous)


def show_turn(events: Iterator[dict[str, Any]], last: LastTurn, measure: Measure) -> dict[str, Any]:
    """Prints the answer as it comes and returns the event that ended the turn."""
    with Screen() as screen:
        for event in events:
            match event["type"]:
                case "start":
                    measure.model = event["model"]
                    if measure.conversation_id is None:
                        last.remember("turn", event["turnId"])
                case "token":
                    measure.text_came()
                    screen.answer(event["content"])
                case "reasoning":
                    measure.text_came()
                    screen.reasoning(event["content"])
                case "complete":
                    measure.usage = event["usage"]
            if conversation := event.get("conversationId"):
                measure.conversation_id = conversation
                last.remember("conversation", conversation)
            if event["type"] in TERMINAL:
                return event
    raise AssertionError("a turn's events end with its last one")


def conclude(end: dict[str, Any]) -> None:
    """Says on stderr what is unusual about a turn's end; raises Failure when it failed."""
    if end["type"] == "error":
        saved = " The text above is saved." if end["partial"] else ""
        raise Failure(f"{end['message'].rstrip('.')} ({end['code']}).{saved}")
    if end["status"] != "complete":
        note(f"The answer was {'cut at the length limit' if end['status'] == 'truncated' else end['status']}.")
    if not end["durable"]:
        note("Storage has not confirmed this answer yet.")


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on a terminal, tab-separated lines in a pipe."""
    cells = [[" ".join(printable(cell).split()) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for line in cells:
            print("\t".join(line))
        return
    from rich.console import Console  # see Screen
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for line in cells:
        table.add_row(*(Text(cell) for cell in line))
    Console().print(table)


# ── Commands ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise typer.BadParameter("give a URL such as http://127.0.0.1:8000")
    return value.rstrip("/")


def _token(value: str | None) -> str | None:
    value = (value or "").strip()
    if not (value.isascii() and value.isprintable()):
        raise typer.BadParameter("this cannot be an access token")
    return value or None


Url = Annotated[str, typer.Option("--url", envvar="CHAT_URL", callback=_url, help="The server.")]
Token = Annotated[str | None, typer.Option("--token", envvar="CHAT_TOKEN", callback=_token, help="An OIDC access token.")]
Workspace = Annotated[str | None, typer.Option("--workspace", "-w", help="A workspace; your own when not given.")]

app = typer.Typer(
    help=USAGE,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    subcommand_metavar="MESSAGE... | COMMAND",
    rich_markup_mode=None,
)


@app.command()
def say(
    words: Annotated[list[str], typer.Argument(metavar="MESSAGE...", help="The message; `-` reads it from standard input.")],
    go_on: Annotated[bool, typer.Option("--continue", "-c", help="Go on with the last conversation.")] = False,
    bud: Annotated[str | None, typer.Option("--bud", "-b", help="The assistant; see `chat buds`.")] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="A model the assistant allows.")] = None,
    workspace: Workspace = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tell times, tokens and ids on stderr.")] = False,
    url: Url = LOCAL,
    token: Token = None,
) -> None:
    """Send a message and show the answer (what happens when no command is named)."""
    text = _standard_input() if words == ["-"] else " ".join(words)
    if not text.strip():
        raise typer.BadParameter("the message is empty", param_hint="MESSAGE")
    last, choices, turn_id, measure = LastTurn(url, os.environ), Choices(bud, model, workspace), new_id(), Measure()
    with Server(url, token) as server:
        if go_on:
            measure.conversation_id = last.conversation(server)
            path, body = continue_request(read_conversation(server, measure.conversation_id), text, choices)
        else:
            path, body = new_request(text, choices)
        measure.begun = time.monotonic()
        events = follow(server, path, json.dumps({"turnId": turn_id, **body}).encode(), turn_id)
        with stop_on_interrupt(lambda: server.stop(turn_id)) as interrupted:
            end = show_turn(events, last, measure)
    if verbose:
        note(measure.sentence())
    conclude(end)
    if interrupted.is_set():
        raise typer.Exit(128 + signal.SIGINT)


def _standard_input() -> str:
    try:
        text = sys.stdin.read()
        text.encode()  # what Python could not read stands there as lone surrogates
    except UnicodeError as error:
        raise Failure("Standard input is not text in UTF-8.") from error
    return text


@app.command("list")
def list_conversations(
    workspace: Workspace = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most this many.")] = 20,
    url: Url = LOCAL,
    token: Token = None,
) -> None:
    """List conversations, the most recently active first."""
    rows: list[list[str]] = []
    with Server(url, token) as server:
        for page in server.pages("/api/conversations", "items", workspaceId=workspace):
            rows += [[item["id"], item["updatedAt"], item["title"] or ""] for item in page["items"]]
            if len(rows) >= limit:
                break
    print_rows(("id", "last active", "title"), rows[:limit])


@app.command()
def show(
    conversation_id: Annotated[str, typer.Argument(metavar="ID", help="The conversation's id.")],
    url: Url = LOCAL,
    token: Token = None,
) -> None:
    """Show the newest branch of a conversation."""
    with Server(url, token) as server:
        conversation = read_conversation(server, conversation_id)
    branch = newest_branch(conversation["messages"])
    document = "\n\n".join(f"## {_heading(message)}\n\n{message['content']}" for message in branch)
    if sys.stdout.isatty():
        from rich.console import Console  # see Screen
        from rich.markdown import Markdown

        Console().print(Markdown(printable(document)))
    else:
        print(document)
    if others := len(conversation["messages"]) - len(branch):
        note(f"{others} more in other branches.")


def _heading(message: Mapping[str, Any]) -> str:
    return message["role"] if message["status"] == "complete" else f"{message['role']} ({message['status']})"


@app.command()
def buds(url: Url = LOCAL, token: Token = None) -> None:
    """List the assistants the server offers."""
    with Server(url, token) as server:
        offered = server.get("/api/buds")
    print_rows(
        ("id", "name", "models", "description"),
        [[bud["id"], bud["name"], ", ".join(bud["models"]), bud["description"]] for bud in offered],
    )


def with_command(args: Sequence[str]) -> list[str]:
    """The arguments with their command in front: the first word, if it is a command's name, else `say`.

    Options may stand before the word; one that takes a value hides its value from this search, and `--` ends it.
    """
    commands = vars(typer.main.get_command(app))["commands"]
    takes_value = {
        name
        for command in commands.values()
        for option in command.params
        if option.param_type_name == "option" and not option.is_flag
        for name in option.opts
    }
    place = 0
    while place < len(args) and args[place].startswith("-") and args[place] not in {"-", "--"}:
        place += 2 if args[place] in takes_value else 1
    if place < len(args) and args[place] in commands:
        return [args[place], *args[:place], *args[place + 1 :]]
    return list(args) if not args or args[0] == "--help" else ["say", *args]


def main(args: Sequence[str] | None = None) -> None:
    """The entry point `chat`; ends by SystemExit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a lone surrogate in an answer is no reason to break off
    try:
        app(args=with_command(sys.argv[1:] if args is None else args), prog_name="chat")
    except Failure as failure:
        note(str(failure))
        sys.exit(1)


if __name__ == "__main__":
    main()
