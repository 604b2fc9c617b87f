"""The socket's address, and an answer for every other."""

from __future__ import annotations

from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from django.conf import settings
from django.urls import path, re_path

from dashboard.consumer import FeedConsumer, NowhereConsumer
from dashboard.origins import ExactOriginValidator

websocket_urlpatterns = [
    path("ws/feed", FeedConsumer.as_asgi()),
    # Without this a stranger's path is a traceback in the log.
    re_path(r"", NowhereConsumer.as_asgi()),
]

websocket_application = ExactOriginValidator(
    AuthMiddlewareStack(URLRouter(websocket_urlpatterns)), settings.ORIGINS
)
"""What an ASGI entry point puts under "websocket"."""
