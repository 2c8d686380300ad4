"""Docstrings of the public names say what the signatures and the learned attributes say."""

import dataclasses
import importlib
import inspect
import pkgutil

import pytest
from estimator_checks import fitted, make_events
from fast_estimators import fast_estimators
from numpydoc.docscrape import ClassDoc
from numpydoc.validate import validate

import skad

# https://numpydoc.readthedocs.io/en/latest/validation.html explains the codes.
FORBIDDEN = {
    "GL08": "no docstring",
    "PR01": "a parameter is not documented",
    "PR02": "a documented parameter does not exist",
    "PR03": "parameters in another order than in the signature",
    "PR04": "a parameter without type",
    "PR10": "no space before the colon of a parameter",
    "RT01": "no Returns section",
    "YD01": "no Yields section",
    "EX01": "no Examples section",
}
# In rooms for developers the description of parameters and results may be left to the prose.
DEVELOPER_ROOMS = {"base", "demo", "exceptions", "nn", "utils"}
FORBIDDEN_TO_DEVELOPERS = {"GL08", "PR02", "PR03", "PR10"}


def public_objects():
    """Dotted name and object of every class and function in the ``__all__`` of a room."""
    found = {}
    for info in pkgutil.iter_modules(skad.__path__):
        room = importlib.import_module(f"skad.{info.name}")
        for name in getattr(room, "__all__", ()):
            value = getattr(room, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                found[f"skad.{info.name}.{name}"] = value
    return found


PUBLIC = public_objects()


def public_methods(cls):
    """Names of the public methods that skad, not scikit-learn, gave the class."""
    for name, member in inspect.getmembers(cls):
        function = inspect.unwrap(getattr(member, "__func__", member))
        module = getattr(function, "__module__", None) or ""
        if not name.startswith("_") and inspect.isroutine(member) and module.startswith("skad"):
            yield name


def errors_of(dotted, codes):
    """What numpydoc finds wrong with a docstring, as far as it is forbidden here."""
    return [
        f"{dotted}: {text}"
        for code, text in validate(dotted)["errors"]
        # numpydoc takes the parameter `cls` of a function for that of a class method.
        if code in codes and text != "Unknown parameters {'cls'}"
    ]


def documented(cls, section):
    """Names in a section; one entry may hold several."""
    entries = (entry.name for entry in ClassDoc(cls)[section])
    return {name.strip() for entry in entries for name in entry.split(",")}


def is_record(value):
    """Whether a class only holds results: their fields are attributes, nobody builds them."""
    return dataclasses.is_dataclass(value) or hasattr(value, "_fields")


def fields_of(record):
    if dataclasses.is_dataclass(record):
        return {field.name for field in dataclasses.fields(record) if field.init}
    return set(record._fields)


@pytest.mark.parametrize("dotted", PUBLIC)
def test_docstring_agrees_with_signature(dotted):
    value = PUBLIC[dotted]
    if inspect.isclass(value) and issubclass(value, BaseException):
        assert inspect.getdoc(value)
        return
    if dotted.split(".")[1] in DEVELOPER_ROOMS:
        wrong = errors_of(dotted, FORBIDDEN_TO_DEVELOPERS)
    elif is_record(value):
        wrong = errors_of(dotted, {"GL08"})
        assert fields_of(value) <= documented(value, "Attributes") | documented(value, "Parameters")
    else:
        wrong = errors_of(dotted, FORBIDDEN)
        if inspect.isclass(value):
            for name in public_methods(value):
                wrong += errors_of(f"{dotted}.{name}", FORBIDDEN.keys() - {"EX01"})
    assert not wrong, "\n".join(wrong)


ESTIMATORS = fast_estimators()
# Set by scikit-learn from X; whether to repeat them is a matter of taste.
OF_SCIKIT_LEARN = {"n_features_in_", "feature_names_in_"}


def learned_attributes(estimator):
    return {
        name for name in vars(estimator) if name.endswith("_") and not name.startswith("_")
    } - OF_SCIKIT_LEARN


@pytest.mark.filterwarnings("ignore::skad.exceptions.LowStatisticsWarning")
@pytest.mark.parametrize("name", ESTIMATORS)
def test_attributes_are_documented(name):
    fit = fitted(ESTIMATORS[name], *make_events())
    attributes = documented(type(fit), "Attributes")
    assert learned_attributes(fit) <= attributes
    for attribute in attributes - OF_SCIKIT_LEARN:
        assert hasattr(fit, attribute), attribute


# The checks themselves, on functions and classes of this module.


def good(x, y=1):
    """Add.

    Parameters
    ----------
    x : float
    y : int, default=1

    Returns
    -------
    sum : float

    Examples
    --------
    >>> 1 + 1
    2
    """
    return x + y


def forgetful(x, z=1):
    """Add.

    Parameters
    ----------
    x : float
    y : int, default=1
    """
    return x + z


def test_checker():
    assert errors_of("test_docstrings.good", FORBIDDEN) == []
    wrong = " ".join(errors_of("test_docstrings.forgetful", FORBIDDEN))
    for text in ("'z'", "'y'", "Returns", "examples"):
        assert text in wrong
    assert "examples" not in " ".join(errors_of("test_docstrings.forgetful", {"PR01"}))


class Undocumented:
    """A class.

    Attributes
    ----------
    a_, b_ : float
    """

    def __init__(self):
        self.a_ = self.c_ = 1.0


def test_attribute_checker():
    assert documented(Undocumented, "Attributes") == {"a_", "b_"}
    assert learned_attributes(Undocumented()) == {"a_", "c_"}
