"""What must hold of a deployment: each check returns a note for the person, or raises Failed or NotChecked."""

import base64
import json
import time
from typing import Final

import httpx2

from infra.smoke.site import QUESTION, Failed, NotChecked, Seen, Site

_READ_BACK_S: Final = 20.0
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
    last = seen.events[-1][1] if seen.events else {}
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


def the_functions_cannot_be_reached_directly(site: Site) -> str:
    urls = site.function_urls()
    for url in urls:
        answer = httpx2.get(url, headers={"authorization": f"Bearer {site.token}"}, timeout=20)
        if answer.status_code != 403:
            raise Failed(f"{url} answers {answer.status_code}, not 403: it is open to whoever knows it")
    return f"{len(urls)} function URLs answer 403"


def what_was_made_is_deleted(site: Site) -> str:
    path = f"/api/conversations/{_conversation(site)}"
    for method, expected in (("DELETE", 204), ("GET", 404)):
        if (status := site.ask(method, path, site.token).status_code) != expected:
            raise Failed(f"{method} {path} answers {status}, not {expected}")
    return "and is gone"


CHECKS: Final = (
    health_answers,
    nobody_gets_in_without_a_token,
    a_forged_token_is_refused,
    the_answer_streams,
    the_conversation_reads_back,
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


def _conversation(site: Site) -> str:
    if site.conversation_id is None:
        raise NotChecked("no conversation was made")
    return site.conversation_id
