"""`python -m tests.soak --seconds 1200`: traffic and faults for so long, then calm, then the list of what must hold."""

import argparse
import random
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from local.model.script import Pace, ScriptedModel, cut, endless, finish, pause, stall, status, token
from local.system import LocalSystem
from tests.soak.invariants import Footprint, Violations, check, grown, look
from tests.soak.traffic import Ledger, Person

SETTLE_DELAY_S = 15
PEOPLE = 5
WARM_UP_S = 8
FAULTS: list[dict[str, dict[str, float]]] = [
    {},
    {"dynamodb": {"throttle": 0.2}},
    {"dynamodb": {"error": 0.1, "lost": 0.1}},
    {"dynamodb": {"hang": 0.1, "hang_s": 2.5}},
    {"sqs": {"error": 0.2, "lost": 0.2}},
    {"sqs": {"hang": 0.2, "hang_s": 3.5}},
    {"dynamodb": {"throttle": 0.1, "lost": 0.05}, "sqs": {"error": 0.1}},
]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    chance = random.Random(given.seed)
    print(f"soak of {given.seconds:g} s, seed {given.seed}")
    with ScriptedModel(Pace(ttft_s=0.15, delay_s=0.02, tokens=40)) as model:
        env = {
            "OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "sk-soak", "DEFAULT_MODEL": "soak", "CHAT_WORKERS": "2",
            "CHAT_SETTLE_DELAY_S": str(SETTLE_DELAY_S), "CHAT_VISIBILITY_TIMEOUT_S": "3", "CHAT_EMBEDDED_AWS_FAULTS": "1",
            # A turn that outlives its settling is settled again and again: it may not (local settle delays are short).
            "CHAT_STALL_S": "2", "CHAT_FIRST_TOKEN_S": "4", "CHAT_TURN_S": "13", "CHAT_RESERVE_S": "6",
        }  # fmt: skip
        with LocalSystem(env) as system:
            return soak(system, model, given.seconds, chance)


def soak(system: LocalSystem, model: ScriptedModel, seconds: float, chance: random.Random) -> int:
    ledger = Ledger()
    failures: list[BaseException] = []
    with traffic(system, ledger, chance, failures):
        trouble(system, model, seconds, chance, failures, ledger.kills)
        faults(system, {})
        time.sleep(WARM_UP_S)  # a worker that was killed last has its clients yet to make, and is to be measured with them
    calm(system)
    for _ in range(3):
        if not (letters := redrive(system)):
            break
        print(f"dead letters put back: {letters}")
        calm(system)
    # What a process holds is compared at rest, around traffic without faults: a worker killed in between would begin anew.
    before, begun = footprints(system), len(ledger.turns)
    with traffic(system, ledger, chance, failures):
        time.sleep(max(10, seconds / 6))
    calm(system)
    after = footprints(system)
    print(f"at rest {before}\nand after {len(ledger.turns) - begun} turns more {after}")
    violations = check(look(system), ledger) + grown(before, after)
    report(ledger, violations, failures)
    return 1 if violations or failures else 0


@contextmanager
def traffic(system: LocalSystem, ledger: Ledger, chance: random.Random, failures: list[BaseException]) -> Iterator[None]:
    """People at work while the block runs; their failed assertions go to `failures`."""
    end = threading.Event()

    def live(person: Person) -> None:
        try:
            person.run(end)
        except BaseException as error:  # noqa: BLE001 - a person's failed assertion is the soak's result
            failures.append(error)

    people = [Person(system.url, ledger, chance.randrange(2**32)) for _ in range(PEOPLE)]
    threads = [threading.Thread(target=live, args=[person]) for person in people]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        end.set()
        for thread in threads:
            thread.join(120)


def trouble(
    system: LocalSystem,
    model: ScriptedModel,
    seconds: float,
    chance: random.Random,
    failures: list[BaseException],
    kills: list[float],
) -> None:
    """A fault of AWS for some seconds, one of the model now and then, a worker killed every half minute or so."""
    over = time.monotonic() + seconds
    next_kill = time.monotonic() + chance.uniform(8, 20)
    while time.monotonic() < over and not failures:
        faults(system, chance.choice(FAULTS))
        for _ in range(chance.randint(0, 3)):
            model.plays(*chance.choice([
                [status(429)], [status(500)], [token("so far "), cut()], [token("so far "), stall()],
                [token("a "), pause(0.5), token("b"), finish("length")], [endless("on and on ", 0.01)],
            ]))  # fmt: skip
        if time.monotonic() > next_kill:
            # A worker that dies while storage is down too can leave nothing: that is two faults. Let what is in flight land.
            faults(system, {})
            time.sleep(4)
            kills.append(time.monotonic())
            system.kill_chat_worker(chance.randrange(len(system.workers)))
            system.wait_for_restart()
            next_kill = time.monotonic() + chance.uniform(15, 45)
        time.sleep(chance.uniform(1, 4))


def faults(system: LocalSystem, rates: dict[str, Any]) -> None:
    httpx2.put(f"{system.aws_endpoint}/faults", json=rates, timeout=30).raise_for_status()


def calm(system: LocalSystem) -> None:
    """Until the queue is empty, its delayed messages included."""
    names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"]
    over = time.monotonic() + 180
    while time.monotonic() < over:
        found = system.sqs.get_queue_attributes(QueueUrl=system.queue_url, AttributeNames=names)["Attributes"]
        if not any(int(number) for number in found.values()):
            return
        time.sleep(0.5)
    raise SystemExit(f"the queue did not empty: {found}")


def redrive(system: LocalSystem) -> int:
    """Puts the dead letters back into the queue; how many there were. Faults that outlast five deliveries make some."""
    count = 0
    while messages := system.sqs.receive_message(QueueUrl=system.dead_letter_url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            system.sqs.send_message(QueueUrl=system.queue_url, MessageBody=message["Body"])
            system.sqs.delete_message(QueueUrl=system.dead_letter_url, ReceiptHandle=message["ReceiptHandle"])
            count += 1
    return count


def footprints(system: LocalSystem) -> dict[int, Footprint]:
    """Of each streaming process, by its id. Linux only; empty elsewhere."""
    found = {}
    for name, pid in system.pids.items():
        proc = Path(f"/proc/{pid}")
        if name.startswith("chat_stream") and proc.exists():
            status_of = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines() if ":" in line)
            megabytes = round(int(status_of["VmRSS"].split()[0]) / 1024, 1)
            found[pid] = Footprint(megabytes, int(status_of["Threads"]), len(list((proc / "fd").iterdir())))
    return found


def report(ledger: Ledger, violations: Violations, failures: list[BaseException]) -> None:
    print(f"turns begun {len(ledger.turns)}, conversations deleted {len(ledger.deleted)}, workers killed {len(ledger.kills)}")
    for what, count in sorted(ledger.counts.items()):
        print(f"  {what:24} {count}")
    outcomes: dict[str, int] = {}
    for turn in ledger.turns:
        outcome = str(turn.last.get("status") or turn.last.get("code") or "not seen to its end")
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    print("ended as", ", ".join(f"{name} {count}" for name, count in sorted(outcomes.items())))
    for line in [*violations, *(repr(failure) for failure in failures)]:
        print("VIOLATED:", line)
    print("all invariants hold" if not violations and not failures else "FAILED")


if __name__ == "__main__":
    sys.exit(main())
