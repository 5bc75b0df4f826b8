"""The simulation: it loses nobody and no record, it is the same each time, and raising what it names moves the break."""

import pytest

from bench.cost.work import measure
from bench.scale.contention import Table, settle
from bench.scale.demand import Load, Turn
from bench.scale.quotas import Quotas
from bench.scale.report import SHAPE
from bench.scale.simulation import Result, Simulation
from functions.persist.pace import MAX_ATTEMPTS
from infra.config import Config


def simulate(load: Load, quotas: Quotas | None = None) -> Result:
    return Simulation(load, Turn.of(measure(SHAPE)), quotas or Quotas.of(Config().persist_concurrency)).run()


@pytest.mark.parametrize("streams", [1, 10, 997, 20_000])
def test_every_turn_and_every_record_ends_somewhere(streams: int) -> None:
    result = simulate(Load(streams, hold_s=120))

    assert result.offered == result.admitted + result.refused
    assert result.admitted == result.finished
    assert result.running == 0
    assert result.records_sent == 3 * result.admitted
    assert result.records_sent == result.records_stored + result.records_dead + result.records_left


@pytest.mark.parametrize("streams", [1, 10, 33, 1_000])
def test_a_ramp_reaches_the_streams_it_names(streams: int) -> None:
    result = simulate(Load(streams), Quotas.unlimited())

    assert max(second.running for second in result.seconds) == pytest.approx(streams, abs=1)


def test_ten_streams_break_nothing() -> None:
    result = simulate(Load(10))

    assert result.first is None
    assert (result.refused, result.pending, result.records_dead) == (0, 0, 0)


def test_the_account_is_the_first_to_break_and_raising_it_moves_the_break() -> None:
    load, quotas = Load(10_000, hold_s=300), Quotas.of(20)
    before = simulate(load, quotas)
    assert before.first == "account"

    after = simulate(load, quotas.raised("account", 20_000))

    assert after.first == "growth"
    assert after.broke["growth"] > before.broke["account"]
    assert after.refused < before.refused


def test_a_slower_rise_is_what_helps_against_growth() -> None:
    quotas = Quotas.of(20).raised("account", 20_000).raised("turns_write_warm", 40_000)

    assert "growth" not in simulate(Load(10_000, ramp_s=130), quotas).broke
    assert simulate(Load(10_000, ramp_s=130), quotas).refused == 0


def test_running_streams_stay_within_the_account() -> None:
    assert max(second.running for second in simulate(Load(5_000)).seconds) <= 1_000


def test_persist_that_is_starved_of_concurrency_is_late_and_loses_nothing() -> None:
    starved = simulate(Load(100_000))

    assert starved.pending > 0
    assert starved.longest_wait_s > 60
    assert starved.records_stored + starved.records_dead == starved.records_sent


def test_a_share_closed_to_streams_keeps_persist_in_time() -> None:
    result = Simulation(Load(100_000), Turn.of(measure(SHAPE)), Quotas.of(20), reserved=900).run()

    assert max(second.running for second in result.seconds) == 900
    assert result.pending / result.admitted < 0.001  # a burst at a cold table: some records wait a time-out out
    assert max(second.oldest_s for second in result.seconds) <= 1


def test_a_table_that_is_too_cold_delays_checkpoints() -> None:
    quotas = Quotas.unlimited().raised("turns_write_warm", 500)

    result = simulate(Load(1_000), quotas)

    assert result.first == "turns_write_warm"
    # Streams ask for 1,133 units a second and get 500 of them, less what persist and its retries take.
    assert 1 - 500 / 1133 < result.delayed_writes / result.streaming_writes < 0.8


def test_the_same_load_comes_out_the_same() -> None:
    assert simulate(Load(3_000)) == simulate(Load(3_000))


def test_persist_at_ease_needs_one_attempt() -> None:
    pace = settle({"turns_write": Table(allowed=1e9, streaming=0, per_batch=10)}, 5, batch_s=0.05, most_batches=1e9)

    assert pace.batches == pytest.approx(100)
    assert (pace.attempts, pace.failing) == (1, 0)


def test_persist_against_a_full_table_asks_for_what_it_gets() -> None:
    table = Table(allowed=100, streaming=50, per_batch=10)

    pace = settle({"turns_write": table}, 20, batch_s=0.05, most_batches=1e9)

    asked = table.streaming + pace.batches * pace.attempts * table.per_batch
    assert asked * pace.share == pytest.approx(table.allowed, rel=0.05)
    assert pace.failing == pytest.approx((1 - pace.share) ** MAX_ATTEMPTS)
