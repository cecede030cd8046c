"""All faults by name, in the order in which they run."""

from __future__ import annotations

from tests.chaos.faults import deletions, kills, people, service, spot, stalls
from tests.chaos.world import Fault

FAULTS: dict[str, Fault] = {
    function.__name__: function
    for function in (
        kills.kill_worker,
        kills.kill_triggerer,
        stalls.stalled_triggerer,
        kills.kill_scheduler,
        kills.kill_airflow,
        kills.drained_worker,
        kills.drained_scheduler,
        service.failing_calls,
        service.lost_answer,
        spot.spot_interruptions,
        spot.no_spot_capacity,
        people.mark_failed_deferred,
        people.mark_failed_running,
        people.mark_success_deferred,
        people.stopped_in_console,
        deletions.deleted_run,
        deletions.deleted_dag,
        people.cleared,
        people.cleared_live,
    )
}
