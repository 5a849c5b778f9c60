"""A group's poster: what to share it with, as one picture with a QR code (G1).

Drawn here and not in the page, so that the browser, the mini program and other tools get the same picture.
"""

from __future__ import annotations

import asyncio
import io
import re
from collections import OrderedDict
from datetime import datetime
from functools import cache
from importlib import resources
from math import ceil

import segno
from msgspec import Struct
from PIL import Image, ImageDraw, ImageFont

from tuanzi.base.ids import CampaignId, GroupId
from tuanzi.base.money import Money
from tuanzi.base.network import network_of
from tuanzi.base.problem import Busy, Problem
from tuanzi.base.time import SHANGHAI
from tuanzi.catalog import CampaignTier, campaign_view, campus_page
from tuanzi.groups import Group, GroupState, load_group
from tuanzi.machinery.http.problems import TooManyRequests
from tuanzi.machinery.http.routes import Desk
from tuanzi.machinery.limiter import Limiter

WIDTH, HEIGHT = 750, 1334
# About 60 kB each.
POSTERS_MAX = 200
# Our choice: one takes some 85 ms of the processor, so that the last waits for a second.
WAITING_MAX = 12
# Our choice, of one address: what all who share from a campus behind it have drawn while groups fill; kept posters are
# not counted. Whoever asks under ever new names for the house would use up a core.
DRAWN_PER_S, DRAWN_AT_ONCE = 2, 40

_PAPER, _CARD, _INK, _SOFT = "#f6ead9", "#fffdf9", "#2a1f1a", "#6b5b50"
_CHILI, _STICK = "#c23b1a", "#c9a57c"
_DUMPLINGS = ("#f3b6ad", "#fff4e2", "#b5cf9f")
_WORDS = {
    "zh-CN": {
        "title": "一起拼，更省",
        "missing": "还差 {n} 人成团",
        "formed": "已成团，人越多越省",
        "ended": "这个团已结束，来开一个新的",
        "until": "{at} 截止",
        "tier": "{size} 人",
        "percent": "{fold} 折",
        "off": "减 {yuan}",
        "scan": "扫码参团",
        "why": "同楼一起点，一次送到",
    },
    "en": {
        "title": "Better together",
        "missing": "{n} more to form this group",
        "formed": "Formed: more people, better price",
        "ended": "This group has ended: open a new one",
        "until": "until {at}",
        "tier": "{size} people",
        "percent": "{percent} % off",
        "off": "{yuan} off",
        "scan": "Scan to join",
        "why": "One building, one delivery",
    },
}
LANGUAGES = tuple(_WORDS)


# A scheme and a name or number of sane length, maybe with a port.
_PLAIN = re.compile(r"https?://([A-Za-z0-9_.-]{1,80}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")


class AddressStrange(Problem):
    """A poster leads to the address it is asked for at, and this one is none."""

    code = "roles/address-strange"
    status = 400
    title_zh = "海报的二维码指向请求所用的地址，而这个地址无效"


class PosterFacts(Struct, frozen=True, kw_only=True):
    """All that a poster shows; equal facts give the same picture."""

    language: str
    campus: str
    building: str
    campaign: str
    tiers: tuple[CampaignTier, ...]
    paid_count: int
    state: GroupState
    closes_at: datetime
    link: str


class Posters:
    """Draws posters, one at a time beside the loop, and keeps the newest; few may wait, for the writer's sake."""

    def __init__(self) -> None:
        self._kept: OrderedDict[PosterFacts, bytes] = OrderedDict()
        self._drawing = asyncio.Lock()
        self._waiting = 0
        self._limiter = Limiter(DRAWN_PER_S, DRAWN_AT_ONCE)

    async def poster(self, facts: PosterFacts, *, asker: str, now: datetime) -> bytes:
        """The picture as PNG. asker: the address it is asked from. Raises Busy when too many wait for others to be
        drawn, TooManyRequests when too much was drawn for him."""
        if facts in self._kept:
            self._kept.move_to_end(facts)
            return self._kept[facts]
        if self._waiting >= WAITING_MAX:
            raise Busy(retry_after_s=1)
        if wait_s := self._limiter.take(network_of(asker), now):
            raise TooManyRequests(retry_after_s=ceil(wait_s))
        self._waiting += 1
        try:
            async with self._drawing:
                if facts not in self._kept:
                    self._kept[facts] = await asyncio.to_thread(draw, facts)
                    if len(self._kept) > POSTERS_MAX:
                        self._kept.popitem(last=False)
                return self._kept[facts]
        finally:
            self._waiting -= 1


