"""Who gives way where requests take up all the room that there is."""

from __future__ import annotations

import asyncio

import pytest

from ser_inference_server.bytes_in_flight import BytesInFlight
from ser_inference_server.failures import OverloadedError


def test_the_room_is_all_that_there_is_and_not_a_byte_more() -> None:
    flight = BytesInFlight(100, 60)
    whole = flight.arrival()
    whole.add(100)
    with pytest.raises(OverloadedError, match=r"take all of 100 bytes \(SER_MAX_BYTES_IN_FLIGHT\)"):
        flight.arrival().add(1)
    whole.forget()
    flight.arrival().add(100)


def test_the_one_that_has_been_coming_for_longest_gives_way_and_no_more_than_have_to() -> None:
    async def crowd() -> None:
        flight = BytesInFlight(100, 60)
        gone, stays = [], flight.arrival()

        async def come(number: int, arrived: asyncio.Event) -> None:
            arrival = flight.arrival()
            try:
                async with arrival:
                    arrival.add(number)
                    arrived.set()
                    await asyncio.Event().wait()
            except OverloadedError:
                gone.append(number)

        async with asyncio.timeout(20):
            tasks = []
            for number in (60, 30, 10):
                arrived = asyncio.Event()
                tasks.append(asyncio.create_task(come(number, arrived)))
                await arrived.wait()
            stays.add(60)  # just what the first one leaves
            await tasks[0]
            assert gone == [60]
            stays.add(40)
            await asyncio.gather(*tasks[1:])
            assert gone == [60, 30, 10]
            with pytest.raises(OverloadedError):  # those that have come whole give no way
                flight.arrival().add(1)

    asyncio.run(crowd())
