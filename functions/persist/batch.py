"""A batch of records, stored with as few calls as correctness allows: one read for all, then the waves of writes."""

from collections.abc import Sequence

from functions.common.records import Record, SettleTurn, TurnFinished, TurnStarted
from functions.persist.errors import PersistError
from functions.persist.job import Job, Outcome
from functions.persist.known import Known, read_known
from functions.persist.pace import Pace
from functions.persist.plan import Plan, plan_finished, plan_refused, plan_started
from functions.persist.settle import settle
from functions.persist.store import Store
from functions.persist.waves import run

Result = Outcome | PersistError


def store_batch(records: Sequence[Record], store: Store, pace: Pace) -> list[Result]:
    """What became of each record, in their order. An error means that this record, and only this, must come again."""
    try:
        known = read_known(records, store, pace)
    except PersistError as error:
        return [error] * len(records)
    begun = [_begin(record, known, store, pace) for record in records]
    # A conversation's first turn goes before the turns that need it there.
    run(sorted((job for job in begun if isinstance(job, Job)), key=lambda job: not job.plan.turn.new), store, pace)
    return [one.result if isinstance(one, Job) else one for one in begun]


def _begin(record: Record, known: Known, store: Store, pace: Pace) -> Job | Result:
    if (outcome := known.settled_already(record)) is not None:
        return outcome
    try:
        return Job(_plan(record, known, store, pace))
    except PersistError as error:
        return error


def _plan(record: Record, known: Known, store: Store, pace: Pace) -> Plan:
    workspace_id = known.workspace_of(record.turn)
    if workspace_id is None:
        return plan_refused(store.tables, record.turn)
    match record:
        case TurnStarted():
            return plan_started(store.tables, record, workspace_id)
        case TurnFinished():
            begun, claimed = known.begun(record.turn), known.claimed(record.turn)
            return plan_finished(store.tables, record, workspace_id, begun=begun, claimed=claimed)
        case SettleTurn():
            return settle(record.turn, workspace_id, store, pace)
