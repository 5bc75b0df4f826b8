"""What must hold of a deployment: each check returns a note for the person, or raises Failed or NotChecked."""

import base64
import json
import time
from typing import Final

import httpx2

from functions.common.ids import new_id
from infra.smoke.site import QUESTION, Failed, NotChecked, Seen, Site, problem_of

_READ_BACK_S: Final = 20.0
_TITLE: Final = "Smoke: ein Häkchen ✓"
_STOP_S: Final = 3.0  # "within about a second", and the way there and back
_LEAST_READS: Final = 3  # an answer that came in fewer pieces was not streamed


def health_answers(site: Site) -> str:
    answer = site.ask("GET", "/api/health", None)
    if answer.status_code != 200 or answer.json().get("status") != "ok":
        raise Failed(f"GET /api/health answers {answer.status_code}: {answer.text[:200]}")
    return f"version {answer.json()['version']}"


def nobody_gets_in_without_a_token(site: Site) -> str:
    body = json.dumps({"messages": [{"role": "user", "content": "hi"}]}).encode()
    site.refused("POST", "/api/chat", None, body)
    site.refused("GET", "/api/conversations", None)
    return "both functions refuse"


def a_forged_token_is_refused(site: Site) -> str:
    for token in _forgeries(site.token):
        site.refused("GET", "/api/buds", token)
        site.refused("GET", "/api/conversations", token)
    return "another signature; no algorithm"


def the_answer_streams(site: Site) -> str:
    seen = site.turn()
    last = seen.last
    if last.get("type") != "complete" or last.get("status") != "complete":
        raise Failed(f"the turn ended with {json.dumps(last)[:300]}")
    if not last["durable"]:
        raise Failed("the answer is complete, and yet not saved")
    site.conversation_id, site.text = last["conversationId"], seen.text
    start, first, end = seen.at("start"), seen.at("token"), seen.at("complete")
    if start > end / 2:
        raise Failed(f"`start` came after {start:.2f} s of {end:.2f} s: something on the way holds the response back")
    if seen.token_reads < _LEAST_READS:
        raise Failed(f"all tokens came in {seen.token_reads} pieces: something on the way collects them")
    return (
        f"start after {start:.2f} s, first token {first:.2f} s, end {end:.2f} s, in {seen.token_reads} pieces; {_created(seen)}"
    )


def the_conversation_reads_back(site: Site) -> str:
    path = f"/api/conversations/{_conversation(site)}"
    end = time.monotonic() + _READ_BACK_S
    while (answer := site.ask("GET", path, site.token)).status_code == 404 and time.monotonic() < end:
        time.sleep(0.5)
    if answer.status_code != 200:
        raise Failed(f"GET {path} answers {answer.status_code}: {answer.text[:200]}")
    messages = [(message["role"], message["content"]) for message in answer.json()["messages"]]
    if messages != [("user", QUESTION), ("assistant", site.text)]:
        raise Failed(f"it has {[role for role, _ in messages]}, and not the text that was streamed")
    return "both messages, the text as it was streamed"


def a_turn_is_stopped(site: Site) -> str:
    """As the page does it: a POST without a body."""
    turn_id, asked = new_id(), 0.0

    def at_the_first_token(seen: Seen) -> None:
        nonlocal asked
        if asked == 0.0 and seen.token_reads:
            asked = seen.events[-1][0]
            answer = site.ask("POST", f"/api/turns/{turn_id}/stop", site.token)
            if answer.status_code != 202:
                raise Failed(f"POST /api/turns/…/stop answers {answer.status_code}: {answer.text[:200]}")

    seen = site.turn(turn_id=turn_id, heard=at_the_first_token)
    if seen.last.get("status") == "complete":
        if (went_on := seen.events[-1][0] - asked) > _STOP_S:
            raise Failed(f"the answer went on for {went_on:.1f} s after it was asked to end")
        raise NotChecked("the answer was over before it could be stopped")
    if seen.last.get("status") != "stopped":
        raise Failed(f"the turn ended with {json.dumps(seen.last)[:300]}, not as stopped")
    return f"it ended {seen.events[-1][0] - asked:.2f} s after it was asked to"


def a_conversation_is_renamed(site: Site) -> str:
    path = f"/api/conversations/{_conversation(site)}"
    answer = site.ask("PATCH", path, site.token, json.dumps({"title": _TITLE}, ensure_ascii=False).encode())
    if answer.status_code != 200 or answer.json()["title"] != _TITLE:
        raise Failed(f"PATCH {path} answers {answer.status_code}: {answer.text[:200]}")
    return f"to {_TITLE!r}"


