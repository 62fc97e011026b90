"""Names from files, parameters from signatures, one syntax for both."""

import subprocess
import sys
from types import SimpleNamespace
from typing import Literal

import pytest

from edge_ood.errors import InputError, UnknownNameError
from edge_ood.registry import (
    NonNegative,
    Positive,
    Registry,
    Spec,
    bind_parameters,
    parse_spec,
    parse_specs,
)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with two public modules, a private one and a folder without code."""
    name = f"pieces_{tmp_path.name}"
    folder = tmp_path / name
    folder.mkdir()
    for module in ("__init__", "max_logit", "energy", "_private"):
        (folder / f"{module}.py").write_text(f"THING = {module!r}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def scaled(values, *, temperature=1.0, steps=3, clipped=False, mode="mean"):
    """A function with one parameter of each type."""


def test_names_are_the_public_files(package):
    """Sorted file names, without private modules."""
    assert ["energy", "max_logit"] == Registry(package, kind="piece", attribute="THING").names()


def test_names_can_be_joined_by_hyphens(package):
    """A package may write its names with hyphens; files keep their underscores."""
    registry = Registry(package, kind="piece", attribute="THING", separator="-")

    assert ["energy", "max-logit"] == registry.names()


@pytest.mark.parametrize("separator", ["_", "-"])
@pytest.mark.parametrize("name", ["max_logit", "max-logit"])
def test_either_spelling_gets_the_object(package, separator, name):
    """Hyphen and underscore are interchangeable when asking."""
    registry = Registry(package, kind="piece", attribute="THING", separator=separator)

    assert "max_logit" == registry.get(name)


def test_a_new_file_is_a_new_name(package, tmp_path):
    """Adding one idea is adding one file."""
    registry = Registry(package, kind="piece", attribute="THING")
    (tmp_path / package / "odin.py").write_text("THING = 'odin'\n")

    assert "odin" in registry.names()
    assert "odin" == registry.get("odin")


def test_listing_names_imports_none_of_them(package, tmp_path):
    """A module that is only listed is not run."""
    (tmp_path / package / "slow.py").write_text("raise SystemExit('imported')\n")
    script = (
        "import sys; from edge_ood.registry import Registry; "
        f"print(Registry({package!r}, kind='piece', attribute='THING').names())"
    )

    run = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "['energy', 'max_logit', 'slow']" == run.stdout.strip()


@pytest.mark.parametrize("name", ["enrgy", "Energy"])
def test_unknown_name_suggests_the_nearest(package, name):
    """The message has kind and name, the hint the closest name and where to look."""
    registry = Registry(package, kind="piece", attribute="THING", listing="'ls' lists them")

    with pytest.raises(UnknownNameError, match=f"unknown piece '{name}'") as caught:
        registry.get(name)

    assert "energy" == caught.value.closest
    assert "did you mean 'energy'? 'ls' lists them" == caught.value.hint


@pytest.mark.parametrize("name", ["_private", "__init__", "energy.THING", "", "../energy"])
def test_only_public_modules_are_names(package, name):
    """Private modules, attributes and paths are no names."""
    with pytest.raises(UnknownNameError):
        Registry(package, kind="piece", attribute="THING").get(name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("energy", [Spec("energy")]),
        ("energy,msp", [Spec("energy"), Spec("msp")]),
        (
            "energy,odin:temperature=1000,epsilon=0.0014,msp",
            [
                Spec("energy"),
                Spec("odin", {"temperature": "1000", "epsilon": "0.0014"}),
                Spec("msp"),
            ],
        ),
        (" energy : temperature = 2 , msp ", [Spec("energy", {"temperature": "2"}), Spec("msp")]),
        ("energy,temperature=2", [Spec("energy", {"temperature": "2"})]),
        ("a:m_in=-23,m_out=-5", [Spec("a", {"m_in": "-23", "m_out": "-5"})]),
        ("a:path=c:d,b", [Spec("a", {"path": "c:d"}), Spec("b")]),
        ("a,path=c:d", [Spec("a", {"path": "c:d"})]),
    ],
)
def test_specs_are_names_with_parameters(text, expected):
    """A comma separates names, and parameters of the name on the left."""
    assert expected == parse_specs(text)


@pytest.mark.parametrize(
    "text",
    ["", ",", "energy,", "energy,,msp", "energy:", ":x=1", "energy,:x=1", "x=1", "x=1,energy"],
)
def test_empty_names_and_parameters_are_refused(text):
    """The hint shows the syntax."""
    with pytest.raises(InputError, match=r"cannot read .*: empty name or parameter") as caught:
        parse_specs(text)

    assert "write NAME,NAME:parameter=value,parameter=value" == caught.value.hint


@pytest.mark.parametrize("text", ["energy:=1", "energy:x=", "energy,=1"])
def test_half_parameters_are_refused(text):
    """A parameter needs a name and a value."""
    with pytest.raises(InputError, match="expected parameter=value"):
        parse_specs(text)


def test_repeated_parameter_is_refused():
    """Two values for one parameter contradict each other."""
    with pytest.raises(InputError, match="parameter 'x' is given twice in 'a:x=1,x=2'"):
        parse_specs("a:x=1,x=2")


def test_one_spec_is_one_name():
    """Where one name is expected two are an error that counts them."""
    assert Spec("a", {"x": "1"}) == parse_spec("a:x=1")
    with pytest.raises(InputError, match="expected one name, got 2 in 'a,b'"):
        parse_spec("a,b")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nets.small:build", Spec("nets.small:build")),
        ("nets:build", Spec("nets:build")),
        (" nets:Net : width=8, depth=2", Spec("nets:Net", {"width": "8", "depth": "2"})),
        ("nets:build,width=8", Spec("nets:build", {"width": "8"})),
        ("nets:build:path=c:d", Spec("nets:build", {"path": "c:d"})),
        ("a:path=c:d", Spec("a", {"path": "c:d"})),
    ],
)
def test_a_function_of_ones_own_is_one_name(text, expected):
    """A word after a colon that no `=` follows belongs to the name, parameters come behind it."""
    assert expected == parse_spec(text)


@pytest.mark.parametrize("text", ["wrn-40-2:dropout", "nets:build:width", "nets:build:=8"])
def test_half_a_parameter_is_no_function(text):
    """Names that no module can have, and what follows a function's name, keep the syntax."""
    with pytest.raises(InputError, match="expected parameter=value"):
        parse_spec(text)


