"""`site check`: in plain words, what is ready and what is not, before anything is joined and whenever in doubt."""
