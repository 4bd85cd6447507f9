"""A lane is the run that it would be alone, and its own business."""

import contextlib
import dataclasses
import os
import re
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import runs

from seqgen import ahead, backend, group, lanes, plan, run_directory, run_lock, train
from seqgen import config as configs
from seqgen.checkpoint import Checkpoints
from seqgen.errors import Failure, UsageError
from seqgen.interrupt import Interrupt, Interrupted
from seqgen.lane_program import Program, Stacked
from seqgen.lane_session import Shared
from seqgen.parts import lane_fields
from seqgen.progress import Progress


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    """JAX has begun already: the settings of a fresh process would come too late."""
    monkeypatch.setattr(backend, "start", lambda *_, **__: None)


def tiny(objective):
    """A config of the objective with its numbers set, its steps one call."""
    dataset, model = {
        "likelihood": ("adding", "many_to_one"),
        "reconstruction": ("points", "autoencoder"),
        "elbo": ("points", "vae"),
        "adversarial": ("points", "gan"),
    }[objective]
    c = configs.default(dataset=dataset, model=model, objective=objective)
    c.dataset.batch_size, c.dataset.test_size = 4, 8
    c.num_steps = c.log_every = c.eval_every = c.checkpoint_every = 100
    c.optimizer.learning_rate, c.ema = 0.01, 0.9
    c.optimizer.clip_norm, c.optimizer.weight_decay = 1.0, 0.01
    if objective == "likelihood":
        c.dataset.length, c.model.hidden_size, c.model.num_layers = 5, 3, 2
        c.model.dropout, c.model.zoneout = 0.2, 0.1
        return c
    c.model.encoder_sizes = c.model.decoder_sizes = (4,)
    c.model.latent_size = 1
    if objective == "reconstruction":
        c.objective.noise = 0.1
    if objective == "elbo":
        c.model.likelihood, c.model.variance, c.objective.beta = "gaussian", "fixed", 0.5
    if objective == "adversarial":
        c.objective.r1, c.objective.gradient_penalty = 0.1, 1.0
        c.players.generator.learning_rate = 0.02
    return c


def varied(config, count):
    """Configs whose seeds and numbers all differ."""
    found = []
    for number in range(count):
        own = configs.settled(config, None)
        for name in lane_fields(own):
            section, _, leaf = name.rpartition(".")
            place = own[section] if section else own
            place[leaf] = number if name == "seed" else place[leaf] * (1 - 0.1 * number)
        found.append(own)
    return found


def stacked(program, all_configs, change=lambda number, state: state):
    values = [program.shared.values(config) for config in all_configs]
    states = [change(n, program.shared.begin(own)) for n, own in enumerate(values)]
    return Stacked(program, values, states)


def assert_close(ours, theirs):
    for (path, one), other in zip(
        jax.tree.leaves_with_path(ours), jax.tree.leaves(theirs), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-10, err_msg=str(path))


@pytest.mark.parametrize(
    "objective",
    [
        "likelihood",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("reconstruction", "elbo")),
        pytest.param("adversarial", marks=pytest.mark.slow),
    ],
)
def test_a_lane_of_other_numbers_is_its_run_alone(objective, tmp_path, float64):
    """The last of three on two devices, beside a place that no lane has."""
    every = varied(tiny(objective), 3)
    assert len(lanes.groups(every)) == 1
    program = Program(Shared(every))
    assert (program.shared.lanes.devices, program.shared.layout.steps_per_call) == (2, 100)
    together = stacked(program, every)
    measured = together.call(0, 100, [0, 1, 2])
    (tmp_path / "run").mkdir()
    with Progress(tmp_path / "log.txt") as progress, Interrupt() as interrupt:
        session = train.prepare(every[2], tmp_path / "run", progress)
        state, metrics = session.call(session.begin(), session.arrays, 0, 100)
        valid = session.validate(state.evaluated, session.arrays, interrupt)
        ours = together.state(2)
        measure = program.shared.measure(program.shared.values(every[2]), "valid")
        assert_close(measure(ours.evaluated, program.shared.arrays, interrupt), valid)
    assert jax.tree.leaves(state.params)[0].dtype == jnp.float64
    assert_close(ours.replace(key=None), state.replace(key=None))
    assert_close({name: np.asarray(row) for name, row in measured[2].items()}, metrics)
    np.testing.assert_array_equal(*(jax.random.key_data(s.key) for s in (ours, state)))


