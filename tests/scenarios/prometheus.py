"""Prometheus as a double, at the methods of its client: one number for each version of the model that is spoken of."""

import re
from datetime import datetime, timedelta
from threading import Event

from controller.prometheus import NoNumber


class Numbers(dict[str, float]):
    """What each version's metric is at all times; no data for a version that is not there. `asked`: the queries."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def at(self, query: str, time: datetime, cancelled: Event) -> float:
        self.asked.add(query)
        named = re.search(r'version="([^"]*)"', query)
        if named is None or named[1] not in self:
            raise NoNumber("no data")
        return self[named[1]]

    def mean(self, query: str, start: datetime, end: datetime, every: timedelta, cancelled: Event) -> float:
        return self.at(query, end, cancelled)
