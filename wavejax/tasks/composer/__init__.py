"""Composers: models that write music in several voices, freely or around voices that are given."""
