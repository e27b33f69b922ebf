"""FedDDPM's correction: fine-tuning of the global model on images that were drawn from the clients' local models."""

from server.correction.auxiliary import AuxiliarySet
from server.correction.correction import Correction
from server.correction.preparation import prepare
from server.correction.schedule import due

__all__ = ["AuxiliarySet", "Correction", "due", "prepare"]
