"""What senders post to: a bare ASGI application with the JSON API and the console mounted behind it."""

from controller.receiver.asgi import Receiver
from controller.receiver.limits import Limits
from controller.receiver.protocol import BoundedHttp

__all__ = ["BoundedHttp", "Limits", "Receiver"]
