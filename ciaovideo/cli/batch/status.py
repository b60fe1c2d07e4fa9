"""``ciaovideo batch status OUT``: prints the state of a running or ended batch."""

import json
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path


def print_status(folder: Path, *, as_json: bool) -> int:
    """Print the state; raises OpenError if the folder holds no batch."""
    from ciaovideo.jobs.ledger import FOLDER, BatchLedger
    from ciaovideo.jobs.lock import owner_of

    with BatchLedger(folder, look=True) as ledger:
        counts = ledger.counts()
        owner = owner_of(folder / FOLDER / "lock")
        if as_json:
            files = [
                {
                    "file": row.name,
                    "state": row.state,
                    "frames": row.frames,
                    "done": row.done,
                    "problem": row.problem,
                    "hint": row.hint,
                }
                for row in ledger.rows()
            ]
            print(json.dumps({"owner": owner, **asdict(counts), "list": files}, indent=2))
            return 0
        print(f"{folder}: {'in progress, by ' + owner if owner else 'not in progress'}")
        known = "" if counts.waiting else f" of {counts.frames}"  # those that wait are not counted
        print(
            f"{counts.done} of {counts.files} files done, {counts.failed} failed,"
            f" {counts.frames_done}{known} frames"
        )
        for row in ledger.rows("working"):
            share = f"{row.done / row.frames:.0%}" if row.frames else "0 %"
            print(f"working  {row.name}: {row.done} of {row.frames} frames, {share}")
        for row in ledger.rows("failed"):
            print(f"failed   {row.name}: {row.problem}{f' ({row.hint})' if row.hint else ''}")
        seconds = sum(row.seconds for row in ledger.rows())
        print(f"computing time of all workers: {timedelta(seconds=round(seconds))}")
    return 0
