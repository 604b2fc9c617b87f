"""The style's atoms for templates: icons, ids, states, votes, times, and the import map."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django import template
from django.templatetags.static import static
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from dashboard import assets, texts, words
from dashboard.addresses import key_address, lock_address, message_address, queue_address
from dashboard.clock import now_ms
from dashboard.lock_rows import LockRow
from dashboard.lock_rows import owners as owners_of
from dashboard.queue_rows import QueueRow
from dashboard.rows import epoch_ms

register = template.Library()

_TAIL = 6
_TOKEN_TAIL = 7


@register.simple_tag(takes_context=True)
def import_map(context: dict[str, Any]) -> SafeString:
    """The import map, the page's only inline script, with the policy's nonce."""
    # json_script's escapes keep any name from closing the element.
    text = json.dumps(assets.import_map(), sort_keys=True).replace("<", "\\u003C")
    nonce = getattr(context["request"], "csp_nonce", "")
    return format_html(
        '<script type="importmap" nonce="{}">{}</script>',
        nonce,
        mark_safe(text),  # noqa: S308 - our own file names, escaped above
    )


@register.simple_tag
def icon(name: str, extra: str = "") -> SafeString:
    """A 16 px icon of the sprite."""
    return format_html(
        '<svg class="i{}" aria-hidden="true"><use href="{}#{}"/></svg>',
        f" {extra}" if extra else "",
        static("concord/img/icons.svg"),
        name,
    )


@register.filter
def gid(value: str) -> SafeString:
    """An id with the part people say aloud in bold."""
    return format_html('<span class="id">{}<b>{}</b></span>', value[:-_TAIL], value[-_TAIL:])


@register.filter
def tail(value: str) -> str:
    """The last six characters of an id."""
    return value[-_TAIL:]


@register.simple_tag
def state(name: str, extra: str = "") -> SafeString:
    """A state: icon, word and colour."""
    word, picture, hue, ended = words.STATES[name]
    classes = " ".join(filter(None, ("st", "end" if ended and not extra else "", extra)))
    return format_html(
        '<span class="{}" data-s="{}">{}{}</span>', classes, hue, icon(picture), word
    )


@register.simple_tag
def lock_state(row: LockRow, name: str, extra: str = "") -> SafeString:
    """A lock's state: icon of the state or, while it is held, of its kind; word and colour."""
    _, picture, hue, _ = words.LOCK_STATES[name]
    word = words.lock_word(name, row)
    if name == "held":
        picture = words.KINDS.get(row.kind, picture)
    return format_html(
        '<span class="{}" data-s="{}">{}{}</span>',
        " ".join(filter(None, ("st", extra))),
        hue,
        icon(picture),
        word,
    )


@register.simple_tag
def queue_state(name: str, extra: str = "") -> SafeString:
    """A queue's state: icon, word and colour."""
    word, picture, hue, ended = words.QUEUE_STATES[name]
    classes = " ".join(filter(None, ("st", "end" if ended and not extra else "", extra)))
    return format_html(
        '<span class="{}" data-s="{}">{}{}</span>', classes, hue, icon(picture), word
    )


@register.simple_tag
def message_state(name: str, extra: str = "") -> SafeString:
    """Where a message stands: icon, word and colour."""
    word, picture, hue = words.MESSAGES.get(name, (name, "unknown", "unknown"))
    classes = f"st {extra}".strip()
    return format_html(
        '<span class="{}" data-s="{}">{}{}</span>', classes, hue, icon(picture), word
    )


@register.filter
def life_word(kind: str) -> str:
    """What happened to a message."""
    return words.LIFE.get(kind, (kind, "", ""))[0]


@register.filter
def life_icon(kind: str) -> str:
    """The icon of what happened to a message."""
    return words.LIFE.get(kind, ("", "unknown", ""))[1]


@register.filter
def life_hue(kind: str) -> str:
    """The hue of what happened to a message."""
    return words.LIFE.get(kind, ("", "", ""))[2]


@register.filter
def queue_url(row: QueueRow) -> str:
    """The page of a queue."""
    return queue_address(row.store, row.name)


@register.simple_tag
def queue_of(store: str, name: str) -> str:
    """The page of the queue of this name."""
    return queue_address(store, name)


@register.simple_tag
def message_of(store: str, message: str) -> str:
    """The page of a message."""
    return message_address(store, message)


