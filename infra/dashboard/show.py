"""How the dashboard shows what comes from a pool: as text and as thumbnails, never as markup.

Whoever made the pool wrote its captions and file names. Streamlit reads labels, headings and messages as Markdown, so
only `st.text` and the data URIs of our own thumbnails carry anything of a pool.
"""

from __future__ import annotations

from typing import Final

import streamlit as st

from tasks.labelling.desk import Card
from tasks.reporting.thumbnail_cache import Thumbnail

CAPTION: Final = 1_500  # characters shown; a caption may have millions

STYLE: Final = """<style>
[data-testid="stHeader"] { background: transparent; pointer-events: none; }
[data-testid="stHeader"] button { pointer-events: auto; }
[data-testid="stMainBlockContainer"] { padding: 1.2rem 2rem 1rem; max-width: 100rem; }
[data-testid="stElementToolbar"] { display: none; }
.st-key-caption { max-height: 40vh; overflow-y: auto; }
[class*="st-key-picture"] { overflow: hidden; border-radius: 8px; background: #e9ecec; }
[class*="st-key-picture"] [data-testid="stImage"], [class*="st-key-picture"] [data-testid="stImageContainer"],
[class*="st-key-picture"] [data-testid="stFullScreenFrame"] { width: 100%; }
[class*="st-key-picture"] img { width: 100%; object-fit: contain; border-radius: 0; }
[class*="st-key-picture-large"] { min-height: 74vh; justify-content: center; }
[class*="st-key-picture-large"] img { height: 74vh; }
[class*="st-key-picture-small"] { min-height: 19vh; justify-content: center; }
[class*="st-key-picture-small"] img { height: 19vh; }
[class*="st-key-picture"] [data-testid="stText"] { padding: 1rem; }
[class*="-blurred"] img { filter: blur(9px); }
.st-key-caption [data-testid="stText"] { font-size: 1.2rem; line-height: 1.5; overflow-wrap: anywhere; }
[class*="st-key-line"] [data-testid="stText"], [class*="st-key-line"] [data-testid="stText"] * {
  font-size: 0.8rem; line-height: 1.3; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.st-key-quiet [data-testid="stText"] { font-size: 0.75rem; line-height: 1.5; opacity: 0.6; overflow-wrap: anywhere; }
.st-key-question [data-testid="stText"] { font-size: 1.05rem; font-weight: 600; }
[class*="st-key-cell"] { gap: 0.3rem; }
[class*="st-key-cell"] button { min-height: 1.9rem; padding-block: 0; }
[class*="st-key-cell-1"] [class*="st-key-picture"] { outline: 4px solid #b4532a; }
[class*="st-key-cell-0"] [class*="st-key-picture"] { outline: 4px solid #2f7d6b; }
[class*="st-key-cell-unsure"] [class*="st-key-picture"] { outline: 4px solid #b59a2c; }
</style>"""

# A key that is held down counts once, and none counts while the page changes: it would answer for another picture than
# the labeller sees. Digits do: they mark pictures that stay. Constant text: nothing of a pool is part of it.
SCRIPT: Final = """<script>
if (!window.sluiceKeys) {
  window.sluiceKeys = true;
  window.addEventListener("keydown", (event) => {
    if (event.target.matches("input, textarea")) return;
    const app = document.querySelector("[data-test-script-state]");
    const changing = app && app.dataset.testScriptState !== "notRunning";
    if (event.repeat || (changing && !/^[1-9]$/.test(event.key))) {
      event.stopImmediatePropagation();
      if (event.key === "Enter" || event.key === " ") event.preventDefault();
    }
  }, true);
}
</script>"""


def prepare() -> None:
    """What every view needs of the browser."""
    st.html(STYLE)
    st.html(SCRIPT, unsafe_allow_javascript=True)


def picture(card: Card, thumbnail: Thumbnail | None, size: str, sharp: bool) -> None:
    """The thumbnail; unless `sharp`, only its blurred form leaves the server. `size`: large or small."""
    with st.container(key=f"picture-{size}-{card.uid}-{'sharp' if sharp else 'blurred'}"):
        if thumbnail is None:
            st.text("No picture: its source is gone, has changed, or cannot be read.")
        else:
            st.image(thumbnail.sharp if sharp else thumbnail.blurred, width="stretch")


def caption(card: Card) -> None:
    """The whole caption, and under it the file's name and the uid."""
    with st.container(key="caption"):
        st.text(shortened(card.caption, CAPTION) or "(no caption)")
    with st.container(key="quiet"):
        st.text(f"{shortened(card.name, 200)}\n{card.uid}")


def line(card: Card) -> None:
    """The caption in one line, for a grid."""
    with st.container(key=f"line-{card.uid}"):
        st.text(shortened(" ".join(card.caption.split()), 120) or "(no caption)")


def shortened(text: str, longest: int) -> str:
    """At most `longest` characters; what is left out is told."""
    return text if len(text) <= longest else f"{text[:longest]} … ({len(text):,} characters in all)"
