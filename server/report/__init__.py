"""`sitebridge report`: one HTML file about a run, from the files in its folder."""
