"""The demo: a model that serves two real years of bike sharing, watched, and mended by modelmend.

Run as `python -m examples.demo`; docs/demo.md tells the story.
"""


class DemoError(Exception):
    """The demo cannot go on, or its story did not happen; the message says what to look at."""
