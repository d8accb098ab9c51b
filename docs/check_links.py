"""Every link, picture and anchor of the built pages leads somewhere: python docs/check_links.py docs/_build/html.

Links to other sites are not followed, so that the check needs no network.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The links of a page, and the anchors that others may lead to."""

    def __init__(self, path):
        super().__init__()
        self.links, self.anchors = [], {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        """Note what a tag leads to and what it is called."""
        given = dict(attributes)
        self.links += [given[name] for name in ("href", "src") if given.get(name) and tag != "link"]
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}


def broken(root):
    """Yield each page, with a link of it that leads nowhere."""
    written = (path for path in sorted(root.rglob("*.html")) if "_static" not in path.parts)
    pages = {path.resolve(): Page(path) for path in written}
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = parts.fragment.partition(":~:")[0]  # the rest is a text for the browser to find
            is_there = unquote(anchor) in pages[target].anchors if target in pages else target.is_file()
            if not is_there:
                yield path.relative_to(root.resolve()), link


if __name__ == "__main__":
    found = list(broken(Path(sys.argv[1])))
    for page, link in found:
        print(f"{page}: {link}")
    sys.exit(bool(found))
