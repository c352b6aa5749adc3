"""The fields that readers look for, the other names they go by, and ``--map``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from crystal.errors import SettingsError

TEXT, NAME, INTEGER, NUMBER, INTEGERS, NUMBERS = "text", "name", "integer", "number", "integers", "numbers"

FIELDS = {
    "ladder": NAME,
    "stage": NAME,
    "step": INTEGER,
    "checkpoint": NAME,
    "task": NAME,
    "prompt": NAME,
    "family": NAME,
    "rendering": NAME,
    "sample": INTEGER,
    "text": TEXT,
    "answer": NAME,
    "tokens": INTEGERS,
    "logprobs": NUMBERS,
    "entropies": NUMBERS,
    "score": NUMBER,
    "temperature": NUMBER,
    "top_p": NUMBER,
    "top_k": INTEGER,
    "max_tokens": INTEGER,
    "template": TEXT,
    "source": NAME,
    "option": NAME,
    "probability": NUMBER,
}
"""Every field of a log and its kind; ``temperature`` to ``template`` are the members of ``decoding``."""

REFUSED = "refused"
"""A column beside the fields: why a reader refuses a row whose other fields still say whose it is."""

REMARKS = ("rendering", "sample", "score", "source")
"""Fields that are kept in the sample table and that nothing is computed from."""

DECODING = ("temperature", "top_p", "top_k", "max_tokens", "template")

ALIASES = {
    "ladder": ("run", "run_name"),
    "step": ("global_step", "training_step"),
    "checkpoint": ("model", "model_name"),
    "task": ("task_name", "category"),
    "prompt": ("prompt_id", "input", "question", "instruction"),
    "family": ("prompt_family",),
    "sample": ("sample_id", "sample_index"),
    "text": ("output", "completion", "response", "reply", "generation"),
    "answer": ("prediction",),
    "tokens": ("token_ids", "output_ids"),
    "logprobs": ("token_logprobs",),
    "entropies": ("token_entropies",),
    "score": ("reward",),
    "option": ("candidate",),
    "probability": ("prob",),
}
"""Names that a field also goes by. They count in a file that has no field of the right name."""


class FieldMap(msgspec.Struct, frozen=True):
    """Where each field stands in a log: its own name, ``--map``'s, or an alias.

    Parameters
    ----------
    given : dict of str to str
        ``--map``: a field of :data:`FIELDS` to the name (or dotted path) that the log uses.
    counting : bool
        The rows are only counted: remarks may be left out, and a text may come as a dictionary.
    """

    given: dict[str, str] = {}
    counting: bool = False

    @classmethod
    def of(cls, mapping: Mapping[str, str] | None) -> FieldMap:
        """Check a mapping.

        Raises
        ------
        SettingsError
            If it maps what is no field.
        """
        for field, name in (mapping or {}).items():
            if field not in FIELDS:
                raise SettingsError(
                    "there is no such field to map",
                    where="--map",
                    expected=f"one of {', '.join(FIELDS)}",
                    got=repr(field),
                )
            if not isinstance(name, str) or not name:
                raise SettingsError(
                    "a field maps to the name of another", where="--map", got=f"{field}={name!r}"
                )
        return cls(dict(mapping or {}))

    def resolve(self, present: Iterable[str]) -> dict[str, str]:
        """Return, for each field, the name to look for in a log whose fields are ``present``.

        Examples
        --------
        >>> FieldMap.of({"prompt": "wording"}).resolve(["output", "wording", "step"])["text"]
        'output'
        """
        names = set(present)
        places: dict[str, str] = {}
        for field in FIELDS:
            nested = f"decoding.{field}" if field in DECODING and "decoding" in names else field
            place = self.given.get(field, field if field in names else nested)
            if field not in self.given and place not in names:
                place = next((alias for alias in ALIASES.get(field, ()) if alias in names), place)
            places[field] = place
        return places

    def wanted(self) -> set[str]:
        """Return every top-level name that could matter, so that readers of columns skip the rest."""
        names = set(FIELDS) | {"decoding"} | {alias for aliases in ALIASES.values() for alias in aliases}
        return names | {place.split(".")[0] for place in self.given.values()} | set(self.given.values())
