"""Pictures of one template share most of what is drawn and differ in one place; others do not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tasks.looking.templates import SIDE, _aligned, compare, square

Draw = Callable[[ImageDraw.ImageDraw], object]


def drawn(*strokes: Draw, size: tuple[int, int] = (SIDE, SIDE), ground: str = "white") -> np.ndarray:
    image = Image.new("RGB", size, ground)
    for stroke in strokes:
        stroke(ImageDraw.Draw(image))
    return square(image)


def dial(pen: ImageDraw.ImageDraw) -> None:
    pen.ellipse((4, 4, 60, 60), "lightblue", "navy", 5)


def hand(right: int, down: int) -> Draw:
    return lambda pen: pen.line((32, 32, 32 + right, 32 + down), "black", 3)


def test_a_clock_with_another_hand_is_a_template_and_the_frame_is_around_the_hand() -> None:
    found = compare(drawn(dial, hand(0, -18)), drawn(dial, hand(18, 0)))
    assert found.local
    left, top, width, height = (round(SIDE * edge) for edge in found.box)
    assert 28 <= left <= 34 and 12 <= top <= 16
    assert 48 <= left + width <= 53 and 30 <= top + height <= 36
    assert found.equal > 0.9


def test_the_same_picture_shifted_or_compressed_is_no_template() -> None:
    clock = drawn(dial, hand(0, -18))
    assert compare(clock, clock).changed == 0
    assert not compare(clock, np.roll(clock, (2, -1), axis=(1, 2))).local
    noise = np.random.default_rng(0).integers(-12, 13, clock.shape)
    assert not compare(clock, np.clip(clock + noise, 0, 255).astype(np.int16)).local


def test_a_shift_brings_in_what_the_edge_repeats() -> None:
    clock = drawn(dial, hand(0, -18))
    inside = np.pad(clock[:, 2:, :-1], ((0, 0), (0, 2), (1, 0)), mode="edge")  # two up and one to the right
    assert (_aligned(clock, inside)[:, 2:, :-1] == clock[:, 2:, :-1]).all()


def test_a_recoloured_picture_differs_everywhere() -> None:
    found = compare(drawn(dial), drawn(lambda pen: pen.ellipse((4, 4, 60, 60), "salmon", "darkred", 5)))
    assert not found.local
    assert found.equal < 0.3


def test_another_drawing_is_no_template() -> None:
    assert not compare(drawn(dial), drawn(lambda pen: pen.polygon(((5, 60), (32, 4), (60, 60)), "green"))).local


def test_a_picture_that_differs_in_two_far_places_has_less_within_one_region() -> None:
    one = drawn(dial, lambda pen: pen.rectangle((10, 28, 18, 36), "red"))
    two = drawn(
        dial, lambda pen: pen.rectangle((10, 28, 18, 36), "red"), lambda pen: pen.rectangle((44, 28, 56, 40), "red")
    )
    far = compare(drawn(dial), two)
    assert compare(drawn(dial), one).within == pytest.approx(1)
    assert 0.5 < far.within < 0.8


def test_a_dark_ground_is_no_ink() -> None:
    found = compare(
        drawn(lambda pen: pen.rectangle((10, 10, 54, 30), "white"), ground="black"),
        drawn(
            lambda pen: pen.rectangle((10, 10, 54, 30), "white"),
            lambda pen: pen.rectangle((20, 40, 30, 50), "white"),
            ground="black",
        ),
    )
    assert found.local
    assert found.equal == pytest.approx(1 - 121 / (45 * 21 + 121), abs=0.03)


def test_the_order_of_two_pictures_changes_neither_share_nor_rank() -> None:
    one, other = drawn(dial, hand(0, -18)), drawn(dial, hand(14, 14))
    first, second = compare(one, other), compare(other, one)
    assert (first.equal, first.within, first.changed) == (second.equal, second.within, second.changed)
    assert first.rank == pytest.approx(second.rank)


def test_a_wide_picture_lies_in_the_middle_of_a_white_square() -> None:
    found = square(Image.new("RGB", (200, 50), "black"))
    assert found.shape == (3, SIDE, SIDE)
    assert (found[:, 0] == 255).all() and (found[:, 31] == 0).all()


def test_empty_pictures_are_equal() -> None:
    blank = drawn()
    assert compare(blank, blank).equal == 1
    assert not compare(blank, blank).local
