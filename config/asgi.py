"""ASGI entry point: HTTP by Django, WebSockets by the dashboard.

Served by ``uvicorn config.asgi:application``.
"""

import os

from django.conf import settings
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# Under ASGI every request has a thread of its own; a connection kept open would stay behind in it.
os.environ.setdefault("CONN_MAX_AGE", "0")

http_application = get_asgi_application()
# Read now: without a key the process must not serve, rather than fail at the first login.
SECRET_KEY = settings.SECRET_KEY

from channels.routing import ProtocolTypeRouter  # noqa: E402 - these need the apps to be ready

from dashboard.routing import websocket_application  # noqa: E402

application = ProtocolTypeRouter({"http": http_application, "websocket": websocket_application})
