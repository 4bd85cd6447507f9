"""One answer to what state a run is in, whoever asks."""

import pytest
import sweeps

from seqgen import config as configs
from seqgen import run_directory, run_lock, run_state, sweep, sweep_results, trials
from seqgen.errors import UsageError
from seqgen.run_state import State

ENDS = {
    None: State.NEW,
    "DONE": State.DONE,
    "FAILED": State.FAILED,
    "PREEMPTED": State.STOPPED,
    "RUNNING": State.KILLED,
}


@pytest.mark.parametrize(("said", "state"), ENDS.items())
def test_a_run_is_what_it_said_last_unless_a_process_holds_it(tmp_path, said, state):
    if said is not None:
        run_directory.set_status(tmp_path, said)
    assert run_state.state(tmp_path) is state
    with run_lock.hold(tmp_path):
        held = State.DONE if said == "DONE" else State.RUNNING
        assert run_state.state(tmp_path) is held
    assert run_state.state(tmp_path / "nowhere") is State.NEW


@pytest.mark.parametrize("content", ["{", "{}", '{"status": "GONE"}'])
@pytest.mark.parametrize("name", ["status.json", "config.json"])
def test_a_damaged_record_is_an_error_of_one_run_and_a_state_among_many(tmp_path, name, content):
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / name).write_text(content)
    with pytest.raises(UsageError, match=name) as caught:
        run_state.state(tmp_path / "damaged")
    found = run_state.look_at([tmp_path / "damaged", tmp_path / "other"])
    assert found == [(State.DAMAGED, str(caught.value)), (State.NEW, "")]


def test_a_sweep_and_its_report_see_the_same_states(tmp_path):
    config = sweeps.adding()
    found = [sweeps.adding(seed=seed) for seed in range(len(ENDS) + 1)]
    made = [trials.made({"seed": n}, one) for n, one in enumerate(found)]
    for trial, said in zip(made, ENDS, strict=False):
        if said is not None:
            sweeps.run(tmp_path / trial.run, trial.config, {10: 1.0}, status=said)
    damaged = tmp_path / made[-1].run / "status.json"
    sweeps.run(damaged.parent, made[-1].config, {10: 1.0})
    damaged.write_text("{")
    around = configs.to_json(config)
    definition = sweep.Definition(made, "adding", around, "seed=0..5", None, "sweep")
    states = sweep.standing_now(made, tmp_path, {})
    assert list(states.values()) == [*ENDS.values(), State.DAMAGED]
    sweep.record(definition, tmp_path, states)
    assert damaged.read_text() == "{"
    shown = {one.workdir: one.state for one in sweep_results.load(tmp_path).trials}
    assert shown == {tmp_path / trial.run: states[trial.digest] for trial in made}
    assert sweep.undone(made, states, retry_failed=False) == [
        trial for trial in made if states[trial.digest] in (State.NEW, State.STOPPED, State.KILLED)
    ]
