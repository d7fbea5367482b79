"""Beam-on and beam-off windows."""

import pytest
from nuspill import ExperimentError, load

ESS_PERIOD = 1e9 / 14
PULSE = 2.8e6


def windows(name="ess-csi", **settings):
    """Windows of a shipped experiment with some settings changed."""
    changed = {f"windows.{key}": value for key, value in settings.items()}
    return load(name, changed).beam_windows


def test_defaults_at_the_ess():
    """Fails if beam-on is not pulse and tail, or beam-off not as long half a period later."""
    w = windows()
    assert (w.on_start, w.on_stop) == (0.0, 2.81e6)
    assert w.off_start == pytest.approx(ESS_PERIOD / 2)
    assert w.off_length == pytest.approx(w.on_length)
    assert (w.first, w.period) == (0.0, pytest.approx(ESS_PERIOD))


def test_defaults_at_the_sns():
    """Fails if the window at the SNS is not the paper's 10 µs, or the period not 1/60 s."""
    w = load("ess-csi", source="sns").beam_windows
    assert (w.on_start, w.on_stop) == (0.0, 1e4)
    assert w.period == pytest.approx(1e9 / 60)
    sns = load("ess-csi", source="sns").source
    assert sns.beam_window / sns.period == pytest.approx(6e-4)


def test_duty_factor_of_the_paper():
    """Fails if the paper's preset has not 14 Hz × 2.8 ms = 3.92e-2."""
    experiment = load("ess-csi", preset="paper")
    assert experiment.source.beam_window / experiment.source.period == pytest.approx(0.0392)
    assert experiment.beam_windows.on_length == PULSE


def test_silicon_has_two_exposures_a_pulse():
    """Fails if on and off are not the two 2.8 ms exposures of section 3.2."""
    w = load("ess-si").beam_windows
    assert w.on_length == pytest.approx(PULSE)
    assert w.off_length == pytest.approx(PULSE)


def test_early_start_lengthens():
    """Fails if a window that opens before the pulse closes before its end and tail."""
    w = windows(on_start=-1e5, on_tail=2e5)
    assert w.on_start == -1e5
    assert w.on_stop == pytest.approx(2.81e6 + 2e5)
    assert w.first == -1e5
    assert w.off_start == pytest.approx(ESS_PERIOD / 2 - 1e5)
    assert w.off_length == pytest.approx(w.on_length)


def test_late_start_shortens():
    """Fails if a later start moves the end: it is "from on_start to source.window + on_tail"."""
    w = windows(on_start=1e6)
    assert w.on_start == 1e6
    assert w.on_stop == pytest.approx(2.81e6)


def test_given_length():
    """Fails if a length that is given is changed."""
    w = windows(on_start=1e6, on_length=5e5, off_start=4e7, off_ratio=0.5)
    assert (w.on_stop, w.off_start, w.off_stop) == (1.5e6, 4e7, pytest.approx(4e7 + 2.5e5))


@pytest.mark.parametrize("tau", [0.25, 1.0, 3.0, 10.0])
def test_tau(tau):
    """Fails if beam-off is not τ times as long as beam-on."""
    w = windows(off_ratio=tau)
    assert w.off_length == pytest.approx(tau * w.on_length)


def test_off_before_the_pulse():
    """Fails if beam-off cannot lie before the pulse it belongs to."""
    w = windows(off_start=-1e7)
    assert w.first == w.off_start == -1e7
    assert w.off_stop == pytest.approx(-1e7 + 2.81e6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"on_length": 8e7}, "on_length is 8e[+]07 ns, longer than the pulse period 7.14"),
        ({"off_ratio": 30.0}, "off_length is 8.43e[+]07 ns, longer than the pulse period"),
        ({"off_start": 1e6}, "overlap"),
        ({"off_start": -1e6}, "overlap"),
        ({"off_ratio": 20.0}, "do not fit in one period"),
        ({"off_start": 7e7}, "do not fit in one period"),
        ({"off_start": -7e7, "on_start": 0.0}, "do not fit in one period"),
        ({"on_start": 7e7, "on_length": 2e6}, "do not fit|overlap"),
        ({"on_tail": -1.0}, "greater than or equal to 0"),
        ({"off_ratio": 0.0}, "greater than 0"),
        ({"on_length": 0.0}, "greater than 0"),
        ({"record": "some"}, "'windows' or 'all'"),
    ],
)
def test_bad_windows(settings, message):
    """Fails if windows that overlap, are too long or wrap around the period are accepted."""
    with pytest.raises(ExperimentError, match=message):
        windows(**settings)


def test_windows_that_touch():
    """Fails if windows that meet without a gap are taken for overlapping."""
    w = windows(off_start=2.81e6, off_ratio=20.0)
    assert w.off_start == w.on_stop
