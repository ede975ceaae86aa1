"""Check a run of the demo system: its log-mel error must be lower at the end than at step 20."""

import json
import sys
from pathlib import Path


def main(run: Path) -> int:
    lines = (run / "curve.jsonl").read_text(encoding="utf-8").splitlines()
    valid = {r["step"]: r["valid"]["log_mel"] for r in map(json.loads, lines) if "valid" in r}
    first, last = valid[20], valid[max(valid)]
    print(f"validation log-mel error: {first:.4f} at step 20, {last:.4f} at step {max(valid)}")
    return 0 if max(valid) >= 200 and last < first else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
