"""Words of the workbench: refusals with what is wrong and what to do, and times."""

from __future__ import annotations

from enum import Enum


def lasting(seconds: float) -> str:
    """A time in words: ``5 s``, ``12 min``, ``3 h 20 min``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"


class Refusal(Enum):
    """Status, problem and remedy."""

    HOST = (
        421,
        "This address is not one that the workbench answers to.",
        "Open the address that `metasight serve` printed, or start it with --name HOST.",
    )
    NO_SESSION = (401, "You are not logged in, or your session has ended.", "Log in again.")
    ROLE = (
        403,
        "Your role does not allow this.",
        "Ask the administrator of this study's workbench for another role.",
    )
    FORM_TOKEN = (
        403,
        "This form was not sent from a page of your session.",
        "Open the page again and repeat what you did.",
    )
    FORM = (400, "The form cannot be read.", "Open the page again and fill it in anew.")
    TOO_LARGE = (413, "What was sent is too large.", "Shorten it.")
    ADDRESS_TOO_LONG = (414, "The address is too long.", "Shorten it.")
    METHOD = (405, "The workbench does not do this.", "Use its pages.")
    NOT_FOUND = (
        404,
        "There is no such page, patient or slide in this study.",
        "Go back to the study's page and follow its links.",
    )
    NOT_UNDERSTOOD = (
        422,
        "A part of the address is not understood.",
        "Go back to the study's page and follow its links.",
    )
    LOGINS = (
        429,
        "Too many logins have failed.",
        "Wait a quarter of an hour, then try again.",
    )
    TOKEN = (
        403,
        "This address lets nobody in: it was used already, or is not the last one printed.",
        "Start `metasight serve` again and open the address that it prints.",
    )
    FAULT = (
        500,
        "A fault in metasight, not in your study.",
        "Nothing was changed. Tell whoever looks after metasight what you did.",
    )

    @property
    def status(self) -> int:
        """Of HTTP."""
        return self.value[0]

    @property
    def problem(self) -> str:
        """What is wrong."""
        return self.value[1]

    @property
    def remedy(self) -> str:
        """What to do."""
        return self.value[2]