def test_parameters_are_completed_in_signature_order():
    """Given values replace defaults and take their types."""
    bound = bind_parameters(scaled, {"steps": "5", "temperature": "2"}, owner="scaled")

    assert [("temperature", 2.0), ("steps", 5), ("clipped", False), ("mode", "mean")] == list(
        bound.items()
    )
    assert [float, int, bool, str] == [type(value) for value in bound.values()]


@pytest.mark.parametrize(("text", "expected"), [("true", True), ("False", False), (True, True)])
def test_booleans_are_words(text, expected):
    """`false` is false, although it is a non-empty text."""
    assert bind_parameters(scaled, {"clipped": text}, owner="scaled")["clipped"] is expected


def test_typed_values_pass():
    """Values from a document are kept as they are; whole numbers serve as floats."""
    bound = bind_parameters(scaled, {"temperature": 2, "steps": 5}, owner="scaled")

    assert (2.0, 5) == (bound["temperature"], bound["steps"])


@pytest.mark.parametrize(("given", "expected"), [({}, None), ({"limit": None}, None)])
@pytest.mark.parametrize(("text", "number"), [("-2.5", -2.5), (3, 3.0)])
def test_a_number_may_be_left_open(given, expected, text, number):
    """None stands for a value that is not known yet; a given one takes the declared type."""

    def bounded(*, limit: float | None = None):
        return limit

    assert {"limit": expected} == bind_parameters(bounded, given, owner="bounded")
    assert {"limit": number} == bind_parameters(bounded, {"limit": text}, owner="bounded")
    with pytest.raises(InputError, match="'limit' of bounded is 'wide', expected float"):
        bind_parameters(bounded, {"limit": "wide"}, owner="bounded")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"temperature": "warm"}, "parameter 'temperature' of scaled is 'warm', expected float"),
        ({"temperature": "nan"}, "parameter 'temperature' of scaled is 'nan', expected float"),
        ({"temperature": "-inf"}, "expected float"),
        ({"steps": "2.5"}, "parameter 'steps' of scaled is '2.5', expected int"),
        ({"clipped": "yes"}, "parameter 'clipped' of scaled is 'yes', expected bool"),
        ({"steps": None}, "parameter 'steps' of scaled is None, expected int"),
    ],
)
def test_value_of_the_wrong_type_is_refused(given, message):
    """The message has parameter, owner, value and type, the hint the default."""
    with pytest.raises(InputError, match=message) as caught:
        bind_parameters(scaled, given, owner="scaled")

    assert caught.value.hint.startswith("the default is ")