def link_of(campus: str, group_id: str, *, public_url: str, asked_at: str) -> str:
    """Where a poster's code leads. public_url: what links begin with, or "" for `asked_at`, the address of the request.

    Whoever asks writes that address: it is taken only where it is a plain one. Raises AddressStrange.
    """
    if not public_url and not _PLAIN.fullmatch(asked_at):
        raise AddressStrange()
    return f"{public_url or asked_at}/m/#/pages/group/group?campus={campus}&id={group_id}"


async def facts_of(desk: Desk, group_id: GroupId, *, campus: str, language: str, link: str) -> PosterFacts:
    """What the poster of a group shows now. Raises Unknown."""
    group: Group = await load_group(desk, group_id)
    place = await campus_page(desk, campus_id=campus)  # type: ignore[arg-type]
    campaign = await campaign_view(desk, campaign_id=CampaignId(group.campaign_id))
    field = "name_en" if language == "en" else "name_zh"
    building = next((one for one in place.buildings if one.id == group.building_id), None)
    return PosterFacts(
        language=language,
        campus=getattr(place.campus, field),
        building=getattr(building, field, group.building_id),
        campaign=getattr(campaign, field),
        tiers=group.tiers,
        paid_count=group.paid_count,
        state=group.state,
        closes_at=group.closes_at,
        link=link,
    )