@pytest.mark.slow
@pytest.mark.parametrize("how", ["map", "vmap"])
def test_a_lane_without_numbers_or_at_rest_leaves_the_others_as_they_are(how):
    every = varied(tiny("adversarial"), 4)
    shared = Shared(every)
    shared.lanes = shared.lanes._replace(how=how)
    program = Program(shared)

    def poisoned(number, state):
        return state.replace(params=jax.tree.map(lambda x: x * jnp.nan, state.params))

    whole, broken, resting = (
        stacked(program, every),
        stacked(program, every, lambda n, s: poisoned(n, s) if n == 1 else s),
        stacked(program, every),
    )
    whole.call(0, 100, range(4))
    measured = broken.call(0, 100, range(4))
    resting.call(0, 100, [0, 2, 3])
    assert np.asarray(measured[1]["nonfinite"])[-1] == 100
    assert int(resting.state(1).step) == 0
    for number in (0, 2, 3):
        wanted = bytes_of(whole.state(number))
        assert bytes_of(broken.state(number)) == wanted
        assert bytes_of(resting.state(number)) == wanted


def bytes_of(state):
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state.replace(key=None))]


def short():
    """Three runs of six calls."""
    c = tiny("likelihood")
    c.num_steps, c.log_every, c.eval_every, c.checkpoint_every = 12, 2, 4, 4
    return varied(c, 3)


def walked(program, every, folder, change=lambda number, lane: None, stop_at=None):
    """Trains the lanes, without what comes after; `stop_at` is the call that a signal reaches."""
    with contextlib.ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        interrupt, run = stack.enter_context(Interrupt()), []

        class Counting(Stacked):
            calls = 0

            def call(self, *arguments):
                self.calls += 1
                if self.calls == stop_at:
                    interrupt.requested = "SIGTERM"
                return super().call(*arguments)

        patch.setattr(lanes, "Stacked", Counting)
        for number, config in enumerate(every):
            workdir = folder / str(number)
            workdir.mkdir(parents=True, exist_ok=True)
            progress = stack.enter_context(Progress(workdir / "log.txt"))
            run.append(lanes.Lane(workdir, progress))
            run[-1].session = program.shared.session(config, workdir, progress)
            change(number, run[-1])
        lanes.walk(program, run, interrupt)
        return run


def saved(program, config, workdir):
    """The bytes of the latest checkpoint."""
    target = jax.eval_shape(program.shared.begin, program.shared.values(config))
    with Checkpoints(workdir, writer=False) as checkpoints:
        return bytes_of(checkpoints.restore(target).state)


def records(workdir):
    return [(r["step"], r["split"], r["loss"]) for r in run_directory.read_metrics(workdir)]


def test_lanes_can_be_stopped_and_end_each_for_itself(tmp_path):
    every = short()
    program = Program(Shared(every))
    assert program.shared.layout.steps_per_call == 2
    walked(program, every, tmp_path / "whole")
    for stop_at in (1, 3, None):  # the last goes to the end
        with contextlib.nullcontext() if stop_at is None else pytest.raises(Interrupted):
            walked(program, every, tmp_path / "pieces", stop_at=stop_at)
    for number, config in enumerate(every):
        whole, pieces = (tmp_path / name / str(number) for name in ("whole", "pieces"))
        assert saved(program, config, pieces) == saved(program, config, whole)
        assert records(pieces) == records(whole)
        assert [step for step, split, _ in records(whole) if split == "valid"] == [4, 8, 12]

    def trouble(number, lane):
        if number == 1:  # never better than the first time
            options = dataclasses.replace(lane.session.options, patience=1)
            validate = lambda *_: {"loss": 1.0, "squared_error": 1.0}  # noqa: E731
            lane.session = lane.session._replace(options=options, validate=validate)
        if number == 2:
            options = dataclasses.replace(lane.session.options, max_nonfinite=3)
            begin = partial(without_numbers, lane.session.begin)
            lane.session = lane.session._replace(options=options, begin=begin)

    run = walked(program, every, tmp_path / "apart", trouble)
    assert [lane.reason for lane in run] == [
        "all steps done",
        "no better loss in 1 evaluations",
        None,
    ]
    assert "not finite in 4 steps in a row" in str(run[2].error)
    status = run_directory.read_status(tmp_path / "apart" / "2")
    assert (status["status"], status["exit_code"]) == ("FAILED", 1)
    assert runs.saved_steps(tmp_path / "apart" / "1")[-1] == 8
    ours, theirs = (tmp_path / name / "0" for name in ("apart", "whole"))
    assert saved(program, every[0], ours) == saved(program, every[0], theirs)


