"""What a client minimises: the distance between the noise and its prediction, and terms, each in a file of its own.

A new term is a class with a registration like `proximal.Proximal`, imported below, and its options in
`conf/objective/term/`.
"""

from fedphd.client.objective.contrastive import Contrastive
from fedphd.client.objective.group_lasso import GroupLasso
from fedphd.client.objective.group_sparsity import GroupSparsity
from fedphd.client.objective.objective import Objective, check_features
from fedphd.client.objective.proximal import Proximal
from fedphd.client.objective.term import TERMS, Compared, Step, Term, terms_of

__all__ = [
    "TERMS",
    "Compared",
    "Contrastive",
    "GroupLasso",
    "GroupSparsity",
    "Objective",
    "Proximal",
    "Step",
    "Term",
    "check_features",
    "terms_of",
]
