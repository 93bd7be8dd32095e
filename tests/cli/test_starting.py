"""The start of a command is quick, and leaves the process as it was."""

import gc

import pytest

from streamrnn.cli.starting import starting


def test_the_garbage_collector_rests_during_a_start_and_works_afterwards():
    with starting():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_the_garbage_collector_works_after_a_start_that_failed():
    with pytest.raises(ValueError, match="no model"), starting():
        raise ValueError("no model")
    assert gc.isenabled()


def test_who_works_without_the_garbage_collector_goes_on_without_it():
    gc.disable()
    try:
        with starting():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_a_start_has_made_is_not_looked_through_again():
    with starting():
        made = [[] for _ in range(1000)]
    assert not {id(item) for item in made} & {id(item) for item in gc.get_objects()}