def test_unknown_parameter_suggests_the_nearest():
    """A misspelt parameter gets the closest one."""
    with pytest.raises(
        UnknownNameError, match="unknown parameter of scaled 'temperatures'"
    ) as caught:
        bind_parameters(scaled, {"temperatures": "2"}, owner="scaled")

    assert "temperature" == caught.value.closest


def test_positional_arguments_are_no_parameters():
    """What the caller of the function passes cannot be set by a user."""
    with pytest.raises(UnknownNameError):
        bind_parameters(scaled, {"values": "1"}, owner="scaled")


def test_function_without_parameters_says_so():
    """There is nothing to suggest where nothing can be given."""
    with pytest.raises(UnknownNameError) as caught:
        bind_parameters(lambda values: values, {"x": "1"}, owner="identity")

    assert "one of none at all" == caught.value.hint


def bounded(*, width: Positive = 1.0, step: NonNegative = 0.5, by: Literal["mean", "max"] = "mean"):
    """A function whose annotations limit its parameters."""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"width": "0"}, "'width' of it is 0.0, expected a number above 0"),
        ({"width": -2}, "'width' of it is -2.0, expected a number above 0"),
        ({"step": "-0.1"}, "'step' of it is -0.1, expected 0 or more"),
        ({"by": "median"}, "'by' of it is 'median', expected one of mean, max"),
    ],
)
def test_a_value_out_of_range_is_refused(given, expected):
    """The message has value and range, the hint the default."""
    with pytest.raises(InputError, match=expected) as raised:
        bind_parameters(bounded, given, owner="it")

    assert "the default is" in raised.value.hint


def test_the_edges_of_a_range_are_accepted():
    """Zero is allowed where only negative numbers are not, and so is every listed word."""
    assert {"width": 1e-9, "step": 0.0, "by": "max"} == bind_parameters(
        bounded, {"width": "1e-9", "step": "0", "by": "max"}, owner="it"
    )


class Thing:
    """What a registry offers."""

    def __init__(self, name):
        self.name = name


@pytest.fixture
def things(package, tmp_path, monkeypatch):
    """A registry with one thing, and a module of the user's own in the working directory."""
    monkeypatch.setitem(sys.modules, "things", SimpleNamespace(Thing=Thing))
    (tmp_path / package / "energy.py").write_text(
        "from things import Thing\nTHING = Thing('energy')\n"
    )
    (tmp_path / f"own_{package}.py").write_text(
        "from things import Thing\n"
        "THING, TAKEN, ODD, OTHER = Thing('mine'), Thing('energy'), Thing('a b'), 7\n"
    )
    monkeypatch.chdir(tmp_path)
    return Registry(package, kind="piece", attribute="THING"), f"own_{package}"


def test_code_of_the_users_is_taken_in_by_its_name(things):
    """From then on it is a name as all others, with the parameters that were given."""
    registry, module = things

    found = registry.take_in(parse_spec(f"{module}:THING:power=2"))

    assert Spec("mine", {"power": "2"}) == found
    assert "mine" == registry.get("mine").name
    assert "mine" in registry.names()
    assert Spec("mine") == registry.take_in(Spec(f"{module}:THING"))


def test_a_name_without_a_module_stays_what_it_is(things):
    """Nothing is imported for it, known or not."""
    registry, _ = things

    assert Spec("nothing") == registry.take_in(Spec("nothing"))


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("NONE", "has no 'NONE'"),
        ("OTHER", "is of type 'int', expected a Thing"),
        ("TAKEN", "is called 'energy', expected a name .* that no other has"),
        ("ODD", "is called 'a b', expected a name of small letters"),
    ],
)
def test_code_that_is_no_piece_is_refused(things, attribute, message):
    """Another type, another piece's name, and a name that could be no output's."""
    registry, module = things

    with pytest.raises(InputError, match=message):
        registry.take_in(Spec(f"{module}:{attribute}"))

    assert "a b" not in registry.names()


def test_a_registry_never_imports_a_name_by_itself(things):
    """Names that come from files are data, whatever they look like."""
    registry, module = things

    with pytest.raises(UnknownNameError):
        registry.get(f"{module}:THING")


def test_names_in_a_list_may_be_of_the_users_own():
    """A word after a colon that no `=` follows belongs to the name."""
    found = parse_specs("energy:temperature=2,my.heads:HEAD,other:HEAD:power=3,base=1")

    assert [
        Spec("energy", {"temperature": "2"}),
        Spec("my.heads:HEAD"),
        Spec("other:HEAD", {"power": "3", "base": "1"}),
    ] == found
