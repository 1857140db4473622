"""A page taken apart: its tags and its text."""

from __future__ import annotations

from html.parser import HTMLParser


class Page(HTMLParser):
    """Tags with their attributes in order, and the text a reader sees."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.tags: list[tuple[str, dict[str, str]]] = []
        self._text: list[str] = []
        self._hidden = False
        self.feed(source)
        self.text = " ".join("".join(self._text).replace("\u00a0", " ").split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, {k: v or "" for k, v in attrs}))
        self._hidden = tag == "style"
        if tag in {"p", "td", "th", "h1", "h2", "h3", "li", "dd", "dt", "figcaption", "title"}:
            self._text.append(" ")

    def handle_endtag(self, tag):
        self._hidden = False

    def handle_data(self, data):
        if not self._hidden:
            self._text.append(data)
