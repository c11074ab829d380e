"""What an instance prints stays off the terminal, and what others print does not."""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import pickle
import sys
import threading

import pytest

from envhub.host.hushing import hushed


def test_what_is_printed_goes_to_the_log(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    before = sys.stdout
    with caplog.at_level(logging.DEBUG, "envhub"):
        assert hushed(sorted, [2, 1]) == [1, 2]
        hushed(print, "Sampling rejected")
    assert sys.stdout is before
    assert capsys.readouterr().out == ""
    assert "Sampling rejected" in caplog.text


def test_a_call_within_a_call_leaves_the_outer_one_hushed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def outer() -> None:
        hushed(print, "hidden")
        print("hidden too")

    hushed(outer)
    assert capsys.readouterr().out == ""


def test_an_exception_comes_through_and_the_next_print_is_seen(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = sys.stdout
    with pytest.raises(ZeroDivisionError):
        hushed(divmod, 1, 0)
    assert sys.stdout is before
    print("seen")
    assert capsys.readouterr().out == "seen\n"


def test_other_threads_print_meanwhile_and_two_may_be_hushed_at_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before, inside, leave = sys.stdout, threading.Event(), threading.Event()

    def wait() -> None:
        print("hidden")
        inside.set()
        assert leave.wait(60)
        print("hidden too")

    thread = threading.Thread(target=hushed, args=(wait,))
    thread.start()
    assert inside.wait(60)
    print("seen")
    hushed(print, "hidden as well")
    print("seen again", file=sys.stdout, flush=True)
    leave.set()
    thread.join()
    assert sys.stdout is before
    assert capsys.readouterr().out == "seen\nseen again\n"


def test_what_was_put_in_its_place_meanwhile_is_left_there() -> None:
    """A reader that redirects during a call, and puts back what it found afterwards."""
    before, found = sys.stdout, io.StringIO()
    redirected = contextlib.redirect_stdout(found)
    try:
        hushed(redirected.__enter__)
        print("seen")
        redirected.__exit__(None, None, None)  # puts the stand-in back
        with contextlib.redirect_stdout(found):
            hushed(print, "hidden")
            print("seen again")
        assert found.getvalue() == "seen\nseen again\n"
        assert hushed(sorted, [2, 1]) == [1, 2]
    finally:
        sys.stdout = before


def test_a_hushed_method_is_copied_with_its_object() -> None:
    words = ["a"]
    method = functools.partial(hushed, words.append)
    other, append = pickle.loads(pickle.dumps((words, method)))
    append("b")
    assert (words, other) == (["a"], ["a", "b"])
