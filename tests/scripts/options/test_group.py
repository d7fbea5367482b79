"""Groups of options: fails if a command gets other values than its command line says."""

from dataclasses import FrozenInstanceError, dataclass

import click
import pytest
from click.testing import CliRunner
from nuspill.scripts.options.computing import Computing, cluster_option
from nuspill.scripts.options.group import group_options, option
from nuspill.scripts.options.loading import Loading, setting_option


@dataclass(frozen=True)
class BeamTime:
    years: float = option("--years", type=float, default=3.0, show_default=True, help="How long.")
    names: tuple[str, ...] = option("--name", multiple=True, help="Of what.")
    full: bool = option("--all", is_flag=True, default=False, help="Everything.")


def call(decorator, *arguments):
    """What a command with these options is given."""
    given = {}

    @click.command()
    @decorator
    def command(**values):
        given.update(values)

    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    return given, done


def test_one_object_of_the_values_that_are_given():
    given, _ = call(group_options(BeamTime), "--name", "a", "--years", "2", "--name", "b", "--all")
    assert given == {"beam_time": BeamTime(2.0, ("a", "b"), True)}


def test_defaults():
    given, _ = call(group_options(BeamTime))
    assert given == {"beam_time": BeamTime()} == {"beam_time": BeamTime(3.0, (), False)}


def test_a_field_that_is_left_out_is_no_option_and_keeps_its_default():
    given, _ = call(group_options(BeamTime, without=["years"]), "--all")
    assert given == {"beam_time": BeamTime(3.0, (), True)}
    _, done = call(group_options(BeamTime, without=["years"]), "--years", "2")
    assert done.exit_code == 2
    assert "No such option" in done.output


def test_help_lists_the_options_in_the_order_of_the_fields():
    _, done = call(group_options(BeamTime), "--help")
    places = [done.output.index(word) for word in ("--years", "[default: 3.0]", "--name", "--all")]
    assert places == sorted(places)


def test_groups_beside_each_other():
    def both(command):
        return setting_option(cluster_option(command))

    given, _ = call(both, "--set", "target.mass=30")
    assert given == {"loading": Loading({"target.mass": 30}), "computing": Computing(None, None)}


def test_the_object_is_frozen():
    given, _ = call(group_options(BeamTime))
    with pytest.raises(FrozenInstanceError):
        given["beam_time"].years = 1.0


def test_loading_takes_the_years_and_settings():
    # fails if --years is dropped, or if --set of other keys is, or one of two lengths is taken
    (one,) = Loading({"target.mass": 30}, years=0.5).load_all(["ess-ar"])
    assert (one.exposure.years, one.target.mass) == (0.5, 30)
    with pytest.raises(click.BadParameter, match=r"--years 0\.5 contradicts .*years=2"):
        Loading({"exposure.years": 2}, years=0.5).load_all(["ess-ar"])