def test_lanes_that_could_not_be_saved_are_not_counted(tmp_path):
    def stopped(state, stop):
        raise OSError("the disk is full")

    every, interrupt = [], SimpleNamespace(requested="SIGTERM")
    for number in range(3):
        lane = lanes.Lane(tmp_path / str(number), SimpleNamespace(say=lambda line: None))
        lane.workdir.mkdir()
        lane.number, lane.pause = number, lambda stacked: None
        lane.attempt = SimpleNamespace(step=0, stopped=stopped if number else lambda _, stop: stop)
        every.append(lane)
    with pytest.raises(Interrupted, match=r"SIGTERM, 1 runs saved"):
        lanes.move(SimpleNamespace(state=lambda number: None), every, interrupt)
    assert run_directory.read_status(tmp_path / "0")["status"] == "PREEMPTED"  # at once


def without_numbers(begin):
    state = begin()
    return state.replace(params=jax.tree.map(lambda x: x * jnp.nan, state.params))


def test_what_evaluates_lanes_is_compiled_ahead_for_what_it_is_called_with(caplog):
    every = varied(tiny("likelihood"), 2)
    how_often = []
    for before in (lambda *_: None, Shared.compile_ahead):
        shared = Shared(every)
        values = shared.values(every[1])
        params = jax.device_get(shared.begin(values).evaluated)
        with ahead.compiler() as compiler, Interrupt() as interrupt:
            before(shared, compiler)
            caplog.clear()
            with jax.log_compiles():  # by this thread
                for split in ("valid", "test"):
                    shared.measure(values, split)(params, shared.arrays, interrupt)
        how_often.append(sum("compilation of jit(measure)" in m for m in caplog.messages))
    assert how_often == [2, 0]


def test_where_all_are_refused_the_sentence_is_theirs(tmp_path):
    every, where = varied(short()[0], 2), [tmp_path / str(number) for number in range(2)]
    for config, workdir in zip(every, where, strict=True):
        workdir.mkdir()
        other = changed(config, model__hidden_size=5)
        run_directory.write_json(workdir / "config.json", configs.to_json(other))
    with pytest.raises(UsageError, match=r"2 of 2 runs failed: .*hidden_size: 5 -> 3"):
        lanes.train(every, where)


def test_a_lane_that_is_left_alone_goes_on_as_one(tmp_path, monkeypatch):
    """On its own device, whatever there is besides: else it would not end bit for bit alike."""
    every, done = short()[:2], []
    monkeypatch.setattr(
        lanes.training, "conclude", lambda session, *_: done.append(session.layout.devices)
    )
    monkeypatch.setattr(lanes.training, "write_report", lambda *_: None)
    monkeypatch.setattr(lanes.training, "train", lambda *_, **__: done.append("as a run alone"))
    lanes.train(every, [tmp_path / "0", tmp_path / "1"])
    lanes.train(every[:1], [tmp_path / "0"])
    lanes.train(every[:1], [tmp_path / "new"])
    assert done == [1, 1, 1, "as a run alone"]


