"""Looks at a page in a headless browser: errors, loaded addresses, overflow, sorted tables."""

import html
import json
import re
import shutil
import subprocess

__all__ = ["find_browser", "look_at"]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

# Runs in the page itself, before anything else does.
_WATCH = """<script>
window.seen = [];
addEventListener("error", (e) => seen.push(String(e.message || e.target.outerHTML)), true);
addEventListener("securitypolicyviolation", (e) => seen.push("refused " + e.blockedURI));
</script>"""

# A window of a browser is never as narrow as a phone, a frame can be.
_HARNESS = """<!DOCTYPE html><meta charset="utf-8">
<iframe id="page" style="border:0;width:{width}px;height:900px" srcdoc="{page}"></iframe>
<pre id="found"></pre>
<script>
const frame = document.getElementById("page");
frame.addEventListener("load", () => {{
  const view = frame.contentWindow, page = frame.contentDocument, root = page.documentElement;
  const found = {{ errors: view.seen, width: view.innerWidth, overflow: [], sorted: [] }};
  found.scroll = root.scrollWidth;
  for (const element of page.body.querySelectorAll("*")) {{
    const wraps = element.parentElement.closest(".scroll");
    if (!wraps && element.getBoundingClientRect().right > view.innerWidth + 1) {{
      found.overflow.push(element.outerHTML.slice(0, 80));
    }}
  }}
  found.loaded = view.performance.getEntriesByType("resource").map((entry) => entry.name)
    .filter((name) => !name.startsWith("data:"));
  found.images = Array.from(page.images).map((image) => [image.naturalWidth, image.alt]);
  for (const table of page.querySelectorAll("table")) {{
    const heads = table.querySelectorAll("th");
    heads.forEach((head, column) => {{
      const values = () => Array.from(table.tBodies[0].rows, (r) => r.cells[column].dataset.value);
      head.querySelector("button").click();
      const up = values();
      const sort = [head.getAttribute("aria-sort")];
      head.querySelector("button").click();
      sort.push(head.getAttribute("aria-sort"));
      found.sorted.push([head.textContent.trim(), up, values(), sort]);
    }});
  }}
  document.getElementById("found").textContent = JSON.stringify(found);
}});
</script>
"""


def find_browser():
    """Path of a browser that is installed, or None."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


def look_at(page, width, folder):
    """What a browser finds in a page that is `width` pixels wide."""
    page = page.replace("<head>", "<head>" + _WATCH, 1)
    harness = folder / f"harness-{width}.html"
    harness.write_text(_HARNESS.format(width=width, page=html.escape(page, quote=True)))
    run = subprocess.run(
        [
            find_browser(),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={folder / 'profile'}",
            f"--window-size={max(width + 50, 600)},1000",
            "--virtual-time-budget=5000",
            "--dump-dom",
            harness.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = re.search(r'<pre id="found">(.*?)</pre>', run.stdout, re.DOTALL)
    assert found and found[1], run.stderr
    return json.loads(html.unescape(found[1]))