@register.filter
def rate(value: float | None) -> str:
    """Messages a second; a dash where it is not known."""
    return texts.rate(value)


@register.simple_tag
def grant_state(how: str) -> SafeString:
    """How a grant stands or ended: icon, word and colour."""
    word, picture, hue = words.GRANTS.get(how, words.GRANTS["released"])
    return format_html('<span class="st" data-s="{}">{}{}</span>', hue, icon(picture), word)


@register.filter
def lock_url(row: LockRow) -> str:
    """The page of a lock."""
    return lock_address(row.store, row.kind, row.name)


@register.filter
def key_name(key: str) -> str:
    """The name in a lock's key, or what else it is."""
    return key.split(" ", 2)[-1]


@register.filter
def key_url(key: str) -> str:
    """The page of the lock with this key."""
    return key_address(key)


@register.filter
def token_tail(token: int | str) -> str:
    """The last digits of a token, the part people compare."""
    return f"…{str(token)[-_TOKEN_TAIL:]}"


@register.filter
def span(ms: int | None) -> str:
    """`40 ms`, `1.2 s`: for short times."""
    return "" if ms is None else texts.span(ms)


@register.filter
def since_time(at: datetime | None) -> str:
    """How long ago a time was."""
    return since(epoch_ms(at))


@register.filter
def tail_of(token: int) -> str:
    """The digits of a token that are typed to confirm."""
    return str(token)[-_TAIL:]


@register.filter
def owners(row: LockRow) -> str:
    """`billing-1 +3`."""
    return owners_of(row.holders)


@register.simple_tag
def verdict_state(name: str, extra: str = "") -> SafeString:
    """A verdict: icon, word in capitals and colour."""
    picture, hue = words.VERDICTS[name]
    return format_html(
        '<span class="st caps {}" data-s="{}">{}{}</span>', extra, hue, icon(picture), name
    )


@register.simple_tag
def phase(marks: str, *, doubt: bool, label: str) -> SafeString:
    """Votes, decision and ends as boxes around a diamond."""
    votes, decision, ends = marks.split("|")
    boxes = {"y": "y", "n": "n", "r": "r", "b": "b", "c": "c", "u": "u", "x": "x", "-": ""}
    box = '<i class="{}"></i>'
    return format_html(
        '<span class="phase{}" role="img" aria-label="{}" title="{}">{}<span class="d {}"></span>'
        "{}</span>",
        " done" if decision else "",
        label,
        label,
        format_html_join("", box, ((boxes[mark],) for mark in votes)),
        decision or ("q" if doubt else ""),
        format_html_join("", box, ((boxes[mark],) for mark in ends)),
    )


@register.filter
def duration(ms: int) -> str:
    """Milliseconds as people read them."""
    return texts.duration(ms)


@register.filter
def since(ms: int | None) -> str:
    """How long ago that was."""
    return "" if ms is None else texts.duration(now_ms() - ms)


@register.filter
def clock(ms: int | None) -> str:
    """Time of day with milliseconds."""
    return texts.clock(ms)


@register.filter
def clock_s(ms: int | None) -> str:
    """Time of day to the second."""
    return texts.clock(ms, exact=False)


@register.filter
def thousands(value: int) -> str:
    """`9,604`."""
    return texts.number(value)


@register.filter
def date_time(ms: int | None) -> str:
    """Day and time of day."""
    return "" if ms is None else texts.date_time(ms)


@register.filter
def json_text(value: Any) -> str:
    """A value of evidence on one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@register.filter
def sheets(names: str) -> list[str]:
    """Addresses of our style sheets."""
    return [static(f"concord/css/{name}.css") for name in names.split()]


@register.filter
def lanes(heights: str) -> list[dict[str, Any]]:
    """The login page's lines: many ends that meet at one door, in the middle of 1440 by 900."""
    found = []
    for index, text in enumerate(heights.split()):
        y, x = int(text), 180 + index * 14
        meet = 450 + (y - 450) * 0.3
        found.append(
            {
                "x": x,
                "y": y,
                "mirror": 1440 - x,
                "left": f"M{x} {y}C{x + 190} {y} 450 {meet} 720 450",
                "right": f"M{1440 - x} {y}C{1250 - x} {y} 990 {meet} 720 450",
            }
        )
    return found
