"""A provider as a program, for the demo: it revokes tokens by writing down, hashed, that they are dead.

Keysentry starts it with a question as JSON on standard input and reads the answer, JSON too (docs/revocation.md).

    python demo/provider.py LEDGER
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path


def main() -> None:
    """Answer one question."""
    ledger = Path(sys.argv[1])
    asked = json.load(sys.stdin)
    name = hashlib.sha256(asked["secret"].encode()).hexdigest()
    revoked = json.loads(ledger.read_text()) if ledger.exists() else {}
    answer: dict[str, object]
    if asked["action"] == "revoked":
        answer = {"outcome": "already", "note": "the provider knows it as revoked"} if name in revoked else {}
    elif name in revoked:
        answer = {"outcome": "already", "note": "it was revoked before"}
    else:
        revoked[name] = asked["key"]
        ledger.write_text(json.dumps(revoked, indent=1) + "\n")
        answer = {"outcome": "done", "note": "the provider revoked the token", "evidence": {"sha256": name[:12]}}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
