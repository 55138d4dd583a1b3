"""Mistakes of users and the message that each gets: a table, a site to make them at, a page."""
