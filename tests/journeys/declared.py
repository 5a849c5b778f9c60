"""Every refusal that a test gets is one that its route declares: what OpenAPI says is all there is (J2)."""

from __future__ import annotations

import httpx

from tuanzi.machinery.http.endpoint import endpoint_of
from tuanzi.machinery.http.matching import find_spot, plant
from tuanzi.machinery.http.openapi import house_problems
from tuanzi.roles.api import Serving, routes_of


class Declared:
    """The codes of the refusals that a house's routes declare, and those of the house at each."""

    def __init__(self, house: Serving) -> None:
        endpoints = [endpoint_of(route) for route in routes_of(house)]
        self._root = plant(
            (each.route.method, each.route.path, {kind.code for kind in (*each.route.problems, *house_problems(each))})
            for each in endpoints
        )

    async def check(self, answer: httpx.Response) -> None:
        """Look at an answer; one of a path that is no route's may be anything."""
        if answer.headers.get("content-type") != "application/problem+json":
            return
        spot = find_spot(self._root, answer.request.url.path.split("/"))
        codes = None if spot is None else spot.endpoints.get(answer.request.method)
        if codes is not None:
            await answer.aread()
            code = answer.json()["code"]
            assert code in codes, f"{answer.request.method} {answer.request.url.path} refuses {code}, undeclared"