def draw(facts: PosterFacts) -> bytes:
    """A poster as PNG, 750 x 1334 pixels."""
    words = _WORDS[facts.language]
    image = Image.new("RGB", (WIDTH, HEIGHT), _PAPER)
    pen = ImageDraw.Draw(image)
    pen.ellipse([-260, -520, WIDTH + 260, 330], fill=_CHILI)
    _text(pen, (WIDTH // 2, 96), words["title"], size=68, fill="#fff6ec", serif=True)
    _text(pen, (WIDTH // 2, 178), f"{facts.campus} · {facts.building}", size=30, fill="#ffe3d3", width=WIDTH - 80)
    pen.rounded_rectangle([40, 252, WIDTH - 40, 812], 36, fill=_CARD)
    _text(pen, (WIDTH // 2, 330), facts.campaign, size=56, fill=_INK, serif=True, width=WIDTH - 160)
    _skewer(image, facts, top=400)
    _text(pen, (WIDTH // 2, 590), _standing(facts, words), size=40, fill=_CHILI, width=WIDTH - 140)
    _tiers(pen, facts, words, top=650)
    _invitation(image, facts, words)
    file = io.BytesIO()
    image.quantize(colors=128, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return file.getvalue()


def _standing(facts: PosterFacts, words: dict[str, str]) -> str:
    if facts.state is GroupState.OPEN:
        return words["missing"].format(n=max(1, facts.tiers[0].size - facts.paid_count))
    return words["formed" if facts.state is GroupState.FORMED else "ended"]


def _skewer(image: Image.Image, facts: PosterFacts, *, top: int) -> None:
    """The seats as rice dumplings on a stick, the paid ones filled; drawn twice as large, for smooth edges."""
    seats = facts.tiers[-1].size
    shown = min(seats, 10)
    paid = facts.paid_count if seats <= 10 else facts.paid_count * 10 // seats
    across = min(110, (WIDTH - 200) // shown)
    left = (WIDTH - across * shown) // 2
    layer = Image.new("RGBA", (WIDTH * 2, 280))
    pen = ImageDraw.Draw(layer)
    pen.rounded_rectangle([(left - 44) * 2, 132, (WIDTH - left + 60) * 2, 148], 8, fill=_STICK)
    for i in range(shown):
        x, r = (left + i * across + across // 2) * 2, across - 8
        box = [x - r, 140 - r, x + r, 140 + r]
        if i < paid:
            pen.ellipse(box, fill=_DUMPLINGS[i % 3], outline="#e2b79b", width=4)
            pen.ellipse([x - r * 3 // 8 - 6, 128, x - r * 3 // 8 + 6, 140], fill=_INK)
            pen.ellipse([x + r * 3 // 8 - 6, 128, x + r * 3 // 8 + 6, 140], fill=_INK)
            pen.arc([x - 16, 128, x + 16, 160], 20, 160, fill=_INK, width=5)
        else:
            pen.ellipse(box, fill="#fdf6ec", outline="#d9c4ac", width=5)
    small = layer.resize((WIDTH, 140), Image.Resampling.LANCZOS)
    image.paste(small, (0, top), small)


def _tiers(pen: ImageDraw.ImageDraw, facts: PosterFacts, words: dict[str, str], *, top: int) -> None:
    tiers = facts.tiers[:4]
    across = (WIDTH - 160) // len(tiers)
    for i, tier in enumerate(tiers):
        x = 80 + i * across + across // 2
        is_reached = facts.paid_count >= tier.size
        pen.rounded_rectangle(
            [x - across // 2 + 8, top, x + across // 2 - 8, top + 124], 22, fill="#fbe3d7" if is_reached else "#f6efe4"
        )
        _text(pen, (x, top + 38), words["tier"].format(size=tier.size), size=30, fill=_SOFT, width=across - 24)
        _text(pen, (x, top + 84), _offer(tier, words), size=32, fill=_CHILI, width=across - 24)


def _offer(tier: CampaignTier, words: dict[str, str]) -> str:
    parts = []
    if tier.off_percent:
        tens, ones = divmod(100 - tier.off_percent, 10)
        fold = f"{tens}.{ones}" if ones else f"{tens}"
        parts.append(words["percent"].format(percent=tier.off_percent, fold=fold))
    if tier.off:
        parts.append(words["off"].format(yuan=_yuan(tier.off)))
    return " + ".join(parts)


def _yuan(money: Money) -> str:
    yuan, fen = divmod(money.fen, 100)
    return f"¥{yuan}.{fen:02d}" if fen else f"¥{yuan}"


def _invitation(image: Image.Image, facts: PosterFacts, words: dict[str, str]) -> None:
    pen = ImageDraw.Draw(image)
    pen.rounded_rectangle([40, 852, WIDTH - 40, HEIGHT - 48], 36, fill=_CARD)
    file = io.BytesIO()
    segno.make(facts.link, error="m", micro=False).save(file, kind="png", scale=12, border=4, dark=_INK, light="#fff")
    code = Image.open(file).convert("RGB").resize((320, 320), Image.Resampling.NEAREST)
    image.paste(code, (72, 910))
    left, room = 420, WIDTH - 420 - 64
    _text(pen, (left, 970), words["scan"], size=50, fill=_INK, serif=True, width=room, anchor="lm")
    _text(pen, (left, 1040), words["why"], size=28, fill=_SOFT, width=room, anchor="lm")
    at = facts.closes_at.astimezone(SHANGHAI).strftime("%m-%d %H:%M")
    _text(pen, (left, 1096), words["until"].format(at=at), size=28, fill=_CHILI, width=room, anchor="lm")
    _text(pen, (left, 1180), "团子 Tuanzi", size=34, fill=_CHILI, serif=True, width=room, anchor="lm")


def _text(
    pen: ImageDraw.ImageDraw,
    at: tuple[int, int],
    text: str,
    *,
    size: int,
    fill: str,
    serif: bool = False,
    width: int = WIDTH - 60,
    anchor: str = "mm",
) -> None:
    """Text in one line, smaller where it would be wider than `width`; serif text is drawn bold."""
    font = _font(size, serif)
    while pen.textlength(text, font=font) > width and size > 14:
        size -= 2
        font = _font(size, serif)
    pen.text(at, text, font=font, fill=fill, anchor=anchor, stroke_width=1 if serif else 0, stroke_fill=fill)


@cache
def _font(size: int, serif: bool) -> ImageFont.FreeTypeFont:
    name = "NotoSerifSC-Regular.otf" if serif else "NotoSansSC-Regular.otf"
    font = (resources.files("pylopdf_fonts_zh_cn") / name).read_bytes()
    return ImageFont.truetype(io.BytesIO(font), size)
