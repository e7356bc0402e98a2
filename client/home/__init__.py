"""`sitebridge site`: a site's folder, its keys, what it sends and what it is sent, its processes and how they are."""
