"""The flags of every verb: what `launch.py` takes besides a config's fields (`overrides.py`)."""

import math
from pathlib import Path

from absl import flags

from seqgen.decoding import Options as Decoding
from seqgen.errors import UsageError
from seqgen.processes import Place


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


def define_report(values: flags.FlagValues) -> None:
    define_path(
        "workdir", "of a run, of runs with several seeds, a sweep, studies or diagnoses", values
    )


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
    text = "a file that lists directories of runs, begun or not, to train in place of --config"
    define_path("group", text, values)
    text = "one of the processes of a run, which Slurm or MPI has started and tells of each other"
    flags.DEFINE_bool("distributed", False, text, flag_values=values)
    text = "HOST:PORT where process 0 listens, in place of --distributed"
    flags.DEFINE_string("coordinator", None, text, flag_values=values)
    flags.DEFINE_integer("processes", None, "of that run", 1, flag_values=values)
    flags.DEFINE_integer("process", None, "number of this one", 0, flag_values=values)


def place(given: flags.FlagValues) -> Place | None:
    """This process's among those that train a run, None if it is alone. Raises UsageError."""
    told = (given.coordinator, given.processes, given.process)
    apart = given.group is not None or given.config.seeds is not None
    if apart and (given.distributed or any(value is not None for value in told)):
        raise UsageError("several processes train one run: leave out --group and --config.seeds")
    if all(value is None for value in told):
        return Place() if given.distributed else None
    if given.distributed or None in told or given.process >= given.processes:
        raise UsageError(
            "a process of a run that several train needs either --distributed, under srun or "
            "mpirun, or --coordinator=HOST:PORT, --processes=N and --process=0 … N-1"
        )
    return Place(*told)


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


def define_compare(values: flags.FlagValues) -> None:
    define_checkpoint(values)
    define_path("with", "the directory of the other run", values)
    flags.DEFINE_string("split", "test", "train, valid or test", flag_values=values)
    define_search(values)


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


def define_diagnose(values: flags.FlagValues) -> None:
    define_checkpoint(values)
    flags.DEFINE_string("split", "valid", "train, valid or test", flag_values=values)
    text = "a text whose layers are drawn over time, in place of the first example"
    flags.DEFINE_string("prompt", None, text, flag_values=values)
    text = "configs side by side: 'model.cell=rnn,lstm; seed=0..2', around that of --config"
    flags.DEFINE_string("grid", None, text, flag_values=values)


def define_verify(values: flags.FlagValues) -> None:
    define_cache(values)
    define_path("file", "the file in question", values)


def define_export(values: flags.FlagValues) -> None:
    define_checkpoint(values)
    text = "npz, or safetensors (extra export)"
    flags.DEFINE_string("format", "npz", text, flag_values=values)


def define_study(values: flags.FlagValues) -> None:
    define_cache(values)
    flags.DEFINE_string("claim", None, "a file of experiments/claims/", flag_values=values)
    flags.DEFINE_bool("all", False, "every claim, cheapest first", flag_values=values)
    text = "minutes that --all may take: what does not fit is left"
    flags.DEFINE_float("budget", None, text, 0.0, flag_values=values)
    define_path("workdir", "holds the runs, and a directory for each claim", values)
    values.set_default("workdir", "studies")


def define_sweep(values: flags.FlagValues) -> None:
    define_cache(values)
    define_path("workdir", "holds the runs of all trials", values)
    text = "all combinations: 'model.cell=rnn,lstm; seed=0..2', around the config of --config"
    flags.DEFINE_string("grid", None, text, flag_values=values)
    define_path("sweep", "a Python file whose get_sweep() returns trials", values)
    text = "only show the trials: what is done, what is not, in which jobs it would run"
    flags.DEFINE_bool("dry_run", False, text, flag_values=values)
    flags.DEFINE_bool("retry_failed", False, "run also those that failed", flag_values=values)
    text = "times that what fails is tried again at once"
    flags.DEFINE_integer("retries", 0, text, 0, flag_values=values)
    text = "local: processes of this machine; slurm: its job arrays"
    flags.DEFINE_enum("backend", "local", ["local", "slurm"], text, flag_values=values)
    text = "jobs at a time; by default one for each accelerator, or one, and all of slurm"
    flags.DEFINE_integer("jobs", None, text, 1, flag_values=values)
    text = "minutes after which a process is asked to save and stop"
    flags.DEFINE_float("time_limit", None, text, 0.0, flag_values=values)
    text = "an option of sbatch: --slurm.time=60 --slurm.partition=gpu"
    flags.DEFINE_multi_string("slurm", [], text, flag_values=values)


def minutes(given: flags.FlagValues, name: str) -> float | None:
    """What the flag of that name says. Raises UsageError for what no clock reaches."""
    limit = given[name].value
    if limit is not None and not math.isfinite(60 * limit):
        raise UsageError(f"--{name} must be a number of minutes, not {limit}")
    return limit


def slurm_options(given: flags.FlagValues) -> dict[str, str | None]:
    """Name -> value of what `--slurm.NAME=VALUE` passes on. Raises UsageError."""
    if given.backend == "slurm" and given.time_limit is not None:
        raise UsageError("--time_limit is of this machine's processes: give --slurm.time")
    if given.backend != "slurm" and given.slurm:
        raise UsageError("--slurm.… is for --backend=slurm")
    parts = (text.partition("=") for text in given.slurm)
    return {name: value if equals else None for name, equals, value in parts}
