"""The tags of a shared picture: one of each, and nothing that anybody wrote gets out of its attribute."""

from __future__ import annotations

from html.parser import HTMLParser

from server.web.share import Shared, share_tags, with_tags

HOSTILE = """x"><script>alert(1)</script><meta http-equiv='refresh' content='0;url=//evil'>&quot;</head>"""
INDEX = """<!doctype html><html><head><meta charset="utf-8"><title>Anime
Leak</title>
<meta name="description" content="general"><meta content="general" property="og:title"><meta name=twitter:card content=summary>
<meta name="viewport" content="width=device-width"><script type="module" src="/assets/a.js"></script></head>
<body><title>not a tag of the head</title></body></html>"""


class Head(HTMLParser):
    """Every start tag, and what the metas say."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.metas: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        said = dict(attrs)
        name = said.get("property") or said.get("name")
        if tag == "meta" and name:
            self.metas.append((name, said.get("content") or ""))


def test_the_tags_say_what_a_visitor_may_know() -> None:
    tags = Head(
        share_tags(Shared("https://a.example/api/storage/b", "image/webp", 640.0, 480.0), "https://a.example/share/i")
    )
    told = dict(tags.metas)
    assert len(told) == len(tags.metas)
    assert told["og:image"] == told["twitter:image"] == "https://a.example/api/storage/b"
    assert (told["og:image:width"], told["og:image:height"], told["og:image:type"]) == ("640", "480", "image/webp")
    assert told["og:url"] == "https://a.example/share/i"
    assert told["twitter:card"] == "summary_large_image"
    assert told["robots"] == "noindex"
    assert tags.tags.count("title") == 1


def test_what_is_not_known_is_not_said() -> None:
    told = dict(Head(share_tags(Shared("u", original_width=1.0), "a")).metas)
    assert not {"og:image:width", "og:image:height", "og:image:type"} & told.keys()


def test_hostile_contents_stay_in_their_attributes() -> None:
    tags = Head(share_tags(Shared(HOSTILE, HOSTILE, 1.0, 1.0), HOSTILE))
    assert set(tags.tags) == {"title", "meta"}
    told = dict(tags.metas)
    assert told["og:image"] == told["og:image:type"] == told["og:url"] == HOSTILE


def test_the_tags_take_the_place_of_the_general_ones() -> None:
    page = with_tags(INDEX, share_tags(Shared("u"), "a"))
    seen = Head(page)
    assert "general" not in page
    assert [name for name, _ in seen.metas].count("twitter:card") == 1
    assert page.count("<title>") == 2, "the head's and the body's"
    assert {"viewport", "og:title"} <= {name for name, _ in seen.metas}
    assert page.index("og:title") < page.index("</head>") < page.index("<body>")
    assert with_tags("<p>no head", "x") == "<p>no headx"
