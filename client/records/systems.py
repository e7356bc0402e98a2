"""Code systems: the name that a cohort's definition uses, and what OMOP, FHIR and MEDS call the same system."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class System:
    """A code system.

    Attributes
    ----------
    name : str
        As definitions write it, and as MEDS data sets usually prefix a code with it.
    omop : str
        ``vocabulary_id`` in the OMOP vocabularies.
    urls : tuple of str
        What FHIR calls it; the first is the official one.
    """

    name: str
    omop: str
    urls: tuple[str, ...]


SYSTEMS = (
    System("SNOMED", "SNOMED", ("http://snomed.info/sct", "urn:oid:2.16.840.1.113883.6.96")),
    System("ICD10CM", "ICD10CM", ("http://hl7.org/fhir/sid/icd-10-cm", "urn:oid:2.16.840.1.113883.6.90")),
    System("ICD10", "ICD10", ("http://hl7.org/fhir/sid/icd-10", "urn:oid:2.16.840.1.113883.6.3")),
    System("ICD9CM", "ICD9CM", ("http://hl7.org/fhir/sid/icd-9-cm", "urn:oid:2.16.840.1.113883.6.103")),
    System("LOINC", "LOINC", ("http://loinc.org", "urn:oid:2.16.840.1.113883.6.1")),
    System("RxNorm", "RxNorm", ("http://www.nlm.nih.gov/research/umls/rxnorm", "urn:oid:2.16.840.1.113883.6.88")),
    System("HPO", "HPO", ("http://human-phenotype-ontology.org", "http://purl.obolibrary.org/obo/hp.owl")),
    System("ATC", "ATC", ("http://www.whocc.no/atc", "urn:oid:2.16.840.1.113883.6.73")),
    System("CVX", "CVX", ("http://hl7.org/fhir/sid/cvx", "urn:oid:2.16.840.1.113883.12.292")),
)

BY_OMOP = {system.omop: system.name for system in SYSTEMS}
BY_URL = {url: system.name for system in SYSTEMS for url in system.urls}
BY_NAME = {system.name.casefold(): system.name for system in SYSTEMS}
HIERARCHICAL = frozenset({"ICD10CM", "ICD10", "ICD9CM"})  # a code's descendants begin with it
