"""What is printed while the story runs: a line a month, and a line for whatever modelmend does meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, TextIO

from examples.demo.monitors import Drift
from examples.demo.pager import Pager
from examples.demo.server import Item, Server

POLICY = "demo/mend-bike-demand"
WORDS = {
    "uncorroborated": "drift alone: left alone",
    "inhibited": "feed broken: nothing is learnt from it",
    "cooldown": "mended just now: not again so soon",
    "in_progress": "is being mended already",
    "condition_false": "not bad enough",
    "stale": "over by now",
}
WIDTH = 34  # of the column that says what drifted


class Narrator:
    """Writes to `out`; colours, and the calendar that runs along, only on a terminal."""

    def __init__(self, out: TextIO, pager: Pager, limit: float) -> None:
        self._out = out
        self._pager = pager
        self._limit = limit
        self._terminal = out.isatty()
        self._drift: Sequence[Drift] = ()
        self.proof: Callable[[str], str] = str  # what the weeks after a step's action showed
        self._decided = 0  # the last decision that was told
        self._moved: dict[str, int] = {}  # remediation → its last transition that was told
        self._announced: set[str] = set()  # remediations that some line named
        self._over: set[str] = set()  # remediations of which everything was told
        self._paged = 0
        self._ids: dict[int, str] = {}  # event's seq → its id

    def say(self, text: str = "") -> None:
        """One line as it is."""
        self._wipe()
        print(text, file=self._out, flush=True)

    def heading(self, text: str) -> None:
        """A line that begins a part."""
        self.say(f"\n{self._styled(text, 1)}")

    def columns(self) -> None:
        """The heads of the months' lines."""
        self.heading(f"{'month':<9}{'error':>6}   {'drift (limit 0.5)':<{WIDTH}}what modelmend decided, and why")

    def drift(self, found: Sequence[Drift]) -> None:
        """Keep what the drift monitor said for the month's line."""
        self._drift = found

    def month(self, server: Server, first: date, error: float) -> None:
        """The month's line, once its error is known and decided upon."""
        over = error > self._limit
        figure = self._styled(f"{error:6.1f}{' !' if over else '  '}", 31 if over else 0)
        drifted = ", ".join(f"{one.feature} {one.score:.1f}" for one in self._drift if one.drifted)
        if "temp" not in {one.feature for one in self._drift}:
            drifted = ", ".join(filter(None, ["temp null", drifted]))
        new = self._new_decisions(server)
        own = [one for one in new if f"{first:%Y-%m}" in self._ids[one["event"]]]
        answers = self._answers(own)
        self.say(f"{first:%Y-%m}  {figure}  {drifted or 'none':<{WIDTH}}{answers or 'nothing to do'}")
        self._asked_again([one for one in new if one not in own])

    def follow(self, server: Server) -> list[Item]:
        """Tell what moved since; gives the remediations that are not over."""
        active = []
        for remediation in reversed(server.get("remediations", policy=POLICY)):
            if remediation["id"] not in self._over:
                whole = server.get_one(f"remediations/{remediation['id']}")
                self._announce(whole)
                self._tell(whole)
                if whole["active"]:
                    active.append(whole)
                else:
                    self._over.add(whole["id"])
        while self._paged < len(self._pager.messages):
            message = self._pager.messages[self._paged]
            self._paged += 1
            self.say(self._aside("✉", f"paged: {message.get('summary', message)}", 35))
        return active

    def broken(self, day: date, share: float) -> None:
        """The feed check failed."""
        text = f"{day:%d %B %Y}: {share:.0%} of the temperatures are null (the fault that we inject)"
        self.say(self._aside("⚡", text, 33))

    def restored(self, day: date) -> None:
        """The feed check passed again."""
        self.say(self._aside("⚡", f"{day:%d %B %Y}: the feed has been clean for a week", 33))

    def calendar(self, day: date) -> None:
        """The date, on a terminal only."""
        if self._terminal:
            print(f"\r\x1b[2m{day:%d %B %Y}\x1b[0m\x1b[K", end="", file=self._out, flush=True)

    def catch_up(self, server: Server) -> None:
        """Tell the decisions that no month's line has told yet."""
        self._asked_again(self._new_decisions(server))

    def _new_decisions(self, server: Server) -> list[Item]:
        decisions = [one for one in server.get("decisions", policy=POLICY) if one["id"] > self._decided]
        if decisions:
            self._ids = {event["seq"]: event["id"] for event in server.get("events")}
            self._decided = max(one["id"] for one in decisions)
        return sorted(decisions, key=lambda one: int(one["id"]))

    def _answers(self, decisions: Sequence[Item]) -> str:
        """One phrase for a month's decisions: an act hides the refusals that came with it."""
        acts = [one for one in decisions if one["outcome"] == "remediate"]
        if acts:
            before = acts[0]["remediation"] in self._announced
            self._announced.add(acts[0]["remediation"])
            named = f"{acts[0]['remediation']}, trigger {acts[0]['trigger']}"
            return self._styled(f"{'acted on it above' if before else 'acts on it'} ({named})", 32)
        reasons = dict.fromkeys(one["reason"] for one in decisions)
        if len(reasons) > 1:  # what was asked again counts
            reasons.pop("uncorroborated", None)
        return "; ".join(f"{WORDS.get(reason, 'held back')} ({reason})" for reason in reasons)

    def _asked_again(self, decisions: Sequence[Item]) -> None:
        told = dict.fromkeys((self._ids[one["event"]], one["outcome"], one["reason"]) for one in decisions)
        for event, outcome, reason in told:
            word = "acts on it" if outcome == "remediate" else f"{WORDS.get(reason, 'held back')} ({reason})"
            self.say(self._aside("↻", f"{event}, asked again: {word}", 2))

    def _announce(self, remediation: Item) -> None:
        if remediation["id"] not in self._announced:
            self._announced.add(remediation["id"])
            self.say(self._aside("→", f"acts ({remediation['id']}, trigger {remediation['trigger']})", 32))

    def _tell(self, remediation: Item) -> None:
        seen, steps = self._moved.get(remediation["id"], 0), remediation["steps"]
        for row in remediation["transitions"]:
            if row["version"] > seen:
                name, values = steps[row["step"]], row["values"] or {}
                if text := self._sentence(row["reason"], name, steps[row["step"] - 1], values):
                    color = 32 if row["to"] == "Succeeded" else 31 if row["to"] in _BAD else 36
                    self.say(self._aside("→", text, color))
                self._moved[remediation["id"]] = row["version"]

    def _sentence(self, reason: str, step: str, before: str, values: dict[str, Any]) -> str:
        """What a transition means, in the story's words; '' for those that go without saying."""
        match reason:
            case "decided" | "started":
                return ""
            case "action_done":
                outputs = ", ".join(f"{name} {value}" for name, value in values.get("outputs", {}).items())
                return f"{step}: done, {outputs}"
            case "recovered":
                return f"{step}: {self.proof(step)}: recovered"
            case "unchanged":
                return f"{before}: {self.proof(before)}: unchanged, so the next rung: {step}"
            case "action_failed":
                return f"{before}: failed ({values.get('message')}); next rung: {step}"
            case _:
                return f"{step}: {reason.replace('_', ' ')} {values.get('message', '')}".rstrip()

    def _aside(self, sign: str, text: str, color: int) -> str:
        return self._styled(f"{'':17}  {sign} {text}", color)

    def _styled(self, text: str, code: int) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._terminal and code else text

    def _wipe(self) -> None:
        if self._terminal:
            print("\r\x1b[K", end="", file=self._out)


_BAD = ("Failed", "Escalated", "Cancelled")
