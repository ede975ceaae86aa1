"""Results of listening tests: answers read and screened, statistics, tables, pictures, a page."""
