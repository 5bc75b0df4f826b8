"""Settling: a turn whose answer never came is stored from its log, so that what was shown is not lost and nothing spins on."""

from functions.common.records import TurnHead
from functions.common.turns import STREAMING
from functions.persist.pace import Pace
from functions.persist.plan import Plan, plan_settled
from functions.persist.store import Store


def settle(turn: TurnHead, workspace_id: str, store: Store, pace: Pace) -> Plan:
    """The plan that stores the turn as its log shows it now.

    Also when the claim says that the turn ended well: its answer is then still in a queue, and replaces this one; should it be
    lost there, the log's text is whole. Also without any log: the placeholder must not stream for ever.
    """
    view = pace.patiently(lambda: store.read_turn(turn.turn_id, turn.user_id))
    # The settle delay is the longest a turn can live. Should one outlive it, what it says afterwards is settled again.
    alive = view is not None and view.status == STREAMING
    return plan_settled(store.tables, turn, workspace_id, view.text if view is not None else None, alive)
