"""Both tables of colours have the same roles, and everything can be read."""

import pytest

from cooee.cli.tui.palette import DARK, LIGHT, NAMES, PALETTES, Palette, contrast, name_ink

TEXT = {"text", "muted", "accent", "danger", "success", *(f"name-{number}" for number in range(NAMES))}
GROUNDS = {"page", "list", "raised", "chosen", "own", "other"}


@pytest.mark.parametrize("palette", PALETTES.values(), ids=PALETTES)
def test_text_is_read_on_every_ground(palette: Palette) -> None:
    poor = [
        (ink, ground, round(contrast(palette.inks[ink], palette.grounds[ground]), 2))
        for ink in TEXT
        for ground in GROUNDS
        if contrast(palette.inks[ink], palette.grounds[ground]) < 4.5
    ]
    assert poor == []


@pytest.mark.parametrize("palette", PALETTES.values(), ids=PALETTES)
def test_badges_and_ticks_are_seen(palette: Palette) -> None:
    assert contrast(palette.inks["badge"], palette.grounds["badge"]) >= 4.5
    assert contrast(palette.inks["badge"], palette.grounds["badge-muted"]) >= 4.5
    assert contrast(palette.inks["read"], palette.grounds["own"]) >= 3
    assert contrast(palette.inks["read"], palette.inks["muted"]) > 1


def test_light_and_dark_have_the_same_roles() -> None:
    assert DARK.inks.keys() == LIGHT.inks.keys()
    assert DARK.grounds.keys() == LIGHT.grounds.keys()
    assert (DARK.dark, LIGHT.dark) == (True, False)


def test_a_person_keeps_his_hue() -> None:
    assert name_ink("bob") == name_ink("bob")
    assert {name_ink(f"user{number}") for number in range(200)} == {f"name-{number}" for number in range(NAMES)}
