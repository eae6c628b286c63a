"""Seventy texts that mean harm, and how to tell that a page or a terminal reads them as texts."""

from __future__ import annotations

import unicodedata
from html.parser import HTMLParser
from typing import Any

TEXTS = [
    *("\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x1b]8;;http://e.org\x1b\\link\x1b]8;;\x1b\\", "\x1b[2J\x1b[H"),
    *("\x9b31m", "\x1b]52;c;cm0gLXJm\x07", "\x1b[?1049h", "\rover written", "back\b\b\bspace", "bell\a"),
    *("form\ffeed\vtab\t", "nul\0byte", "\u202egnp.exe", "\u2066isolate\u2069", "zero\u200bwidth\u200d\ufeff"),
    *("soft\u00adhyphen", "line\u2028separator\u2029", "\x85next", "private \ue000", "tag \U000e0041\U000e007f"),
    *(":bomb:", "\x7fdelete", "[/red]", "[bold]x[/bold]", "[link=http://e.org]x[/link]", "[@click=app.quit]x", "[/]"),
    *("a | b", "||", "two\nlines", "# heading\n\n## two", "- item\n1. one", "> quoted", "---", "***bold*** _it_ ~~s~~"),
    *("`code`", "```\nfence", "````sh\nrm -rf /\n````", "![i](http://e.org/i.png)", "[x](javascript:alert(1))"),
    *("<http://e.org>", "http://e.org www.e.org", "[x]: http://e.org", "$x^2$ $$y$$ \\(z\\)", "&lt;b&gt; &#0; &copy;"),
    *("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<!-- comment", "]]><svg onload=alert(1)>"),
    *("</td></table>", "'\"><b>", "javascript:alert(1)", "data:text/html,<script>", "<details open ontoggle=alert(1)>"),
    *("</script><style>*{}", "=HYPERLINK(\"http://e.org\")", "+cmd|' /C calc'!A0", "@SUM(1)", "-2+3", "=1+1"),
    *("!!python/object/apply:os.system ['x']", "&a [*a]", "{a: 1} # x", "%YAML 1.1", "no", "1e3", "{{7*7}}"),
    *("\t=2+2", "\r@SUM(2)", "\uff1d1+1", "- text", "\\input{/etc/passwd}", "\\write18{id} % x", "\\end{tabular}"),
    *("a & b \\\\ c^2_i ~ \\verb|x|", "--- -- ?` <<", "${HOME} `id` $(id)", "../../etc/passwd"),
    *("x;=cmd|/C calc!A0;y", 'x;"=1+1', "x; \uff20SUM(1)", "x | -2+3", "x;+1;\t=2"),
    *("word " * 10_000, "e\u0301" + "\u0301" * 200, "\u8868 \U0001f600 \u0639", " "),
]  # fmt: skip
MEANT = [text for text in TEXTS if text.strip()]
STEERS = ("Cc", "Cf", "Co", "Cs")


def steering(text: str) -> set[str]:
    """Return the characters that move a cursor, colour, or turn what is read."""
    return {char for char in text if char != "\n" and unicodedata.category(char) in STEERS}


class Page(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, Any]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.tags.append((tag, attributes))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        self.tags.append(("comment", data))
