"""Completion in a shell: fails if it gives help or a traceback in place of words."""

import os
import subprocess
import sys

import pytest


def ask(instruction, words="", place=0):
    environment = os.environ | {
        "_NUSPILL_COMPLETE": instruction,
        "COMP_WORDS": words,
        "COMP_CWORD": str(place),
    }
    done = subprocess.run(
        [sys.executable, "-m", "nuspill"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell(shell):
    text = ask(f"{shell}_source")
    assert "_nuspill_completion" in text
    assert f"_NUSPILL_COMPLETE={shell}_complete" in text


@pytest.mark.parametrize(
    ("words", "place", "expected"),
    [
        pytest.param("nuspill gen", 1, {"plain,generate"}, id="command"),
        pytest.param("nuspill benchmark to", 2, {"plain,toys"}, id="benchmark"),
        pytest.param("nuspill asimov ess-cs", 2, {"plain,ess-csi", "file,ess-cs"}, id="experiment"),
        pytest.param(
            "nuspill asimov ess-csi --prof", 3, {"plain,--profile"}, id="option of a command"
        ),
    ],
)
def test_words(words, place, expected):
    assert set(ask("bash_complete", words, place).split()) == expected
