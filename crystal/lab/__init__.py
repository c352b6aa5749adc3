"""A small language model taken through pretraining, SFT, DPO and RL on a CPU. Needs torch (extra ``lab``)."""

from __future__ import annotations

__all__: list[str] = []
