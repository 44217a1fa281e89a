"""Every code of the table, as the venue would send it, and the verdict on the order that got it."""

import pytest
from unit.venues.zoomex.scripted import BTC, OURS, Answer, Bench, request, run

from trading_engine.domain.errors import RateLimited, VenueUnavailable
from trading_engine.domain.reports import Outcome, Rejected, Unknown
from trading_engine.venues.wire.outcome import Meaning
from trading_engine.venues.zoomex import errors, facts

NUMBERS = {code: meaning for code, meaning in errors.TABLE.meanings.items() if code.isdigit()}
DOUBTFUL = (Meaning.UNKNOWN, Meaning.DUPLICATE)

# The sheet of the venue, apart from the table, so that neither can lose a code.
EXPECTED = {
    Meaning.UNKNOWN: "10000 10016 3400214 429",
    Meaning.CLOCK: "10002",
    Meaning.KEY: "10003 10004 10005 10007 10008 10009 10010 10024 10027",
    Meaning.BUSY: "10006 10018 40004 110079 110063 110066 3100197",
    Meaning.DUPLICATE: "10014 110030 110072",
    Meaning.NOT_FOUND: "110001",
    Meaning.NOT_OPEN: "110008 110010",
    Meaning.ALREADY: "110025 110026 110027 110043 110075 34040",
    Meaning.REFUSED: "10001 10017 10029 110003 30208 30209 110004 110006 110007 110012 110014 110044 110045 110051"
    " 110052 110053 110094 110017 110033 110034 110005 110035 110021 110022 110023 30150 30151 30153 110020 110009"
    " 110061 110024 110028 110029 110013 110036 110038 110011 110039 110040 110046 110092 110093 110054 110055"
    " 110056 110057 110058 110059 110060 110064",
}


def test_the_table_has_every_code_of_the_sheet_once() -> None:
    """And no other number."""
    expected = {code: meaning for meaning, codes in EXPECTED.items() for code in codes.split()}
    assert expected == NUMBERS


@pytest.mark.parametrize(("code", "meaning"), sorted(NUMBERS.items()))
def test_each_code_gives_its_verdict_on_a_submit(code: str, meaning: Meaning) -> None:
    """Refusals are rejected under their code, kinds under their name, doubts are unknown; nothing is sent twice."""

    async def story(bench: Bench) -> Outcome:
        bench.server.script[facts.CREATE] = Answer(None, int(code), "told")
        outcome = await bench.venue.submit(request())
        assert 1 == len(bench.server.calls(facts.CREATE))
        return outcome

    outcome = run(story)
    if meaning in (*DOUBTFUL, Meaning.ALREADY):  # "already so" proves nothing about an order
        assert isinstance(outcome, Unknown)
    else:
        expected = code if meaning is Meaning.REFUSED else meaning.value
        assert Rejected(expected, f"{code}: told") == outcome


@pytest.mark.parametrize("code", ["1", "-1", "99999", "110002", "110099", "20094"])
def test_a_code_that_is_listed_nowhere_is_unknown(code: str) -> None:
    """It proves nothing."""

    async def story(bench: Bench) -> Outcome:
        bench.server.script[facts.CREATE] = Answer(None, int(code), "told")
        return await bench.venue.submit(request())

    assert Unknown(f"zoomex answered {code}: told") == run(story)


@pytest.mark.parametrize("code", [110001, 110008, 110010])
def test_a_cancel_of_what_is_not_open_is_rejected(code: int) -> None:
    """The truth is to be asked for."""

    async def story(bench: Bench) -> Outcome:
        bench.server.script[facts.CANCEL] = Answer(None, code, "gone")
        return await bench.venue.cancel(BTC, OURS, "")

    assert isinstance(run(story), Rejected)


@pytest.mark.parametrize(("code", "meaning"), sorted(NUMBERS.items()))
def test_each_code_fails_a_read(code: str, meaning: Meaning) -> None:
    """As unavailable, with patience where the venue asks for it; never as "nothing there"."""

    async def story(bench: Bench) -> None:
        bench.server.script[facts.POSITIONS] = Answer(None, int(code), "told")
        with pytest.raises(VenueUnavailable) as caught:
            await bench.venue.positions()
        assert (meaning is Meaning.BUSY) == isinstance(caught.value, RateLimited) or code == "429"

    run(story)
