"""What each emoji is called: names of the PyPI package `emoji`, made into captions, groups and one category."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache

import emoji

TONES = r"(?:medium-light|medium-dark|light|medium|dark) skin tone"
PEOPLE = r"woman|man|person|women|men|people|adult|child|boy|girl|baby"
CLOCK_FACES = range(0x1F550, 0x1F568)
REGIONAL_LETTERS = range(0x1F1E6, 0x1F200)
BLACK_FLAG = 0x1F3F4
CANCEL_TAG = 0xE007F
KISS, COUPLE = 0x1F48F, 0x1F491  # the two that are one character each
RED_HEART = 0x2764
JOINER = 0x200D


@dataclass(frozen=True)
class Emoji:
    text: str  # what is drawn
    name: str  # "kiss woman man dark skin tone light skin tone"

    @property
    def codes(self) -> tuple[int, ...]:
        return tuple(map(ord, self.text))

    @property
    def url(self) -> str:
        return "emoji/" + "-".join(f"{code:04x}" for code in self.codes)

    @property
    def uid(self) -> str:
        return hashlib.md5(self.url.encode(), usedforsecurity=False).hexdigest()

    @property
    def caption(self) -> str:
        """The name with commas before skin tones and between people: "kiss, woman and man, dark skin tone"."""
        name = re.sub(rf" ({TONES})", r", \1", self.name)
        name = re.sub(r"^(kiss|couple with heart) (woman|man|person) (woman|man|person)", r"\1, \2 and \3", name)
        name = re.sub(r"^(woman|man|person) ((?:blond|curly|red|white) hair|bald|beard)", r"\1, \2", name)
        if name.startswith("family "):
            return "family, " + name.removeprefix("family ").replace(" ", ", ")
        return f"flag of {name}" if self._is_regional_flag else name

    @property
    def romance(self) -> bool:
        """Couples and kisses: two people with a heart between them; not hearts, kissing faces or kiss marks."""
        joined = RED_HEART in self.codes and JOINER in self.codes and self.name.startswith(("kiss", "couple"))
        return joined or self.codes[0] in (KISS, COUPLE)

    @property
    def group(self) -> str:
        """The same for all skin tones, genders and directions of one emoji, and for all clock faces."""
        if self.codes[0] in CLOCK_FACES:
            return "clock face"
        plain = re.sub(rf" {TONES}| facing right", "", self.name)
        plain = re.sub(rf"\b(?:{PEOPLE})\b", "", plain)
        return " ".join(plain.split()).removeprefix("and ") or "person"

    @property
    def _is_regional_flag(self) -> bool:
        return self.codes[0] in REGIONAL_LETTERS or (self.codes[0] == BLACK_FLAG and self.codes[-1] == CANCEL_TAG)


@cache
def fully_qualified() -> tuple[Emoji, ...]:
    """Every fully-qualified emoji that the package knows, in code point order."""
    wanted = emoji.STATUS["fully_qualified"]
    found = (
        Emoji(text, facts["en"].strip(":").replace("_", " "))
        for text, facts in emoji.EMOJI_DATA.items()
        if facts["status"] == wanted
    )
    return tuple(sorted(found, key=lambda one: one.codes))
