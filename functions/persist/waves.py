"""Many jobs through few transactions: those that touch nothing in common share one, the others follow in their order."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from functions.common.keys import Key
from functions.persist.errors import NO_REASON, Cancelled, OutOfTime, PersistError, Unavailable
from functions.persist.job import Job
from functions.persist.pace import Pace
from functions.persist.plan import MAX_BYTES, MAX_ENTRIES
from functions.persist.store import Store


def run(jobs: Sequence[Job], store: Store, pace: Pace) -> None:
    """Brings every job to its end: stored, or an error. Never raises for a record's sake."""
    pending = [job for job in jobs if not job.over]
    while pending:
        for pack in packs(wave(pending)):
            _send(pack, store, pace)
        pending = [job for job in pending if not job.over]
        if attempt := max((job.attempts for job in pending if job.waits), default=0):
            pace.pause(attempt)


def wave(pending: Iterable[Job]) -> Iterator[Job]:
    """The jobs that may go now: no item may stand twice in a transaction, and of two that meet the earlier goes first."""
    taken: set[Key] = set()
    for job in pending:
        touched = {write.key for write in job.writes}
        if taken.isdisjoint(touched):
            yield job
        taken |= touched


def packs(jobs: Iterable[Job]) -> Iterator[list[Job]]:
    """Jobs in groups that each fit one transaction; one that was cancelled before goes by itself."""
    pack: list[Job] = []
    entries = size = 0
    for job in jobs:
        if job.alone:
            yield [job]
            continue
        length = sum(write.size for write in job.writes)
        if pack and (entries + len(job.writes) > MAX_ENTRIES or size + length > MAX_BYTES):
            yield pack
            pack, entries, size = [], 0, 0
        pack.append(job)
        entries += len(job.writes)
        size += length
    if pack:
        yield pack


def _send(pack: Sequence[Job], store: Store, pace: Pace) -> None:
    for job in pack:
        job.waits = False
    try:
        pace.check()
        store.transact(chain.from_iterable(job.writes for job in pack))
    except Cancelled as error:
        _cancelled(pack, error)
    except PersistError as error:
        _failed(pack, error)
    else:
        for job in pack:
            job.stored()


def _cancelled(pack: Sequence[Job], error: Cancelled) -> None:
    count = sum(len(job.writes) for job in pack)
    if len(error.reasons) != count or all(reason.code == NO_REASON for reason in error.reasons):
        # Cancelled, and DynamoDB does not say why: as if it were busy.
        _failed(pack, Unavailable("cancelled_without_reason"))
        return
    reasons = iter(error.reasons)
    for job in pack:
        job.cancelled([next(reasons) for _ in job.writes])


def _failed(pack: Sequence[Job], error: PersistError) -> None:
    if len(pack) > 1 and not error.retryable and not isinstance(error, OutOfTime):
        # DynamoDB does not say whose write it will not take: each finds out by itself.
        for job in pack:
            job.alone = True
        return
    for job in pack:
        job.failed(error)
