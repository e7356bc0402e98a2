"""Models in use at a site: new encounters scored, and models written in forms that other programs run.

Letters: N encounters, L tokens, V rows of the table, F filters.
"""
