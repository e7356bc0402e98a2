"""From records to a cohort: the definition, the concept sets, and the table of encounters that they give."""
