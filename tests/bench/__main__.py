"""`make bench`: what modelmend costs on this machine. Ratios of one run are worth more than single figures."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tests.bench.deciding import decided_per_second
from tests.bench.serving import Server


def machine() -> str:
    """The machine, in a line."""
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{platform.system()} {platform.release()}, {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    )


def fsync_ms(folder: Path) -> float:
    """Milliseconds of one write and fsync in `folder`, the median of 200."""
    times = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(200):
            began = time.perf_counter()
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times)


def row(name: str, *cells: object) -> None:
    """One line of the report."""
    print(f"| {name} | " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def intake(folder: Path) -> None:
    """Durable intake: single events, batches, and until every event is decided."""
    print("\n| intake, fsync before each 202 | requests/s | events/s | p50 ms | p99 ms |\n|---|---|---|---|---|")
    server = Server(folder / "intake")
    try:
        server.load(16, 2000)
        for connections, requests, batch in ((1, 2000, 1), (16, 30000, 1), (64, 30000, 1), (4, 1000, 100)):
            found = server.load(connections, requests, batch)
            what = f"{connections} connections, " + ("single events" if batch == 1 else f"batches of {batch}")
            row(what, found["requests/s"], found["events/s"], found["p50 ms"], found["p99 ms"])
            assert found["statuses"] == {"202": requests}, found["statuses"]
            drained(server)
        began = time.perf_counter()
        found = server.load(16, 30000)
        drained(server)
        rate = 30000 / (time.perf_counter() - began)
        print(f"\nSustained, every event decided: {rate:.0f} events/s (16 connections, 30,000 events).")
        print(f"Memory after {93000 + 100000:,} events: {server.memory_mb():.0f} MB.")
    finally:
        server.stop()


def drained(server: Server) -> None:
    """Wait until every event has its decision."""
    while server.backlog():
        time.sleep(0.02)


def starting(folder: Path) -> None:
    """Time to ready and memory at rest."""
    seconds, memory = [], 0.0
    for number in range(5):
        server = Server(folder / f"start-{number}")
        seconds.append(server.ready_seconds)
        memory = server.memory_mb()
        server.stop()
    print(f"\nReady after {statistics.median(seconds):.2f} s (median of 5; 1,000 models), {memory:.0f} MB at rest.")


def deciding(folder: Path, events: int) -> None:
    """Decision cost by number of policies, interleaved, medians of three."""
    print("\n| policies | decided events/s | cost beside 10 |\n|---|---|---|")
    sizes = (10, 100, 1000)
    rates: dict[int, list[float]] = {size: [] for size in sizes}
    for repeat in range(3):
        for size in sizes:
            rates[size].append(decided_per_second(folder / f"decide-{size}-{repeat}", size, events))
    base = statistics.median(rates[10])
    for size in sizes:
        rate = statistics.median(rates[size])
        row(f"{size:,}", f"{rate:.0f}", f"{base / rate:.2f}×")


def main() -> int:
    """Run all of it."""
    print(f"Machine: {machine()}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"Write and fsync of 4 KiB: {fsync_ms(folder):.2f} ms")
        starting(folder)
        intake(folder)
        deciding(folder, 20_000)
    return 0


if __name__ == "__main__":
    sys.exit(main())
