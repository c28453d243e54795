"""Params and MACs that the papers and the released nets have, to the unit.

The numbers come from the published nets, not from this code: no command refreshes them.
"""

import json
from pathlib import Path

import pytest

from mobilens.spec.zoo import build_spec

ROWS = json.loads(Path(__file__).with_name("zoo_costs.json").read_text())


@pytest.mark.parametrize(("name", "rule", "width", "resolution", "params", "macs"), ROWS)
def test_cost_to_the_unit(name, rule, width, resolution, params, macs):
    spec = build_spec(name, width_mult=width, resolution=resolution, width_rule=rule)
    cost = spec.cost()
    assert (cost.params, cost.macs) == (params, macs)
