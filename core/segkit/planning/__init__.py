"""A recipe from the fingerprint of data, with a reason for each choice."""

from segkit.planning._range import RangeTest, range_test
from segkit.planning._rules import RULES, Change, Rule

__all__ = ["RULES", "Change", "RangeTest", "Rule", "range_test"]
