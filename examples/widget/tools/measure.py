"""Count conversions for half a second of processor time and write the rate: `measure.py OUTPUT.json`."""

import json
import sys
import time
from pathlib import Path

import widget


def main(output):
    quantity = widget.parse("26.2 mi")
    count, start = 0, time.process_time()
    while (spent := time.process_time() - start) < 0.5:
        for _ in range(200):
            quantity.to("km")
        count += 200
    result = {"conversions": count, "seconds": round(spent, 3), "per_second": round(count / spent)}
    Path(output).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"{result['per_second']} conversions a second", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
