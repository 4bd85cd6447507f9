"""Trains, evaluates, compares, samples, studies, reports.  python launch.py VERB --flag=value …

Parses the flags, calls one function, and turns errors into exit codes: 0 done, 1 failure or an
altered file, 2 bad input, 75 training or evaluation stopped by a signal, all saved, 130 another
verb stopped by Ctrl-C.
"""

import dataclasses
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from absl import flags

from seqgen import (
    around,
    compare,
    evaluate,
    generate,
    listing,
    overrides,
    report,
    run,
    study,
    train,
    verify,
)
from seqgen.decoding import Options as Decoding
from seqgen.errors import Failure, UsageError, unknown
from seqgen.interrupt import Interrupted

DONE, KEYBOARD = 0, 130
EXPERIMENTS = Path(__file__).parent / "experiments"


class PathParser(flags.ArgumentParser):
    """A path, ~ in it a home directory. Not an empty one: a shell's variable was not set."""

    def parse(self, argument: str) -> Path:
        if not argument:
            raise ValueError("a path is missing")
        try:
            return Path(argument).expanduser()
        except RuntimeError as error:  # ~ and a name that no user has
            raise ValueError(error) from error


def define_path(name: str, text: str, values: flags.FlagValues) -> None:
    flags.DEFINE(PathParser(), name, None, text, flag_values=values)


def define_workdir(values: flags.FlagValues) -> None:
    define_path("workdir", "the run's directory", values)


def define_cache(values: flags.FlagValues) -> None:
    text = "keep compiled programs in the user's cache directory"
    flags.DEFINE_bool("compilation_cache", True, text, flag_values=values)


def define_checkpoint(values: flags.FlagValues) -> None:
    define_workdir(values)
    define_cache(values)
    flags.DEFINE_string("checkpoint", "best", "best, latest or a step", flag_values=values)


def define_train(values: flags.FlagValues) -> None:
    define_workdir(values)
    define_cache(values)


def run_train(given: flags.FlagValues) -> int:
    train.train(given.config, given.workdir, compilation_cache=given.compilation_cache)
    return DONE


def define_search(values: flags.FlagValues) -> None:
    text = "tokens of an answer at least"
    flags.DEFINE_integer("min_length", Decoding.min_length, text, flag_values=values)
    text = "search for the likeliest answers, so many at a time"
    flags.DEFINE_integer("beam", Decoding.beam, text, flag_values=values)
    text = "divides a beam's scores by length ** this"
    flags.DEFINE_float("length_power", Decoding.length_power, text, flag_values=values)


def search(given: flags.FlagValues) -> Decoding:
    return Decoding(
        temperature=0.0,
        min_length=given.min_length,
        beam=given.beam,
        length_power=given.length_power,
    )


def define_evaluate(values: flags.FlagValues) -> None:
    define_checkpoint(values)
    flags.DEFINE_string("split", "test", "train, valid or test", flag_values=values)
    text = "evaluate every new checkpoint as it appears, until the run is done"
    flags.DEFINE_bool("watch", False, text, flag_values=values)
    text = "the directory of a run that classifies, to read what this one makes"
    define_path("features", text, values)
    define_search(values)


def run_evaluate(given: flags.FlagValues) -> int:
    if given.watch and given["checkpoint"].present:
        raise UsageError("--watch evaluates every checkpoint: leave out --checkpoint")
    evaluate.main(
        given.workdir,
        given.checkpoint,
        given.split,
        given.config,
        search(given),
        given.features,
        watching=given.watch,
        compilation_cache=given.compilation_cache,
    )
    return DONE


def define_compare(values: flags.FlagValues) -> None:
    define_checkpoint(values)
    define_path("with", "the directory of the other run", values)
    flags.DEFINE_string("split", "test", "train, valid or test", flag_values=values)
    define_search(values)


def run_compare(given: flags.FlagValues) -> int:
    if given["with"].value is None:
        raise UsageError("compare needs --with=…, the directory of the other run")
    compare.main(
        given.workdir,
        given["with"].value,
        given.checkpoint,
        given.split,
        search(given),
        compilation_cache=given.compilation_cache,
    )
    return DONE