@pytest.mark.slow
def test_a_run_may_join_a_group_and_leave_it(tmp_path):
    every = short()
    program = Program(Shared(every))
    walked(program, every, tmp_path / "whole")

    def late(session, interrupt):
        def call(*arguments):
            interrupt.requested = "SIGTERM"
            return session.call(*arguments)

        return session._replace(call=call)

    (tmp_path / "mixed").mkdir()
    for _ in range(2):
        with pytest.raises(Interrupted):
            runs.run(every[1], tmp_path / "mixed" / "1", late)
    with pytest.raises(Interrupted):
        walked(program, every, tmp_path / "mixed", stop_at=3)
    assert [runs.saved_steps(tmp_path / "mixed" / str(n))[-1] for n in range(3)] == [6, 6, 6]
    runs.run(every[2], tmp_path / "mixed" / "2")
    walked(program, every, tmp_path / "mixed")
    for number in range(3):
        ours, wanted = (
            runs.final_state(every[number], tmp_path / name / str(number))
            for name in ("mixed", "whole")
        )
        assert ours.keys() == wanted.keys()
        for name in ours:
            np.testing.assert_allclose(ours[name], wanted[name], rtol=1e-3, atol=1e-5)


def changed(config, **fields):
    own = config.copy_and_resolve_references()
    for name, value in fields.items():
        section, _, leaf = name.rpartition("__")
        (own[section] if section else own)[leaf] = value
    return own


def test_runs_share_a_program_if_they_differ_in_seeds_and_numbers_alone():
    c = tiny("likelihood")
    alike = [
        changed(c, seed=3),
        changed(c, optimizer__learning_rate=0.5),
        changed(c, model__dropout=0.5, seed=1),
        changed(c, ema=0.5),
        changed(c, schedule_steps=100),  # as it is without
    ]
    apart = [
        changed(c, model__dropout=None),
        changed(c, num_steps=50),
        changed(c, model__hidden_size=4),
        changed(c, optimizer__rule="sgd", optimizer__weight_decay=None),
        changed(c, stop_detectable=0.7),
        changed(c, optimizer__warmup_steps=3),
    ]
    together = list(range(1 + len(alike)))
    alone = [[len(together) + number] for number in range(len(apart))]
    assert lanes.groups([c, *alike, *apart]) == [together, *alone]


def test_groups_are_split_to_fit_memory():
    def laid_out(**changes):
        facts = {"platform": "cpu", "available": 2, "lanes": 16}
        facts |= {"state_bytes": 100, "saved_bytes": 1000, "free_bytes": 10**9}
        return plan.lane_plan(**facts | changes)

    assert laid_out()[:3] == ("map", 2, 16)
    assert laid_out(lanes=1)[:3] == ("map", 1, 1)
    assert laid_out(platform="gpu", available=1)[:3] == ("vmap", 1, 16)
    # states of 300 bytes each beside what two devices compute, in half of the memory
    assert laid_out(free_bytes=2 * (2 * 1000 + 6 * 300)).at_once == 6  # three times: 6, 6, 4
    # an accelerator's lanes are all computed at once: 1300 bytes each
    assert laid_out(platform="gpu", free_bytes=2 * 5 * 1300).at_once == 8  # on two devices
    assert laid_out(free_bytes=0).at_once == 1  # as a run alone it may do all the same


def test_a_file_of_runs_is_read_or_refused_with_the_line(tmp_path):
    file = tmp_path / "group.txt"
    (tmp_path / "a").mkdir()
    run_directory.write_json(tmp_path / "a" / "config.json", {})
    file.write_text("a\n\n")
    assert group.read(file) == [tmp_path.resolve() / "a"]
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "one.txt").write_text("../a\n")
    assert group.read(tmp_path / "jobs" / "one.txt") == [tmp_path.resolve() / "a"]
    file.write_text("a\n\nb\n")
    with pytest.raises(UsageError, match=r"group.txt:3: .*b holds no run"):
        group.read(file)
    file.write_text("\n")
    with pytest.raises(UsageError, match="lists no run"):
        group.read(file)
    with pytest.raises(UsageError, match="No such file"):
        group.read(tmp_path / "none")


