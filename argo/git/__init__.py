"""The step of `git-set-version`."""
