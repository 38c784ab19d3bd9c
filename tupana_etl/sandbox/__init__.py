"""Tu Pana's API on this machine: a seeded world of companies behind real HTTP."""
