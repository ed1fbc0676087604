"""Six homes of three providers in two provinces: a small country for tests of the oracle and of the count."""

from tests.country.truth import Home, Provider

FIXED = Provider(name="AS1", kind="fixed")
MOBILE = (Provider(name="AS2", kind="mobile"), Provider(name="AS3", kind="mobile"))
HOMES = tuple(
    Home(number=number, provider=provider, province=province, line=line)
    for number, (provider, province, line) in enumerate(
        [
            (FIXED, "north", "fibre"),
            (FIXED, "south", "dual-stack"),
            (MOBILE[0], "north", "mobile"),
            (MOBILE[0], "south", "mobile"),
            (MOBILE[1], "north", "mobile"),
            (MOBILE[1], "south", "mobile"),
        ]
    )
)
ALL = frozenset(range(6))
