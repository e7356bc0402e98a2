"""The fixed phrases that every built table also embeds.

Sites have different vocabularies, so a centre taken from the vocabulary would differ by site. These phrases are the
same everywhere: their vectors give the centre, the scale and the fingerprint. A change of one word here makes every
table built before unusable beside one built after, and the reader says so.
"""

from __future__ import annotations

import hashlib

PROBE_PHRASES: tuple[str, ...] = (
    # findings, present
    "fever",
    "persistent cough",
    "swelling of the ankles",
    "rash on the arms and trunk",
    "palpitations",
    "low blood pressure",
    "dizziness on standing",
    "back pain radiating to the leg",
    # findings, absent or not known
    "Not fever",
    "Not persistent cough",
    "Not jaundice",
    "Not weight loss",
    "fever not mentioned",
    "difficulty swallowing not mentioned",
    "loss of taste not mentioned",
    # diagnoses, tests, treatment
    "asthma",
    "type 2 diabetes mellitus",
    "urinary tract infection",
    "fracture of the wrist",
    "blood culture taken",
    "computed tomography of the head",
    "white blood cell count above normal",
    "treated with oral antibiotics",
    "oxygen given by mask",
    # people and visits
    "newborn",
    "woman aged 30 to 40 years",
    "man over 80 years old",
    "arrived by ambulance",
    "discharged home",
    # everyday words
    "a walk in the park",
    "the price of bread",
    "Tuesday morning",
)


def phrases_digest() -> str:
    """Give the SHA-256 of the phrases, by which a table says which list it was built with."""
    return hashlib.sha256("\n".join(PROBE_PHRASES).encode()).hexdigest()
