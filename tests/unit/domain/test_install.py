"""An install's form."""

from __future__ import annotations

import pytest

from unbroken.domain.install import Form, form_of


@pytest.mark.parametrize(
    ("platform", "screen_inches", "idiom", "model", "form"),
    [
        ("android", 6.99, None, None, Form.PHONE),
        ("android", 7.0, None, None, Form.TABLET),
        ("android", 12.9, "phone", "iPad", Form.TABLET),
        ("android", None, "pad", "iPad", Form.PHONE),
        ("ios", 12.9, "phone", "iPhone17,1", Form.PHONE),
        ("ios", None, "pad", None, Form.TABLET),
        ("ios", 6.1, None, "iPad14,2", Form.TABLET),
        ("ios", None, None, None, Form.PHONE),
        ("other", 40.0, "pad", "iPad", Form.PHONE),
    ],
)
def test_the_form_follows_from_the_facts_and_what_is_not_known_to_be_a_tablet_is_a_phone(
    platform, screen_inches, idiom, model, form
):
    assert form_of(platform, screen_inches, idiom, model) is form
