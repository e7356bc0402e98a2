"""`sitebridge coordinator`: certificates, the servers, the register of sites, and runs over sites far away."""
