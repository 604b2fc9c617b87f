"""The style's atoms for counters: states, changes, amounts with their sign."""

from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dashboard import words
from dashboard.addresses import counter_address
from dashboard.counter_rows import CounterRow
from dashboard.templatetags.concord import icon

register = template.Library()


@register.simple_tag
def counter_state(name: str, extra: str = "") -> SafeString:
    """A counter's state: icon, word and colour."""
    word, picture, hue, _ = words.COUNTER_STATES[name]
    classes = " ".join(filter(None, ("st", extra)))
    return format_html(
        '<span class="{}" data-s="{}">{}{}</span>', classes, hue, icon(picture), word
    )


@register.simple_tag
def change_word(kind: str, count: int = 1) -> SafeString:
    """What a change was, and how many are told as one."""
    word, picture = words.CHANGES.get(kind, (kind, "unknown"))
    many = f" ×{count:,}" if count > 1 else ""  # noqa: RUF001 - as people write it
    return format_html('<span class="st" data-s="idle">{}{}{}</span>', icon(picture), word, many)


@register.filter
def counter_url(row: CounterRow) -> str:
    """The page of a counter."""
    return counter_address(row.store, row.name)


@register.filter
def signed(amount: int) -> str:
    """With its sign; the minus is as wide as the plus."""
    return "±0" if amount == 0 else f"{amount:+,}".replace("-", "−")  # noqa: RUF001


@register.filter
def per_second(rate: float) -> str:
    """`0.4`, `12`: changes a second."""
    if rate == 0:
        return "0"
    return f"{rate:.1f}" if rate < 10 else f"{rate:,.0f}"
