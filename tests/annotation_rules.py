"""Which annotation belongs to the type that a docstring states."""

import importlib
import inspect
import pkgutil
import re

import skad

WORDS = {
    **{word: word for word in ("int", "float", "bool", "str", "None", "slice", "Path")},
    **dict.fromkeys(
        ("classifier", "density", "detector", "estimator", "Pipeline", "template", "transformer"),
        "Estimator",
    ),
    "Axes": "Axes",
    "DataFrame": "DataFrame",
    "RandomState": "RandomState",
    "array": "NDArray[Any]",
    "array-like": "ArrayLike",
    "callable": "Callable[..., Any]",
    "class": "type[Any]",
    "column": "int | str",
    "dict": "dict[Any, Any]",
    "path": "PathLike",
    "path-like": "PathLike",
    "region": "SignalRegion | Floats",
    "text stream": "TextIO",
    "type": "type[Any]",
}
# Said of an object without saying what it is.
ADJECTIVES = re.compile(
    r"^(?:fitted |unfitted |PyOD |pandas\.|pathlib\.|matplotlib |:class:`~sklearn\.utils\.)"
)
NO_TYPE = re.compile(r"(?:of )?shape\b|\(n_|in the precision|dtype of|if ")
ARRAY_OF = {"float64": "np.float64", "bool": "np.bool_", "int": "np.int64"}
# Alternatives inside a sequence, as one word.
JOINED = [
    (r"\bof (?:two )?(?:int or str|str or int)\b", "of column"),
    (r"SignalRegion or of \(low, high\)", "region"),
    (r"two or more array-like", "array-like"),
]


def public_classes():
    """Name and class of every class in the ``__all__`` of a room."""
    found = {}
    for info in pkgutil.iter_modules(skad.__path__):
        room = importlib.import_module(f"skad.{info.name}")
        for name in getattr(room, "__all__", ()):
            value = getattr(room, name)
            if inspect.isclass(value):
                found[name] = value
    return found


CLASSES = public_classes()


def parameter_annotation(text, default, known):
    """Annotation of a parameter.

    Parameters
    ----------
    text : str
        Type in the docstring, such as ``int, str or None, default=None``.
    default : object
    known : collection of str
        Classes of skad that the annotation may name; others are Any.

    Returns
    -------
    annotation : str
    """
    found = _translate(text, known)
    lacks_none = default is None and found != "Any" and not {"None", "Seed"} & set(_parts(found))
    return f"{found} | None" if lacks_none else found


def return_annotation(function, entries, known):
    """Annotation of what a function returns.

    Any is a union that a caller would have to take apart, what a parameter `return_...` decides,
    and what `set_output` may turn into a DataFrame.

    Parameters
    ----------
    function : function
    entries : list of (str, str)
        Name and type of every entry of the Returns section.
    known : collection of str

    Returns
    -------
    annotation : str
    """
    parameters = inspect.signature(function).parameters
    is_chosen = any(name.startswith("return_") for name in parameters)
    if is_chosen or function.__name__ in ("transform", "fit_transform"):
        return "Any"
    found = []
    entries = [(name, text) for names, text in entries for name in names.split(", ")]
    for name, text in entries:
        kind = "Self" if name == "self" or text == "display" else _translate(text, known)
        kind = re.sub(r"\bMapping\[", "dict[", re.sub(r"\bSequence\[", "list[", kind))
        parts = set(_parts(kind)) - {"None"}
        is_open = len(parts) > 1 or re.search(r"\b(?:ArrayLike|Estimator|Floats)\b", kind)
        found.append("Any" if is_open else kind)
    if len(found) < 2:
        return found[0] if found else "None"
    return f"tuple[{', '.join(found)}]"


def _parts(annotation):
    return _split(annotation, [" | "])


def _split(text, separators):
    """Split where no bracket and no quote is open."""
    parts, depth, quoted, start, i = [], 0, False, 0, 0
    while i < len(text):
        quoted ^= text[i] == '"'
        depth += (text[i] in "([{") - (text[i] in ")]}")
        hit = next((s for s in separators if text.startswith(s, i)), "")
        if hit and depth == 0 and not quoted:
            parts.append(text[start:i])
            start = i + len(hit)
        i += max(len(hit), 1)
    return [part.strip() for part in [*parts, text[start:]] if part.strip()]


def _translate(text, known):
    text = re.sub(r",? ?\(?optional\)?$|, default=.*$", "", text.strip())
    for pattern, word in JOINED:
        text = re.sub(pattern, word, text)
    found = []
    for part in _split(text, [", or ", " or ", ", "]):
        annotation = _one(part, found, known)
        if annotation:
            found += [a for a in _parts(annotation) if a not in found]
    return _joined(found)


def _one(text, before, known):
    """Annotation of one alternative; None where it says nothing of the type."""
    text = ADJECTIVES.sub("", text).rstrip("`").removesuffix(" instance")
    if NO_TYPE.match(text):
        return None
    if text[0] in '{"':
        options = [option for option in text.strip("{}").split(", ") if option != "None"]
        return f"Literal[{', '.join(options)}]{' | None' if 'None' in text else ''}"
    if match := re.match(r"(int|float) in [(\[]", text):
        return match[1]
    if match := re.match(r"\((.*)\)$", text):
        inner = match[1].split(", ")
        if set(inner) <= {"float", "low", "high"}:
            return "Floats"
        if inner == ["X", "weight"]:
            return "tuple[ArrayLike, ArrayLike]"
        return f"tuple[{', '.join(_translate(part, known) for part in inner)}]"
    if match := re.match(r"dict of (\w+) to (.*)$", text):
        return f"Mapping[{_translate(match[1], known)}, {_translate(match[2], known)}]"
    if match := re.match(r"(sequence of|list of|tuple of|iterable of|iterator of|two) (.*)$", text):
        kinds = {"iterable of": "Iterable", "iterator of": "Iterator"}
        word = kinds.get(match[1], "Sequence")
        if match[2] == "them":
            return f"{word}[{_joined([part for part in before if part != 'None'])}]"
        inner = ADJECTIVES.sub("", re.sub(r"\d to \d ", "", match[2]))
        inner = _translate(inner if inner in WORDS else inner.removesuffix("s"), known)
        return "Floats" if inner == "float" else f"{word}[{inner}]"
    if match := re.match(r"ndarray(?: of (float64|bool|int)\b)?", text):
        return f"NDArray[{ARRAY_OF.get(match[1], 'Any')}]"
    if text in known:
        return text
    return WORDS.get(re.split(r" of | \(", text)[0], "Any")


def _joined(found):
    """One annotation for the alternatives: literals first, None last, shared names where apt."""
    if not found or "Any" in found:
        return "Any"
    rest = [part for part in found if part != "None" and not part.startswith("Literal[")]
    literals = [part[len("Literal[") : -1] for part in found if part.startswith("Literal[")]
    names = {("int", "RandomState", "None"): "Seed"}
    names |= {("str", "PathLike"): "FilePath", ("PathLike",): "FilePath"}
    has_none = "None" in found
    for alternatives, name in names.items():
        if set(alternatives) <= {*rest, *["None"][:has_none]}:
            rest = [part for part in rest if part not in alternatives] + [name]
            has_none = has_none and name != "Seed"
    if "float" in rest and "int" in rest:
        rest.remove("int")
    if literals:
        rest.insert(0, f"Literal[{', '.join(literals)}]")
    return " | ".join([*dict.fromkeys(rest), *["None"][:has_none]])