def define_generate(values: flags.FlagValues) -> None:
    define_checkpoint(values)
    flags.DEFINE_integer("num", 1, "number of samples", 1, flag_values=values)
    text = "what the samples continue, or the line that they answer"
    flags.DEFINE_string("prompt", None, text, flag_values=values)
    text = "a file of such lines, to answer each, or of a picture, to describe it"
    define_path("input", text, values)
    text = "tokens after the prompt, or of an answer"
    flags.DEFINE_integer("length", Decoding.length, text, flag_values=values)
    text = "divides the logits: 1, but 0, greedy, for answers without this, --top_k and --top_p"
    flags.DEFINE_float("temperature", None, text, flag_values=values)
    text = "sample among the k likeliest"
    flags.DEFINE_integer("top_k", Decoding.top_k, text, flag_values=values)
    text = "sample in the nucleus of this mass"
    flags.DEFINE_float("top_p", Decoding.top_p, text, flag_values=values)
    define_search(values)
    text = "list so many of a beam's answers to each line in one file, with their log-likelihoods"
    flags.DEFINE_integer("n_best", Decoding.n_best, text, flag_values=values)
    flags.DEFINE_integer("seed", 0, "of the samples", 0, 2**32 - 1, flag_values=values)
    text = "vary this example: its number in the validation split, or a file's name"
    flags.DEFINE_string("around", None, text, flag_values=values)
    text = "of those variations, in deviations of the example's posterior: 0 makes it again"
    flags.DEFINE_float("scale", 1.0, text, flag_values=values)


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


def define_verify(values: flags.FlagValues) -> None:
    define_cache(values)
    define_path("file", "the file in question", values)


def run_verify(given: flags.FlagValues) -> int:
    verdict = verify.main(given.file, compilation_cache=given.compilation_cache)
    return Failure.exit_code if verdict.finding is verify.Finding.ALTERED else DONE


def define_study(values: flags.FlagValues) -> None:
    define_cache(values)
    flags.DEFINE_string("claim", None, "a file of experiments/claims/", flag_values=values)
    flags.DEFINE_bool("all", False, "every claim, cheapest first", flag_values=values)
    text = "minutes that --all may take: what does not fit is left"
    flags.DEFINE_float("budget", None, text, 0.0, flag_values=values)
    define_path("workdir", "holds the runs, and a directory for each claim", values)
    values.set_default("workdir", "studies")


def run_study(given: flags.FlagValues) -> int:
    if (given.claim is None) != given.all:
        raise UsageError("study needs either --claim=NAME or --all")
    if given.budget is not None and not given.all:
        raise UsageError("--budget chooses among all claims: it is for --all")
    study.main(
        EXPERIMENTS / "claims",
        given.claim,
        math.inf if given.budget is None else given.budget,
        given.workdir,
        compilation_cache=given.compilation_cache,
    )
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


VERBS = {
    "train": Verb(run_train, define_train, None),
    "evaluate": Verb(run_evaluate, define_evaluate, "workdir"),
    "compare": Verb(run_compare, define_compare, "workdir"),
    "generate": Verb(run_generate, define_generate, "workdir"),
    "verify": Verb(run_verify, define_verify, "file"),
    "study": Verb(run_study, define_study, None),
    "report": Verb(run_report, define_workdir, "workdir"),
    "list": Verb(run_list, lambda values: None, None),
}


def parse(name: str, argv: list[str]) -> flags.FlagValues:
    """The flags of one verb. Raises UsageError for unknown flags, bad values and missing ones."""
    verb, values = VERBS[name], flags.FlagValues()
    verb.define(values)
    try:
        if name == "train":
            argv, workdir = overrides.from_command_line(argv, values)
            values.set_default("workdir", str(workdir))
        if name == "evaluate":
            if any(argument.partition("=")[0] == "--config" for argument in argv):
                raise UsageError(
                    "evaluate reads the run's own config and takes only "
                    "--config.dataset.FIELD=VALUE"
                )
            values(argv, known_only=True)  # the run's config says which overrides there are
            if values.workdir is not None:
                stored = run.load(values.workdir).config
                argv = overrides.define_overrides(stored, argv, values)
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
        values = flags.FlagValues()
        VERBS[name].define(values)
        print(values.get_help())
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
