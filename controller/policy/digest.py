"""Digests over JSON values: equal text, equal digest, on every machine and version."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any


def digest_of(value: Any) -> str:
    """32 hexadecimal digits over the canonical JSON of `value` (sorted keys, no spaces)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]
