"""What each kind of fault does to a request on its way to the routes and back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from email.utils import format_datetime

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from tupana_etl.sandbox import answers, ceding, clock, damage, desk, pages, web, wire
from tupana_etl.sandbox.answers import Answer
from tupana_etl.sandbox.faults import Fault
from tupana_etl.sandbox.shape import path_of


@dataclass(frozen=True)
class Call:
    """One request on its way to the routes."""

    inner: ASGIApp
    context: web.Context
    scope: Scope
    receive: Receive
    send: Send


async def strike(fault: Fault, call: Call) -> bool:
    """Answers the request, badly; whether the fault had an effect."""
    now = clock.at(clock.now(call.context.connection))
    ready = damage.ready(fault, path_of(call.scope), now)
    if ready is not None:
        await wire.drain(call.receive)
        await answers.give(ready, call.send)
        return True
    if fault.kind in pages.KINDS:
        touched = pages.touch(fault, Request(call.scope), call.context)
        await call.inner(call.scope, call.receive, call.send)
        return touched
    if fault.kind in _INSTEAD:
        await _INSTEAD[fault.kind](fault, call)
        return True
    answer = await answers.held(call.inner, call.scope, call.receive)
    if fault.kind in _AFTER:
        await _AFTER[fault.kind](fault, call, answer)
        return True
    damaged = damage.done(fault, answer)
    await answers.give(damaged, call.send)
    return damaged != answer


async def _reset(_: Fault, call: Call) -> None:
    await wire.reset(call.scope, call.receive)


async def _reset_request(fault: Fault, call: Call) -> None:
    await wire.reset(call.scope, call.receive, after=int(fault.argument or 0))


async def _close(_: Fault, call: Call) -> None:
    await wire.drain(call.receive)
    await wire.close(call.scope, call.receive)


async def _hang(_: Fault, call: Call) -> None:
    await wire.hang(call.receive)


async def _later(fault: Fault, call: Call) -> None:
    """A batch, an event or cessions are postponed; anything else is simply not done."""
    request, path = Request(call.scope, call.receive), path_of(call.scope)
    key = web.find_key(request, call.context)
    is_event = path.startswith("/documents/") and path.endswith("/states")
    is_batch = path in {desk.BATCH, ceding.PATH}
    is_known = request.method == "POST" and (is_batch or is_event)
    if key is None or not key.can_issue or not is_known:
        await wire.drain(call.receive)
    else:
        asked = request.headers.get("idempotency-key")
        defaults = request.headers.get("x-use-defaults", "").lower() == "true"
        submission = desk.Submission(await request.body(), asked, defaults, key)
        desk.postpone(call.context, path, submission, float(fault.argument or 60))
    if fault.kind == "later":
        await wire.close(call.scope, call.receive)
    else:
        await wire.hang(call.receive)


async def _lost(fault: Fault, call: Call, _: Answer) -> None:
    if fault.argument == "hang":
        await wire.hang(call.receive)
    elif fault.argument == "reset":
        await wire.reset(call.scope, call.receive)
    else:
        await wire.close(call.scope, call.receive)


async def _cut(_: Fault, call: Call, answer: Answer) -> None:
    await wire.cut(answer, call.scope, call.receive, call.send)


async def _slow(fault: Fault, call: Call, answer: Answer) -> None:
    await wire.drip(answer, call.receive, call.send, int(fault.argument or 1000) / 1000)


async def _slow_loris(fault: Fault, call: Call, answer: Answer) -> None:
    pieces = len(answer.body)
    seconds = pieces * int(fault.argument or 200) / 1000
    await wire.drip(answer, call.receive, call.send, seconds, pieces)


async def _skewed_date(fault: Fault, call: Call, answer: Answer) -> None:
    seconds = clock.now(call.context.connection) + float(fault.argument or 3600)
    told = format_datetime(clock.at(seconds), usegmt=True)
    headers = (*answer.headers, (b"date", told.encode()))
    await answers.give(replace(answer, headers=headers), call.send)


_INSTEAD: dict[str, Callable[[Fault, Call], Awaitable[None]]] = {
    "reset": _reset,
    "reset_request": _reset_request,
    "close": _close,
    "hang": _hang,
    "later": _later,
    "later_hang": _later,
}
_AFTER: dict[str, Callable[[Fault, Call, Answer], Awaitable[None]]] = {
    "lost": _lost,
    "reset_body": _cut,
    "slow": _slow,
    "slow_loris": _slow_loris,
    "skewed_date": _skewed_date,
}
