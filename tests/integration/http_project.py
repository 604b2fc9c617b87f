"""Another Django project, which is called by HTTP: `uvicorn tests.integration.http_project:server`.

It works on the test's databases. To it the coordinator's tables are in bank_b; it never uses them.
"""

import json
import os
from typing import Any

import django
from django.conf import settings
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup(set_prefix=False)

transactions = settings.COORDINATION["TRANSACTIONS"] | {"USING": "bank_b"}
settings.COORDINATION = settings.COORDINATION | {
    "NODE": "far",
    "TRANSACTIONS": transactions,
    "HTTP_CALLERS": json.loads(os.environ["HTTP_CALLERS"]),
}
settings.ROOT_URLCONF = "tests.integration.http_urls"

from tests.integration import ledger  # noqa: E402, F401  registers what is called

server: Any = get_asgi_application()
