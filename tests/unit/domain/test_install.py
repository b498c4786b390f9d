"""An install's form."""

from __future__ import annotations

import pytest

from unbroken.domain.install import Form, form_of, why_form


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


@pytest.mark.parametrize(
    ("device", "sentence"),
    [
        (("android", 7.6, None, None), "Android of 7.6 inches is a tablet: from 7.0 inches on it is one."),
        (("android", 6.0, None, None), "Android of 6 inches is a phone: below 7.0 inches it is one."),
        (("android", None, None, None), "Android of unknown size is a phone: what is not known to be a tablet is one."),
        (("ios", None, None, "iPad14,2"), "iOS on an iPad is a tablet."),
        (("ios", 12.9, "phone", None), "iOS on what is no iPad is a phone."),
        (("other", 40.0, "pad", "iPad"), "What runs neither Android nor iOS is a phone."),
    ],
)
def test_the_rule_that_gave_the_form_is_told_with_what_it_looked_at(device, sentence):
    assert why_form(*device) == sentence
