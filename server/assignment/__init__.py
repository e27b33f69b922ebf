"""The plan of a root round: which client trains at which edge in which edge round.

A way of choosing edges is a class of `ASSIGNMENTS`, one for each choice of `conf/assignment/`; a new one is imported
here, so that it is registered.
"""

from fedphd.server.assignment.balanced import BalancedAssignment
from fedphd.server.assignment.base import ASSIGNMENTS, Assignment, AssignmentRule, ClientRule
from fedphd.server.assignment.fixed import FixedAssignment
from fedphd.server.assignment.homogeneity import HomogeneityAssignment, selection_probabilities
from fedphd.server.assignment.plan import final_rounds, plan_round
from fedphd.server.assignment.random import RandomAssignment

__all__ = [
    "ASSIGNMENTS",
    "Assignment",
    "AssignmentRule",
    "BalancedAssignment",
    "ClientRule",
    "FixedAssignment",
    "HomogeneityAssignment",
    "RandomAssignment",
    "final_rounds",
    "plan_round",
    "selection_probabilities",
]
