"""A causal language model and its tokenizer from transformers, with what scoring has to know of them."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crystal.errors import InputError, SettingsError

_DTYPES = ("auto", "float32", "bfloat16", "float16")
_PROBED = 64
"""Values of each weight that enter the model's identity."""


def need(*names: str) -> list[Any]:
    """Return modules of the extra ``score``.

    Raises
    ------
    SettingsError
        If one is not installed; it says what to install.
    """
    import importlib

    try:
        return [importlib.import_module(name) for name in names]
    except ImportError as error:
        raise SettingsError(
            f"a model by path needs torch and transformers, and {error.name or error} is not installed",
            where="model",
            fix="install the extra: pip install 'crystal-phases[score]' (in a checkout: '.[score]')",
        ) from error


@dataclass(frozen=True)
class Model:
    """A model ready to score.

    Attributes
    ----------
    network : transformers.PreTrainedModel
    tokenizer : transformers.PreTrainedTokenizerBase
    name : str
        How to call it.
    context : int or None
        Tokens that it can read; None if its configuration does not say.
    vocabulary : int
        Rows of the output layer: ids are below.
    """

    network: Any
    tokenizer: Any
    name: str
    context: int | None
    vocabulary: int

    @classmethod
    def of(cls, network: Any, tokenizer: Any, name: str) -> Model:
        """Wrap a network and its tokenizer.

        Raises
        ------
        SettingsError
            If it is no causal language model.
        """
        config = getattr(network, "config", None)
        head = network.get_output_embeddings() if hasattr(network, "get_output_embeddings") else None
        if config is None or head is None or getattr(config, "is_encoder_decoder", False):
            raise SettingsError(
                "this is no causal language model",
                where="model",
                expected="a transformers model with an output layer over the vocabulary",
                got=type(network).__name__,
            )
        network.eval()
        context = getattr(config, "max_position_embeddings", None)
        usable = context if isinstance(context, int) and context > 0 else None
        return cls(network, tokenizer, name, usable, int(head.weight.shape[0]))

    def identity(self) -> str:
        """Return a digest of what decides its numbers: configuration, a part of each weight, tokenizer."""
        (torch,) = need("torch")
        state = hashlib.sha256(type(self.network).__name__.encode())
        for name, weight in sorted(self.network.state_dict().items()):
            flat = weight.detach().reshape(-1)
            step = max(1, flat.numel() // _PROBED)
            part = flat[::step][:_PROBED].to(torch.float32).cpu().numpy().astype("<f4")
            state.update(f"{name} {list(weight.shape)} {weight.dtype}".encode() + part.tobytes())
        config = self.network.config.to_diff_dict()
        for key in ("_name_or_path", "transformers_version"):
            config.pop(key, None)
        state.update(repr(sorted(config.items())).encode())
        vocabulary = self.tokenizer.get_vocab()
        state.update(repr(sorted(vocabulary.items())).encode("utf-8", "surrogatepass"))
        state.update(repr(self.tokenizer.chat_template).encode())
        return state.hexdigest()[:32]


def load(path: str | os.PathLike[str], *, device: str = "auto", dtype: str = "auto") -> Model:
    """Load a checkpoint as transformers saved it.

    Parameters
    ----------
    path : str or path
        A folder (or a name that transformers resolves), or a ``.gguf`` file, which needs the packages gguf
        and accelerate too. Code of the checkpoint's own is never run.
    device : str
        ``"auto"`` (a CUDA device if there is one, else the CPU), or what torch calls it.
    dtype : str
        ``"auto"`` (as it was saved), ``"float32"``, ``"bfloat16"`` or ``"float16"``.

    Raises
    ------
    InputError
        If there is no such model, or it cannot be loaded.
    SettingsError
        If torch or transformers is missing, or an argument cannot be used.
    """
    if dtype not in _DTYPES:
        raise SettingsError("unknown dtype", where="dtype", expected=", ".join(_DTYPES), got=repr(dtype))
    torch, transformers = need("torch", "transformers")
    name = os.fspath(path)
    if _mistyped(name):
        raise InputError(
            "there is no such folder or file", where=name, fix="check the path",
            expected="a folder with config.json, weights and a tokenizer, as save_pretrained leaves it",
        )  # fmt: skip
    place_of, packed = name, {}
    if name.lower().endswith(".gguf"):
        place_of, packed = os.path.dirname(name) or ".", {"gguf_file": os.path.basename(name)}  # noqa: PTH119, PTH120
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise SettingsError(f"no such device: {_line(error)}", where="device", got=repr(device)) from error
    quiet = transformers.utils.logging
    bars = quiet.is_progress_bar_enabled()
    quiet.disable_progress_bar()
    try:
        kind = dtype if dtype == "auto" else getattr(torch, dtype)
        tokenizer = transformers.AutoTokenizer.from_pretrained(place_of, trust_remote_code=False, **packed)
        network, report = transformers.AutoModelForCausalLM.from_pretrained(
            place_of, dtype=kind, trust_remote_code=False, output_loading_info=True, **packed
        )
        network = network.to(place)
    except Exception as error:  # readers of weights and configurations each have their own kinds
        raise InputError(
            f"the model cannot be loaded: {_line(error)}",
            where=name,
            expected="a folder with config.json, weights and a tokenizer, as save_pretrained leaves it",
        ) from error
    finally:
        if bars:
            quiet.enable_progress_bar()
    # transformers fills weights that are not in the file with random numbers, and goes on.
    if missing := sorted(report["missing_keys"]):
        raise InputError(
            "the checkpoint lacks weights of its model",
            where=name,
            got=", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else ""),
        )
    return Model.of(network, tokenizer, name)


def _mistyped(name: str) -> bool:
    """Tell a path without anything there from a name that transformers may resolve (``owner/model``).

    It would look for either on a hub, and without a network that takes minutes of attempts.
    """
    path = Path(name).expanduser()
    if path.exists():
        return False
    own = path.is_absolute() or name.startswith(".") or name.lower().endswith(".gguf")
    return own or len(path.parts) > 2 or (len(path.parts) == 2 and path.parent.is_dir())


def _line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0][:200]
