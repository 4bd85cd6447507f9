"""Trains, evaluates, samples, diagnoses, exports, sweeps, studies, reports.

python launch.py VERB --flag=value …
Parses the flags, calls one function, and turns errors into exit codes: 0 done, 1 failure or an
altered file, 2 bad input, 75 training, evaluation or a sweep stopped by a signal, all saved, 130
another verb stopped by Ctrl-C.
"""

import dataclasses
import math
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from absl import flags

from seqgen import (
    around,
    command_line,
    compare,
    diagnose,
    evaluate,
    export,
    generate,
    group,
    listing,
    overrides,
    report,
    study,
    sweep,
    train,
    verb_config,
    verify,
)
from seqgen.backends import slurm
from seqgen.decoding import Options as Decoding
from seqgen.errors import Failure, UsageError, unknown
from seqgen.interrupt import Interrupted

DONE, KEYBOARD = 0, 130
EXPERIMENTS = Path(__file__).parent / "experiments"


def run_train(given: flags.FlagValues) -> int:
    place, cached = command_line.place(given), given.compilation_cache
    if given.group is not None:
        if "config" in given or given.workdir is not None:
            raise UsageError("--group names runs, which have configs: leave out all else")
        group.train_group(given.group, compilation_cache=cached)
    elif given.config.seeds is not None:
        group.train_seeds(given.config, given.workdir, compilation_cache=cached)
    else:
        train.train(given.config, given.workdir, compilation_cache=cached, place=place)
    return DONE


def run_evaluate(given: flags.FlagValues) -> int:
    if given.watch and given["checkpoint"].present:
        raise UsageError("--watch evaluates every checkpoint: leave out --checkpoint")
    evaluate.main(
        given.workdir,
        given.checkpoint,
        given.split,
        given.config,
        command_line.search(given),
        given.features,
        watching=given.watch,
        compilation_cache=given.compilation_cache,
    )
    return DONE


def run_compare(given: flags.FlagValues) -> int:
    if given["with"].value is None:
        raise UsageError("compare needs --with=…, the directory of the other run")
    compare.main(
        given.workdir,
        given["with"].value,
        given.checkpoint,
        given.split,
        command_line.search(given),
        compilation_cache=given.compilation_cache,
    )
    return DONE


def run_around(given: flags.FlagValues) -> int:
    others = ("input", *(field.name for field in dataclasses.fields(Decoding)))
    if useless := [name for name in others if given[name].present]:
        raise UsageError(f"--{useless[0]} says nothing of variations: --scale says how far they go")
    around.main(
        given.workdir,
        given.checkpoint,
        given.num,
        given.around,
        given.scale,
        given.prompt,
        given.seed,
        compilation_cache=given.compilation_cache,
    )
    return DONE


def run_generate(given: flags.FlagValues) -> int:
    if given.around is not None:
        return run_around(given)
    if given["scale"].present:
        raise UsageError("--scale is of variations of an example: give --around too")
    if given.input is not None and given.prompt is not None:
        raise UsageError("give --prompt or --input, not both")
    chosen = {field.name: given[field.name].value for field in dataclasses.fields(Decoding)}
    if given.temperature is None:
        del chosen["temperature"]
    generate.main(
        given.workdir,
        given.checkpoint,
        given.num,
        given.prompt,
        given.input,
        chosen,
        given.seed,
        compilation_cache=given.compilation_cache,
    )
    return DONE


def run_verify(given: flags.FlagValues) -> int:
    verdict = verify.main(given.file, compilation_cache=given.compilation_cache)
    return Failure.exit_code if verdict.finding is verify.Finding.ALTERED else DONE


def run_export(given: flags.FlagValues) -> int:
    export.main(
        given.workdir, given.checkpoint, given.format, compilation_cache=given.compilation_cache
    )
    return DONE


def run_diagnose(given: flags.FlagValues) -> int:
    if "config" not in given:
        if given.grid is not None:
            raise UsageError("--grid lays configs side by side: it needs --config=FILE.py")
        diagnose.of_run(
            given.workdir,
            given.checkpoint,
            given.split,
            given.prompt,
            compilation_cache=given.compilation_cache,
        )
        return DONE
    if given["checkpoint"].present:
        raise UsageError("--checkpoint is of a run: a config is diagnosed as training begins")
    diagnose.of_config(
        given.config,
        given.workdir,
        given.split,
        given.prompt,
        given.grid,
        compilation_cache=given.compilation_cache,
    )
    return DONE


