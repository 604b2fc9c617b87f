"""Settings of the project, read from the environment; production values are the defaults.

Every variable is described in README.md. Nothing here is secret and nothing is machine specific.
"""

from pathlib import Path
from typing import Any

import environ
from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from config.logs import logging_settings

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

# --- Who we are ---

DEBUG = env.bool("DEBUG", default=False)
# Django itself refuses to use an empty key, so production cannot start without one.
SECRET_KEY = env.str("SECRET_KEY", default="insecure-development-key" if DEBUG else "")
PORT = env.int("PORT", default=8000)
LOCAL_HOSTS = ["127.0.0.1", "localhost"]
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=LOCAL_HOSTS)
# Exact origins (scheme, host, port) that may post forms and open sockets.
ORIGINS = env.list("ORIGINS", default=[f"http://{host}:{PORT}" for host in LOCAL_HOSTS])
CSRF_TRUSTED_ORIGINS = ORIGINS
# The demo bank: its app, its two databases, its participants.
DEMO = env.bool("DEMO", default=False)

# --- Security: right for HTTPS; `make up` and the tests use HTTPS=0 on the loopback ---

HTTPS = env.bool("HTTPS", default=not DEBUG)
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=HTTPS)
SECURE_REDIRECT_EXEMPT = [r"^livez$", r"^readyz$"]
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=31_536_000 if HTTPS else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
# Trust X-Forwarded-Proto only behind a proxy that always sets it.
if env.bool("BEHIND_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        # The nonce is sent only with pages that ask for one: the import map.
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
    }
}
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# --- Applications ---

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "csp",
    "coordination",
    "dashboard",
]
if DEMO:
    INSTALLED_APPS.append("examples.bank")

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
LOGIN_URL = "dashboard:login"
LOGIN_REDIRECT_URL = "/"
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Hashed file names from `collectstatic`; off, files are served as they lie in the checkout.
STATIC_MANIFEST = env.bool("STATIC_MANIFEST", default=not DEBUG)
STATIC_ROOT = (
    env.path("STATIC_ROOT", default=BASE_DIR / "var" / "static") if STATIC_MANIFEST else None
)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if STATIC_MANIFEST
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = not STATIC_MANIFEST

# --- Databases ---


def _database(url_variable: str, **defaults: object) -> dict[str, object]:
    """The DATABASES entry of one alias, from its URL, else from the given parts."""
    parts = env.db_url(url_variable) if url_variable in env.ENVIRON else defaults
    return parts | {
        # asgi.py sets 0. Workers and commands keep theirs, and drop it when it failed.
        "CONN_MAX_AGE": env.int("CONN_MAX_AGE", default=None),
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": 5,
            "application_name": "concord",
            # Concord's own statements are prepared once a connection. 0 behind a pool that lends
            # connections by transaction and does not know of prepared statements.
            "prepare_threshold": env.int("PREPARE_THRESHOLD", default=5) or None,
        },
    }


DATABASES = {
    "default": _database("DATABASE_URL", ENGINE="django.db.backends.postgresql", NAME="concord")
}
DATABASE_ROUTERS = ["coordination.routers.CoordinationRouter"]
if DEMO:
    DATABASE_ROUTERS.append("examples.bank.routers.BankRouter")
    DATABASES["bank_a"] = _database("BANK_A_URL", **DATABASES["default"] | {"NAME": "bank_a"})
    DATABASES["bank_b"] = _database("BANK_B_URL", **DATABASES["default"] | {"NAME": "bank_b"})

# --- Redis: database 0 broker and channels, 1 the store, 2 the caches ---

REDIS_URL = env.str("REDIS_URL", default="redis://127.0.0.1:6379/0")
_REDIS_SERVER = REDIS_URL.rsplit("/", 1)[0] if REDIS_URL.count("/") > 2 else REDIS_URL

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [f"{_REDIS_SERVER}/0"], "prefix": "concord:channels"},
    }
}
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": f"{_REDIS_SERVER}/2",
        "KEY_PREFIX": "concord",
        "OPTIONS": {"SOCKET_CONNECT_TIMEOUT": 2, "SOCKET_TIMEOUT": 2},
    }
}

# --- Concord ---

NODE = "bank"
COORDINATION: dict[str, Any] = {
    "NODE": NODE,
    "STORES": {
        "redis": {"BACKEND": "redis", "LOCATION": f"{_REDIS_SERVER}/1"},
        "database": {"BACKEND": "database", "USING": "default"},
    },
    "DEFAULT": "redis",
    "TRANSACTIONS": {"USING": "default", "REGISTER": "database"},
    # The demo's participants run in the workers; anything unnamed here runs in the caller.
    "PARTICIPANTS": [("bank.*", NODE)],
}
if ZOOKEEPER_HOSTS := env.str("ZOOKEEPER_HOSTS", default=""):
    COORDINATION["STORES"]["zookeeper"] = {"BACKEND": "zookeeper", "LOCATION": ZOOKEEPER_HOSTS}
# Named crash points, for the fault tests alone.
if env.bool("FAILPOINTS", default=False):
    COORDINATION["FAILPOINTS"] = True

# --- Celery ---

BROKER = env.str("BROKER", default="redis")
if BROKER not in ("redis", "rabbitmq"):
    raise ImproperlyConfigured(f"BROKER={BROKER}: choose redis or rabbitmq")
RABBITMQ_URL = env.str("RABBITMQ_URL", default="amqp://127.0.0.1:5672//")
CELERY_BROKER_URL = {"redis": f"{_REDIS_SERVER}/0", "rabbitmq": RABBITMQ_URL}[BROKER]
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "redis": {
        # A killed worker's messages come back after this long; the sweeper does not wait for it.
        "visibility_timeout": 60,
        "socket_connect_timeout": 5,
        "socket_timeout": 10,
        "socket_keepalive": True,
    },
    "rabbitmq": {},
}[BROKER]
CELERY_BROKER_CONNECTION_TIMEOUT = 5
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_max": 0.1}
CELERY_TASK_SERIALIZER = CELERY_RESULT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = CELERY_RESULT_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_DEFAULT_QUEUE = "celery"
CELERY_TASK_ROUTES = {
    "coordination.branch.prepare": {"queue": f"{NODE}.prepare"},
    "coordination.branch.finish": {"queue": f"{NODE}.finish"},
    "coordination.transaction.vote": {"queue": f"{NODE}.decide"},
    "coordination.*": {"queue": f"{NODE}.call"},
}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
# A broadcast that can stop workers is open to whoever reaches the broker; nothing here uses it.
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_SEND_TASK_EVENTS = False
# Unset, Celery reconnects to every database around every task: 7.5 ms against 0.3.
CELERY_DB_REUSE_MAX = 10_000

# --- Logs ---

LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
LOGGING = logging_settings(level=LOG_LEVEL, as_json=env.bool("LOG_JSON", default=not DEBUG))
