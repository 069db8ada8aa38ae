"""A recipe from the fingerprint of data, with a reason for each choice."""

from segkit.planning._choices import Choice
from segkit.planning._plan import Plan, plan
from segkit.planning._range import RangeTest, range_test
from segkit.planning._rules import RULES, Change, Rule

__all__ = ["RULES", "Change", "Choice", "Plan", "RangeTest", "Rule", "plan", "range_test"]
