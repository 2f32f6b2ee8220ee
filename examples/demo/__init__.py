"""The demo: a model that serves two real years of bike sharing, watched, and mended by modelmend.

Run as `python -m examples.demo`; docs/demo.md tells the story.
"""
