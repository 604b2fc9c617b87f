"""The addresses of a project that other services may call."""

from django.urls import include, path

urlpatterns = [path("concord/branches/", include("coordination.http.urls"))]