def test_a_config_that_is_damaged_or_bad_fails_alone_in_its_group(tmp_path, monkeypatch):
    trained = []
    for name in ("good", "torn", "bad", "too"):
        (tmp_path / name).mkdir()
        c = changed(tiny("likelihood"), num_steps=0 if name == "bad" else 4)
        run_directory.write_json(tmp_path / name / "config.json", configs.to_json(c))
    (tmp_path / "torn" / "config.json").write_text("{")
    file = tmp_path / "group.txt"
    file.write_text("good\ntorn\nbad\ntoo\n")
    order, validate = [], configs.validate
    monkeypatch.setattr(backend, "start", lambda *_, **__: order.append("devices"))
    monkeypatch.setattr(configs, "validate", lambda c: order.append("config") or validate(c))
    monkeypatch.setattr(
        lanes, "train_group", lambda runs, cache: trained.extend(w.name for _, w in runs) or {}
    )
    with pytest.raises(UsageError, match="2 of 4 runs failed: ") as caught:
        group.train_group(file)
    assert re.search(r"torn: .*config\.json is not JSON", str(caught.value))
    assert re.search(r"bad: num_steps must", str(caught.value))
    assert trained == ["good", "too"]
    assert order.index("devices") == 0  # to look at a config may begin JAX
    file.write_text("good\ntoo\ngood\n")
    with pytest.raises(UsageError, match="a directory of its own"):
        group.train_group(file)


def test_what_a_group_lacks_is_each_of_its_runs_failure(tmp_path, monkeypatch):
    def shared(configs):
        raise UsageError("the data are missing")

    monkeypatch.setattr(lanes, "Shared", shared)
    pair = [(changed(tiny("likelihood"), seed=n), tmp_path / str(n)) for n in range(2)]
    failed = lanes.train_group(pair, False)
    assert {place: str(error) for place, error in failed.items()} == {
        place: "the data are missing" for _, place in pair
    }


@pytest.mark.parametrize("kinds", [(UsageError, UsageError), (UsageError, Failure)])
def test_what_is_refused_is_bad_input_unless_something_failed(tmp_path, monkeypatch, kinds):
    c, raised = tiny("likelihood"), iter(kinds)

    def refuse(config, workdir, *, compilation_cache):
        raise next(raised)("no data")

    monkeypatch.setattr(backend, "start", lambda *_, **__: None)
    monkeypatch.setattr(lanes.training, "train", refuse)
    where = [tmp_path / "a", tmp_path / "b"]
    with pytest.raises(kinds[-1], match="2 of 2 runs failed: .*a: no data; .*b: no data") as caught:
        lanes.train([c, changed(c, model__hidden_size=4)], where, compilation_cache=False)
    assert caught.type is kinds[-1]


def test_reports_are_written_while_the_next_is_measured_and_fail_alone(tmp_path, monkeypatch):
    written, log = threading.Event(), []

    def measured(number):
        if number == 1:  # can't end before the first report has
            assert written.wait(20)
        log.append(f"measured {number}")

    def conclude(session, reason, interrupt, progress, measure):
        measure("test")(session.config)

    def report(workdir, progress):
        log.append(f"report {workdir.name}")
        written.set()
        if workdir.name == "0":
            raise OSError("the disk is full")

    monkeypatch.setattr(lanes.training, "conclude", conclude)
    monkeypatch.setattr(lanes.training, "write_report", report)
    shared = SimpleNamespace(values=lambda config: {}, measure=lambda values, split: measured)
    every = []
    for number in range(3):
        lane = lanes.Lane(tmp_path / str(number), SimpleNamespace(say=log.append))
        lane.session = SimpleNamespace(config=number)
        lane.workdir.mkdir()
        run_directory.set_status(lane.workdir, "RUNNING")
        every.append(lane)
    with Interrupt() as interrupt:
        lanes.finish(shared, every, interrupt)
    assert [lane.error is None for lane in every] == [False, True, True]
    assert run_directory.read_status(tmp_path / "0")["status"] == "FAILED"
    assert log.index("report 0") < log.index("measured 1")
    assert log[-1] == "report 2" and len(log) == 7  # of which one says the failure


