"""Tu Pana's API: authentication, retries, rate limits, paging and reads."""
