import pytest

from seqgen import plan


def layout(**changes):
    facts = {
        "platform": "cpu",
        "available": 2,
        "rows": 32,
        "operations": 1e9,
        "recurrent_bytes": 2**18,
        "recurrent_share": 0.5,
        "intervals": (100, 500, 1000),
    }
    return plan.run_plan(**facts | changes)


def test_devices_divide_the_rows():
    assert layout().devices == 2
    assert layout(rows=33).devices == 1
    assert layout(available=8, rows=12).devices == 6


def test_recurrent_weights_beyond_the_cache_are_multiplied_by_all_cores_together():
    assert layout(recurrent_bytes=2**22, recurrent_share=0.8).devices == 1
    assert layout(recurrent_bytes=2**22, recurrent_share=0.2).devices == 2
    assert layout(recurrent_bytes=2**22, recurrent_share=0.8, platform="gpu").devices == 2


def test_without_a_recurrence_all_cores_share_every_product():
    assert layout(recurrent_bytes=0, recurrent_share=0.0).devices == 1
    assert layout(recurrent_bytes=0, recurrent_share=0.0, platform="gpu").devices == 2


def test_only_devices_that_are_cores_need_threads_of_their_own():
    assert layout().compiler_options == plan.OWN_THREADS
    assert layout(rows=33).compiler_options == {}
    assert layout(platform="tpu").compiler_options == {}


def test_a_tiny_model_stays_on_one_device():
    assert layout(operations=1e5).devices == 1


@pytest.mark.parametrize("operations", [1e5, 1e8, 1e9, 1e12])
@pytest.mark.parametrize("intervals", [(100, 500, 1000), (7,), (30, 42)])
def test_steps_per_call_divide_every_interval_and_end_in_time(operations, intervals):
    steps = layout(operations=operations, intervals=intervals).steps_per_call
    assert all(interval % steps == 0 for interval in intervals)
    seconds = steps * operations / plan.OPERATIONS_PER_SECOND["cpu"]
    assert steps == 1 or seconds <= plan.LONGEST_CALL_SECONDS


def test_a_tiny_model_takes_many_steps_in_one_call():
    assert layout(operations=1e5).steps_per_call == 100
