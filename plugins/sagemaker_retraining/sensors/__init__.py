"""The sensors: raw data of a month, and a person's decision."""
