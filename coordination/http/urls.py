"""One address for every participant; include it where callers are to find it."""

from django.urls import path

from coordination.http.views import participants

app_name = "concord_http"
urlpatterns = [path("", participants, name="participants")]
