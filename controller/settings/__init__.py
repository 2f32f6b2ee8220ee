"""What an installation is told: one typed model out of file, environment and flags."""

from controller.settings.model import (
    Fleet,
    LogFormat,
    LogLevel,
    Prometheus,
    ProxyAuth,
    Receiver,
    Retention,
    Sender,
    Settings,
)

__all__ = ["Fleet", "LogFormat", "LogLevel", "Prometheus", "ProxyAuth", "Receiver", "Retention", "Sender", "Settings"]