def test_what_is_refused_before_it_begins_fails_alone_and_keeps_its_sentence(
    tmp_path, monkeypatch, capsys
):
    """Another run's directory, one that another process holds, and one that is damaged."""
    every = varied(short()[0], 5)
    where = [tmp_path / name for name in ("ours", "another", "held", "damaged", "too")]
    for workdir in (where[1], where[3]):
        workdir.mkdir()
    run_directory.write_json(where[1] / "config.json", configs.to_json(every[0]))
    before = (where[1] / "config.json").read_bytes()
    (where[3] / "status.json").write_text("{")
    monkeypatch.setattr(
        lanes.training,
        "conclude",
        lambda session, reason, *_: run_directory.set_status(session.workdir, "DONE"),
    )
    monkeypatch.setattr(lanes.training, "write_report", lambda *_: None)
    with run_lock.hold(where[2]), pytest.raises(UsageError, match="3 of 5 runs failed") as caught:
        lanes.train(every, where)
    sentences = ("seed: 0 -> 1)", "is in use by process", "status.json is not JSON")
    for workdir, sentence in zip(where[1:4], sentences, strict=True):
        assert re.search(f"{workdir}: [^;]*{re.escape(sentence)}", str(caught.value))
    for workdir in (where[0], where[4]):
        assert run_directory.read_status(workdir)["status"] == "DONE"
        assert runs.saved_steps(workdir)[-1] == every[0].num_steps
    # it is no attempt at the run that is there, so that says nothing of it
    assert (where[1] / "config.json").read_bytes() == before
    assert not (where[1] / "status.json").exists()
    assert f"failed: {where[1]} holds a run" in (where[1] / "log.txt").read_text()
    assert f"another: failed: {where[1]} holds a run" in capsys.readouterr().out


def test_seeds_are_of_runs_of_their_own(tmp_path):
    c = changed(tiny("likelihood"), seeds=2)
    with pytest.raises(UsageError, match="seeds=2 is for train"):
        configs.validate(c)
    with pytest.raises(UsageError, match="seeds must be at least 1"):
        group.train_seeds(changed(c, seeds=0), tmp_path)
    (tmp_path / "sweep.json").write_text("{}")
    with pytest.raises(UsageError, match="holds a sweep: give another --workdir"):
        group.train_seeds(c, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["sweep.json"]


def left_by(workdir):
    """The files of a run, whatever the step that some are named for."""
    paths = [path.relative_to(workdir) for path in workdir.rglob("*") if path.is_file()]
    return {re.sub(r"\d+", "N", str(path)) for path in paths if path.parts[0] != "checkpoints"}


@pytest.mark.slow
def test_a_group_leaves_what_runs_alone_leave_and_goes_on_after_a_signal(tmp_path):
    """As a process that a signal stops, of runs of which there are but the configs."""
    names = ("0", "1", "2")
    for name, config in zip(names, varied(tiny("likelihood"), 3), strict=True):
        config.num_steps, config.checkpoint_every = 2000, 200
        config.model.cell = "rnn"  # its activation is tried when the config is looked at
        (tmp_path / name).mkdir()
        run_directory.write_json(tmp_path / name / "config.json", configs.to_json(config))
    file = tmp_path / "group.txt"
    file.write_text("".join(f"{name}\n" for name in names))
    environ = os.environ | {"XDG_CACHE_HOME": jax.config.jax_compilation_cache_dir}
    command = [sys.executable, "launch.py", "train", f"--group={file}"]
    start = partial(subprocess.Popen, command, cwd=runs.ROOT, env=environ)
    process = start()
    while not all((tmp_path / name / "checkpoints" / "200").exists() for name in names):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 75
    for name in names:
        status = run_directory.read_status(tmp_path / name)
        assert (status["status"], status["exit_code"]) == ("PREEMPTED", 75)
        assert f"stopped by SIGTERM at step {status['step']}, all saved" in status["message"]
    assert start().wait() == 0
    alone = tmp_path / "alone"
    stored = configs.from_json(run_directory.read_json(tmp_path / "1" / "config.json"))
    train.train(stored, alone)
    for name in names:
        assert left_by(tmp_path / name) == left_by(alone)
        assert run_directory.read_status(tmp_path / name)["status"] == "DONE"
    ours, theirs = (records(workdir) for workdir in (tmp_path / "1", alone))
    assert [r[:2] for r in ours] == [r[:2] for r in theirs]
    before = (tmp_path / "1" / "status.json").read_bytes()
    group.train_group(file)  # again: nothing is left to do
    assert (tmp_path / "1" / "status.json").read_bytes() == before
