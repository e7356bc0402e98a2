"""Trained models on their way to use: found in a run's folder, kept in a file with all that they need, written as ONNX.

Letters: V rows of the table, D embedding size, F filters, K kernel width, N encounters, L tokens, C classes.
"""

from common.trained.choosing import Asked, choose
from common.trained.key import Key
from common.trained.model import TrainedModel
from common.trained.opening import open_models

__all__ = ["Asked", "Key", "TrainedModel", "choose", "open_models"]
