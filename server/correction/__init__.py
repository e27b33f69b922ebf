"""FedDDPM's correction: fine-tuning of the global model on images that were drawn from the clients' local models."""

from fedphd.server.correction.auxiliary import AuxiliarySet
from fedphd.server.correction.correction import Correction
from fedphd.server.correction.preparation import prepare

__all__ = ["AuxiliarySet", "Correction", "prepare"]
