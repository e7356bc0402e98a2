"""The built-in pair of hospitals, for people with no data at hand; every encounter is drawn, none is a patient."""
