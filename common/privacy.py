"""What a federation asks of its sites' training for the privacy of patients: how far each may count, and the noise."""

from __future__ import annotations

from pydantic import Field, model_validator

from common.toml import Declared

# they tell numbers of training or validation patients without noise, or train by other means than with it
UNPROTECTED = ("prior", "intercept", "recalibrate", "auto", "fedper", "ensemble", "logistic")


class Privacy(Declared):
    """The section ``[privacy]``: differential privacy of training at each site, patient by patient.

    Attributes
    ----------
    clip : float
        Largest L2 norm of what one patient adds to the sum of a step's gradients.
    noise_multiplier : float or None
        Standard deviation of the noise that is added to that sum, in units of `clip`.
    epsilon : float or None
        Instead of it: what one training may cost a patient, all of its rounds at a site together; each site finds its
        noise by the number of its patients.
    delta : float
        Goes with `epsilon`.
    """

    clip: float = Field(default=1.0, gt=0, le=1e6, allow_inf_nan=False)
    noise_multiplier: float | None = Field(default=None, ge=0.2, le=1000, allow_inf_nan=False)
    epsilon: float | None = Field(default=None, ge=0.01, le=100, allow_inf_nan=False)
    delta: float = Field(default=1e-5, ge=1e-12, lt=0.01)

    @model_validator(mode="after")
    def _one_of_both(self) -> Privacy:
        if (self.noise_multiplier is None) == (self.epsilon is None):
            raise ValueError("noise_multiplier and epsilon: each says how much noise there is; give one of them")
        return self