def what_a_request_without_the_digest_gets(site: Site) -> str:
    """Only an account can tell; whatever it is, the clients send the digest."""
    seen = []
    for method, path, body in (
        ("POST", "/api/chat", b"{}"),  # not a valid turn: answered 400 where it gets through
        ("POST", f"/api/turns/{new_id()}/stop", b""),
        ("DELETE", f"/api/conversations/{new_id()}", b""),
    ):
        answer = site.ask(method, path, site.token, body, digest=False)
        seen.append(f"{method} {'with a' if body else 'without a'} body: {_who_answered(answer)}")
    return "; ".join(seen)


def what_a_query_may_hold(site: Site) -> str:
    """CloudFront signs the query. Percent-encoded, as the clients write it, everything must get through; the rest is told."""
    seen = []
    for text in ("%20", "%2B", "%2A", "%27%28%29%21", "%C3%A9", "+", "*"):
        answer = site.ask("GET", f"/api/conversations?workspaceId=not{text}mine", site.token)
        if text.startswith("%") and problem_of(answer) != "forbidden_workspace":
            raise Failed(f"{text} in a query: {_who_answered(answer)}, not our own forbidden_workspace")
        seen.append(f"{text} {_who_answered(answer)}")
    return "; ".join(seen)


def the_functions_cannot_be_reached_directly(site: Site) -> str:
    urls = site.function_urls()
    for url in urls:
        answer = httpx2.get(url, headers={"authorization": f"Bearer {site.token}"}, timeout=20)
        if answer.status_code != 403:
            raise Failed(f"{url} answers {answer.status_code}, not 403: it is open to whoever knows it")
    return f"{len(urls)} function URLs answer 403"


def what_was_made_is_deleted(site: Site) -> str:
    """As the page does it: a DELETE without a body."""
    if not (made := dict.fromkeys(site.made)):
        raise NotChecked("no conversation was made")
    for path in (f"/api/conversations/{conversation_id}" for conversation_id in made):
        for method, expected in (("DELETE", 204), ("GET", 404)):
            if (status := _settled(site, method, path, expected)) != expected:
                raise Failed(f"{method} {path} answers {status}, not {expected}")
    return f"and is gone: {len(made)} conversation{'s' if len(made) > 1 else ''}"


CHECKS: Final = (
    health_answers,
    nobody_gets_in_without_a_token,
    a_forged_token_is_refused,
    the_answer_streams,
    the_conversation_reads_back,
    a_conversation_is_renamed,
    a_turn_is_stopped,
    what_a_request_without_the_digest_gets,
    what_a_query_may_hold,
    the_functions_cannot_be_reached_directly,
    what_was_made_is_deleted,
)


def _forgeries(token: str) -> tuple[str, str]:
    """The token under another signature, and under none."""
    head, _, rest = token.partition(".")
    claims, _, signature = rest.partition(".")
    if not signature:
        raise NotChecked("TOKEN is no signed JWT")
    raw = bytearray(base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4)))
    raw[0] ^= 0xFF
    return f"{head}.{claims}.{_base64(bytes(raw))}", f"{_base64(json.dumps({'alg': 'none', 'typ': 'JWT'}).encode())}.{claims}."


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _created(seen: Seen) -> str:
    created, last_token = seen.at("conversationCreated"), max(at for at, event in seen.events if event["type"] == "token")
    return f"conversationCreated {'while tokens flowed' if created < last_token else 'after the last token'}, {created:.2f} s"


def _settled(site: Site, method: str, path: str, expected: int) -> int:
    """The status; a conversation that is not stored yet is waited for a little."""
    end = time.monotonic() + _READ_BACK_S
    while (status := site.ask(method, path, site.token).status_code) == 404 != expected and time.monotonic() < end:
        time.sleep(0.5)
    return status


def _who_answered(answer: httpx2.Response) -> str:
    """In words: the function, by its problem document or a success, or somebody before it."""
    if (code := problem_of(answer)) or answer.is_success:
        return f"reached the function ({answer.status_code}{f' {code}' if code else ''})"
    error = answer.headers.get("x-amzn-errortype") or answer.headers.get("x-cache") or answer.headers.get("server") or "no name"
    return f"was refused on the way ({answer.status_code}, {error})"


def _conversation(site: Site) -> str:
    if site.conversation_id is None:
        raise NotChecked("no conversation was made")
    return site.conversation_id