def run_study(given: flags.FlagValues) -> int:
    if (given.claim is None) != given.all:
        raise UsageError("study needs either --claim=NAME or --all")
    if given.budget is not None and not given.all:
        raise UsageError("--budget chooses among all claims: it is for --all")
    study.main(
        EXPERIMENTS / "claims",
        given.claim,
        math.inf if given.budget is None else command_line.minutes(given, "budget"),
        given.workdir,
        compilation_cache=given.compilation_cache,
    )
    return DONE


def run_sweep(given: flags.FlagValues) -> int:
    definition = sweep.define(
        given.config if "config" in given else None,
        given.experiment,
        given.grid,
        given.sweep,
        command=shlex.join(["python", *sys.argv]),
    )
    named = overrides.called(str(given.sweep or given.experiment))
    workdir = given.workdir or Path("sweeps") / named
    options = command_line.slurm_options(given)
    manner = sweep.Manner(
        Path(__file__).resolve(),
        given.jobs,
        command_line.minutes(given, "time_limit"),
        given.retries,
        given.retry_failed,
        given.compilation_cache,
        slurm.checked(options) if given.backend == "slurm" else None,
    )
    if given.dry_run:
        print(sweep.look(definition, workdir, manner))
    else:
        sweep.main(definition, workdir, manner)
    return DONE


def run_report(given: flags.FlagValues) -> int:
    print(report.report(given.workdir))
    return DONE


def run_list(given: flags.FlagValues) -> int:
    del given
    print(listing.listing(EXPERIMENTS))
    return DONE


class Verb(NamedTuple):
    run: Callable[[flags.FlagValues], int]
    define: Callable[[flags.FlagValues], None]
    needs: str | None  # the flag that must be given
    complete: Callable[[list[str], flags.FlagValues], list[str]] = verb_config.as_given


VERBS = {
    "train": Verb(run_train, command_line.define_train, None, verb_config.of_train),
    "evaluate": Verb(
        run_evaluate,
        command_line.define_evaluate,
        "workdir",
        verb_config.of_evaluate,
    ),
    "compare": Verb(run_compare, command_line.define_compare, "workdir"),
    "generate": Verb(run_generate, command_line.define_generate, "workdir"),
    "diagnose": Verb(
        run_diagnose, command_line.define_diagnose, "workdir", verb_config.of_diagnose
    ),
    "verify": Verb(run_verify, command_line.define_verify, "file"),
    "export": Verb(run_export, command_line.define_export, "workdir"),
    "sweep": Verb(run_sweep, command_line.define_sweep, None, verb_config.of_sweep),
    "study": Verb(run_study, command_line.define_study, None),
    "report": Verb(run_report, command_line.define_report, "workdir"),
    "list": Verb(run_list, lambda values: None, None),
}


def parse(name: str, argv: list[str]) -> flags.FlagValues:
    """The flags of one verb. Raises UsageError for unknown flags, bad values and missing ones."""
    verb, values = VERBS[name], flags.FlagValues()
    verb.define(values)
    try:
        argv = verb.complete(argv, values)
        stray = values(argv)[1:]
    except flags.Error as error:
        raise UsageError(" ".join(str(error).split())) from error
    if stray:
        raise UsageError(f"{name} takes flags only (--flag=value), not {stray[0]!r}")
    if verb.needs is not None and getattr(values, verb.needs) is None:
        raise UsageError(f"{name} needs --{verb.needs}=…")
    return values


def dispatch(argv: list[str]) -> int:
    """Runs one verb; returns its exit code."""
    name = argv[1] if len(argv) > 1 else "--help"
    if name in ("help", "--help", "-h"):
        print(f"{__doc__}\nverbs: {', '.join(VERBS)}  (launch.py VERB --help: its flags)")
        return DONE
    if name not in VERBS:
        raise unknown("verb", name, VERBS)
    if "--help" in argv:
        verb, values = VERBS[name], flags.FlagValues()
        verb.define(values)
        print(
            values.get_help(include_special_flags=False) + verb_config.HELP.get(verb.complete, "")
        )
        return DONE
    return VERBS[name].run(parse(name, [argv[0], *argv[2:]]))


def main(argv: list[str]) -> int:
    """Runs one verb; returns the exit code. What a user can mend is one sentence, no traceback."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # not every terminal has every letter
    try:
        return dispatch(argv)
    except UsageError as error:
        sentence, code = f"error: {error}", error.exit_code
    except Failure as error:
        sentence, code = f"failed: {error}", error.exit_code
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        sentence, code = f"failed: {error.strerror or error}{place}", Failure.exit_code
    except Interrupted as stop:
        sentence, code = str(stop), stop.exit_code
    except KeyboardInterrupt:
        sentence, code = "stopped by Ctrl-C", KEYBOARD
    print(sentence, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv))
